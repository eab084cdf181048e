package router

// Requota replaces the quota of every client that is connected by what of says.
// A user who has more connections than that keeps them.
func (r *Router) Requota(of func(from *Peer, clientID string) Quota) {
	for c := r.clients.head; c != nil; c = c.next {
		if h := c.waitsInDuel(); h != nil {
			h.verdict.Quota = of(&c.peer, h.id)
			continue
		}
		if !c.connected || c.closing {
			continue
		}
		q := of(&c.peer, c.id)
		if c.rare == nil && q == (Quota{}) || c.rare != nil && c.rare.quota == q {
			continue
		}
		c.seldom().quota = q
		c.loosen()
		c.tighten(q)
		if c.session != nil {
			c.session.bound(c)
		}
	}
}

// loosen takes the quota from a client.
func (c *Client) loosen() {
	c.unrestrict()
	p := c.rare.pace
	if p == nil {
		return
	}
	c.rare.pace = nil
	if paced, ok := c.conn.(*pacedConn); ok {
		c.conn = paced.Conn
	}
	if c.paused&pausedByRate != 0 {
		c.paused &^= pausedByRate
		c.seenAt = c.r.now // its silence was ours
		if c.paused == 0 {
			c.conn.Resume()
		}
	}
	if p.blocked {
		c.Drained()
	}
}
