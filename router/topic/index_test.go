package topic_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/router/topic"
)

// list is the oracle: subscriptions in a map, matched one by one.
type list map[string]map[int]bool

func (l list) insert(filter string, s int) bool {
	if l[filter][s] {
		return false
	}
	if l[filter] == nil {
		l[filter] = map[int]bool{}
	}
	l[filter][s] = true
	return true
}

func (l list) remove(filter string, s int) bool {
	if !l[filter][s] {
		return false
	}
	if delete(l[filter], s); len(l[filter]) == 0 {
		delete(l, filter)
	}
	return true
}

func (l list) match(name string) (subs []int) {
	for filter, set := range l {
		if topic.Matches(filter, name) {
			for s := range set {
				subs = append(subs, s)
			}
		}
	}
	slices.Sort(subs)
	return subs
}

func (l list) all() (subs []string) {
	for filter, set := range l {
		for s := range set {
			subs = append(subs, fmt.Sprint(filter, " ", s))
		}
	}
	slices.Sort(subs)
	return subs
}

func flat(sets [][]int) (subs []int) {
	for _, set := range sets {
		subs = append(subs, set...)
	}
	slices.Sort(subs)
	return subs
}

func walked(x *topic.Index[int]) (subs []string) {
	x.Walk(func(filter string, s int) bool {
		subs = append(subs, fmt.Sprint(filter, " ", s))
		return true
	})
	return subs
}

func healthy(t *testing.T, x interface{ CheckInvariants() error }, where string, args ...any) {
	t.Helper()
	if err := x.CheckInvariants(); err != nil {
		t.Fatalf("%s: %v", fmt.Sprintf(where, args...), err)
	}
}

// drawName draws a name of few levels from few words, so that names meet; wild adds wildcards.
func drawName(rng *rand.Rand, wild bool) string {
	words := []string{"", "a", "b", "c", "$x", "$", strings.Repeat("u", 36), strings.Repeat("v", 37), strings.Repeat("w", 300)}
	var levels []string
	for range 1 + rng.IntN(4) {
		switch n := rng.IntN(len(words) + 6); {
		case n < len(words):
			levels = append(levels, words[n])
		case !wild || n < len(words)+3:
			levels = append(levels, words[1+rng.IntN(2)])
		default:
			levels = append(levels, "+")
		}
	}
	if wild && rng.IntN(4) == 0 {
		levels[len(levels)-1] = "#"
	}
	if name := strings.Join(levels, "/"); name != "" {
		return name
	}
	return "/"
}

func TestRandomOperationsAgreeWithTheList(t *testing.T) {
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 2))
		x, twin, l := topic.NewIndex[int](), topic.NewIndex[int](), list{}
		subscribers := []int{2, 5, 100}[seed%3]
		for step := range 1200 {
			filter, s := drawName(rng, true), rng.IntN(subscribers)
			before := x.Generation()
			var did, want bool
			if phase := step / 300 % 2; rng.IntN(3) != phase {
				did, want = x.Insert(filter, s), l.insert(filter, s)
				twin.Insert(filter, s)
			} else {
				did, want = x.Remove(filter, s), l.remove(filter, s)
				twin.Remove(filter, s)
			}
			if did != want || (x.Generation() != before) != want {
				t.Fatalf("seed %d step %d: %q %d changed %v, want %v", seed, step, filter, s, did, want)
			}
			for range 2 {
				name := drawName(rng, false)
				if got, want := flat(x.Match([]byte(name))), l.match(name); !slices.Equal(got, want) {
					t.Fatalf("seed %d step %d: %q: got %v, want %v", seed, step, name, got, want)
				}
				if a, b := fmt.Sprint(x.Match([]byte(name))), fmt.Sprint(twin.Match([]byte(name))); a != b {
					t.Fatalf("seed %d step %d: %q: order depends on more than history: %s and %s", seed, step, name, a, b)
				}
			}
			if step%100 == 0 {
				healthy(t, x, "seed %d step %d", seed, step)
			}
		}
		got := walked(x)
		if !slices.Equal(got, walked(twin)) {
			t.Fatalf("seed %d: order of Walk depends on more than history", seed)
		}
		slices.Sort(got)
		if want := l.all(); !slices.Equal(got, want) || x.Len() != len(want) {
			t.Fatalf("seed %d: Walk: %d subscriptions, Len %d, want %d", seed, len(got), x.Len(), len(want))
		}
		emptyOut(t, x, l)
	}
}

func emptyOut(t *testing.T, x *topic.Index[int], l list) {
	t.Helper()
	for _, filter := range slices.Sorted(maps.Keys(l)) {
		for _, s := range slices.Sorted(maps.Keys(l[filter])) {
			if !x.Remove(filter, s) {
				t.Fatalf("%q %d was not there", filter, s)
			}
		}
	}
	healthy(t, x, "empty")
	if used, made := x.Nodes(); x.Len() != 0 || used != 0 || made != 0 || x.Lists() != 0 || x.TableSlots() != 0 {
		t.Fatalf("all removed, but Len %d, nodes %d of %d, lists %d, table slots %d", x.Len(), used, made, x.Lists(), x.TableSlots())
	}
}

// TestAllShortHistories runs every sequence of up to four insertions and removals of two subscribers.
func TestAllShortHistories(t *testing.T) {
	filters := []string{"a", "+", "#", "a/+", "a/#"}
	topics := []string{"a", "b", "a/b", "a/", "$a", "a/b/c"}
	operations := len(filters) * 4
	x := topic.NewIndex[int]()
	for length := 1; length <= 4; length++ {
		sequence := make([]int, length)
		for more := true; more; more = increment(sequence, operations) {
			l := list{}
			for _, op := range sequence {
				filter, s := filters[op/4], op%2
				if op%4 < 2 {
					if x.Insert(filter, s) != l.insert(filter, s) {
						t.Fatalf("%v: insert %q %d", sequence, filter, s)
					}
				} else if x.Remove(filter, s) != l.remove(filter, s) {
					t.Fatalf("%v: remove %q %d", sequence, filter, s)
				}
			}
			for _, name := range topics {
				if got, want := flat(x.Match([]byte(name))), l.match(name); !slices.Equal(got, want) {
					t.Fatalf("%v: %q: got %v, want %v", sequence, name, got, want)
				}
			}
			healthy(t, x, "%v", sequence)
			emptyOut(t, x, l)
		}
	}
}

// increment counts up digits of the given base; false after the last number.
func increment(digits []int, base int) bool {
	for i := range digits {
		if digits[i]++; digits[i] < base {
			return true
		}
		digits[i] = 0
	}
	return false
}

func TestInvalidFiltersAreNotInserted(t *testing.T) {
	x := topic.NewIndex[int]()
	for _, filter := range []string{"", "a/#/b", "a+", "\x00"} {
		if x.Insert(filter, 1) || x.Remove(filter, 1) {
			t.Errorf("%q was accepted", filter)
		}
	}
	x.Insert("a/#", 1)
	if x.Remove("a/#/b", 1) || x.Remove("#", 1) || x.Len() != 1 {
		t.Error("removed what was not there")
	}
}

func TestTheZeroIndexWorks(t *testing.T) {
	var x topic.Index[int]
	if x.Match([]byte("a")) != nil || x.Remove("a", 1) || x.CheckInvariants() != nil {
		t.Fatal("the zero index is not empty")
	}
	if !x.Insert("a", 1) || len(x.Match([]byte("a"))) != 1 {
		t.Fatal("the zero index does not take a subscription")
	}
}

func TestSubscribersKeepTheOrderOfInsertionUntilOneLeaves(t *testing.T) {
	x := topic.NewIndex[int]()
	for s := range 50 {
		x.Insert("a", s)
	}
	set := x.Match([]byte("a"))[0]
	if !slices.IsSorted(set) || len(set) != 50 {
		t.Fatalf("order %v", set)
	}
	x.Remove("a", 10)
	if set = x.Match([]byte("a"))[0]; set[10] != 49 || len(set) != 49 {
		t.Fatalf("the last does not fill the gap: %v", set)
	}
}

func TestAWideFilterEmptiesInAnyOrder(t *testing.T) {
	const wide = 100_000
	x := topic.NewIndex[int]()
	order := rand.New(rand.NewPCG(3, 3)).Perm(wide)
	for s := range wide {
		x.Insert("news/all", s)
	}
	healthy(t, x, "full")
	for i, s := range order {
		if !x.Remove("news/all", s) || x.Remove("news/all", s) {
			t.Fatalf("subscriber %d was not there, or twice", s)
		}
		if left := wide - i - 1; left%20_000 == 0 || left == 33 || left == 16 || left == 2 {
			healthy(t, x, "%d left", left)
		}
	}
	emptyOut(t, x, list{})
}

func TestChurnDoesNotGrow(t *testing.T) {
	x := topic.NewIndex[int]()
	rng := rand.New(rand.NewPCG(4, 4))
	live := make([]string, 2000)
	nodes, slots := 0, 0
	for i := range 200_000 {
		k := i % len(live)
		if i >= len(live) && !x.Remove(live[k], k) {
			t.Fatalf("%q was lost", live[k])
		}
		live[k] = fmt.Sprintf("site/%d/%s%d", rng.IntN(1000), strings.Repeat("d", rng.IntN(60)), rng.IntN(1_000_000))
		if !x.Insert(live[k], k) {
			t.Fatalf("%q was there", live[k])
		}
		if _, made := x.Nodes(); i == 20_000 {
			nodes, slots = made, x.TableSlots()
		}
	}
	healthy(t, x, "after churn")
	if _, made := x.Nodes(); made > nodes*11/10 || x.TableSlots() > slots*2 {
		t.Fatalf("nodes grew from %d to %d, slots from %d to %d", nodes, made, slots, x.TableSlots())
	}
}

func TestTheTableShrinksAgain(t *testing.T) {
	x := topic.NewIndex[int]()
	for i := range 100_000 {
		x.Insert(fmt.Sprint("d/", i), i)
	}
	healthy(t, x, "full")
	full := x.TableSlots()
	for i := range 99_000 {
		x.Remove(fmt.Sprint("d/", i), i)
		if i%20_000 == 0 {
			healthy(t, x, "%d removed", i)
		}
	}
	healthy(t, x, "sparse")
	if left := x.TableSlots(); left > full/20 {
		t.Fatalf("%d slots for 100000 filters, still %d for 1000", full, left)
	}
	for i := 99_000; i < 100_000; i++ {
		if len(x.Match(fmt.Append(nil, "d/", i))) != 1 {
			t.Fatalf("d/%d was lost", i)
		}
	}
}

// TestNamesWhoseHashesAreEqualAreToldApart has so many names, and so many equal levels below different parents, that
// about ten pairs of them share their 32-bit hash.
func TestNamesWhoseHashesAreEqualAreToldApart(t *testing.T) {
	const parents = 300_000
	for _, row := range []struct {
		behind string
		nodes  int // of each filter
	}{{"", 1}, {"/#", 3}} {
		x := topic.NewIndex[int]()
		var name []byte
		for i := range parents {
			x.Insert(fmt.Sprintf("%d/x%s", i, row.behind), i)
		}
		if used, _ := x.Nodes(); used != row.nodes*parents {
			t.Fatalf("%d nodes, want %d", used, row.nodes*parents)
		}
		for i := range parents {
			name = fmt.Appendf(name[:0], "%d/x", i)
			if sets := x.Match(name); len(sets) != 1 || sets[0][0] != i {
				t.Fatalf("%s leads to %v", name, sets)
			}
		}
	}
}

func TestStepsTellTheWork(t *testing.T) {
	x := topic.NewIndex[*int]()
	for _, filter := range []string{"a/b/c/x", "a/+/c/x", "+/b/+/x", "+/+/c/x"} {
		x.Insert(filter, new(int))
	}
	if sets := x.Match([]byte("a/b/c/d")); len(sets) != 0 || x.Steps() < 8 {
		t.Errorf("%d sets, %d steps; want none, after a walk through three levels of them", len(sets), x.Steps())
	}
	x.Match([]byte("a/b/c/d"))
	if x.Match([]byte("a/b/c/d")); x.Steps() != 0 {
		t.Errorf("%d steps to a topic that is known", x.Steps())
	}
}
