package topic_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/router/topic"
)

// FuzzMatch takes lines as filters, a leading - as a removal, and compares the index and a cursor with Matches.
func FuzzMatch(f *testing.F) {
	f.Add("a/b\na/+\n#", "a/b")
	f.Add("$SYS/#\n+/x\n-+/x", "$SYS/x")
	f.Add("/\n//\n+/+\n/#", "/")
	f.Add(strings.Repeat("l", 40)+"/+\n"+strings.Repeat("+/", 20)+"#", strings.Repeat("l", 40)+"/")
	f.Fuzz(func(t *testing.T, lines, name string) {
		if len(lines) > 2000 || topic.ValidateTopic([]byte(name)) != nil {
			return
		}
		x, l := topic.NewIndex[int](), list{}
		var r topic.Retained[string]
		r.Set([]byte(name), name)
		for n, filter := range strings.Split(lines, "\n") {
			filter, remove := strings.CutPrefix(filter, "-")
			if topic.ValidateFilter([]byte(filter)) != nil {
				continue
			}
			s := n % 3
			if remove {
				if x.Remove(filter, s) != l.remove(filter, s) {
					t.Fatalf("remove %q %d", filter, s)
				}
			} else if x.Insert(filter, s) != l.insert(filter, s) {
				t.Fatalf("insert %q %d", filter, s)
			}
			if met := len(collect(&r, filter)) == 1; met != topic.Matches(filter, name) {
				t.Fatalf("cursor %q meets %q: %v", filter, name, met)
			}
		}
		for range 3 { // walked, admitted, from the cache
			if got, want := flat(x.Match([]byte(name))), l.match(name); !slices.Equal(got, want) {
				t.Fatalf("%q: got %v, want %v", name, got, want)
			}
		}
		healthy(t, x, "index")
		healthy(t, &r, "retained")
		emptyOut(t, x, l)
	})
}

// FuzzFilter compares the validation with one that splits.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{"", "a/+/#", "a#", "+a", "$share/g/a", "$share/g", "a\x00", "//"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		want := len(b) > 0 && !bytes.ContainsRune(b, 0)
		levels := bytes.Split(b, []byte("/"))
		for i, level := range levels {
			if bytes.ContainsAny(level, "+#") && len(level) > 1 || string(level) == "#" && i < len(levels)-1 {
				want = false
			}
		}
		if err := topic.ValidateFilter(b); (err == nil) != want {
			t.Fatalf("%q: %v, want valid %v", b, err, want)
		}
		if topic.Levels(b) != len(levels) {
			t.Fatalf("%q: %d levels, want %d", b, topic.Levels(b), len(levels))
		}
		if topic.ValidateTopic(b) == nil && !(want && !bytes.ContainsAny(b, "+#")) {
			t.Fatalf("%q is no topic", b)
		}
		group, filter, shared, err := topic.ParseShare(b)
		if shared && err == nil && "$share/"+string(group)+"/"+string(filter) != string(b) {
			t.Fatalf("%q: group %q, filter %q", b, group, filter)
		}
	})
}
