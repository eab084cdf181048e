package broker

import (
	"net/netip"
	"testing"
)

// A host has a /64 network of IPv6 to itself: its addresses count as one.
func TestRateOfANetwork(t *testing.T) {
	c := &connectRate{perSecond: 1}
	for _, row := range []struct {
		addr string
		want bool
	}{
		{"2001:db8:0:1::1", true},
		{"2001:db8:0:1:ffff::2", false},
		{"2001:db8:0:2::1", true},
		{"192.0.2.1", true},
		{"192.0.2.2", true},
		{"::ffff:192.0.2.2", false}, // IPv4 in another form
	} {
		if got := c.allows(1, netip.MustParseAddr(row.addr)); got != row.want {
			t.Errorf("a connection of %s: %v, want %v", row.addr, got, row.want)
		}
	}
	if len(c.seen) != 4 {
		t.Errorf("%d entries, want 4", len(c.seen))
	}
}
