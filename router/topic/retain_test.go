package topic_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/loopmq/loopmq/router/topic"
)

func collect[M any](r *topic.Retained[M], filter string) (found []M) {
	c := r.Cursor(filter)
	for !c.Next(3, func(m M) bool { found = append(found, m); return true }) {
	}
	return found
}

// observed is a cursor with what it owes: each name that stayed exactly once, any other at most once.
type observed struct {
	filter string
	c      *topic.Cursor[string]
	stayed map[string]bool
	seen   map[string]int
	done   bool
}

func observe(r *topic.Retained[string], l map[string]bool, filter string) *observed {
	return &observed{filter: filter, c: r.Cursor(filter), stayed: maps.Clone(l), seen: map[string]int{}}
}

func (o *observed) next(max int, accept func() bool) {
	o.done = o.c.Next(max, func(m string) bool {
		if !accept() {
			return false
		}
		o.seen[m]++
		return true
	})
}

func (o *observed) verdict() error {
	for name := range o.stayed {
		if want := topic.Matches(o.filter, name); want && o.seen[name] != 1 {
			return fmt.Errorf("filter %q: %q stayed and was met %d times", o.filter, name, o.seen[name])
		}
	}
	for name, n := range o.seen {
		if n > 1 || !topic.Matches(o.filter, name) {
			return fmt.Errorf("filter %q: %q was met %d times", o.filter, name, n)
		}
	}
	return nil
}

func always() bool { return true }

func TestRetainedAgreesWithAMapAndCursorsSurviveChanges(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 7))
		var r topic.Retained[string]
		l := map[string]bool{}
		var cursors []*observed
		for step := range 3000 {
			name := drawName(rng, false)
			switch n := rng.IntN(20); {
			case n < 7:
				if _, had := r.Set([]byte(name), name); had != l[name] {
					t.Fatalf("seed %d step %d: Set(%q) had %v", seed, step, name, had)
				}
				l[name] = true
			case n < 13:
				if old, had := r.Delete([]byte(name)); had != l[name] || had && old != name {
					t.Fatalf("seed %d step %d: Delete(%q) = %q, %v", seed, step, name, old, had)
				}
				delete(l, name)
				for _, o := range cursors {
					delete(o.stayed, name)
				}
			case n < 15 && len(cursors) < 10:
				cursors = append(cursors, observe(&r, l, drawName(rng, true)))
			case n == 15 && len(cursors) > 0 && rng.IntN(10) == 0:
				k := rng.IntN(len(cursors))
				cursors[k].c.Close()
				cursors[k].c.Close()
				cursors = slices.Delete(cursors, k, k+1)
			case len(cursors) > 0:
				k := rng.IntN(len(cursors))
				cursors[k].next(1+rng.IntN(4), func() bool { return rng.IntN(4) > 0 })
				if cursors[k].done {
					if err := cursors[k].verdict(); err != nil {
						t.Fatalf("seed %d step %d: %v", seed, step, err)
					}
					cursors = slices.Delete(cursors, k, k+1)
				}
			}
			if m, ok := r.Get([]byte(name)); ok != l[name] || ok && m != name || r.Len() != len(l) {
				t.Fatalf("seed %d step %d: Get(%q) = %q, %v; Len %d, want %d", seed, step, name, m, ok, r.Len(), len(l))
			}
			if step%50 == 0 {
				healthy(t, &r, "seed %d step %d", seed, step)
			}
		}
		walked := map[string]bool{}
		r.Walk(func(name, m string) bool { walked[name] = name == m; return true })
		if !maps.Equal(walked, l) {
			t.Fatalf("seed %d: Walk found %d topics of %d", seed, len(walked), len(l))
		}
		for name := range l {
			r.Delete([]byte(name))
		}
		for _, o := range cursors {
			if o.next(1000, always); !o.done {
				t.Fatalf("seed %d: a cursor over nothing does not end", seed)
			}
		}
		healthy(t, &r, "seed %d, empty", seed)
		if used, made := r.Nodes(); r.Len() != 0 || used != 0 || made != 0 {
			t.Fatalf("seed %d: all deleted, but Len %d, nodes %d of %d", seed, r.Len(), used, made)
		}
	}
}

// TestAllShortHistoriesOfACursor runs every sequence of up to four steps of a walk, insertions and deletions,
// from every set of topics.
func TestAllShortHistoriesOfACursor(t *testing.T) {
	topics := []string{"a", "a/b", "c/b", "$a"}
	var r topic.Retained[string]
	for _, filter := range []string{"#", "+", "+/b", "a/#", "+/#"} {
		for start := range 1 << len(topics) {
			for length := 1; length <= 4; length++ {
				sequence := make([]int, length)
				for more := true; more; more = increment(sequence, 2*len(topics)+2) {
					if err := playCursor(&r, topics, filter, start, sequence); err != nil {
						t.Fatalf("start %04b, steps %v: %v", start, sequence, err)
					}
				}
			}
		}
	}
	healthy(t, &r, "at the end")
}

func playCursor(r *topic.Retained[string], topics []string, filter string, start int, sequence []int) error {
	l := map[string]bool{}
	for i, name := range topics {
		if start&(1<<i) != 0 {
			r.Set([]byte(name), name)
			l[name] = true
		}
	}
	o := observe(r, l, filter)
	for _, step := range sequence {
		switch i := step / 2; {
		case i == len(topics):
			o.next(1+step%2, always)
		case step%2 == 0:
			r.Set([]byte(topics[i]), topics[i])
		default:
			r.Delete([]byte(topics[i]))
			delete(o.stayed, topics[i])
		}
	}
	if len(sequence) < 4 { // the walk through everything is most of the time that this takes
		if err := r.CheckInvariants(); err != nil {
			return err
		}
	}
	for !o.done {
		o.next(1, always)
	}
	for _, name := range topics {
		r.Delete([]byte(name))
	}
	return o.verdict()
}

func TestACursorStaysAtWhatWasRefused(t *testing.T) {
	var r topic.Retained[string]
	r.Set([]byte("a"), "old")
	c := r.Cursor("#")
	if c.Next(10, func(string) bool { return false }) {
		t.Fatal("done, though the message was refused")
	}
	healthy(t, &r, "refused")
	r.Set([]byte("a"), "new")
	var got []string
	if !c.Next(10, func(m string) bool { got = append(got, m); return true }) || !slices.Equal(got, []string{"new"}) {
		t.Fatalf("got %q", got)
	}
}

func TestYieldMayChangeTheTree(t *testing.T) {
	var r topic.Retained[string]
	for i := range 100 {
		r.Set(fmt.Appendf(nil, "d/%d", i), fmt.Sprintf("d/%d", i))
	}
	met := 0
	c := r.Cursor("d/+")
	for !c.Next(7, func(m string) bool {
		met++
		r.Delete([]byte(m))
		if met%2 == 0 {
			r.Set([]byte(m), m) // new: behind the cursor
		}
		return true
	}) {
	}
	healthy(t, &r, "after the walk")
	if met != 100 || r.Len() != 50 {
		t.Fatalf("met %d, left %d; want 100, 50", met, r.Len())
	}
}

func TestAWalkEndsThoughTopicsKeepAppearing(t *testing.T) {
	var r topic.Retained[int]
	for i := range 50 {
		r.Set(fmt.Appendf(nil, "%d/%d", i%5, i), i)
	}
	c, calls := r.Cursor("#"), 0
	for ; !c.Next(1, func(int) bool { return true }); calls++ {
		if calls > 10_000 {
			t.Fatal("the walk does not end")
		}
		r.Set(fmt.Appendf(nil, "%d/new%d", calls%7, calls), calls)
	}
	healthy(t, &r, "after the walk")
}

func TestNextBoundsItsWork(t *testing.T) {
	var r topic.Retained[int]
	for i := range 1000 {
		r.Set(fmt.Appendf(nil, "d/%d/x", i), i)
	}
	c := r.Cursor("+/+/y") // visits everything, meets nothing
	calls := 1
	for ; !c.Next(10, func(int) bool { return true }); calls++ {
	}
	if calls < 100 || calls > 201 {
		t.Fatalf("%d calls of 10 nodes each for 2002 nodes", calls)
	}
	if c.Next(0, nil) != true {
		t.Fatal("a walk that is over goes on")
	}
}

// Of thousands of walks of one session one goes on at a time: the others cost nothing when topics go.
func TestDeleteLooksAtWalksThatHaveBegun(t *testing.T) {
	var r topic.Retained[string]
	topics := []string{"a", "b", "c"} // met from the last to the first
	for _, name := range topics {
		r.Set([]byte(name), name)
	}
	var cursors []*topic.Cursor[string]
	for range 100 {
		cursors = append(cursors, r.Cursor("#"))
	}
	begun := cursors[50]
	begun.Next(3, func(m string) bool { return m == "c" }) // stands on b
	for i, want := range []int{0, 1, 0} {
		name := topics[2-i]
		if r.Delete([]byte(name)); r.Looks() != want {
			t.Errorf("%d looks at walks when %q goes, want %d", r.Looks(), name, want)
		}
		if err := r.CheckInvariants(); err != nil {
			t.Fatal(err)
		}
		if i == 1 { // that stands on a now
			begun.Close()
			cursors[0].Close()
			r.Set([]byte("d"), "d")
		}
	}
}
