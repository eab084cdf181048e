package router

import (
	"fmt"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/store"
)

// TestHeavy: who has most stands out of any number of names, in a fixed space.
func TestHeavy(t *testing.T) {
	var h heavy
	for i := range 20_000 {
		h.add(fmt.Appendf(nil, "device/%d", i), 100)
		if i%10 == 0 {
			h.add([]byte("camera"), 5000)
			h.add([]byte("log"), 2000)
		}
	}
	if len(h.list) != heavyMax {
		t.Errorf("%d names", len(h.list))
	}
	if got := h.String(); !strings.HasPrefix(got, "camera (10000000 bytes), log (") {
		t.Error(got)
	}
}

// TestWearWarnsOnceADay counts days in UTC.
func TestWearWarnsOnceADay(t *testing.T) {
	var events []Event
	written, now := uint64(0), int64(20_000*24*3600e9)
	r := &Router{events: func(e *Event) { events = append(events, *e) }}
	k := &keeper{r: r, wear: wear{written: func() uint64 { return written }, most: 1000}}
	step := func(n uint64, want int) {
		t.Helper()
		written += n
		k.now = now
		k.lookAtWear()
		if len(events) != want {
			t.Errorf("%d bytes today: %d warnings, want %d", k.today(), len(events), want)
		}
	}
	step(999, 0)
	step(1, 1)
	step(5000, 1)
	now += 24 * 3600e9
	step(10, 1) // seen with the first commit of the day, which is counted to the last
	step(999, 1)
	step(1, 2)
	if e := events[1]; e.Kind != EventWear || e.Count != 1000 || e.Waiting != 1000 {
		t.Errorf("%+v", e)
	}
}

// TestWearOverRestarts: a restart goes on with the sum of the day.
func TestWearOverRestarts(t *testing.T) {
	const day, minute = int64(24 * 3600e9), int64(60e9)
	mem := store.NewMem()
	put := noteStore{mem}
	start := func(wall *int64, written *uint64) (*Router, *[]Event) {
		var events []Event
		r := New(Config{
			Rand: func() uint64 { return 1 }, Events: func(e *Event) { events = append(events, *e) },
			Store: put, Wall: func() int64 { return *wall }, Written: func() uint64 { return *written }, WrittenPerDayWarn: 1000,
		})
		if _, err := r.Restore(1); err != nil {
			t.Fatal(err)
		}
		return r, &events
	}
	turn := func(r *Router, change bool) {
		r.BeginPass(r.now + 1)
		if change {
			r.keep.putBeat()
		}
		r.EndPass()
		mem.Complete(nil)
	}
	warned := func(events *[]Event) (n int) {
		for _, e := range *events {
			if e.Kind == EventWear {
				n++
			}
		}
		return n
	}
	wall, written := 20_000*day+minute, uint64(700)
	r, events := start(&wall, &written)
	turn(r, true) // notes 700
	records := mem.Stats().Records
	written = 800
	turn(r, false) // nothing is written while nothing happens
	wall += minute
	turn(r, false)
	if mem.Stats().Records != records {
		t.Error("a broker that has nothing to do writes")
	}
	turn(r, true) // notes 800
	written = 900
	turn(r, true) // less than a minute later
	if n := mem.Stats().Records - records; n != 3 || warned(events) != 0 {
		t.Errorf("%d records, want two beats and a note; %d warnings", n, warned(events))
	}
	wall, written = wall+minute, 10 // a crash, and a start
	r, events = start(&wall, &written)
	if n := r.keep.today(); n != 810 {
		t.Errorf("%d bytes today, want 800 and 10", n)
	}
	written = 250
	turn(r, true)
	if warned(events) != 1 {
		t.Errorf("%d warnings at %d bytes", warned(events), r.keep.today())
	}
	written = 300
	r.Stopping()
	turn(r, false)
	mem.Seal(nil)
	mem.Complete(nil) // as Close does
	written = 0
	r, events = start(&wall, &written)
	turn(r, true)
	if n := r.keep.today(); n != 1100 || warned(events) != 0 {
		t.Errorf("%d bytes today, %d warnings after a stop in good order", n, warned(events))
	}
	wall += day
	r, _ = start(&wall, &written)
	if n := r.keep.today(); n != 0 {
		t.Errorf("%d bytes on the next day", n)
	}
}

// noteStore is a store.Mem for a router.
type noteStore struct{ *store.Mem }

func (m noteStore) Put(key uint64, head, body []byte) { m.Mem.Put(store.Key(key), head, body) }
func (m noteStore) Delete(key uint64)                 { m.Mem.Delete(store.Key(key)) }
func (m noteStore) DeleteRange(first, last uint64) {
	m.Mem.DeleteRange(store.Key(first), store.Key(last))
}

func (m noteStore) Load(each func(key uint64, value []byte) error) error {
	return m.Mem.Load(func(k store.Key, _ int, value []byte) error { return each(uint64(k), value) })
}

func (m noteStore) Read([]uint64, func([]StoreValue)) bool { return false }
func (m noteStore) Fetch([]uint64) []StoreValue            { return nil }
func (m noteStore) Memory() int64                          { return 0 }
