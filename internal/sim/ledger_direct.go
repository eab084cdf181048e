package sim

import "slices"

// QoS 0 is promised by nobody, but a broker that is well delivers it: who is
// connected and takes what it is sent has it by the end of the pass. So it is with
// what came with QoS 1 or 2, for who has subscribed with QoS 0.

// owedNow is a message that must have been sent to a connection.
type owedNow struct {
	conn *conn
	post *post
	sent int // how often it had been
}

// copies counts how often a session was sent a message for the first time in a
// life of the router.
type copies struct {
	post *post
	life int
	n    int
}

// direct holds that a message comes to who has a subscription, and not more often
// than it was published.
func (l *ledger) direct(c *conn, m *post, p *packet) {
	h := c.holder
	if p.dup {
		return
	}
	at := slices.IndexFunc(h.sent, func(k copies) bool { return k.post == m && k.life == l.w.disk.life })
	if at < 0 {
		at = len(h.sent)
		h.sent = append(h.sent, copies{m, l.w.disk.life, 0})
	}
	h.sent[at].n++
	switch {
	case m.retain || h.void || len(h.shares) > 0:
	case h.sent[at].n > m.times:
		l.w.fail("%s is sent %s %d times; it was published %d times", h.name.id, brief(p), h.sent[at].n, m.times)
	case p.qos == 0 && !m.will && !slices.Contains(m.allowed, h.name):
		l.w.fail("%s is sent %s, for which it had no subscription", h.name.id, brief(p))
	}
}

// count is how often h was sent m in this life of the router, QoS and all.
func (h *holder) count(m *post, life int) int {
	for _, k := range h.sent {
		if k.post == m && k.life == life {
			return k.n
		}
	}
	return 0
}

// owesNow notes who must be sent m before the pass ends.
func (l *ledger) owesNow(c *conn, m *post, r *request) {
	if c.closing || r.retain && l.w.disk.trouble() || r.qos > 0 && !l.isTaken(c, m, r) {
		return
	}
	for _, n := range l.names {
		to := n.conn
		if to == nil || !to.answered || to.holder == nil || !to.takes(m) {
			continue
		}
		h := to.holder
		if h.void || !h.getsNow(c.holder, m, r.qos) {
			continue
		}
		l.now = append(l.now, owedNow{to, m, h.count(m, l.w.disk.life)})
	}
}

// isTaken reports whether a PUBLISH with QoS 1 or 2 is new, and surely not refused.
func (l *ledger) isTaken(c *conn, m *post, r *request) bool {
	return c.holder != nil && !c.holder.void && !c.client.liar && !r.dup && m.first == m.last && !l.w.disk.trouble() &&
		!l.w.model.longTopic(m.topic) && !(r.retain && l.noRoom(string(m.topic)))
}

// getsNow reports whether a message has no more than QoS 0 for h, and surely that.
func (h *holder) getsNow(from *holder, m *post, qos byte) (gets bool) {
	for _, e := range h.filters {
		if isShared(e.name) || !matches(e.name, m.topic) {
			continue
		}
		if min(qos, e.high) > 0 {
			return false
		}
		gets = gets || e.sure && !(e.noLocal && h == from)
	}
	return gets
}

// takes reports whether m fits into the packets and into the output of c now.
func (c *conn) takes(m *post) bool { return !c.closing && !c.refused && m.most() <= c.maxPacket }

// passEnds holds what had to be sent in this pass.
func (l *ledger) passEnds() {
	for _, o := range l.now {
		if o.conn.takes(o.post) && o.conn.holder.count(o.post, l.w.disk.life) <= o.sent {
			l.w.fail("%s is connected and was not sent m%d with QoS 0; it came with QoS %d", o.conn.name.id, o.post.number, o.post.qos)
		}
	}
	l.now = l.now[:0]
}
