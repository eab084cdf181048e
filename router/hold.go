package router

import "slices"

// A publisher of QoS 1 or 2 that is not read from gets no acknowledgement, and
// waits. What fills the memory may stay for long, so they take turns as long as
// the next level is not reached: a few at a time, who waits longest first, and
// each for one message.

const (
	heldFor      = int64(1e9) // ns that one waits at least
	heldEvery    = int64(1e8) // ns between two looks for those who have waited for so long
	heldTurnMost = 16         // of them that are read from again in one look
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
	list := c.r.memory.heldBack
	if n := len(list); n >= heldTurnMost && n == cap(list) { // while the store is full, connections come and go
		list = slices.DeleteFunc(list, func(h heldClient) bool { return h.c.closing })
		list = slices.Grow(list, n/2)
	}
	c.r.memory.heldBack = append(list, heldClient{c, c.r.now})
}

// letGo reads again from all who had to wait.
func (r *Router) letGo() { r.letFirst(len(r.memory.heldBack)) }

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
		c := h.c
		if c.closing {
			continue
		}
		c.paused &^= pausedByMemory
		c.seenAt = r.now // its silence was ours
		if c.paused == 0 {
			c.conn.Resume()
		}
	}
	kept := copy(list, list[n:])
	clear(list[kept:])
	r.memory.heldBack = list[:kept]
}
