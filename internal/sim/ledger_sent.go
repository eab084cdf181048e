package sim

import (
	"bytes"
	"slices"

	"github.com/loopmq/loopmq/router"
)

// sent judges a packet that the router sent.
func (l *ledger) sent(c *conn, raw []byte) {
	p, err := decode(raw, c.level)
	if c.maxPacket > 0 && len(raw) > c.maxPacket {
		l.w.fail("conn %d is sent %d bytes; its Maximum Packet Size is %d", c.id, len(raw), c.maxPacket)
	}
	switch {
	case err != nil:
		l.w.fail("conn %d is sent what cannot be read: %v: % x", c.id, err, raw)
	case p.kind == connack && p.code == 0:
		if len(c.asked) == 0 || c.asked[0].kind != connect {
			l.w.fail("conn %d is sent CONNACK without cause", c.id)
			return
		}
		l.connack(c, p.present)
		c.asked = c.asked[1:]
	case p.kind == connack, p.kind == disconnect:
	case !c.answered:
		l.w.fail("conn %d is sent %s before CONNACK [MQTT-3.2.0-1]", c.id, brief(&p))
	case p.kind == publish:
		l.delivers(c, &p)
	case p.kind == pubrel:
		if place(c.flying, p.id) < 0 && place(c.releasing, p.id) < 0 {
			c.releasing = append(c.releasing, p.id)
		}
	case p.kind != pingresp:
		l.answers(c, &p)
	}
}

// answers takes in an acknowledgement. They come in the order of what they are
// for [MQTT-4.6.0-2], but where the store has failed: there some never come.
func (l *ledger) answers(c *conn, p *packet) {
	for len(c.asked) > 0 {
		r := c.asked[0]
		c.asked = c.asked[1:]
		if r.answerKind() == p.kind && r.id == p.id {
			l.acknowledged(c, r, p)
			return
		}
		if !l.w.disk.failed {
			l.w.fail("conn %d is sent %s, should be the answer to %s", c.id, brief(p), brief(&r.packet))
			return
		}
		if c.holder != nil {
			l.answered(c.holder, r, false, nil)
		}
	}
	l.w.fail("conn %d is sent %s without cause", c.id, brief(p))
}

func (r *request) answerKind() byte {
	switch r.kind {
	case publish:
		return puback - 1 + r.qos
	case pubrel:
		return pubcomp
	default: // CONNECT, SUBSCRIBE, UNSUBSCRIBE
		return r.kind + 1
	}
}

func (l *ledger) acknowledged(c *conn, r *request, p *packet) {
	switch {
	case len(r.filters) > 0:
		l.answered(c.holder, r, true, p.codes)
		return
	case r.kind != publish || p.code >= 0x80:
		return
	}
	if m := r.post; m != nil && m.ackedAt == 0 {
		m.ackedAt = l.w.now
	}
	if v := r.value; v != nil && !v.void {
		if v.again { // it is the first that counts, if that is known
			i := slices.IndexFunc(l.values, func(o *value) bool { return o.post == v.post })
			if v.post == nil || i < 0 {
				return
			}
			v = l.values[i]
		}
		v.acked, v.since = true, l.w.now
	}
}

// took is told by a client that takes a message for new, or does not want it.
func (l *ledger) took(c *conn, p *packet, wanted bool) {
	h, n := c.holder, numberOf(p.payload)
	if n == 0 {
		return
	}
	m := l.posts[n]
	if m == nil || len(p.topic) > 0 && !bytes.Equal(p.topic, m.topic) || p.qos > m.qos {
		l.w.fail("%s is sent %s, which nobody has published", c.client.name, brief(p))
		return
	}
	if !m.will && !(m.retain && p.retain) && !h.void && len(h.shares) == 0 && !slices.Contains(m.allowed, h.name) {
		l.w.fail("%s is sent %s, for which it had no subscription", h.name.id, brief(p))
	}
	if !wanted {
		h.refused = append(h.refused, m)
		return
	}
	l.inPlace(h, m, p)
	if h.got = append(h.got, m); p.qos == 2 {
		h.once = append(h.once, m)
	}
}

// inPlace holds that m comes once, where it should, and not behind what was
// published later.
func (l *ledger) inPlace(h *holder, m *post, p *packet) {
	if h.void || h.liar || len(h.shares) > 0 || m.retain || m.several {
		return
	}
	again := slices.Contains(h.got, m)
	if p.qos == 2 && !m.loose && slices.Contains(h.once, m) {
		l.w.fail("%s is given m%d a second time, with QoS 2 [MQTT-4.3.3-2]", h.name.id, m.number)
	}
	if again || m.will || slices.Contains(h.refused, m) {
		return
	}
	for _, o := range h.got {
		if !o.will && !o.retain && o.first > m.last && !l.excused(h, m) { // else it was dropped, and a cut brought it back
			l.w.fail("%s is given m%d behind m%d, which was published later", h.name.id, m.number, o.number)
			return
		}
	}
}

func (l *ledger) damaged(n int) {
	if m := l.posts[n]; m != nil {
		m.void = true
	}
}

// lost reports whether a restart now may take what was acknowledged at an
// instant.
func (l *ledger) lost(d router.Durability, at int64, inOrder bool) bool {
	w := l.w
	switch d {
	case router.DurabilityNone:
		return true
	case router.DurabilityLazy:
		return !inOrder && (l.troubleSince(at) || w.now-at < lazyWait(w.plan))
	}
	return false
}

// owed names something that was promised and has not come; "": there is nothing.
func (l *ledger) owed() string {
	for _, n := range l.names {
		if n.conn != nil && len(n.conn.asked) > 0 {
			return n.id + " has no answer to " + brief(&n.conn.asked[0].packet)
		}
	}
	missing := 0
	for _, m := range l.order {
		if m.ackedAt == 0 || m.void || m.sureTo != 0 && l.w.now >= m.sureTo {
			continue
		}
		for _, members := range m.shared {
			if l.reached(members, m) {
				continue
			}
			if missing++; !l.excusedAny(members, m) || missing > l.dropped() {
				return "a shared subscription of " + members[0].name.id + " waits for " + m.what() + string(payloadOf(m.number))
			}
		}
		for _, h := range m.wanted {
			if h.name.one() != h || h.void || h.liar || slices.Contains(h.got, m) || slices.Contains(h.refused, m) {
				continue
			}
			if missing++; !l.excused(h, m) || missing > l.dropped() {
				return h.name.id + " waits for " + string(m.topic) + " " + brief(&packet{kind: publish, qos: m.qos, payload: payloadOf(m.number)})
			}
		}
	}
	return ""
}

func payloadOf(n int) []byte { return appendNumber(nil, n) }
