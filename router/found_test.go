package router_test

import (
	"testing"

	"github.com/loopmq/loopmq/router"
)

// Tests of this file show what the simulation (internal/sim) has found.

// TestNoDisconnectBeforeConnack: a CONNACK that is larger than the client takes
// cannot be sent, and then nothing can [MQTT-3.14.0-1].
func TestNoDisconnectBeforeConnack(t *testing.T) {
	w := newWorld(t, router.Limits{})
	c := w.connect5("a", true, "27 00000014") // Maximum Packet Size 20; CONNACK has 24 bytes
	c.expect("")
	c.expectClosed()
	if n := w.r.Stats().Clients; n != 0 {
		t.Fatalf("%d clients, want 0", n)
	}
}
