package config

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// row is one key bound to its place in one File.
type row struct {
	Key
	fill func()                     // sets the default
	get  func() any                 // string, bool, int, []string or map[string]string
	read func(in *reader, v scalar) // sets it from a value
	add  func() []*row              // KindTables: appends one more table
	at   func(i int) []*row         // KindTables: table i

	hidden func() string // KindSecret: what get does not tell

	inner  []*row // KindTable: its rows
	count  func() int
	sample func() []*row // KindTables: the rows of a new one
}

func (r *row) table() bool { return r.Kind == KindTable || r.Kind == KindTables }

// changed says that the value is not the default.
func (r *row) changed() bool { return literal(r.get()) != r.Default }

// fillRows sets defaults, and notes what they are.
func fillRows(rows []*row) []*row {
	for i := range rows {
		if rows[i].Kind == KindTable {
			fillRows(rows[i].inner)
		}
		rows[i].fill()
	}
	return rows
}

// Default is the configuration of a broker that is told nothing.
func Default() *File {
	f := new(File)
	fillRows(f.rows())
	return f
}

// NewListener is a listener that is told nothing.
func NewListener() Listener {
	var l Listener
	fillRows(l.rows())
	return l
}

func (r *row) flag(name string) *row {
	r.Flag = name
	return r
}

// between bounds a whole number or a size; 0 for most is no bound.
func (r *row) between(least, most int) *row {
	r.Min, r.Max = least, most
	return r
}

// least says from where on a number makes sense that is not 0. It is for the
// documentation: check.go refuses others.
func (r *row) least(n int) *row {
	r.Least = n
	return r
}

// scalarRow is a row of one value; def is the default, and again what get
// returns for it.
func scalarRow[T any](to *T, kind Kind, name string, def T, get func(T) any, reload Reload, doc string,
	read func(r *row, in *reader, v scalar) (T, bool),
) *row {
	r := &row{Key: Key{Name: name, Kind: kind, Default: literal(get(def)), Reload: reload, Doc: doc}}
	r.fill = func() { *to = def }
	r.get = func() any { return get(*to) }
	r.read = func(in *reader, v scalar) {
		if x, ok := read(v.row, in, v); ok {
			*to = x
		}
	}
	return r
}

func asIs[T any](v T) any { return v }

func textRow(to *string, name, def string, reload Reload, doc string, checks ...func(string) string) *row {
	return scalarRow(to, KindText, name, def, asIs[string], reload, doc, func(_ *row, in *reader, v scalar) (string, bool) {
		s, ok := in.text(v)
		for _, check := range checks {
			if ok {
				if what := check(s); what != "" {
					in.bad(v, quote(redacted(s))+": "+what, "")
					ok = false
				}
			}
		}
		return s, ok
	})
}

func pathRow(to *string, name string, reload Reload, doc string) *row {
	return scalarRow(to, KindPath, name, "", asIs[string], reload, doc, func(_ *row, in *reader, v scalar) (string, bool) {
		s, ok := in.text(v)
		if !ok {
			return "", false
		}
		return in.path(v, s)
	})
}

func secretRow(to *Secret, name string, reload Reload, doc string) *row {
	show := func(s Secret) any { return s.String() }
	r := scalarRow(to, KindSecret, name, "", show, reload, doc, func(_ *row, in *reader, v scalar) (Secret, bool) {
		s, ok := in.text(v)
		return Secret(s), ok
	})
	r.hidden = func() string { return string(*to) }
	return r
}

func choiceRow(to *string, name, def string, choices []string, reload Reload, doc string) *row {
	r := scalarRow(to, KindChoice, name, def, asIs[string], reload, doc, func(r *row, in *reader, v scalar) (string, bool) {
		return in.choice(v, r.Choices)
	})
	r.Choices = choices
	return r
}

func booleanRow(to *bool, name string, def bool, reload Reload, doc string) *row {
	return scalarRow(to, KindBoolean, name, def, asIs[bool], reload, doc, func(_ *row, in *reader, v scalar) (bool, bool) {
		return in.boolean(v)
	})
}

func switchRow(to *Switch, name string, reload Reload, doc string) *row {
	show := func(s Switch) any { return [...]any{"auto", true, false}[s] }
	return scalarRow(to, KindSwitch, name, Auto, show, reload, doc, func(_ *row, in *reader, v scalar) (Switch, bool) {
		return in.onOff(v)
	})
}

func integerRow(to *int, name string, def int, reload Reload, doc string) *row {
	return scalarRow(to, KindInteger, name, def, asIs[int], reload, doc, func(r *row, in *reader, v scalar) (int, bool) {
		n, ok := in.integer(v)
		return n, ok && in.between(v, n, strconv.Itoa)
	})
}

func sizeRow(to *int, name string, def int, reload Reload, doc string) *row {
	show := func(n int) any { return formatSize(n) }
	return scalarRow(to, KindSize, name, def, show, reload, doc, func(_ *row, in *reader, v scalar) (int, bool) {
		n, ok := in.size(v)
		return n, ok && in.between(v, n, formatSize)
	})
}

// durationRow takes times from least on; 0 is allowed where least is 0.
func durationRow(to *time.Duration, name string, def, least time.Duration, reload Reload, doc string) *row {
	show := func(d time.Duration) any { return formatDuration(d) }
	return scalarRow(to, KindDuration, name, def, show, reload, doc, func(_ *row, in *reader, v scalar) (time.Duration, bool) {
		d, ok := in.duration(v)
		if ok && d < least {
			in.bad(v, quote(formatDuration(d))+" is too short", "write "+quote(formatDuration(least))+" or more")
			ok = false
		}
		return d, ok
	})
}

func rateRow(to *Rate, name string, reload Reload, doc string) *row {
	show := func(r Rate) any { return r.String() }
	return scalarRow(to, KindRate, name, Rate{}, show, reload, doc, func(_ *row, in *reader, v scalar) (Rate, bool) {
		return in.rate(v)
	})
}

func modeRow(to *Mode, name string, reload Reload, doc string) *row {
	show := func(m Mode) any {
		if m == 0 {
			return ""
		}
		return "0" + strconv.FormatUint(uint64(m), 8)
	}
	return scalarRow(to, KindMode, name, 0, show, reload, doc, func(_ *row, in *reader, v scalar) (Mode, bool) {
		return in.mode(v)
	})
}

func listRow(to *[]string, kind Kind, name string, choices []string, reload Reload, doc string) *row {
	show := func(list []string) any { return append([]string{}, list...) }
	r := scalarRow(to, kind, name, nil, show, reload, doc, func(r *row, in *reader, v scalar) ([]string, bool) {
		return in.texts(v, r)
	})
	r.Choices = choices
	return r
}

func networksRow(to *[]netip.Prefix, name string, reload Reload, doc string) *row {
	show := func(list []netip.Prefix) any {
		texts := []string{}
		for _, p := range list {
			if p.IsSingleIP() {
				texts = append(texts, p.Addr().String())
			} else {
				texts = append(texts, p.String())
			}
		}
		return texts
	}
	return scalarRow(to, KindNetworkList, name, nil, show, reload, doc, func(_ *row, in *reader, v scalar) ([]netip.Prefix, bool) {
		return in.networks(v)
	})
}

func mapRow(to *map[string]string, name string, reload Reload, doc string) *row {
	r := &row{Key: Key{Name: name, Kind: KindMap, Default: "{}", Reload: reload, Doc: doc}}
	r.fill = func() { *to = nil }
	r.get = func() any {
		all := map[string]string{}
		maps.Copy(all, *to)
		return all
	}
	r.read = func(in *reader, v scalar) {
		if m, ok := in.textMap(v); ok && len(m) > 0 {
			*to = m
		}
	}
	return r
}

func tableRow(name string, inner []*row, doc string) *row {
	return &row{Key: Key{Name: name, Kind: KindTable, Doc: doc}, fill: func() {}, inner: inner}
}

// tablesRow is a list of tables.
func tablesRow[T any](to *[]T, name string, rows func(*T) []*row, doc string) *row {
	r := &row{Key: Key{Name: name, Kind: KindTables, Doc: doc}}
	r.fill = func() { *to = nil }
	r.count = func() int { return len(*to) }
	r.at = func(i int) []*row { return rows(&(*to)[i]) }
	r.sample = func() []*row { return fillRows(rows(new(T))) }
	r.add = func() []*row {
		*to = slices.Grow(*to, 1)[:len(*to)+1]
		return fillRows(r.at(len(*to) - 1))
	}
	return r
}
