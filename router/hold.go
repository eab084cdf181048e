package router

import "github.com/loopmq/loopmq/codec"

// A publisher of QoS 1 or 2 that is not read from gets no acknowledgement, and
// waits. What fills the memory may stay for long, so they take turns as long as
// the next level is not reached: a few at a time, who waits longest first, and
// each for one message. At that level, and while the store has no room, who has
// waited for Limits.HoldTimeout is answered that there is none.

const (
	heldFor      = int64(1e9) // ns that one waits at least
	heldEvery    = int64(1e8) // ns between two looks for those who have waited for so long
	heldTurnMost = 16         // of them that are read from again in one look
	heldPassMost = 64         // in a pass, when all may go on, or be told
)

// heldClient is a client that is not read from.
type heldClient struct {
	c  *Client
	at int64 // ns; since when
}

// slowDown stops reading from a publisher of QoS 1 or 2 until there is memory
// again, or its turn, or room in the store for what came of its message since
// mark.
func (c *Client) slowDown(mark uint64) {
	if c.r.memory.level >= memoryHold {
		c.holdUp()
	} else {
		c.awaitRoom(mark)
	}
}

// awaitRoom stops reading from a client until there is room in the store, if it
// has written something since mark.
func (c *Client) awaitRoom(mark uint64) {
	if k := c.r.keep; k.mark() != mark && k.crowded() {
		c.holdUp()
	}
}

// holdUp stops reading from c until letGo, or its turn.
func (c *Client) holdUp() {
	if c.paused&pausedByMemory != 0 {
		return
	}
	c.paused |= pausedByMemory
	c.conn.Pause()
	c.r.stats.Held++
	m := &c.r.memory
	if n := len(m.heldBack); n == cap(m.heldBack) {
		if m.heldBack = withRoom(m.heldBack, heldClient.left); len(m.heldBack) < n {
			m.passed = 0 // some of those have gone
		}
	}
	m.heldBack = append(m.heldBack, heldClient{c, c.r.now})
}

// left tells whether its client has gone.
func (h heldClient) left() bool { return h.c.closing }

// mayTake says why p, of QoS 1 or 2, is not taken; nil: it is.
func (c *Client) mayTake(p *codec.Publish, class Durability) error {
	if c.isOverdue() && c.r.noRoomFor(c, p, class) {
		c.r.hit(LimitHoldTimeout)
		return errHeldTooLong
	}
	if c.r.keep == nil {
		return nil
	}
	return c.mayLast(p, class)
}

// isOverdue tells whether c waited for HoldTimeout, and there was no room since.
func (c *Client) isOverdue() bool { return c.rare != nil && c.rare.overdue == c.r.memory.times+1 }

// noRoom tells whether who is held back has to wait until others have made room.
func (r *Router) noRoom() bool { return r.memory.level >= memoryRefuse || r.keep.crowded() }

// noRoomFor is noRoom for one message.
func (r *Router) noRoomFor(c *Client, p *codec.Publish, class Durability) bool {
	return r.memory.level >= memoryRefuse || r.keep.crowded() && c.wouldWrite(p, class)
}

// answerHeld reads again from those of 5.0 who have waited for HoldTimeout while
// there is no room: what they send is refused, each message, until there is. It
// returns when it wants to be called again; 0: not by itself.
func (r *Router) answerHeld() (wake int64) {
	m := &r.memory
	list, due, limit := m.heldBack, m.passed, r.limits.HoldTimeout.Nanoseconds()
	if due == len(list) || !r.noRoom() {
		return 0
	}
	for due < len(list) && due-m.passed < heldPassMost && r.now-list[due].at >= limit {
		due++
	}
	if due > m.passed {
		var again []heldClient
		kept := list[:m.passed]
		for _, h := range list[m.passed:due] {
			switch {
			case h.c.closing:
			case h.c.v5 == nil: // cannot be told
				kept = append(kept, h)
			case h.c.waits != nil: // for the disk, and answers come in their order [MQTT-4.6.0-2]
				again = append(again, heldClient{h.c, r.now})
			default:
				r.answerLate(h.c)
			}
		}
		m.passed = len(kept)
		kept = append(append(kept, list[due:]...), again...)
		clear(list[min(len(kept), len(list)):])
		m.heldBack, list = kept, kept
	}
	if m.passed == len(list) {
		return 0
	}
	return max(r.now, r.after(list[m.passed].at+limit-r.now))
}

// answerLate reads again from c to refuse what it sends.
func (r *Router) answerLate(c *Client) {
	r.memory.overdue = true
	c.seldom().overdue = r.memory.times + 1
	c.readAgain()
	if n := r.stats.HeldTooLong + 1; worthTelling(n) {
		r.event(&Event{Kind: EventHeld, ClientID: c.id, Peer: c.peer, Count: n})
	}
	r.stats.HeldTooLong++
}

// letGo reads again from those who had to wait and takes what they send, some in a
// pass, as long as there is memory and room: what they all have sent meanwhile may
// be more than that. It reports whether there are more.
func (r *Router) letGo() (more bool) {
	m := &r.memory
	if len(m.heldBack) == 0 && !m.overdue || m.level >= memoryHold || r.keep.crowded() {
		return false
	}
	if m.overdue {
		m.overdue = false
		m.times++
	}
	r.letFirst(min(len(m.heldBack), heldPassMost))
	return len(m.heldBack) > 0
}

// takeTurns reads again from those who wait longest, for a message each.
func (r *Router) takeTurns() {
	if r.memory.level != memoryHold || r.keep.crowded() {
		return
	}
	list, n, turns := r.memory.heldBack, 0, 0
	for n < len(list) && turns < heldTurnMost && r.now-list[n].at >= heldFor {
		if !list[n].c.closing {
			turns++
		}
		n++
	}
	r.stats.HeldTurns += uint64(turns)
	r.letFirst(n)
}

// letFirst reads again from the first n.
func (r *Router) letFirst(n int) {
	list := r.memory.heldBack
	for _, h := range list[:n] {
		if !h.c.closing {
			h.c.readAgain()
		}
	}
	kept := copy(list, list[n:])
	clear(list[kept:])
	r.memory.heldBack = list[:kept]
	r.memory.passed = max(0, r.memory.passed-n)
}

// readAgain is the end of holdUp.
func (c *Client) readAgain() {
	c.paused &^= pausedByMemory
	c.seenAt = c.r.now // its silence was ours
	if c.paused == 0 {
		c.conn.Resume()
	}
}
