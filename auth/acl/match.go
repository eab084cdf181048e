package acl

import (
	"bytes"
	"strings"
)

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
			if i := bytes.IndexByte(topic[t:], '/'); i >= 0 {
				t += i
			} else {
				t = len(topic)
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
	if narrow == "#" || narrow == "/#" {
		// The same, as no topic is empty; with words in front they differ.
		narrow = narrow[:len(narrow)-1] + "+/#"
	}
	for {
		w, wideRest, wideMore := strings.Cut(wide, "/")
		n, narrowRest, narrowMore := strings.Cut(narrow, "/")
		switch {
		case w == "#":
			return true
		case n == "#" || w != "+" && w != n:
			return false
		case !narrowMore:
			return !wideMore || wideRest == "#" // # matches the parent level
		case !wideMore:
			return false
		}
		wide, narrow = wideRest, narrowRest
	}
}

// meet is the filter of the topics that both match; ok is false if there are
// none.
func meet(a, b string) (both string, ok bool) {
	if a[0] == '$' && wild(b) || b[0] == '$' && wild(a) {
		return "", false
	}
	var out []byte
	for {
		x, restA, moreA := strings.Cut(a, "/")
		y, restB, moreB := strings.Cut(b, "/")
		switch {
		case x == "#":
			return string(append(out, b...)), true
		case y == "#":
			return string(append(out, a...)), true
		case x == "+" || x == y:
			out = append(out, y...)
		case y == "+":
			out = append(out, x...)
		default:
			return "", false
		}
		if !moreA || !moreB {
			// # matches the parent level too, but /# not the empty one: no topic is empty.
			ended := moreA == moreB || restA == "#" || restB == "#"
			return string(out), ended && len(out) > 0
		}
		a, b, out = restA, restB, append(out, '/')
	}
}

// Globs says whether a pattern matches all of s: * is any run of characters, also
// an empty one, ? is one.
func Globs(pattern, s string) bool { return globs(pattern, s) }

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
