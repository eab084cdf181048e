package guard

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// ReadBans reads a list of bans, a line each:
//
//	address 192.0.2.0/24 until 2026-12-24T18:00:00Z because tries passwords
//	client "sensor 7"
//	user mallory because left
//
// Names with spaces or quotes stand in quotes. Lines that begin with # are
// comments. The error names file and line of all that is wrong.
func ReadBans(name string, r io.Reader) (list []Ban, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 2*nameMax)
	var wrong []error
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		ban, err := ParseBan(text)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s:%d: %w", name, n, err))
			continue
		}
		list = append(list, ban)
	}
	if err := lines.Err(); err != nil {
		wrong = append(wrong, fmt.Errorf("read %s: %w", name, err))
	}
	return list, errors.Join(wrong...)
}

// ParseBan reads one line.
func ParseBan(line string) (b Ban, err error) {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "address", "network":
		b.Kind = Network
	case "client":
		b.Kind = ClientID
	case "user":
		b.Kind = User
	default:
		return b, fmt.Errorf("%.80q: write address, client or user, and whom", word)
	}
	whom, rest, err := cutName(strings.TrimSpace(rest))
	if err != nil {
		return b, err
	}
	if b.Kind == Network {
		if b.Network, err = parseNetwork(whom); err != nil {
			return b, err
		}
	} else {
		b.Name = whom
	}
	if after, has := strings.CutPrefix(rest, "until "); has {
		at, more, _ := strings.Cut(strings.TrimSpace(after), " ")
		t, err := time.Parse(time.RFC3339, at)
		if err != nil || t.Before(time.Unix(0, 1)) || t.After(time.Unix(0, math.MaxInt64)) {
			return b, fmt.Errorf("until %.80q: write a time as 2026-12-24T18:00:00Z", at)
		}
		b.Until, rest = t.UnixNano(), strings.TrimSpace(more)
	}
	if why, has := strings.CutPrefix(rest, "because "); has {
		b.Why, rest = strings.TrimSpace(why), ""
	}
	if rest != "" {
		return b, fmt.Errorf("%.80q: write until TIME, and because REASON; a name with spaces stands in quotes", rest)
	}
	_, err = b.subject()
	return b, err
}

// cutName takes a word or a quoted name off a line.
func cutName(text string) (name, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		name, rest, _ = strings.Cut(text, " ")
		return name, strings.TrimSpace(rest), nil
	}
	quoted, err := strconv.QuotedPrefix(text)
	if err == nil {
		name, err = strconv.Unquote(quoted)
	}
	if err != nil {
		return "", "", fmt.Errorf("%.80q: the quote is not closed, or \\ stands for nothing", text)
	}
	return name, strings.TrimSpace(text[len(quoted):]), nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("%.80q is neither an address nor a network; write 192.0.2.7 or 192.0.2.0/24", text)
	}
	return p, nil
}

// Line is the ban as ReadBans reads it.
func (b *Ban) Line() string {
	text := ""
	switch b.Kind {
	case Network:
		text = "address " + b.Network.String()
		if b.Network.IsSingleIP() {
			text = "address " + b.Network.Addr().String()
		}
	default:
		text = b.Kind.String() + " " + written(b.Name)
	}
	if b.Until != 0 {
		text += " until " + time.Unix(0, b.Until).UTC().Format(time.RFC3339)
	}
	if why := strings.Join(strings.Fields(b.Why), " "); why != "" {
		text += " because " + why
	}
	return text
}

// written is a name in quotes where it would not be read as it is.
func written(name string) string {
	if q := strconv.Quote(name); q != `"`+name+`"` || strings.ContainsAny(name, " \u00a0") {
		return q
	}
	return name
}

// Same tells whether two bans are about the same.
func (b *Ban) Same(other *Ban) bool {
	x, err := b.subject()
	y, errOther := other.subject()
	return err == nil && errOther == nil && x == y
}

// Over tells whether the ban has ended at now, in nanoseconds since 1970.
func (b *Ban) Over(now int64) bool { return b.over(now) }
