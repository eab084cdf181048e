package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

var (
	errNumber = errors.New("not a number")
	errUnit   = errors.New("no such unit")
	errNoUnit = errors.New("no unit")
	errRange  = errors.New("too large")
)

// unit is what a suffix multiplies by.
type unit struct {
	name string
	of   int64
}

// sizeUnits, largest first; of two that both divide a size, the first one
// writes it.
//
// table: never written.
var sizeUnits = []unit{
	{"GiB", 1 << 30}, {"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1},
}

// timeUnits, largest first. Months and years have no one length.
//
// table: never written.
var timeUnits = []unit{
	{"w", 7 * 24 * int64(time.Hour)},
	{"d", 24 * int64(time.Hour)},
	{"h", int64(time.Hour)},
	{"m", int64(time.Minute)},
	{"s", int64(time.Second)},
	{"ms", int64(time.Millisecond)},
	{"us", int64(time.Microsecond)},
	{"ns", 1},
}

// parseSize reads "2MB", "256 KiB" or "100B".
func parseSize(s string) (int, error) {
	n, rest, err := leadingInteger(s)
	if err != nil {
		return 0, err
	}
	rest = strings.TrimLeft(rest, " ")
	if rest == "" {
		return 0, errNoUnit
	}
	for _, u := range sizeUnits {
		if u.name == rest {
			if n > math.MaxInt/u.of {
				return 0, errRange
			}
			return int(n * u.of), nil
		}
	}
	return 0, errUnit
}

// ParseSize reads a size from a command line: with a unit, or a bare number of bytes.
func ParseSize(s string) (int64, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, nil
	}
	n, err := parseSize(s)
	if err != nil {
		what, hint := sizeMistake(s, err)
		return 0, mistake(what, hint)
	}
	return int64(n), nil
}

// mistake is what is wrong with a value, for a line that names it.
func mistake(what, hint string) error {
	if hint == "" {
		return errors.New("it " + what)
	}
	return errors.New("it " + what + "; " + hint)
}

// sizeMistake says what parseSize found wrong with a size, and how one looks.
func sizeMistake(s string, err error) (what, hint string) {
	switch err {
	case errNoUnit:
		return "has no unit", "write " + quote(s+"B") + `, or with kB, MB, GB, KiB, MiB or GiB`
	case errUnit:
		return "has a unit that is none of a size", `units are B, kB, MB, GB, KiB, MiB and GiB, as in "2MB"`
	case errRange:
		return "is more than there can be", ""
	}
	return "is no size", `write a whole number and a unit: "2MB"`
}

// ParseTime reads a time from a command line; zero needs no unit.
func ParseTime(s string) (time.Duration, error) {
	d, err := parseDuration(s)
	if err != nil {
		what, hint := timeMistake(s, err)
		return 0, mistake(what, hint)
	}
	return d, nil
}

// timeMistake says what parseDuration found wrong with a time, and how one looks.
func timeMistake(s string, err error) (what, hint string) {
	switch err {
	case errNoUnit:
		return "has no unit", "write " + quote(s+"s") + ", or with ms, m, h, d or w"
	case errUnit:
		return "has a unit that is none of a time", `units are w, d, h, m, s, ms, us and ns, as in "30s"`
	case errRange:
		return "is longer than there can be", ""
	}
	return "is no time", `write whole numbers and units: "30s", "1h30m"`
}

func formatSize(n int) string {
	for _, u := range sizeUnits {
		if n != 0 && int64(n)%u.of == 0 {
			return strconv.FormatInt(int64(n)/u.of, 10) + u.name
		}
	}
	return strconv.Itoa(n) + "B"
}

// parseDuration reads "30s", "1h30m" or "14d". Zero needs no unit.
func parseDuration(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	var total int64
	rest := s
	for first := true; first || rest != ""; first = false {
		n, after, err := leadingInteger(rest)
		if err != nil {
			return 0, err
		}
		end := strings.IndexAny(after, "0123456789")
		if end < 0 {
			end = len(after)
		}
		name := after[:end]
		rest = after[end:]
		if name == "" {
			return 0, errNoUnit
		}
		of, ok := timeUnit(name)
		if !ok {
			return 0, errUnit
		}
		if n > math.MaxInt64/of || total > math.MaxInt64-n*of {
			return 0, errRange
		}
		total += n * of
	}
	return time.Duration(total), nil
}

func timeUnit(name string) (int64, bool) {
	for _, u := range timeUnits {
		if u.name == name {
			return u.of, true
		}
	}
	return 0, false
}

func formatDuration(d time.Duration) string {
	if d <= 0 {
		return "0s"
	}
	var b strings.Builder
	rest := int64(d)
	for _, u := range timeUnits {
		// 14d reads better than 2w.
		if u.name != "w" && rest >= u.of {
			b.WriteString(strconv.FormatInt(rest/u.of, 10))
			b.WriteString(u.name)
			rest %= u.of
		}
	}
	return b.String()
}

func leadingInteger(s string) (int64, string, error) {
	end := 0
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	if end == 0 {
		return 0, "", errNumber
	}
	n, err := strconv.ParseInt(s[:end], 10, 64)
	if err != nil {
		return 0, "", errRange
	}
	return n, s[end:], nil
}

// parseRate reads "100/s", "10/m" or "5/10s".
func parseRate(s string) (Rate, error) {
	count, per, ok := strings.Cut(s, "/")
	if !ok {
		return Rate{}, errNoUnit
	}
	n, err := strconv.ParseInt(count, 10, 32)
	if err != nil || n < 1 {
		return Rate{}, errNumber
	}
	if of, ok := timeUnit(per); ok {
		return Rate{int(n), time.Duration(of)}, nil
	}
	d, err := parseDuration(per)
	if err == nil && d <= 0 {
		err = errNumber
	}
	return Rate{int(n), d}, err
}

func (r Rate) String() string {
	if r.Count == 0 {
		return ""
	}
	per := formatDuration(r.Per)
	if unit, ok := strings.CutPrefix(per, "1"); ok {
		if _, ok := timeUnit(unit); ok {
			per = unit
		}
	}
	return strconv.Itoa(r.Count) + "/" + per
}
