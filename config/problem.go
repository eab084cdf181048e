package config

import (
	"cmp"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Problem is one thing that is wrong.
type Problem struct {
	_ [0]func() // not to be compared, which would be program

	File   string // where, or
	Source string // the environment variable or flag
	Line   int    // from 1; 0: the whole file
	Column int    // in bytes, from 1
	Key    string // "listener.0.tls.cert"; "" where it is about no key
	What   string // what is wrong
	Hint   string // what would be right
}

// String is `file:line:column: key: what; hint`.
func (p Problem) String() string {
	var parts []string
	switch {
	case p.File != "" && p.Line > 0:
		parts = append(parts, p.File+":"+strconv.Itoa(p.Line)+":"+strconv.Itoa(p.Column))
	case p.File != "":
		parts = append(parts, p.File)
	case p.Source != "":
		parts = append(parts, p.Source)
	}
	if p.Key != "" {
		parts = append(parts, p.Key)
	}
	text := strings.Join(append(parts, p.What), ": ")
	if p.Hint != "" {
		text += "; " + p.Hint
	}
	return text
}

// place is where a value comes from.
type place struct {
	file         string
	line, column int
	source       string
}

func (at place) problem(key, what, hint string) Problem {
	return Problem{File: at.file, Source: at.source, Line: at.line, Column: at.column, Key: key, What: what, Hint: hint}
}

// inOrder sorts problems by line, file by file as they were met, what is about
// no file last.
func inOrder(problems []Problem) {
	order := map[string]int{"": len(problems)}
	for i, p := range problems {
		if _, known := order[p.File]; !known {
			order[p.File] = i
		}
	}
	sort.SliceStable(problems, func(i, j int) bool {
		a, b := &problems[i], &problems[j]
		return cmp.Or(order[a.File]-order[b.File], a.Line-b.Line, a.Column-b.Column) < 0
	})
}

// redacted hides the user and password of a URL.
func redacted(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	if at := strings.LastIndexByte(rest, '@'); ok && at >= 0 {
		return scheme + "://(user)@" + rest[at+1:]
	}
	return s
}

// nearest is the name that somebody who wrote `wrong` most likely meant; "" if
// none is near.
func nearest(wrong string, names []string) string {
	best, bestAt := "", min(max(2, len(wrong)/3), max(0, len(wrong)-1))+1
	for _, name := range names {
		if d := distance(strings.ToLower(wrong), name); d < bestAt {
			best, bestAt = name, d
		}
	}
	return best
}

// distance counts the letters to insert, remove, replace, or swap with their
// neighbour.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// either joins choices as people list them.
func either(choices []string) string {
	quoted := slices.Clone(choices)
	for i := range quoted {
		quoted[i] = quote(quoted[i])
	}
	if len(quoted) < 2 {
		return strings.Join(quoted, "")
	}
	return strings.Join(quoted[:len(quoted)-1], ", ") + " or " + quoted[len(quoted)-1]
}
