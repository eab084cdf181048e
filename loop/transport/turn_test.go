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
