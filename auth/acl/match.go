package acl

import "strings"

// matches says whether a filter matches a topic, both valid, by section 4.7 of
// the standard: a/# matches a, and no leading wildcard matches a leading $.
//
// hot: no allocation, one look at each byte.
func matches(filter string, topic []byte) bool {
	if len(topic) > 0 && topic[0] == '$' && wild(filter) {
		return false // [MQTT-4.7.2-1]
	}
	t := 0
	for f := 0; f < len(filter); f++ {
		switch c := filter[f]; {
		case c == '#':
			return true
		case c == '+':
			for t < len(topic) && topic[t] != '/' {
				t++
			}
		case t < len(topic) && topic[t] == c:
			t++
		default:
			return t == len(topic) && filter[f:] == "/#"
		}
	}
	return t == len(topic)
}

// wild says whether the first level is a wildcard.
func wild(filter string) bool { return filter[0] == '+' || filter[0] == '#' }

// covers says whether wide matches every topic that narrow matches.
func covers(wide, narrow string) bool {
	if narrow[0] == '$' && wild(wide) {
		return false
	}
	if narrow == "#" {
		narrow = "+/#" // the same, as a topic has a first level; below it they differ
	}
	w, n := strings.Split(wide, "/"), strings.Split(narrow, "/")
	for i, level := range w {
		switch {
		case level == "#":
			return true
		case i == len(n) || n[i] == "#":
			return false
		case level != "+" && level != n[i]:
			return false
		}
	}
	return len(w) == len(n)
}

// meet is the filter of the topics that both match; ok is false if there are
// none.
func meet(a, b string) (both string, ok bool) {
	if a[0] == '$' && wild(b) || b[0] == '$' && wild(a) {
		return "", false
	}
	x, y := strings.Split(a, "/"), strings.Split(b, "/")
	var out []string
	for i := 0; ; i++ {
		switch {
		case i < len(x) && x[i] == "#": // also where y ends: # matches the parent level
			return join(append(out, y[i:]...)), true
		case i < len(y) && y[i] == "#":
			return join(append(out, x[i:]...)), true
		case i == len(x) || i == len(y):
			return join(out), len(x) == len(y)
		case x[i] == "+" || x[i] == y[i]:
			out = append(out, y[i])
		case y[i] == "+":
			out = append(out, x[i])
		default:
			return "", false
		}
	}
}

func join(levels []string) string { return strings.Join(levels, "/") }

// globs says whether a pattern matches all of s: * is any run of bytes, also
// an empty one, ? is one character.
func globs(pattern, s string) bool {
	star, mark := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && pattern[p] == '?':
			p, i = p+1, i+runeBytes(s[i:])
		case p < len(pattern) && pattern[p] == s[i]:
			p, i = p+1, i+1
		case star >= 0: // let the last * take one character more
			mark += runeBytes(s[mark:])
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// runeBytes is the length of the first character of s, which is not empty.
func runeBytes(s string) int {
	for i := range s {
		if i > 0 {
			return i
		}
	}
	return len(s)
}
