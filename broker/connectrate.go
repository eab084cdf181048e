package broker

import (
	"net/netip"

	"github.com/loopmq/loopmq/auth/guard"
)

// addressesMax is how many addresses are watched at a time; with more, all is
// forgotten, and each may burst once more.
const addressesMax = 65_536

// connectRate holds each address, of IPv6 each /64 network, to so many
// connections in a second, and a second's worth at once. It belongs to the loop.
type connectRate struct {
	perSecond int
	seen      map[netip.Addr]*spent
	refused   uint64
}

// spent is what is left of an address's rate.
type spent struct {
	left float64
	at   int64 // ns
}

// allows counts a connection of an address, and tells whether it may stay.
func (c *connectRate) allows(now int64, a netip.Addr) bool {
	if c.perSecond <= 0 || !a.IsValid() {
		return true
	}
	a = guard.HostNetwork(a)
	s := c.seen[a]
	if s == nil {
		if c.seen == nil || len(c.seen) >= addressesMax {
			c.seen = make(map[netip.Addr]*spent)
		}
		s = &spent{left: float64(c.perSecond), at: now}
		c.seen[a] = s
	}
	s.left = min(float64(c.perSecond), s.left+float64(now-s.at)/1e9*float64(c.perSecond))
	s.at = now
	if s.left < 1 {
		c.refused++
		return false
	}
	s.left--
	return true
}
