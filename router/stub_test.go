package router

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestStubsAgreeWithASlice does random things to stubs and to a slice.
func TestStubsAgreeWithASlice(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 7))
		var q stubs
		var want []stub
		next := uint64(1)
		fresh := func(n int) (list []stub) {
			for range n {
				next += 1 + rng.Uint64N(3)<<rng.IntN(20)
				list = append(list, stub{next, rng.Uint64() >> (8 + rng.IntN(50)), rng.IntN(1 << rng.IntN(28)), byte(rng.IntN(32))})
			}
			return list
		}
		for range 300 {
			switch rng.IntN(4) {
			case 0, 1:
				for _, s := range fresh(rng.IntN(30)) {
					q.push(s)
					want = append(want, s)
				}
			case 2:
				for range min(len(want), rng.IntN(40)) {
					if got, peeked := q.pop(), want[0]; got != peeked {
						t.Fatalf("seed %d: got %+v, want %+v", seed, got, peeked)
					}
					want = want[1:]
				}
			default: // what was taken comes back before the rest
				var older stubs
				n := min(len(want), rng.IntN(10))
				for range n {
					older.push(q.pop())
				}
				q.unshift(older)
			}
			bytes, i := 0, 0
			q.each(func(s stub) bool {
				if s != want[i] {
					t.Fatalf("seed %d: place %d: got %+v, want %+v", seed, i, s, want[i])
				}
				bytes, i = bytes+s.size, i+1
				return true
			})
			held := 0
			for c := q.front.chunk; c != nil; c = c.next {
				held += cap(c.text) + stubChunkOver
			}
			if i != len(want) || q.n != i || q.bytes != bytes || q.n > 0 && q.peek() != want[0] {
				t.Fatalf("seed %d: %d stubs of %d bytes, want %d of %d", seed, q.n, q.bytes, len(want), bytes)
			}
			if over := held - q.held; over < 0 || over > 3*(stubChunkBytes+stubChunkOver) {
				t.Fatalf("seed %d: %d bytes in use, counted %d", seed, held, q.held)
			}
		}
	}
}

// TestStubsAreSmall: a message in a row of its own takes four bytes.
func TestStubsAreSmall(t *testing.T) {
	var q stubs
	for i := range uint64(100_000) {
		q.push(stub{entry: i, message: i, size: 280, flags: 1})
	}
	if perMessage := float64(q.held) / float64(q.n); perMessage > 4.5 {
		t.Errorf("%.1f bytes a message", perMessage)
	}
}

// TestCountsAgreeWithAMap counts entries up and down.
func TestCountsAgreeWithAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 8))
	c, want := newCounts(), map[uint64]int{}
	for range 100_000 {
		n := 1 + rng.Uint64N(300)
		by := 1
		if want[n] > 0 && rng.IntN(2) == 0 {
			by = -1
		}
		if n%50 == 0 && by > 0 {
			by = 1 + rng.IntN(200)
		}
		want[n] += by
		if got := c.add(n, by); got != want[n] || c.of(n) != got {
			t.Fatalf("message %d: %d entries, want %d", n, got, want[n])
		}
		if want[n] == 0 {
			delete(want, n)
		}
	}
	if c.live != len(want) || len(c.many) > 6 {
		t.Errorf("%d messages, want %d; %d with many", c.live, len(want), len(c.many))
	}
	for n, entries := range want {
		c.add(n, -entries)
	}
	if len(c.pages)+len(c.many)+c.live != 0 {
		t.Errorf("left: %d pages, %d with many, %d messages", len(c.pages), len(c.many), c.live)
	}
	if !slices.Equal([]int{c.of(1), c.of(1 << 50)}, []int{0, 0}) {
		t.Error("nothing is there, and something is found")
	}
}
