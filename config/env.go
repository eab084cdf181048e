package config

import (
	"slices"
	"sort"
	"strconv"
	"strings"
)

// envPrefix begins the names of our environment variables.
const envPrefix = "LOOPMQ_"

// environment puts LOOPMQ_ variables over root. A name without __ that is no key
// of ours, nor near one, belongs to somebody else: Kubernetes sets LOOPMQ_PORT
// and its like for a service that is called loopmq.
func (l *loader) environment(root *value) {
	type variable struct {
		name, value string
		path        []string
	}
	var set []variable
	var top []string
	for _, r := range new(File).rows() {
		top = append(top, r.Name)
	}
	for _, e := range l.env {
		name, text, _ := strings.Cut(e, "=")
		rest, ours := strings.CutPrefix(name, envPrefix)
		if !ours || rest == "" {
			continue
		}
		path := strings.Split(strings.ToLower(rest), "__")
		if len(path) > 1 || nearest(path[0], top) != "" {
			set = append(set, variable{name, text, path})
		}
	}
	// Listeners in the order of their numbers.
	sort.SliceStable(set, func(i, j int) bool { return slices.CompareFunc(set[i].path, set[j].path, comparePart) < 0 })
	for _, v := range set {
		l.overlay(root, new(File).rows(), "", v.path, v.value, place{source: "environment variable " + v.name})
	}
}

// comparePart sorts indices by their number.
func comparePart(a, b string) int {
	if isIndex(a) && isIndex(b) && len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// override puts flags over root.
func (l *loader) override(root *value, overrides []Override) {
	replaced := false
	for _, o := range overrides {
		at := place{source: o.Source}
		path := strings.Split(o.Key, ".")
		if o.Key == "listener" {
			if !replaced {
				root.remove("listener")
			}
			replaced = true
			n := 0
			if f := root.field("listener"); f != nil {
				n = len(f.value.list)
			}
			path = []string{"listener", strconv.Itoa(n), "url"}
		}
		l.overlay(root, new(File).rows(), "", path, o.Value, at)
	}
}

// overlay sets the key at path, below prefix. A key that does not exist is put
// there all the same, for the reader to complain about.
func (l *loader) overlay(table *value, rows []*row, prefix string, path []string, text string, at place) {
	key, rest := prefix+path[0], path[1:]
	v := &value{kind: kindLoose, text: text, at: at}
	i := slices.IndexFunc(rows, func(r *row) bool { return r.Name == path[0] })
	if i < 0 {
		table.put(strings.Join(path, "."), v)
		return
	}
	r := rows[i]
	switch {
	case key == "include":
		l.problems = append(l.problems, at.problem(key, "works in the file only", ""))
	case r.Kind == KindTable && len(rest) > 0:
		if next := table.child(r.Name, kindTable, at); next != nil {
			l.overlay(next, r.inner, key+".", rest, text, at)
		}
	case r.Kind == KindTables && len(rest) > 1 && isIndex(rest[0]):
		if next := l.item(table, r.Name, key, rest[0], at); next != nil {
			l.overlay(next, r.sample(), key+"."+rest[0]+".", rest[1:], text, at)
		}
	case r.Kind == KindMap && len(rest) > 0:
		if next := table.child(r.Name, kindTable, at); next != nil {
			next.put(strings.Join(rest, "__"), v)
		}
	case r.Kind == KindTables:
		l.problems = append(l.problems, at.problem(key, "is a list of tables", "write a number and a key behind it, from 0: "+key+".0.KEY"))
	case r.table():
		l.problems = append(l.problems, at.problem(key, "is a table, not a value", "write a key behind it: "+key+".KEY"))
	default:
		table.put(strings.Join(path, "."), v)
	}
}

// item finds one table of a list, or appends it; nil if it cannot be.
func (l *loader) item(table *value, name, key, index string, at place) *value {
	list := table.child(name, kindList, at)
	if list == nil {
		return nil
	}
	n, err := strconv.Atoi(index)
	if err != nil || n > len(list.list) {
		what := "there are only " + strconv.Itoa(len(list.list)) + " of " + key
		l.problems = append(l.problems, at.problem(key+"."+index, what, "number them from 0 without a gap"))
		return nil
	}
	if n == len(list.list) {
		list.list = append(list.list, &value{kind: kindTable, at: at})
	}
	return list.list[n]
}

// child finds or makes a table or list; nil if something else is there, which
// the reader complains about.
func (v *value) child(name string, kind valueKind, at place) *value {
	f := v.field(name)
	if f == nil {
		f = &field{name, at, &value{kind: kind, at: at}}
		v.fields = append(v.fields, f)
	}
	if f.value.kind != kind {
		return nil
	}
	return f.value
}

// put sets a field.
func (v *value) put(name string, to *value) {
	v.remove(name)
	v.add(name, to.at, to)
}
