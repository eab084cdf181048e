package topic_test

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/router/topic"
)

type subscriber struct{ id int }

// deviceFilters fills x with n filters of three levels, and gives each its own subscriber.
func deviceFilters(x *topic.Index[*subscriber], n int, all []subscriber) {
	var buf []byte
	for i := range n {
		buf = deviceTopic(buf[:0], i)
		x.Insert(string(buf), &all[i])
	}
}

func deviceTopic(dst []byte, i int) []byte {
	dst = append(dst, "site/"...)
	dst = strconv.AppendInt(dst, int64(i%100), 10)
	dst = append(dst, "/dev"...)
	return strconv.AppendInt(dst, int64(100_000_000+i), 10)[:len(dst)+9]
}

func heapBytes() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestMemoryOfAMillionSubscriptions(t *testing.T) {
	const n = 1_000_000
	all := make([]subscriber, n)
	before := heapBytes()
	x := topic.NewIndex[*subscriber]()
	deviceFilters(x, n, all)
	each := float64(heapBytes()-before) / n
	t.Logf("%.1f bytes a subscription, 1 M filters like site/12/dev123456789", each)
	if each > 150 || x.Len() != n {
		t.Fatalf("%.1f bytes a subscription, want at most 150; Len %d", each, x.Len())
	}
	runtime.KeepAlive(all)
}

func TestMemoryOfAMillionRetainedTopics(t *testing.T) {
	const n = 1_000_000
	all := make([]subscriber, n)
	var buf []byte
	before := heapBytes()
	var r topic.Retained[*subscriber]
	for i := range n {
		buf = deviceTopic(buf[:0], i)
		r.Set(buf, &all[i])
	}
	each := float64(heapBytes()-before) / n
	t.Logf("%.1f bytes a topic, 1 M topics like site/12/dev123456789", each)
	if each > 150 || r.Len() != n {
		t.Fatalf("%.1f bytes a topic, want at most 150; Len %d", each, r.Len())
	}
	runtime.KeepAlive(all)
}

// TestMemoryIsTold: Memory is near what the heap says, also of names that are
// made to take much.
func TestMemoryIsTold(t *testing.T) {
	const n = 10_000
	deep, long := strings.Repeat("a/", 100), strings.Repeat("l", 2000)
	for _, c := range []struct{ name, of string }{
		{"short filters", "%d/x"},
		{"filters with wildcards", "devices/550e8400-e29b-41d4-a716-%012d/+"},
		{"filters of many levels", "%d/" + deep + "+"},
		{"long levels", "%d" + long + "/+"},
		{"a long filter without wildcards", "%d/" + deep + long},
	} {
		all := make([]subscriber, n)
		before := heapBytes()
		x := topic.NewIndex[*subscriber]()
		for i := range n {
			x.Insert(fmt.Sprintf(c.of, i), &all[i])
		}
		isNear(t, c.name, x.Memory(), heapBytes()-before)
		before = heapBytes()
		var r topic.Retained[*subscriber]
		for i := range n {
			r.Set(fmt.Appendf(nil, c.of[:len(c.of)-1], i), &all[i])
		}
		isNear(t, "topics of "+c.name, r.Memory(), heapBytes()-before)
		before, held := heapBytes(), r.Memory()
		cursors := make([]*topic.Cursor[*subscriber], n)
		for i := range n {
			cursors[i] = r.Cursor(c.of)
		}
		isNear(t, "cursors of "+c.name, r.Memory()-held, heapBytes()-before)
		for i := range n {
			x.Remove(fmt.Sprintf(c.of, i), &all[i])
			r.Delete(fmt.Appendf(nil, c.of[:len(c.of)-1], i))
			cursors[i].Close()
		}
		if x.Memory() != 0 || r.Memory() != 0 {
			t.Errorf("%s: %d and %d bytes when all are gone", c.name, x.Memory(), r.Memory())
		}
		runtime.KeepAlive(all)
	}
}

func isNear(t *testing.T, what string, told, heap int64) {
	t.Helper()
	t.Logf("%s: %d kB told, %d kB in the heap", what, told>>10, heap>>10)
	if told < heap/2 || told > 2*heap {
		t.Errorf("%s: %d bytes are told, %d are in the heap", what, told, heap)
	}
}

// TestRoom: who asks first never inserts more levels than there may be.
func TestRoom(t *testing.T) {
	x := topic.NewIndex[int]()
	var r topic.Retained[int]
	x.LimitNodes(10)
	r.LimitNodes(10)
	for _, name := range []string{"1/2/3/4/5/+", "6/7/8/+"} {
		if !x.HasRoom([]byte(name)) || !r.HasRoom([]byte(name)) {
			t.Fatalf("no room for %s", name)
		}
		x.Insert(name, 1)
		r.Set([]byte(name), 1)
	}
	if x.HasRoom([]byte("+")) || r.HasRoom([]byte("+")) {
		t.Error("there is room for an eleventh level")
	}
	x.Remove("6/7/8/+", 1)
	r.Delete([]byte("6/7/8/+"))
	if !r.HasRoom([]byte("6/7/8/9")) || r.HasRoom([]byte("6/7/8/9/10")) || !x.HasRoom([]byte("6/7/8/9")) {
		t.Error("room is not what was given back")
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	const n = 10_000
	all := make([]subscriber, n)
	x := topic.NewIndex[*subscriber]()
	deviceFilters(x, n, all)
	x.Insert("#", &all[0])
	x.Insert("site/+/#", &all[1])
	var topics [n][]byte
	for i := range topics {
		topics[i] = deviceTopic(nil, i)
		x.Match(topics[i])
	}
	x.Match(topics[0])
	x.Match(topics[0])
	if !x.Cached(string(topics[0])) {
		t.Fatal("a topic matched three times is not in the cache")
	}
	if allocs := testing.AllocsPerRun(1000, func() { x.Match(topics[0]) }); allocs != 0 {
		t.Errorf("hit: %v allocations", allocs)
	}
	i := 0
	if allocs := testing.AllocsPerRun(5000, func() { i++; x.Match(topics[i]) }); allocs != 0 {
		t.Errorf("miss: %v allocations", allocs)
	}
	turn := 0
	if allocs := testing.AllocsPerRun(1000, func() {
		turn++
		if s := &all[2]; turn%2 == 0 {
			x.Insert("site/+/#", s)
		} else {
			x.Remove("site/+/#", s)
		}
		x.Match(topics[0])
	}); allocs > 3 {
		t.Errorf("a second subscriber comes and goes: %v allocations", allocs)
	}
}

func TestCursorAllocatesNothingPerMessage(t *testing.T) {
	var r topic.Retained[*subscriber]
	for i := range 10_000 {
		r.Set(deviceTopic(nil, i), &subscriber{i})
	}
	c := r.Cursor("site/+/#")
	yield := func(*subscriber) bool { return true }
	if allocs := testing.AllocsPerRun(1000, func() { c.Next(4, yield) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	old, name := &subscriber{1}, deviceTopic(nil, 1)
	if allocs := testing.AllocsPerRun(1000, func() { r.Set(name, old) }); allocs != 0 {
		t.Errorf("Set of a topic that is there: %v allocations", allocs)
	}
}

func TestCacheHoldsWhileFiltersStay(t *testing.T) {
	x := topic.NewIndex[int]()
	x.Insert("a/+", 1)
	hot := func() {
		for range 3 {
			x.Match([]byte("a/b"))
		}
	}
	hot()
	steps := []struct {
		name   string
		do     func() bool
		cached bool
		want   string
	}{
		{"another subscriber joins", func() bool { return x.Insert("a/+", 2) }, true, "[[1 2]]"},
		{"the first leaves", func() bool { return x.Remove("a/+", 1) }, true, "[[2]]"},
		{"a filter appears", func() bool { return x.Insert("a/b", 3) }, false, "[[2] [3]]"},
		{"a filter goes", func() bool { return x.Remove("a/+", 2) }, false, "[[3]]"},
		{"a filter goes whose node stays", func() bool { return x.Insert("a/b/+", 4) && x.Remove("a/b", 3) }, false, "[]"},
		{"and comes back", func() bool { return x.Insert("a/b", 5) }, false, "[[5]]"},
	}
	for _, step := range steps {
		if !x.Cached("a/b") {
			t.Fatalf("before %q the topic is not cached", step.name)
		}
		if !step.do() {
			t.Fatalf("%s: nothing changed", step.name)
		}
		if got := x.Cached("a/b"); got != step.cached {
			t.Errorf("%s: cached %v", step.name, got)
		}
		for range 3 {
			if got := fmt.Sprint(x.Match([]byte("a/b"))); got != step.want {
				t.Errorf("%s: %s, want %s", step.name, got, step.want)
			}
		}
	}
}

func TestCacheForgetsWhenItsGenerationWraps(t *testing.T) {
	x := topic.NewIndex[int]()
	x.Insert("a", 1)
	for range 3 {
		x.Match([]byte("a"))
	}
	x.WrapShape()
	x.Insert("+", 2)
	if got := fmt.Sprint(x.Match([]byte("a"))); got != "[[2] [1]]" {
		t.Fatalf("got %s", got)
	}
}

func TestCacheComparesTopicsWhoseHashesAreEqual(t *testing.T) {
	x := topic.NewIndex[int]()
	x.Insert("a", 1)
	x.Insert("b", 2)
	for range 3 {
		x.Match([]byte("a"))
	}
	x.CollideCache("a", "b")
	if got := fmt.Sprint(x.Match([]byte("b"))); got != "[[2]]" {
		t.Fatalf("got %s", got)
	}
}
