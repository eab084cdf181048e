package router

import (
	"math"

	"github.com/loopmq/loopmq/internal/timer"
)

// Quota bounds what one client may do in a second, and what it or its user may
// hold. Zero is no bound. Where several hold, the tightest counts.
type Quota struct {
	// MessagesIn and BytesIn are the PUBLISH packets taken in a second, and
	// their bytes. A client that is faster is not read from for a while.
	MessagesIn, BytesIn int
	// MessagesOut and BytesOut are what is sent in a second. What is more
	// waits: QoS 0 as for a slow reader, the rest in the session's queue.
	MessagesOut, BytesOut int
	// Connections and Retained are for all clients of a user together: more
	// connections are refused with 0x97, more topics are not retained.
	Connections, Retained int
	// Subscriptions and QueuedBytes are for one session, below those of Limits.
	Subscriptions, QueuedBytes int
}

// Tighten takes what other bounds more tightly.
func (q *Quota) Tighten(other Quota) {
	for _, pair := range [...]struct {
		to   *int
		from int
	}{
		{&q.MessagesIn, other.MessagesIn},
		{&q.BytesIn, other.BytesIn},
		{&q.MessagesOut, other.MessagesOut},
		{&q.BytesOut, other.BytesOut},
		{&q.Connections, other.Connections},
		{&q.Retained, other.Retained},
		{&q.Subscriptions, other.Subscriptions},
		{&q.QueuedBytes, other.QueuedBytes},
	} {
		if pair.from > 0 && (*pair.to == 0 || pair.from < *pair.to) {
			*pair.to = pair.from
		}
	}
}

// userUse is what a user with a quota has at the moment.
type userUse struct {
	user                  string
	connections, retained int
}

// use finds what a user has; nil for nobody in particular: what clients without
// a name have in common is their listener.
func (r *Router) use(user string) *userUse {
	if user == "" {
		return nil
	}
	u := r.uses[user]
	if u == nil {
		u = &userUse{user: user}
		r.uses[u.user] = u
	}
	return u
}

// bucket lets so much through in a second, and a second's worth at once.
type bucket struct {
	rate int
	left int64 // may go below 0: what came is not undone
	at   int64 // ns, when left was right
}

// take takes n out and returns when there is something again; 0: there is.
func (b *bucket) take(now int64, n int) (wait int64) {
	if b.rate == 0 {
		return 0
	}
	rate := int64(b.rate)
	if since := now - b.at; b.at == 0 || since >= 1e9 && b.left >= 0 {
		b.left, b.at = rate, now
	} else if more := int64(float64(since) * float64(rate) / 1e9); more > 0 {
		b.left = min(b.left+more, rate)
		b.at += int64(float64(more) * 1e9 / float64(rate))
	}
	b.left -= int64(n)
	if b.left > 0 {
		return 0
	}
	return int64(math.Ceil(float64(1-b.left) * 1e9 / float64(rate)))
}

// pace holds a client to its rates.
type pace struct {
	c                    *Client
	inMessages, inBytes  bucket
	outMessages, outByts bucket
	timer                timer.Timer
	blocked              bool // something did not leave: Drained is owed
	denied               bool // the last one did not
	until                int64
}

// restrict puts a quota on a client that is being let in as id. An error refuses
// it.
func (c *Client) restrict(q Quota, id string) error {
	if q == (Quota{}) {
		return nil
	}
	k := c.seldom()
	k.quota = q
	if u := c.r.uses[c.peer.User()]; u != nil && q.Connections > 0 && u.connections-c.r.replaces(id, u) >= q.Connections {
		c.r.stats.OverQuota++
		return errTooManyConnections
	}
	c.tighten(q)
	return nil
}

// replaces is how many connections that u counts end when the session id gets
// another one.
func (r *Router) replaces(id string, u *userUse) int {
	if s := r.sessions[id]; s != nil && s.client != nil && s.client.rare != nil && s.client.rare.use == u {
		return 1
	}
	return 0
}

// tighten begins to count what a quota bounds.
func (c *Client) tighten(q Quota) {
	k := c.rare
	if q.Connections > 0 || q.Retained > 0 {
		if k.use = c.r.use(c.peer.User()); k.use != nil {
			k.use.connections++
		}
	}
	if q.MessagesIn > 0 || q.BytesIn > 0 || q.MessagesOut > 0 || q.BytesOut > 0 {
		k.pace = &pace{
			c: c, inMessages: bucket{rate: q.MessagesIn}, inBytes: bucket{rate: q.BytesIn},
			outMessages: bucket{rate: q.MessagesOut}, outByts: bucket{rate: q.BytesOut},
		}
		if q.MessagesOut > 0 || q.BytesOut > 0 {
			c.conn = &pacedConn{Conn: c.conn, pace: k.pace}
		}
	}
}

// unrestrict gives back what a connection counted.
func (c *Client) unrestrict() {
	k := c.rare
	if k == nil {
		return
	}
	if k.use != nil {
		k.use.connections--
		c.r.forgetUse(k.use)
		k.use = nil
	}
	if k.pace != nil {
		c.r.timers.Stop(&k.pace.timer)
	}
}

// forgetUse drops the entry of a user who has nothing any more.
func (r *Router) forgetUse(u *userUse) {
	if u.connections == 0 && u.retained == 0 && r.uses[u.user] == u {
		delete(r.uses, u.user)
	}
}

// countIn takes a PUBLISH of n bytes from the client's rate.
func (c *Client) countIn(n int) {
	p := c.rare.pace
	wait := max(p.inMessages.take(c.r.now, 1), p.inBytes.take(c.r.now, n))
	if wait == 0 || c.paused&pausedByRate != 0 {
		return
	}
	c.r.stats.OverQuota++
	c.paused |= pausedByRate
	c.conn.Pause()
	p.wake(wait)
}

// wake has Due called after so many ns, or sooner if it will be anyhow.
func (p *pace) wake(wait int64) {
	at := p.c.r.after(wait)
	if p.until > p.c.r.now && p.until < at {
		return
	}
	p.until = at
	p.c.r.timers.Set(&p.timer, p, at)
}

// Due lets a client go on.
func (p *pace) Due(now int64) {
	c := p.c
	if c.closing {
		return
	}
	if c.paused&pausedByRate != 0 {
		if wait := max(p.inMessages.take(now, 0), p.inBytes.take(now, 0)); wait > 0 {
			p.wake(wait)
		} else {
			c.paused &^= pausedByRate
			c.seenAt = now // its silence was ours
			if c.paused == 0 {
				c.conn.Resume()
			}
		}
	}
	if p.blocked {
		if wait := max(p.outMessages.take(now, 0), p.outByts.take(now, 0)); wait > 0 {
			p.wake(wait)
			return
		}
		p.blocked = false
		c.Drained()
	}
}

// admits tells whether something may leave now.
func (p *pace) admits() bool {
	now := p.c.r.now
	if wait := max(p.outMessages.take(now, 0), p.outByts.take(now, 0)); wait > 0 {
		if !p.blocked {
			p.c.r.stats.OverQuota++
		}
		p.blocked, p.denied = true, true
		p.wake(wait)
		return false
	}
	p.denied = false
	return true
}

// countOut counts a message of n bytes that the output has taken: only that costs.
func (p *pace) countOut(n int) bool {
	p.outMessages.take(p.c.r.now, 1)
	p.outByts.take(p.c.r.now, n)
	return true
}
