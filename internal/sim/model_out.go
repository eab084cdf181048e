package sim

import (
	"bytes"
	"slices"
	"time"
)

// sent judges one packet that the router sent.
func (m *model) sent(c *conn, raw []byte) {
	p, err := decode(raw, c.level)
	if c.doubtful && raw[0]>>4 == connack && raw[3] != 0 {
		return // the refusal of a CONNECT that we read otherwise
	}
	if err != nil {
		m.w.fail("conn %d is sent what cannot be read: %v: % x", c.id, err, raw)
		return
	}
	if len(raw) > c.maxPacket {
		m.w.fail("conn %d is sent %d bytes; its Maximum Packet Size is %d", c.id, len(raw), c.maxPacket)
	}
	if c.gone {
		m.w.fail("conn %d is sent a packet after its end", c.id)
	}
	if !c.answered && p.kind != connack && !c.doubtful {
		m.w.fail("conn %d is sent a packet before CONNACK [MQTT-3.2.0-1]: % x", c.id, raw)
	}
	switch p.kind {
	case publish:
		m.sentPublish(c, &p)
	case disconnect:
		if c.level != 5 || !c.closing {
			m.w.fail("conn %d is sent DISCONNECT", c.id)
		}
		c.told = int(p.code)
	default:
		m.sentAnswer(c, &p)
	}
}

// sentAnswer looks for the packet among those that are due.
func (m *model) sentAnswer(c *conn, p *packet) {
	if c.terse && p.kind != connack && p.props.is(propReason) {
		m.w.fail("conn %d is sent a Reason String, which it does not want [MQTT-3.1.2-29]: %s", c.id, brief(p))
	}
	for _, a := range m.answers {
		if a.conn != c || a.done {
			continue
		}
		if a.kind == p.kind && a.id == p.id && (a.code == p.code || a.perhaps && p.code == 0) && a.present == p.present && bytes.Equal(a.codes, p.codes) &&
			(p.kind != connack || sameConnack(&a.props, &p.props)) {
			a.done = true
			c.answered = c.answered || p.kind == connack && p.code == 0
			return
		}
		break
	}
	if p.kind == pubrel && c.sess != nil && m.releasedAgain(c, c.sess, p) {
		return
	}
	for _, a := range m.answers {
		if a.conn == c && !a.done {
			m.w.fail("conn %d is sent %s, should be %s", c.id, brief(p), brief(&a.packet))
			return
		}
	}
	m.w.fail("conn %d is sent %s without cause", c.id, brief(p))
}

// releasedAgain reports whether p repeats the PUBREL of an earlier connection.
func (m *model) releasedAgain(c *conn, s *session, p *packet) bool {
	for i := 0; i < len(s.flights); {
		f := s.flights[i]
		switch {
		case f.conn == c:
			i++
		case f.id == p.id && (f.rec || m.forgone(f, c)):
			f.refused = f.refused || !f.rec
			f.conn, f.rec = c, true
			c.open++
			return true
		case f.qos == 1 && m.forgone(f, c):
			s.flights = slices.Delete(s.flights, i, i+1)
		default:
			return false // another one is first
		}
	}
	return false
}

// forgone reports whether f is perhaps not sent over c, which takes less. With QoS 2
// PUBREL comes instead: the client may have it from before.
func (m *model) forgone(f *flight, c *conn) bool {
	return !f.rec && m.fits(f.delivery, c) != fitsSurely
}

func sameConnack(a, b *props) bool {
	return a.has == b.has&^(1<<propReason) && a.sessionExpiry == b.sessionExpiry && a.receiveMax == b.receiveMax &&
		a.maxPacket == b.maxPacket && a.aliasMax == b.aliasMax && a.keepAlive == b.keepAlive &&
		bytes.Equal(a.assignedID, b.assignedID)
}

// sentPublish finds the delivery that a PUBLISH is.
func (m *model) sentPublish(c *conn, p *packet) {
	s := c.sess
	if s == nil {
		m.w.fail("conn %d is sent %s and has no session", c.id, brief(p))
		return
	}
	s.dirty = true
	if !m.aliased(c, p) {
		return
	}
	if p.qos > 0 {
		if c.open++; c.open > c.window {
			m.w.fail("conn %d is sent %s as the %d. at once; it takes %d [MQTT-3.3.4-9]", c.id, brief(p), c.open, c.window)
		}
	}
	switch {
	case p.dup:
		m.sentAgain(c, s, p)
	case p.qos == 0:
		if !m.tookLate(c, p) && !m.tookDirect(c, p) && m.tookReplay(s, c, p, false) == nil &&
			m.tookLimbo(s, c, p) == nil && m.tookReplay(s, c, p, true) == nil {
			m.unexpected(s, c, p)
		}
	default:
		m.sentFirst(c, s, p)
	}
}

// aliased puts the topic in where an alias stands for it.
func (m *model) aliased(c *conn, p *packet) bool {
	if !p.props.is(propAlias) {
		return true
	}
	n := int(p.props.alias)
	switch {
	case n > c.aliasMax:
		m.w.fail("conn %d is sent Topic Alias %d; it takes %d [MQTT-3.1.2-26]", c.id, n, c.aliasMax)
		return false
	case len(p.topic) > 0:
		c.aliasOut[n] = slices.Clone(p.topic)
	case c.aliasOut[n] == nil:
		m.w.fail("conn %d is sent Topic Alias %d, which was never set", c.id, n)
		return false
	default:
		p.topic = c.aliasOut[n]
	}
	return true
}

func (m *model) unexpected(s *session, c *conn, p *packet) {
	next := "nothing"
	if len(s.pending) > 0 {
		next = string(s.pending[0].payload)
	}
	m.w.fail("%s on conn %d is sent %s, which it is not owed now; the next of its queue is %s", s.id, c.id, brief(p), next)
}

// same reports whether p is d on c.
func (m *model) same(msg *message, qos byte, retain bool, ids []uint32, c *conn, p *packet) bool {
	if p.qos != qos || p.retain != retain || !bytes.Equal(p.payload, msg.payload) || !bytes.Equal(p.topic, msg.topic) {
		return false
	}
	if c.level != 5 {
		return true
	}
	got := slices.Clone(p.props.subIDs)
	slices.Sort(got)
	if !slices.Equal(got, ids) || !p.props.sameTravel(&msg.props) || p.props.is(propExpiry) != (msg.expireAt != 0) {
		return false
	}
	if msg.expireAt == 0 {
		return true
	}
	left := max(0, msg.expireAt-m.now()) // [MQTT-3.3.2-6]
	off := int64(p.props.expiry)*int64(time.Second) - left
	return off >= 0 && off < int64(time.Second)
}

func (m *model) isDelivery(d *delivery, c *conn, p *packet) bool {
	if m.same(d.message, d.qos, d.retain, d.ids, c, p) {
		return true
	}
	for _, f := range d.forms {
		if m.same(d.message, d.qos, f.retain, f.ids, c, p) {
			d.retain, d.ids = f.retain, f.ids
			return true
		}
	}
	return false
}

// isOther has d be another message that looked the same over an older version of the
// protocol, if p is that.
func (m *model) isOther(d *delivery, c *conn, p *packet) bool {
	for _, o := range d.others {
		as := *d
		if as.message = o; m.isDelivery(&as, c, p) {
			*d = as
			return true
		}
	}
	return false
}

// sentAgain is a repetition on a new connection: all that is open, in the order
// in which it was first sent [MQTT-4.4.0-1], [MQTT-4.6.0-1].
func (m *model) sentAgain(c *conn, s *session, p *packet) {
	for i := 0; i < len(s.flights); {
		f := s.flights[i]
		switch {
		case f.conn == c:
			i++
		case f.id == p.id && !f.rec && (m.isDelivery(f.delivery, c, p) || m.isOther(f.delivery, c, p)):
			f.conn = c
			return
		case f.qos == 1 && m.forgone(f, c): // this connection takes less
			s.flights = slices.Delete(s.flights, i, i+1)
		default:
			m.w.fail("%s on conn %d is sent %s again; next is PacketID %d, %q", s.id, c.id, brief(p), f.id, f.payload)
			return
		}
	}
	m.unexpected(s, c, p)
}

// sentFirst is a first transmission with QoS 1 or 2.
func (m *model) sentFirst(c *conn, s *session, p *packet) {
	for i := 0; i < len(s.flights); {
		f := s.flights[i]
		switch {
		case f.id == p.id:
			m.w.fail("%s is sent %s while this PacketID is in use", s.id, brief(p))
			return
		case f.conn == c:
			i++
		case f.qos == 1 && m.forgone(f, c):
			s.flights = slices.Delete(s.flights, i, i+1)
		default:
			m.w.fail("%s is sent %s before %q is repeated", s.id, brief(p), f.payload)
			return
		}
	}
	d := m.tookPending(s, c, p)
	if d == nil {
		d = m.tookReplay(s, c, p, false)
	}
	if d == nil {
		d = m.tookLimbo(s, c, p)
	}
	if d == nil {
		d = m.tookReplay(s, c, p, true)
	}
	if d == nil {
		d = m.tookLent(s, c, p)
	}
	if d == nil {
		m.unexpected(s, c, p)
		return
	}
	if d.expired(m.now()) {
		m.w.fail("%s is sent %s after its expiry [MQTT-3.3.2-5]", s.id, brief(p))
	}
	s.flights = append(s.flights, &flight{delivery: d, id: p.id, conn: c})
	if len(s.flights) > m.limits.InflightMax {
		m.w.fail("%s has %d messages in flight; the limit is %d", s.id, len(s.flights), m.limits.InflightMax)
	}
}

// tookPending takes p off the front of the queue. What must not or cannot be
// sent may be left out; deliveries of one publication have no order.
func (m *model) tookPending(s *session, c *conn, p *packet) *delivery {
	for i, d := range s.pending {
		was := *d
		if m.isDelivery(d, c, p) && !d.expired(m.now()) {
			if p.retain && len(d.forms) > 0 {
				s.lend(d, was, p)
			}
			fresh := min(s.fresh, len(s.pending)-i-1)
			kept := slices.DeleteFunc(slices.Clone(s.pending[:i]), func(o *delivery) bool { return o.order != d.order })
			s.pending = append(kept, s.pending[i+1:]...)
			if s.fresh > fresh {
				s.fresh = min(s.fresh-1, fresh+len(kept))
			}
			return d
		}
		if !m.mayDrop(d, c) && (i+1 == len(s.pending) || s.pending[i+1].order != d.order) {
			return nil
		}
	}
	return nil
}

// lent is a delivery that was taken for what was sent, where a retained message may
// have been as good.
type lent struct {
	taken *delivery
	was   delivery // before it was given another form
	as    packet
}

// lend notes that d was taken for p, which the router may forget.
func (s *session) lend(d *delivery, was delivery, p *packet) {
	as := *p
	as.topic, as.payload, as.props = slices.Clone(p.topic), slices.Clone(p.payload), d.props
	as.props.subIDs, as.props.expiry = slices.Clone(p.props.subIDs), p.props.expiry
	as.props.has |= p.props.has
	s.lent = append(s.lent, lent{d, was, as})
}

// tookLent finds what p is where an earlier one was a retained message after all.
func (m *model) tookLent(s *session, c *conn, p *packet) *delivery {
	for i, l := range s.lent {
		if !m.isDelivery(&l.was, c, p) {
			continue
		}
		for _, passed := range []bool{false, true} {
			retained := m.tookReplay(s, c, &l.as, passed)
			if retained == nil {
				continue
			}
			for _, f := range s.flights {
				if f.delivery == l.taken {
					f.delivery = retained
				}
			}
			s.lent = slices.Delete(s.lent, i, i+1)
			return &l.was
		}
	}
	return nil
}

func (m *model) tookDirect(c *conn, p *packet) bool {
	for i, d := range m.direct {
		if d.conn != c || d.done || !m.isDelivery(d.delivery, c, p) {
			continue
		}
		for _, before := range m.direct[:i] {
			owed := before.conn == c && !before.done && before.order < d.order
			if owed && !c.refusedNow && m.fits(before.delivery, c) == fitsSurely {
				return false // out of order
			}
		}
		m.passLate(c, len(c.late))
		d.done = true
		return true
	}
	return false
}

// tookReplay finds a retained message that p may be: of those that must come, or
// with passed of those that may.
func (m *model) tookReplay(s *session, c *conn, p *packet, passed bool) *delivery {
	if !p.retain {
		return nil
	}
	for _, r := range s.replays {
		for _, msg := range r.left {
			if slices.Contains(r.passed, msg) != passed || msg.expired(m.now()) {
				continue
			}
			if d := r.delivery(msg); m.isDelivery(d, c, p) {
				r.forget(msg)
				m.kept = append(m.kept, keptSent{s, c, r, d})
				return d
			}
		}
	}
	return nil
}

// Whether a delivery fits in the client's Maximum Packet Size.
const (
	fitsSurely = iota
	fitsPerhaps
	fitsNever
)

// fits compares sizes; an alias can make a packet smaller or larger.
func (m *model) fits(d *delivery, c *conn) int {
	if c.maxPacket >= 1<<28 {
		return fitsSurely
	}
	p := packet{kind: publish, qos: d.qos, id: 1, topic: d.topic, payload: d.payload, props: d.props}
	p.props.subIDs = d.ids
	if d.expireAt != 0 {
		p.props.set(propExpiry)
	}
	if len(d.ids) > 0 {
		p.props.set(propSubscriptionID)
	}
	most := len(encode(nil, &p, c.level))
	least := most
	for _, f := range d.forms {
		other := p
		other.props.subIDs = f.ids
		other.props.set(propSubscriptionID)
		n := len(encode(nil, &other, c.level))
		most, least = max(most, n+1), min(least, n)
	}
	if c.aliasMax > 0 {
		most += 5
		least -= len(d.topic)
	}
	switch {
	case most <= c.maxPacket:
		return fitsSurely
	case least > c.maxPacket:
		return fitsNever
	}
	return fitsPerhaps
}

// mayDrop reports whether d need not be sent on c: it is too old, or too large.
func (m *model) mayDrop(d *delivery, c *conn) bool {
	return d.expired(m.now()) || c != nil && m.fits(d, c) != fitsSurely
}
