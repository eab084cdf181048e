package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// reader sets the rows of a File from a tree, and notes what is wrong.
type reader struct {
	*loader
	places   map[string]place // of keys that are set, by path with indices
	problems []Problem        // those of the loader, and more
	warnings []string
	keys     []Key // once a key is unknown: all there are
}

// scalar is a value on its way into a row.
type scalar struct {
	*value
	row  *row
	path string
}

func (in *reader) bad(v scalar, what, hint string) {
	in.problems = append(in.problems, v.at.problem(v.path, what, hint))
}

// table reads a table into its rows.
func (in *reader) table(path string, rows []*row, v *value) {
	for _, f := range v.fields {
		i := slices.IndexFunc(rows, func(r *row) bool { return r.Name == f.name })
		if i < 0 {
			in.unknown(path, rows, f)
			continue
		}
		r := rows[i]
		key := path + f.name
		in.places[key] = f.at
		s := scalar{f.value, r, key}
		switch r.Kind {
		case KindTable:
			if f.value.kind != kindTable {
				in.bad(scalar{&value{at: f.at}, r, key}, "is a table, not a value", "write ["+strings.TrimSuffix(plainPath(key), ".")+"] and its keys below")
				continue
			}
			in.table(key+".", r.inner, f.value)
		case KindTables:
			in.tables(s)
		default:
			r.read(in, s)
		}
	}
}

// tables reads a list of tables.
func (in *reader) tables(v scalar) {
	hint := "write [[" + plainPath(v.path) + "]] and its keys below, once for each"
	if v.kind != kindList {
		in.bad(v, "is a list of tables", hint)
		return
	}
	for i, item := range v.list {
		if item.kind != kindTable {
			in.bad(scalar{item, v.row, v.path}, "is a list of tables", hint)
			continue
		}
		key := v.path + "." + strconv.Itoa(i)
		in.places[key] = item.at
		in.table(key+".", v.row.add(), item)
	}
}

// plainPath leaves out the indices.
func plainPath(path string) string {
	parts := strings.Split(path, ".")
	return strings.Join(slices.DeleteFunc(parts, isIndex), ".")
}

// unknown says what was probably meant: a key of this table, or one that
// stands in another table.
func (in *reader) unknown(path string, rows []*row, f *field) {
	var names []string
	for _, r := range rows {
		names = append(names, r.Name)
	}
	lower := strings.ReplaceAll(strings.ToLower(f.name), "-", "_")
	hint := ""
	if near := nearest(lower, names); near != "" {
		hint = "did you mean " + near + "?"
	}
	if !strings.Contains(hint, " "+lower+"?") {
		if in.keys == nil {
			in.keys = Keys()
		}
		best := ""
		for _, k := range in.keys {
			if k.Name == lower && k.Path != plainPath(path+lower) && (best == "" || len(k.Path) < len(best)) {
				best = k.Path
			}
		}
		if best != "" {
			hint = "did you mean " + best + "?"
		}
	}
	in.problems = append(in.problems, f.at.problem(path+f.name, "unknown key", hint))
}

// found tells what stands there instead of what was expected.
func found(v *value) string {
	switch v.kind {
	case kindText, kindLoose:
		return quote(v.text) + " is text"
	case kindInteger, kindFloat:
		return v.text + " is a number"
	case kindBoolean:
		return v.text + " is a truth value"
	case kindTime:
		return v.text + " is a date"
	case kindList:
		return "this is a list"
	}
	return "this is a table"
}

func (in *reader) text(v scalar) (string, bool) {
	switch v.kind {
	case kindText, kindLoose:
		if strings.ContainsRune(v.text, 0) {
			in.bad(v, quote(v.text)+" has a NUL byte", "")
			return "", false
		}
		return v.text, true
	case kindInteger, kindFloat, kindBoolean, kindTime:
		in.bad(v, found(v.value), "write text in quotes: "+quote(v.text))
	default:
		in.bad(v, found(v.value), `write text in quotes: "…"`)
	}
	return "", false
}

func (in *reader) choice(v scalar, choices []string) (string, bool) {
	s, ok := in.text(v)
	if !ok || slices.Contains(choices, s) {
		return s, ok
	}
	hint := "write " + either(choices)
	if near := nearest(s, choices); near != "" && near != s {
		hint = "did you mean " + quote(near) + "? " + strings.ToUpper(hint[:1]) + hint[1:]
	}
	in.bad(v, quote(s)+" is none of the choices", hint)
	return "", false
}

func (in *reader) boolean(v scalar) (value, ok bool) {
	if (v.kind == kindBoolean || v.kind == kindLoose) && (v.value.text == "true" || v.value.text == "false") {
		return v.value.text == "true", true
	}
	in.bad(v, found(v.value), "write true or false, without quotes")
	return false, false
}

func (in *reader) onOff(v scalar) (Switch, bool) {
	if v.kind == kindBoolean || v.kind == kindLoose || v.kind == kindText {
		switch {
		case v.value.text == "auto":
			return Auto, true
		case v.kind != kindText && v.value.text == "true":
			return On, true
		case v.kind != kindText && v.value.text == "false":
			return Off, true
		}
	}
	in.bad(v, found(v.value), `write true, false or "auto"`)
	return Auto, false
}

// number reads a whole number as TOML writes them.
func number(v *value) (int, bool) {
	if v.kind != kindInteger && v.kind != kindLoose {
		return 0, false
	}
	text := strings.TrimPrefix(v.text, "+")
	digits := strings.TrimPrefix(text, "-")
	if len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 0, strconv.IntSize)
	return int(n), err == nil
}

func (in *reader) integer(v scalar) (int, bool) {
	n, ok := number(v.value)
	if ok {
		return n, true
	}
	hint := "write a whole number"
	if t, ok := number(&value{kind: kindLoose, text: v.value.text}); v.kind == kindText && ok {
		hint = "write it without quotes: " + strconv.Itoa(t)
	}
	what := found(v.value)
	switch v.kind {
	case kindInteger:
		what = v.value.text + " is more than there can be"
	case kindLoose, kindFloat:
		what = v.value.text + " is not a whole number"
	}
	in.bad(v, what, hint)
	return 0, false
}

// between holds a number against the bounds of its row.
func (in *reader) between(v scalar, n int, format func(int) string) bool {
	r := v.row
	switch {
	case n >= r.Min && (r.Max == 0 || n <= r.Max):
		return true
	case r.Max == 0:
		in.bad(v, format(n)+" is too small", "write "+format(r.Min)+" or more")
	default:
		in.bad(v, format(n)+" is out of bounds", "write "+format(r.Min)+" to "+format(r.Max))
	}
	return false
}

func (in *reader) size(v scalar) (int, bool) {
	if n, ok := number(v.value); ok {
		return n, true
	}
	if v.kind != kindText && v.kind != kindLoose {
		in.bad(v, found(v.value), `write a size: "2MB"`)
		return 0, false
	}
	n, err := parseSize(v.value.text)
	if err != nil {
		what, hint := sizeMistake(v.value.text, err)
		in.bad(v, quote(v.value.text)+" "+what, hint)
	}
	return n, err == nil
}

func (in *reader) duration(v scalar) (time.Duration, bool) {
	if n, ok := number(v.value); ok {
		if n == 0 {
			return 0, true
		}
		in.bad(v, v.value.text+" has no unit", "write "+quote(v.value.text+"s")+", or with ms, m, h, d or w")
		return 0, false
	}
	if v.kind != kindText && v.kind != kindLoose {
		in.bad(v, found(v.value), `write a time: "30s"`)
		return 0, false
	}
	d, err := parseDuration(v.value.text)
	if err != nil {
		what, hint := timeMistake(v.value.text, err)
		in.bad(v, quote(v.value.text)+" "+what, hint)
	}
	return d, err == nil
}

func (in *reader) rate(v scalar) (Rate, bool) {
	s, ok := in.text(v)
	if !ok || s == "" {
		return Rate{}, ok
	}
	r, err := parseRate(s)
	if err != nil {
		in.bad(v, quote(s)+" is no rate", `write how many in how much time: "100/s", "10/m"`)
	}
	return r, err == nil
}

func (in *reader) mode(v scalar) (Mode, bool) {
	s, ok := in.text(v)
	if !ok || s == "" {
		return 0, ok
	}
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n > 0o777 || len(s) < 3 {
		in.bad(v, quote(s)+" are no permissions", `write three or four octal digits: "0660"`)
		return 0, false
	}
	return Mode(n), true
}

// items are the values of a list; the environment and flags separate them by
// commas.
func (in *reader) items(v scalar) ([]scalar, bool) {
	switch v.kind {
	case kindList:
		var all []scalar
		for _, item := range v.value.list {
			all = append(all, scalar{item, v.row, v.path})
		}
		return all, true
	case kindLoose:
		var all []scalar
		for part := range strings.SplitSeq(v.value.text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				all = append(all, scalar{&value{kind: kindLoose, text: part, at: v.at}, v.row, v.path})
			}
		}
		return all, true
	}
	hint := `write a list: ["…"]`
	if v.kind == kindText {
		hint = "write a list: [" + quote(v.value.text) + "]"
	}
	in.bad(v, found(v.value), hint)
	return nil, false
}

func (in *reader) texts(v scalar, r *row) ([]string, bool) {
	items, ok := in.items(v)
	var all []string
	for _, item := range items {
		var s string
		var good bool
		switch r.Kind {
		case KindChoiceList:
			s, good = in.choice(item, r.Choices)
		default:
			s, good = in.text(item)
		}
		switch {
		case !good:
			ok = false
		case s == "":
			in.bad(item, "an empty text in the list", "leave it out")
			ok = false
		case slices.Contains(all, s):
			in.bad(item, quote(s)+" is in the list twice", "leave one out")
			ok = false
		default:
			all = append(all, s)
		}
	}
	return all, ok
}

func (in *reader) networks(v scalar) ([]netip.Prefix, bool) {
	items, ok := in.items(v)
	var all []netip.Prefix
	for _, item := range items {
		s, good := in.text(item)
		if !good {
			ok = false
			continue
		}
		if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
			all = append(all, netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(s)
		switch {
		case err != nil:
			in.bad(item, quote(s)+" is neither an address nor a network", `write "192.0.2.7" or "10.0.0.0/8"`)
			ok = false
		case p.Masked() != p:
			in.bad(item, quote(s)+fmt.Sprintf(" has bits behind its /%d", p.Bits()), "write "+quote(p.Masked().String()))
			ok = false
		default:
			all = append(all, p)
		}
	}
	return all, ok
}

func (in *reader) textMap(v scalar) (map[string]string, bool) {
	if v.kind != kindTable {
		in.bad(v, found(v.value), `write a table: { "NAME" = "VALUE" }`)
		return nil, false
	}
	all, ok := map[string]string{}, true
	for _, f := range v.value.fields {
		s, good := in.text(scalar{f.value, v.row, v.path + "." + f.name})
		if ok = ok && good; good {
			all[f.name] = s
		}
	}
	return all, ok
}

// credentials is how a path into the service's credentials begins.
const credentials = "$CREDENTIALS_DIRECTORY/"

// path makes a path absolute that is relative to its file.
func (in *reader) path(v scalar, s string) (string, bool) {
	if rest, ok := strings.CutPrefix(s, credentials); ok {
		dir := in.getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			in.bad(v, "CREDENTIALS_DIRECTORY is not set", "systemd sets it for a service with LoadCredential=")
			return "", false
		}
		return filepath.Join(dir, rest), true
	}
	if s == "" || filepath.IsAbs(s) || v.at.file == "" {
		return s, true
	}
	return filepath.Join(filepath.Dir(v.at.file), s), true
}
