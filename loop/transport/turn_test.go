package transport_test

import (
	"bytes"
	"testing"

	"github.com/loopmq/loopmq/loop/transport"
)

// Tiny frames are looked at in turns, between which an engine serves others; in the end all of them are.
func TestFramesOfOneTurn(t *testing.T) {
	ping := masked(pingFrame, nil)
	for name, row := range map[string]struct {
		flood []byte
		pongs int
	}{
		"pings":           {bytes.Repeat(ping, 5000), 5000},
		"empty frames":    {bytes.Repeat(masked(binaryFrame, nil), 5000), 0},
		"exactly a turn":  {bytes.Repeat(ping, 1024), 1024},
		"a frame too far": {bytes.Repeat(ping, 1025), 1025},
	} {
		t.Run(name, func(t *testing.T) {
			c, p := opened(t, transport.Options{})
			c.feed(append(row.flood, masked(binaryFrame, packet("last"))...))
			pongs := bytes.Count(c.take(), []byte("\x8a\x00"))
			if pongs > 1024 || len(p.got) > 0 {
				t.Fatalf("%d pongs and %d packets in the first turn", pongs, len(p.got))
			}
			for turns := 0; len(p.got) == 0 && turns < 10; turns++ {
				if !c.retry {
					t.Fatal("nobody will call again")
				}
				c.retry = false
				c.feed(nil)
				n := bytes.Count(c.take(), []byte("\x8a\x00"))
				if pongs += n; n > 1024 {
					t.Fatalf("%d pongs in a turn", n)
				}
			}
			if pongs != row.pongs || len(p.got) != 1 || p.got[0] != "last" {
				t.Errorf("%d pongs of %d, packets %q", pongs, row.pongs, p.got)
			}
		})
	}
}

// A handler that gives its turn away is not called again for the rest of the view.
func TestYieldEndsTheTurn(t *testing.T) {
	c, p := opened(t, transport.Options{})
	var all []byte
	for range 10 {
		all = append(all, masked(binaryFrame, packet("x"))...)
	}
	p.yields = true
	c.feed(all)
	for n := 1; n <= 10; n++ {
		if len(p.got) != n {
			t.Fatalf("%d packets after %d turns", len(p.got), n)
		}
		c.retry = false
		c.feed(nil)
	}
}
