package router

// Witness hears what connections answer a Router, so that it can be told again:
// all else that it does follows from what it is called with.
type Witness interface {
	// Refused is told that conn has refused a send; sent is what Router.Sent was then.
	Refused(conn, sent uint64)
	// Queued is told what Conn.Queued and, behind it, Conn.Taken said; 0 where that was not asked.
	Queued(conn uint64, n int, taken uint64)
	// Memory is asked once a pass, if there is a limit, with what MemoryUsed is. What it answers is that from then on.
	Memory(used, limit int64) int64
}

// Sent is how many packets connections have taken so far. It counts one before the
// next is sent.
func (r *Router) Sent() uint64 {
	s := &r.stats
	return s.Delivered[0] + s.Delivered[1] + s.Delivered[2] + s.Answers + r.fan.passed
}

// refused tells the witness that a delivery was, unless it was a quota that refused
// it.
func (r *Router) refused(c *Client) {
	if c.rare != nil && c.rare.pace != nil && c.rare.pace.denied {
		return
	}
	r.refusedAnswer(c)
}

// refusedAnswer is refused for what no quota bounds.
func (r *Router) refusedAnswer(c *Client) {
	if r.witness != nil {
		r.witness.Refused(c.conn.ID(), r.Sent())
	}
}

// output is how many bytes wait in the output of c, and Conn.Taken.
func (r *Router) output(c *Client) (queued int, taken uint64) {
	queued, taken = c.conn.Queued(), c.conn.Taken()
	if r.witness != nil {
		r.witness.Queued(c.conn.ID(), queued, taken)
	}
	return queued, taken
}

// queued is output without Conn.Taken, which asks the kernel.
func (r *Router) queued(c *Client) int {
	n := c.conn.Queued()
	if r.witness != nil {
		r.witness.Queued(c.conn.ID(), n, 0)
	}
	return n
}
