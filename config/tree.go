package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// valueKind is what a value looks like in the file.
type valueKind uint8

const (
	kindText valueKind = iota
	kindInteger
	kindFloat
	kindBoolean
	kindTime
	kindList
	kindTable
	kindLoose // text of the environment or of a flag: its key says what it is
)

// made is how a table came to be; TOML lets each be continued in other ways.
type made uint8

const (
	madeOnTheWay made = iota // [a.b] makes a
	madeByHeader             // [a], and the lists of [[a]]
	madeByDots               // a.b = 1 makes a
	madeInline               // { }, and the lists of [ ]
)

// value is one value of the file, with where it stands.
type value struct {
	kind   valueKind
	text   string
	list   []*value
	fields []*field
	at     place
	made   made
}

// field is one key of a table and its value.
type field struct {
	name  string
	at    place
	value *value
}

func (v *value) field(name string) *field {
	for _, f := range v.fields {
		if f.name == name {
			return f
		}
	}
	return nil
}

func (v *value) add(name string, at place, to *value) {
	v.fields = append(v.fields, &field{name, at, to})
}

// tomlReader makes the tree of one file.
type tomlReader struct {
	file     string
	data     []byte
	lines    []int // where they begin
	parser   unstable.Parser
	problems []Problem
}

// parseTOML reads a file. The parser is the library's; it is used without the
// decoder, which stops at the first value of a wrong type, knows no position
// of a right one, and weighs three times as much.
func parseTOML(file string, data []byte) (*value, []Problem) {
	r := &tomlReader{file: file, data: data, lines: []int{0}}
	for i, c := range data {
		if c == '\n' {
			r.lines = append(r.lines, i+1)
		}
	}
	root := &value{kind: kindTable, at: place{file: file, line: 1, column: 1}, made: madeByHeader}
	if len(data) == 0 {
		return root, nil
	}
	r.parser.Reset(data)
	table := root
	for r.parser.NextExpression() {
		e := r.parser.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			if table = r.header(root, r.names(e), e.Kind == unstable.ArrayTable); table == nil {
				table = &value{kind: kindTable} // what follows is still read, for its own problems
			}
		case unstable.KeyValue:
			r.set(table, e)
		}
	}
	if err := r.parser.Error(); err != nil {
		r.problems = append(r.problems, r.syntax(err))
	}
	return root, r.problems
}

// syntax is the parser's complaint.
func (r *tomlReader) syntax(err error) Problem {
	at, what := place{file: r.file, line: 1, column: 1}, err.Error()
	if e, ok := errors.AsType[*unstable.ParserError](err); ok {
		at, what = r.place(cap(r.data)-cap(e.Highlight)), e.Message
	}
	return at.problem("", "not TOML: "+what, syntaxHint(what))
}

// syntaxHint says what was probably meant where the parser does not.
func syntaxHint(what string) string {
	switch {
	case strings.Contains(what, "U+000A at start of value"):
		return "a value is missing"
	case strings.Contains(what, "at start of value"):
		return `text stands in quotes: "…"`
	case strings.Contains(what, "strings cannot have new lines"):
		return "a quote is not closed"
	case strings.Contains(what, "expected '=' after key"):
		return "write KEY = VALUE"
	}
	return ""
}

// place of a byte of the file.
func (r *tomlReader) place(offset int) place {
	offset = min(max(offset, 0), len(r.data))
	next, _ := slices.BinarySearch(r.lines, offset+1)
	return place{file: r.file, line: next, column: offset - r.lines[next-1] + 1}
}

// name is one part of a key.
type name struct {
	text string
	at   place
}

func (r *tomlReader) names(e *unstable.Node) (names []name) {
	for it := e.Key(); it.Next(); {
		n := it.Node()
		names = append(names, name{string(n.Data), r.place(int(n.Raw.Offset))})
	}
	return names
}

func (r *tomlReader) twice(names []name, i int, was place) {
	var path []string
	for _, n := range names[:i+1] {
		path = append(path, n.text)
	}
	what := fmt.Sprintf("is there already, in line %d", was.line)
	r.problems = append(r.problems, names[i].at.problem(strings.Join(path, "."), what, "leave one of the two out"))
}

// header finds or makes the table of [names] or [[names]]; nil when it cannot
// be.
func (r *tomlReader) header(table *value, names []name, list bool) *value {
	last := len(names) - 1
	for i, n := range names[:last] {
		f := table.field(n.text)
		if f == nil {
			f = &field{n.text, n.at, &value{kind: kindTable, at: n.at, made: madeOnTheWay}}
			table.fields = append(table.fields, f)
		}
		table = f.value
		if table.kind == kindList && table.made == madeByHeader {
			table = table.list[len(table.list)-1]
		}
		if table.kind != kindTable || table.made == madeInline {
			r.twice(names, i, f.at)
			return nil
		}
	}
	n := names[last]
	next := &value{kind: kindTable, at: n.at, made: madeByHeader}
	f := table.field(n.text)
	switch {
	case f == nil && list:
		table.add(n.text, n.at, &value{kind: kindList, list: []*value{next}, at: n.at, made: madeByHeader})
	case f == nil:
		table.add(n.text, n.at, next)
	case list && f.value.kind == kindList && f.value.made == madeByHeader:
		f.value.list = append(f.value.list, next)
	case !list && f.value.kind == kindTable && f.value.made == madeOnTheWay:
		f.value.made, f.value.at, f.at = madeByHeader, n.at, n.at
		return f.value
	default:
		r.twice(names, last, f.at)
		return nil
	}
	return next
}

// set puts key = value into a table.
func (r *tomlReader) set(table *value, e *unstable.Node) {
	names := r.names(e)
	last := len(names) - 1
	for i, n := range names[:last] {
		f := table.field(n.text)
		if f == nil {
			f = &field{n.text, n.at, &value{kind: kindTable, at: n.at, made: madeByDots}}
			table.fields = append(table.fields, f)
		}
		if table = f.value; table.kind != kindTable || table.made != madeByDots {
			r.twice(names, i, f.at)
			return
		}
	}
	n := names[last]
	if f := table.field(n.text); f != nil {
		r.twice(names, last, f.at)
		return
	}
	table.add(n.text, n.at, r.value(e.Value(), n.at))
}

// value copies a node; lists and inline tables stand where their key stands.
func (r *tomlReader) value(n *unstable.Node, at place) *value {
	v := &value{text: string(n.Data), at: at, made: madeInline}
	if n.Kind != unstable.Array && n.Kind != unstable.InlineTable {
		v.at = r.place(int(n.Raw.Offset))
	}
	switch n.Kind {
	case unstable.String:
		v.kind = kindText
	case unstable.Bool:
		v.kind = kindBoolean
	case unstable.Integer:
		v.kind = kindInteger
	case unstable.Float:
		v.kind = kindFloat
	case unstable.Array:
		v.kind = kindList
		for it := n.Children(); it.Next(); {
			v.list = append(v.list, r.value(it.Node(), at))
		}
	case unstable.InlineTable:
		v.kind = kindTable
		v.made = madeByDots // so that its own keys may have dots
		for it := n.Children(); it.Next(); {
			r.set(v, it.Node())
		}
		seal(v)
	default:
		v.kind = kindTime
	}
	return v
}

// seal ends an inline table and what dots made in it: nothing is added later.
func seal(v *value) {
	v.made = madeInline
	for _, f := range v.fields {
		if f.value.kind == kindTable {
			seal(f.value)
		}
	}
}
