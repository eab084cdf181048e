package router

// What clients have in flight, their filters and their output cannot be cut. When those who are
// connected fill the memory with that, it stays full for as long as they like: nobody
// else is let in, and publishers of 3.x are not read from, some of whom may have
// acknowledged it already. So when Limits.HoldTimeout has passed since the last level
// was reached, who holds most is disconnected, one in a round of trim, until memoryHold
// ends. Sessions that stay are purge's then.

// weigh counts c with its session, and remembers c if it holds most of all so far.
func (p *purge) weigh(r *Router, c *Client) {
	queued, _ := r.output(c)
	n := r.uncutMemory(c.session) + int64(queued)
	p.present += n
	if n > p.most && !c.closing {
		p.most, p.largest = n, c
	}
}

// shed disconnects who holds most, if all who are connected hold what is worth it and
// nothing else makes room in this round.
func (r *Router) shed() {
	m := &r.memory
	p := &m.trim.purge
	worth := p.present >= int64(r.limits.MemoryBytesMax)/100*purgeLeast
	over := r.now-m.fullAt >= r.limits.HoldTimeout.Nanoseconds()
	if c := p.largest; worth && over && p.left == 0 && len(r.graves) == 0 && c != nil && !c.closing {
		r.stats.Shed++
		c.close(errHoldsMost)
	}
}
