package router

import (
	"errors"

	"github.com/loopmq/loopmq/codec"
)

// refusalOf tells a client why the store takes nothing.
func refusalOf(err error) error {
	if errors.Is(err, ErrStoreFull) {
		return errStoreFull
	}
	return errStoreFailed
}

// undurable tells whether nothing about the client's session can be made
// durable until a restart.
func (c *Client) undurable() bool { return c.session.kept != nil && c.r.keep.failed }

// storeTrouble says why a durable session must not change now; nil: it may.
func (c *Client) storeTrouble() error {
	if c.session.kept == nil {
		return nil
	}
	if err := c.r.keep.accepts(); err != nil {
		return refusalOf(err)
	}
	return nil
}

// mayKeep says why a CONNECT cannot get the session that it asks for.
func (c *Client) mayKeep(p *codec.Connect, id string) error {
	k := c.r.keep
	if k == nil || k.accepts() == nil {
		return nil
	}
	s := c.r.sessions[id]
	ends := s != nil && (p.CleanStart || s.client != nil && s.expiry == 0)
	back := k.failed && (k.owesEnd(id) || ends && s.kept != nil) // the next start finds what he is told the end of
	if !back && (c.sessionExpiry(p) == 0 || s != nil && !ends && s.lasts()) {
		return nil
	}
	return refusalOf(k.accepts())
}

// lasts tells whether s is on the disk.
func (s *Session) lasts() bool { return s.kept != nil && s.kept.number <= s.r.keep.lasting }

// owesEnd tells whether a session of that client has ended and a start may find
// it again.
func (k *keeper) owesEnd(id string) bool { return k.ended[id] > k.done }

// forgetEnds forgets those that are durable.
func (k *keeper) forgetEnds() {
	for id, batch := range k.ended {
		if batch <= k.done {
			delete(k.ended, id)
		}
	}
}

// mayLast says why p, of QoS 1 or 2, is not taken: it would have to be durable.
// While the store is full 3.x clients, which cannot be told so, get no answer,
// and nothing more is read from them (slowDown).
func (c *Client) mayLast(p *codec.Publish, class Durability) error {
	k := c.r.keep
	err := k.accepts()
	if err == nil || !c.wouldWrite(p, class) {
		return nil
	}
	if c.v5 == nil && !k.failed {
		return nil
	}
	return refusalOf(err)
}

// wouldWrite tells whether p would be written down, or its PacketID.
func (c *Client) wouldWrite(p *codec.Publish, class Durability) bool {
	return class != DurabilityNone && (c.r.wouldKeep(p) || p.QoS == 2 && c.session.kept != nil)
}

// wouldKeep tells whether p has to do with anything durable.
func (r *Router) wouldKeep(p *codec.Publish) bool {
	if p.Retain {
		return true
	}
	for _, set := range r.index.Match(p.Topic) {
		for _, sub := range set {
			if sub.session != nil && sub.session.kept != nil {
				return true
			}
			if g := sub.opts; g != nil && g.entry != nil && g.entry.durable() {
				return true
			}
		}
	}
	return false
}

// durable tells whether a member of the group outlives the process.
func (g *shareGroup) durable() bool {
	for _, m := range g.members {
		if m.session.kept != nil {
			return true
		}
	}
	return false
}

// recordRoom is what a message may take more on disk than as a packet, in bytes:
// mostly who has written it, and by which rules.
const recordRoom = 1 << 20

// packetBytesMax is the longest packet that is taken from c. What may have to be
// written down must fit into a record, which is no longer than the longest packet.
func (c *Client) packetBytesMax() int {
	most := codec.MaxPacketBytes
	if c.r.keep != nil {
		most -= recordRoom
	}
	return min(c.limits().PacketBytesMax, most)
}
