package router

// What clients have in flight, their filters and their output cannot be cut. When those who are
// connected fill the memory with that, it stays full for as long as they like: nobody
// else is let in, and publishers of 3.x are not read from, some of whom may have
// acknowledged it already. So when Limits.HoldTimeout has passed since the last level
// was reached, who holds most is disconnected, one in a round of trim, until memoryHold
// ends. Filters count where the rest alone is not worth it: who has many, and reads and
// acknowledges, is not to go for others who do not. Sessions that stay are purge's then.

// heaviest is what clients hold together, and who of them holds most.
type heaviest struct {
	sum, most int64
	client    *Client
}

func (h *heaviest) add(n int64, c *Client) {
	h.sum += n
	if n > h.most && !c.closing {
		h.most, h.client = n, c
	}
}

// weigh counts c with its session.
func (p *purge) weigh(r *Router, c *Client) {
	queued := int64(r.queued(c))
	p.unread.add(c.session.unacked()+queued, c)
	p.present.add(r.uncutMemory(c.session)+queued, c)
}

// shed disconnects who holds most, if all who are connected hold what is worth it and
// nothing else makes room in this round.
func (r *Router) shed() {
	m := &r.memory
	p, least := &m.trim.purge, int64(r.limits.MemoryBytesMax)/100*purgeLeast
	most := &p.unread
	if most.sum < least {
		most = &p.present
	}
	if m.fullAt == 0 || most.sum < least || !r.isOver(r.limits.HoldTimeout, m.fullAt) || p.left != 0 || len(r.graves) > 0 {
		return
	}
	if c := most.client; c != nil && !c.closing {
		r.stats.Shed++
		c.close(errHoldsMost)
	}
}
