package router

import (
	"fmt"
	"strings"
	"testing"
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
