package acl_test

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/auth/acl"
	"github.com/loopmq/loopmq/router/topic"
)

// names are all filters, or all topics, of up to three levels out of few words.
func names(filters bool) (all []string) {
	words := []string{"", "a", "b", "$S"}
	if filters {
		words = append(words, "+")
	}
	var grow func(levels []string)
	grow = func(levels []string) {
		if name := strings.Join(levels, "/"); name != "" {
			all = append(all, name)
		}
		if filters && len(levels) < 3 {
			all = append(all, strings.Join(append(levels[:len(levels):len(levels)], "#"), "/"))
		}
		if len(levels) == 3 {
			return
		}
		for _, w := range words {
			grow(append(levels[:len(levels):len(levels)], w))
		}
	}
	grow(nil)
	return all
}

// TestMatchesLikeTheRouter: there is one idea of what a filter matches.
func TestMatchesLikeTheRouter(t *testing.T) {
	for _, f := range names(true) {
		if err := topic.ValidateFilter([]byte(f)); err != nil {
			t.Fatal(err)
		}
		for _, name := range names(false) {
			if got, want := acl.Matches(f, []byte(name)), topic.Matches(f, name); got != want {
				t.Errorf("%q matches %q: %v, want %v", f, name, got, want)
			}
		}
	}
}

// TestCoversAndMeet compares with what the filters match. Topics go one level
// deeper than filters, so that # is told from +.
func TestCoversAndMeet(t *testing.T) {
	topics := names(false)
	for _, name := range topics {
		if strings.Count(name, "/") == 2 {
			topics = append(topics, name+"/z", name+"/")
		}
	}
	filters := names(true)
	known := map[string][]bool{}
	matched := func(f string) []bool {
		if known[f] == nil {
			if err := topic.ValidateFilter([]byte(f)); err != nil {
				t.Fatal(err)
			}
			for _, name := range topics {
				known[f] = append(known[f], topic.Matches(f, name))
			}
		}
		return known[f]
	}
	for _, a := range filters {
		for _, b := range filters {
			all, some := true, false
			both, ok := acl.Meet(a, b)
			var inBoth []bool
			if ok {
				inBoth = matched(both)
			}
			inA, inB := matched(a), matched(b)
			for n, name := range topics {
				all = all && (inA[n] || !inB[n])
				met := inA[n] && inB[n]
				some = some || met
				if ok && inBoth[n] != met {
					t.Fatalf("%q and %q meet in %q, which is wrong about %q", a, b, both, name)
				}
			}
			if ok != some {
				t.Errorf("%q and %q meet: %v, want %v", a, b, ok, some)
			}
			if got := acl.Covers(a, b); got != all && got {
				t.Errorf("%q covers %q", a, b)
			} else if got != all && !strings.HasPrefix(b, "$S") {
				t.Errorf("%q does not cover %q", a, b)
			}
		}
	}
}

func TestGlobs(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	make := func(letters string) string {
		var b strings.Builder
		for range rng.IntN(7) {
			r := []rune(letters)
			b.WriteRune(r[rng.IntN(len(r))])
		}
		return b.String()
	}
	hits := 0
	for range 10_000 {
		pattern, s := make("aé*?*"), make("aéb")
		text := regexp.QuoteMeta(pattern)
		text = strings.NewReplacer(`\*`, `(?s:.*)`, `\?`, `(?s:.)`).Replace(text)
		want := regexp.MustCompile("^" + text + "$").MatchString(s)
		if got := acl.Globs(pattern, s); got != want {
			t.Fatalf("%q on %q: %v, want %v", pattern, s, got, want)
		}
		if want {
			hits++
		}
	}
	if hits < 500 {
		t.Errorf("only %d hits", hits)
	}
	if acl.Globs(strings.Repeat("a*", 40)+"b", strings.Repeat("a", 5000)) {
		t.Error("there is no b")
	}
}
