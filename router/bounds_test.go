package router

import (
	"math"
	"testing"
)

// TestManyDropsAreToldOf: a count beyond an int of 32 bits must not count as few, or
// each of the next two billion messages has a line of its own.
func TestManyDropsAreToldOf(t *testing.T) {
	told := 0
	r := New(Config{Rand: func() uint64 { return 1 }, Events: func(*Event) { told++ }})
	s := r.newSession("s")
	s.seldom().dropped = 1<<31 - 1
	for range 100 {
		r.drop(s, DropQueueFull, []byte("t"))
	}
	s.rare.dropped = 2_999_999_999
	r.drop(s, DropQueueFull, []byte("t"))
	if told != 1 {
		t.Errorf("%d of 101 drops are told, want the three billionth", told)
	}
}

// TestBoundsAtTheEndOfInt: on processors with 32 bits an int ends at 2 GiB, near
// which a limit may be.
func TestBoundsAtTheEndOfInt(t *testing.T) {
	r := New(Config{
		Rand:   func() uint64 { return 1 },
		Limits: Limits{QueuedBytesMax: math.MaxInt, RetainedBytesMax: math.MaxInt, LateBytesMax: math.MaxInt},
	})
	s := r.newSession("s")
	s.own()
	s.queue.bytes = math.MaxInt - 10
	if limit, over := s.over(1, 11); !over || limit != LimitQueuedBytes {
		t.Errorf("11 bytes more fit into 10: %v", limit)
	}
	if limit, over := s.over(1, 10); over {
		t.Errorf("10 bytes more do not fit into 10: %v", limit)
	}
	r.stats.RetainedBytes = math.MaxInt - 10
	p := &publication{topic: []byte("topic"), payload: []byte("123456")}
	if err := r.unfit(p, nil); err != errRetainedBytes {
		t.Errorf("11 bytes to be retained fit into 10: %v", err)
	}
	p.payload = p.payload[1:]
	if err := r.unfit(p, nil); err != nil {
		t.Errorf("10 bytes to be retained do not fit into 10: %v", err)
	}
}
