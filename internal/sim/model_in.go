package sim

import (
	"slices"
	"strings"
	"time"
)

// unread reports whether the router gave up a connection because an answer had
// no room in its output, or none in the client's Maximum Packet Size: what the
// packet asked for was done nevertheless.
func unread(why error) bool {
	return why != nil && (strings.HasPrefix(why.Error(), "answers are not being read") ||
		strings.HasPrefix(why.Error(), "an answer would be larger"))
}

// received takes in a packet that the router was given.
func (m *model) received(c *conn, raw []byte) {
	if len(raw) > c.packetMax {
		m.mustClose(c, 0x95)
		return
	}
	p, bad := decode(raw, c.level)
	if p.kind == connect && c.level == 0 {
		c.level = p.level
		if p.level < 3 || p.level > 5 {
			c.level = 4 // the form in which an unknown version is refused
		}
		c.doubtful = bad != nil
	}
	switch {
	case c.filing != nil && !c.gone:
		m.w.fail("conn %d is read from while its %s is done in pieces", c.id, brief(&c.filing.packet))
		return
	case bad != nil && c.connected && p.isLong() && !c.closing:
		m.file(c, &p, true)
		return
	case bad != nil || c.level == 5 && !minimal(raw):
		m.mustClose(c, 0)
		return
	case c.suspect && c.closing && !unread(c.why) && p.kind != disconnect:
		m.mustClose(c, 0) // it found something that we did not look for
		c.doubtful = true
		return
	}
	c.seenAt = m.now()
	if !c.connected || p.kind == connect {
		if p.kind != connect || c.connected {
			m.mustClose(c, 0x82)
			return
		}
		m.connect(c, &p)
		return
	}
	if c.suspect {
		c.sess.liar = true
	}
	c.sess.dirty = true
	m.handle(c, &p)
}

// minimal reports whether the length is encoded as short as can be.
func minimal(raw []byte) bool {
	i := 1
	for raw[i] >= 0x80 {
		i++
	}
	return i == 1 || raw[i] != 0
}

// receivedPart is the beginning of a packet: it is left alone, or refused for
// what can be seen already.
func (m *model) receivedPart(c *conn, raw []byte, used int) {
	n := frame(raw)
	kind, flags := raw[0]>>4, raw[0]&15
	repeats := kind == pubrel || kind == subscribe || kind == unsubscribe
	switch {
	case n < 0 || n > c.packetMax:
		reason := byte(0x81)
		if n > 0 {
			reason = 0x95
		}
		m.mustClose(c, reason)
	case kind == 0, kind != publish && flags&^bit(repeats, 8) != bit(repeats, 2),
		(kind == pingreq || kind == pingresp) && n > 2:
		m.mustClose(c, 0x81)
	case used != 0:
		m.w.fail("Data used %d bytes of a packet that is not whole", used)
	}
}

// handle is a packet of a client that is connected.
func (m *model) handle(c *conn, p *packet) {
	s := c.sess
	s.stuck = s.stuck && p.kind != subscribe
	switch p.kind {
	case publish:
		m.publishPacket(c, p)
	case puback, pubrec, pubcomp:
		m.acknowledged(c, p)
	case pubrel:
		i := place(s.received, p.id)
		if i >= 0 {
			s.received = slices.Delete(s.received, i, i+1)
		}
		m.answer(c, packet{kind: pubcomp, id: p.id, code: bit(i < 0 && c.level == 5, 0x92)})
	case subscribe, unsubscribe:
		m.file(c, p, false)
	case pingreq:
		m.answer(c, packet{kind: pingresp})
	case disconnect:
		m.disconnect(c, p)
	default:
		m.mustClose(c, 0x82)
	}
}

func (m *model) disconnect(c *conn, p *packet) {
	if p.props.is(propSessionExpiry) {
		if c.sess.expiry == 0 && p.props.sessionExpiry != 0 {
			m.mustClose(c, 0x82)
			return
		}
		c.sess.expiry = min(m.limits.SessionExpiry.Nanoseconds(), int64(p.props.sessionExpiry)*int64(time.Second))
	}
	if p.code == 0 {
		c.will = nil
	}
	m.mustClose(c, 0)
}

// publishPacket is a PUBLISH of a client.
func (m *model) publishPacket(c *conn, p *packet) {
	s, five := c.sess, c.level == 5
	if five && !m.resolve(c, p) {
		return
	}
	known := place(s.received, p.id) >= 0
	if five && p.qos == 2 && !known && len(s.received) >= 2*m.limits.ReceiveMaximum {
		m.mustClose(c, 0x93)
		return
	}
	acknowledge := func(code byte) {
		if p.qos > 0 {
			m.answer(c, packet{kind: byte(p.qos-1) + puback, id: p.id, code: bit(five, code)})
		}
	}
	if m.longTopic(p.topic) {
		if !five || p.qos == 0 {
			m.mustClose(c, 0x90)
		} else {
			acknowledge(0x90)
		}
		return
	}
	if p.qos == 2 && known {
		acknowledge(0)
		return
	}
	if p.topic[0] == '$' {
		if p.qos == 2 && !five {
			s.received = append(s.received, p.id)
		}
		acknowledge(0x87)
		return
	}
	msg := m.newMessage(p)
	if _, fits := m.retainable(msg); five && p.qos > 0 && p.retain && !fits {
		acknowledge(0x97)
		return
	}
	matched := m.publish(msg, s)
	if p.qos == 2 {
		s.received = append(s.received, p.id)
	}
	buried := slices.ContainsFunc(m.buried, func(b *sub) bool { return matches(b.inner, p.topic) })
	before := len(m.answers)
	if acknowledge(bit(!matched, 0x10)); len(m.answers) > before {
		m.answers[before].perhaps = buried
	}
}

// resolve gives p the topic that its alias stands for.
func (m *model) resolve(c *conn, p *packet) bool {
	if p.props.is(propSubscriptionID) {
		m.mustClose(c, 0x82)
		return false
	}
	if !p.props.is(propAlias) {
		return true
	}
	n := int(p.props.alias)
	if n > m.limits.TopicAliasMax {
		m.mustClose(c, 0x94)
		return false
	}
	for len(c.aliasIn) <= n {
		c.aliasIn = append(c.aliasIn, nil)
	}
	if len(p.topic) > 0 {
		c.aliasIn[n] = slices.Clone(p.topic)
		return true
	}
	if p.topic = c.aliasIn[n]; p.topic == nil {
		m.mustClose(c, 0x82)
		return false
	}
	return true
}

// acknowledged is a PUBACK, PUBREC or PUBCOMP.
func (m *model) acknowledged(c *conn, p *packet) {
	s := c.sess
	at := slices.IndexFunc(s.flights, func(f *flight) bool { return f.id == p.id && f.conn == c })
	failed := p.code >= 0x80
	if at < 0 { // a stray: harmless
		if p.kind == pubrec && !failed {
			m.answer(c, packet{kind: pubrel, id: p.id, code: bit(c.level == 5, 0x92)})
		}
		return
	}
	f := s.flights[at]
	f.refused = f.refused || failed
	switch {
	case p.kind == puback && f.qos == 1, p.kind == pubcomp && f.rec:
		m.finish(s, at)
	case p.kind == pubrec && f.qos == 2 && failed:
		if !f.rec {
			m.finish(s, at)
		}
	case p.kind == pubrec && f.qos == 2:
		f.rec = true
		m.answer(c, packet{kind: pubrel, id: p.id})
	default:
		m.mustClose(c, 0x82)
	}
}

// finish takes a message out of the window. By now its receiver has it: with
// QoS 2 exactly once, with QoS 1 at least once.
func (m *model) finish(s *session, at int) {
	f := s.flights[at]
	s.flights = slices.Delete(s.flights, at, at+1)
	s.dirty, s.stuck = true, false
	if s.conn != nil && f.conn == s.conn {
		s.conn.open--
	}
	if !s.liar && !f.refused && (f.got == 0 || f.qos == 2 && f.got != 1) {
		m.w.fail("%s has acknowledged %q with QoS %d and took it %d times", s.id, f.payload, f.qos, f.got)
	}
}

// delivered is told by a client that takes a message for new.
func (m *model) delivered(c *conn, id uint16) {
	if c.was == nil {
		return
	}
	for _, f := range c.was.flights {
		if f.id == id {
			f.got++
		}
	}
}

// grant enters one filter and returns what SUBACK says of it.
func (m *model) grant(c *conn, s *session, f *filter, ids []uint32) (code byte) {
	refusal := func(reason byte) byte {
		if c.level == 5 {
			return reason
		}
		return 0x80
	}
	at := slices.IndexFunc(s.subs, func(b *sub) bool { return string(b.name) == string(f.name) })
	switch {
	case len(f.name) > m.limits.TopicBytesMax || levels(inner(f.name)) > m.limits.TopicLevelsMax:
		return refusal(0x8f)
	case at < 0 && len(s.subs) >= m.limits.SubscriptionsMax:
		return refusal(0x97)
	}
	known := at >= 0
	if !known {
		b := &sub{session: s, name: slices.Clone(f.name)}
		b.inner = inner(b.name)
		at = len(s.subs)
		s.subs = append(s.subs, b)
		if isShared(b.name) {
			m.join(b)
		}
	}
	b := s.subs[at]
	b.qos, b.noLocal, b.rap, b.ids = f.qos, f.noLocal, f.rap, slices.Clone(ids)
	if b.group == nil && (f.handling == 0 || f.handling == 1 && !known) {
		m.owe(s, b)
	}
	return f.qos
}

// owe notes what is retained for a new subscription.
func (m *model) owe(s *session, b *sub) {
	m.dropReplay(s, b.name)
	r := &replay{name: b.name, qos: b.qos, ids: b.ids}
	for _, msg := range m.retained {
		if matches(b.inner, msg.topic) {
			r.left = append(r.left, msg)
		}
	}
	if len(r.left) > 0 {
		s.replays = append(s.replays, r)
	}
}

// dropReplay takes back what is retained for a filter. Some of it may be on its way: it waits for
// the store, or left between two pieces of this packet.
func (m *model) dropReplay(s *session, name []byte) {
	if m.w.mem != nil || s.conn.filing != nil {
		for _, r := range s.replays {
			if string(r.name) == string(name) {
				r.name, r.passed = nil, slices.Clone(r.left)
			}
		}
		return
	}
	s.replays = slices.DeleteFunc(s.replays, func(r *replay) bool { return string(r.name) == string(name) })
}

// ungrant removes one filter and returns what UNSUBACK says of it.
func (m *model) ungrant(s *session, name []byte) (code byte) {
	at := slices.IndexFunc(s.subs, func(b *sub) bool { return string(b.name) == string(name) })
	if at < 0 {
		return 0x11
	}
	m.leaveGroup(s.subs[at])
	s.subs = slices.Delete(s.subs, at, at+1)
	m.dropReplay(s, name)
	return 0
}
