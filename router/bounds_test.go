package router

import (
	"math"
	"testing"
)

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
