package config

import (
	"slices"
	"strconv"
	"strings"
)

// origin is where a value comes from.
type origin struct {
	key  string // with indices
	text string
}

// origins finds for each key where its value stands. What stands nowhere is a
// default.
func (in *reader) origins(f *File) (all []origin) {
	eachKey("", f.rows(), func(key string, _ *row) {
		if at, set := in.places[key]; set {
			all = append(all, origin{key, at.String()})
		}
	})
	return all
}

// eachKey calls each for every key below rows, with the indices of lists.
func eachKey(path string, rows []*row, each func(key string, r *row)) {
	for _, r := range rows {
		key := path + r.Name
		switch r.Kind {
		case KindTable:
			eachKey(key+".", r.inner, each)
		case KindTables:
			for i := range r.count() {
				eachKey(key+"."+strconv.Itoa(i)+".", r.at(i), each)
			}
		default:
			each(key, r)
		}
	}
}

// String says where in words.
func (at place) String() string {
	if at.file == "" {
		return at.source
	}
	return at.file + ":" + strconv.Itoa(at.line)
}

// Origin tells where the value of a key comes from, whose path has the indices of
// lists: file and line, an environment variable, a flag; or that it is the
// default.
func (f *File) Origin(key string) string {
	i := slices.IndexFunc(f.origins, func(o origin) bool { return o.key == key })
	if i < 0 {
		return "default"
	}
	return f.origins[i].text
}

// Origins writes a line for each key that is set, or for every key: its value and
// where that comes from.
func (f *File) Origins(all bool) string {
	var lines [][2]string
	width := 0
	eachKey("", f.rows(), func(key string, r *row) {
		from := f.Origin(key)
		if from == "default" && !all {
			return
		}
		text := key + " = " + literal(r.get())
		lines = append(lines, [2]string{text, from})
		width = max(width, min(len(text), originColumn))
	})
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l[0] + strings.Repeat(" ", max(0, width-len(l[0]))) + "  # " + l[1] + "\n")
	}
	return b.String()
}

// originColumn is how far to the right the places of short values stand.
const originColumn = 60
