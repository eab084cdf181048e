package config

import (
	"strconv"
	"strings"
)

// Change is one key that two configurations have differently.
type Change struct {
	Key      string // with the name of the listener: `listener "mqtt://:1883" url`
	Old, New string // as TOML writes them; "" where a table is new or gone
	Reload   Reload
}

// String says what changes and what that takes.
func (c Change) String() string {
	switch {
	case c.Old == "":
		return c.Key + ": added: " + c.New
	case c.New == "":
		return c.Key + ": removed"
	}
	return c.Key + ": " + c.Old + " -> " + c.New + " (" + c.Reload.String() + ")"
}

// Diff finds what a reload from old to new changes. Listeners are told apart by
// their names.
func Diff(old, now *File) []Change {
	var changes []Change
	diffRows(&changes, "", old.rows(), now.rows())
	byName := map[string]int{}
	for i, l := range old.Listeners {
		byName[l.Name] = i
	}
	for i := range now.Listeners {
		l := &now.Listeners[i]
		key := "listener " + strconv.Quote(l.Name)
		j, was := byName[l.Name]
		if !was {
			changes = append(changes, Change{Key: key, New: "opened at " + l.URL, Reload: Remake})
			continue
		}
		delete(byName, l.Name)
		diffRows(&changes, key+" ", old.Listeners[j].rows(), l.rows())
	}
	for _, l := range old.Listeners {
		if _, gone := byName[l.Name]; gone {
			changes = append(changes, Change{Key: "listener " + strconv.Quote(l.Name), Old: l.URL, Reload: Remake})
		}
	}
	return changes
}

// diffRows compares tables of the same shape. Lists of tables in a listener are
// compared as a whole, those of the file by their names.
func diffRows(changes *[]Change, prefix string, old, now []row) {
	for i, r := range now {
		switch r.Kind {
		case KindTable:
			diffRows(changes, prefix+r.Name+".", old[i].inner, r.inner)
		case KindTables:
			if prefix == "" {
				continue
			}
			if a, b := tablesText(old[i]), tablesText(r); a != b {
				*changes = append(*changes, Change{Key: prefix + r.Name, Old: a, New: b, Reload: Live})
			}
		case KindSecret:
			// Shown to nobody, and compared all the same.
			if a, b := old[i].hidden(), r.hidden(); a != b {
				*changes = append(*changes, Change{Key: prefix + r.Name, Old: literal(old[i].get()), New: literal(r.get()), Reload: r.Reload})
			}
		default:
			if a, b := literal(old[i].get()), literal(r.get()); a != b {
				*changes = append(*changes, Change{Key: prefix + r.Name, Old: a, New: b, Reload: r.Reload})
			}
		}
	}
}

// tablesText writes a list of tables on one line.
func tablesText(r row) string {
	var text strings.Builder
	text.WriteString("[")
	for i := range r.count() {
		if i > 0 {
			text.WriteString(", ")
		}
		text.WriteString("{ ")
		for j, f := range r.at(i) {
			if j > 0 {
				text.WriteString(", ")
			}
			text.WriteString(f.Name + " = " + literal(f.get()))
		}
		text.WriteString(" }")
	}
	return text.String() + "]"
}
