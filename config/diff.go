package config

import (
	"strconv"
	"strings"
)

// Change is one key that two configurations have differently.
type Change struct {
	_ [0]func() // nobody compares two: no code for that

	Key      string // with the name of the listener: `listener "mqtt://:1883" url`
	Old, New string // as TOML writes them; of listeners that come or go, the URL, or ""
	Reload   Reload
}

// String says what changes and what that takes.
func (c Change) String() string {
	switch {
	case c.Old == "":
		return c.Key + ": opened at " + c.New
	case c.New == "":
		return c.Key + ": closed at " + c.Old
	}
	return c.Key + ": " + c.Old + " -> " + c.New + " (" + c.Reload.String() + ")"
}

// Diff finds what a reload from old to now changes. A listener is the same one
// while its address is; one at another address is opened anew.
func Diff(old, now *File) []Change {
	var changes []Change
	diffRows(&changes, "", old.rows(), now.rows())
	gone := map[string]int{}
	for i := range old.Listeners {
		gone[old.Listeners[i].place()] = i
	}
	for i := range now.Listeners {
		l := &now.Listeners[i]
		key := "listener " + strconv.Quote(l.Name)
		j, was := gone[l.place()]
		if !was {
			changes = append(changes, Change{Key: key, New: quote(l.URL), Reload: Remake})
			continue
		}
		delete(gone, l.place())
		diffRows(&changes, key+" ", old.Listeners[j].rows(), l.rows())
	}
	for i := range old.Listeners {
		l := &old.Listeners[i]
		if _, is := gone[l.place()]; is {
			changes = append(changes, Change{Key: "listener " + strconv.Quote(l.Name), Old: quote(l.URL), Reload: Remake})
		}
	}
	return changes
}

// place is where a listener listens.
func (l *Listener) place() string {
	e, err := l.Endpoint()
	if err != nil {
		return l.URL
	}
	return e.Address()
}

// diffRows compares tables of the same shape. Listeners are left to Diff; other
// lists of tables are compared table by table where there are as many as before, and
// else as a whole.
func diffRows(changes *[]Change, prefix string, old, now []*row) {
	for i, r := range now {
		switch r.Kind {
		case KindTable:
			diffRows(changes, prefix+r.Name+".", old[i].inner, r.inner)
		case KindTables:
			if prefix == "" && r.Name == "listener" {
				continue
			}
			if n := r.count(); n == old[i].count() {
				for j := range n {
					diffRows(changes, prefix+r.Name+"."+strconv.Itoa(j)+".", old[i].at(j), r.at(j))
				}
			} else if a, b := tablesText(old[i]), tablesText(r); a != b {
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

// tablesText writes a list of tables on one line, without what is as it is by default.
func tablesText(r *row) string {
	var text strings.Builder
	text.WriteString("[")
	for i := range r.count() {
		if i > 0 {
			text.WriteString(", ")
		}
		text.WriteString("{ ")
		between := ""
		for _, f := range r.at(i) {
			if f.changed() {
				text.WriteString(between + f.Name + " = " + literal(f.get()))
				between = ", "
			}
		}
		text.WriteString(" }")
	}
	return text.String() + "]"
}
