package transport_test

import (
	"testing"

	"github.com/loopmq/loopmq/loop/transport"
)

// A handler that gives its turn away is not called again for the rest of the view.
func TestYieldEndsTheTurn(t *testing.T) {
	c, p := opened(t, transport.Options{})
	var all []byte
	for range 10 {
		all = append(all, masked(binaryFrame, packet("x"))...)
	}
	p.perCall, p.yields = 1, true
	c.feed(all)
	for n := 1; n <= 10; n++ {
		if len(p.got) != n {
			t.Fatalf("%d packets after %d turns", len(p.got), n)
		}
		c.retry = false
		c.feed(nil)
	}
}

// A read full of tiny frames is not handled in one go. Each of them makes as much work as a packet.
func TestTinyFramesComeInPieces(t *testing.T) {
	const frames = 10_000
	c, p := opened(t, transport.Options{})
	one := packet("x")
	var all []byte
	for range frames {
		for i := range one {
			all = append(all, masked(binaryFrame, one[i:i+1])...)
		}
	}
	c.feed(all)
	turns := 1
	for ; c.retry; turns++ {
		if len(c.tail) == 0 || turns > frames {
			t.Fatalf("asked for turn %d with %d bytes left", turns, len(c.tail))
		}
		c.retry = false
		c.feed(nil)
	}
	if turns < 5 || len(p.got) != frames || c.closed {
		t.Errorf("%d packets in %d turns, closed %v; want %d in several", len(p.got), turns, c.closed, frames)
	}
}
