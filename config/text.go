package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// quote writes text as TOML does.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c == 0x7F:
			fmt.Fprintf(&b, `\u%04X`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// literal writes what a row's get returns, as TOML does.
func literal(v any) string {
	switch v := v.(type) {
	case string:
		return quote(v)
	case bool:
		return strconv.FormatBool(v)
	case int:
		return strconv.Itoa(v)
	case []string:
		quoted := make([]string, len(v))
		for i, s := range v {
			quoted[i] = quote(s)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case map[string]string:
		if len(v) == 0 {
			return "{}"
		}
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, bare(k)+" = "+quote(v[k]))
		}
		return "{ " + strings.Join(parts, ", ") + " }"
	}
	return ""
}

// bare writes a key, in quotes where TOML wants them.
func bare(key string) string {
	plain := key != "" && !strings.ContainsFunc(key, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-')
	})
	if plain {
		return key
	}
	return quote(key)
}

// Text writes the configuration as TOML: what differs from the defaults, or
// all of it.
func (f *File) Text(all bool) string {
	short := *f
	if short.Listeners = slices.Clone(f.Listeners); !all {
		for i := range short.Listeners {
			if l := &short.Listeners[i]; l.Name == l.URL {
				l.Name = "" // which is the same
			}
		}
	}
	var b strings.Builder
	writeRows(&b, "", short.rows(), all)
	return strings.TrimLeft(b.String(), "\n")
}

// writeRows writes plain keys first, as TOML wants, then tables.
func writeRows(b *strings.Builder, table string, rows []*row, all bool) {
	for _, r := range rows {
		if r.table() || !all && !r.changed() {
			continue
		}
		if r.Kind == KindSecret {
			if r.get() != "" {
				fmt.Fprintf(b, "# %s is set\n", r.Name)
			}
			continue
		}
		fmt.Fprintf(b, "%s = %s\n", r.Name, literal(r.get()))
	}
	for _, r := range rows {
		switch {
		case r.Kind == KindTable:
			var inner strings.Builder
			writeRows(&inner, table+r.Name+".", r.inner, all)
			if text := inner.String(); text != "" && strings.HasPrefix(text, "\n") {
				b.WriteString(text)
			} else if text != "" {
				fmt.Fprintf(b, "\n[%s%s]\n%s", table, r.Name, text)
			}
		case r.Kind == KindTables:
			for i := range r.count() {
				fmt.Fprintf(b, "\n[[%s%s]]\n", table, r.Name)
				writeRows(b, table+r.Name+".", r.at(i), all)
			}
		}
	}
}

// JSON writes all of the configuration as one JSON object, with the keys and
// the values of the file.
func (f *File) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(object(f.rows()), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the configuration as JSON: %w", err)
	}
	return append(text, '\n'), nil
}

func object(rows []*row) map[string]any {
	o := map[string]any{}
	for _, r := range rows {
		switch {
		case r.Kind == KindTable:
			o[r.Name] = object(r.inner)
		case r.Kind == KindTables:
			list := []any{}
			for i := range r.count() {
				list = append(list, object(r.at(i)))
			}
			o[r.Name] = list
		default:
			o[r.Name] = r.get()
		}
	}
	return o
}
