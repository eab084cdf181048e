package sim

import (
	"bytes"
	"slices"

	"github.com/loopmq/loopmq/router"
)

// QoS 0 that does not fit into the output of a connection is late: it waits
// there, within router.Limits.LateBytesMax, and what comes behind it waits as
// well. At the limit the oldest goes. The model watches what the router keeps:
// it must be the newest of what was owed, in its order, and no less than the
// limit allows.

// lateOverBytes is what an entry counts beside its message.
const lateOverBytes = 64

// mayKeepLate reports whether so large a message may wait at all.
func (m *model) mayKeepLate(d *delivery) bool { return d.size+lateOverBytes <= m.limits.LateBytesMax }

// lateOwed reports whether d, which is late, must come, unless it is dropped at
// the limit.
func (m *model) lateOwed(d *direct) bool {
	return !d.expired(m.now()) && m.fits(d.delivery, d.conn) == fitsSurely
}

// tookLate finds a PUBLISH among what is late on its connection. What stands
// before it can have been dropped only if more has become late in this step.
func (m *model) tookLate(c *conn, p *packet) bool {
	for i, d := range c.late {
		if m.isDelivery(d.delivery, c, p) {
			m.passLate(c, i)
			c.late = c.late[1:]
			return true
		}
	}
	return false
}

// passLate takes the first n of what is late away, which were overtaken.
func (m *model) passLate(c *conn, n int) {
	for _, d := range c.late[:n] {
		if m.lateOwed(d) && !c.refusedNow && !m.moreLate(c) {
			m.w.fail("conn %d: %q is late and was overtaken", c.id, short(d.payload))
		}
	}
	c.lateSent = true
	c.late = c.late[n:]
}

// moreLate reports whether the router has been given more for c in this step.
func (m *model) moreLate(c *conn) bool {
	for _, d := range m.direct {
		if d.conn == c {
			return true
		}
	}
	return false
}

// settleLate compares what is late on each connection with what the router
// keeps.
func (m *model) settleLate() {
	for _, c := range m.w.conns {
		s := c.sess
		if s == nil || c.closing || m.w.err != nil {
			c.late = nil
			continue
		}
		owed := c.late
		for _, d := range m.direct {
			if d.conn == c && !d.done {
				owed = append(owed[:len(owed):len(owed)], d)
			}
		}
		if len(owed) > 0 {
			m.settleLateOf(c, s, owed)
		}
		c.lateSent = false
	}
}

func (m *model) settleLateOf(c *conn, s *session, owed []*direct) {
	m.is = m.is[:0]
	held := 0
	m.w.router.Late(s.id, func(topic, payload []byte, bytes int) {
		m.is = append(m.is, waiting{topic, payload, props{}, 0})
		held += bytes + lateOverBytes
	})
	if held > m.limits.LateBytesMax {
		m.w.fail("conn %d: %d bytes are late, at most %d may be", c.id, held, m.limits.LateBytesMax)
	}
	kept := make([]*direct, len(m.is))
	i := len(m.is)
	var dropped *direct // the newest that must have been
	behind := 0         // bytes of those behind it that waited and went, but need not have come
	for at := len(owed) - 1; at >= 0; at-- {
		d := owed[at]
		switch {
		case i > 0 && bytes.Equal(m.is[i-1].payload, d.payload) && bytes.Equal(m.is[i-1].topic, d.topic):
			i--
			kept[i] = d
		case !m.mayKeepLate(d.delivery):
		case !m.lateOwed(d):
			behind += int(bit(dropped == nil, 1)) * (d.size + lateOverBytes)
		case i > 0:
			m.w.fail("conn %d: %q is missing among what is late", c.id, short(d.payload))
			return
		case dropped == nil:
			dropped = d
		}
	}
	switch {
	case i > 0:
		m.w.fail("conn %d: %q is late and was not owed", c.id, short(m.is[i-1].payload))
	case dropped != nil && !c.lateSent && held+behind+dropped.size+lateOverBytes <= m.limits.LateBytesMax:
		m.w.fail("conn %d: %q with QoS 0 is lost, and there was room for it", c.id, short(dropped.payload))
	case len(kept) > 0 && !c.refused:
		m.w.fail("conn %d: %q is late, and nothing is in its way", c.id, short(kept[0].payload))
	}
	c.late = kept
}

// houseLate finds the members with whom shared messages are late that had been
// another one's: what is published waits for no member whose output is full. Those
// for which there is one member only come first.
func (m *model) houseLate() {
	m.makeWay()
	for {
		var l *limbo
		var members []*sub
		for _, o := range m.limbo {
			if list := m.lateMembers(o); o.took == nil && len(list) > 0 && (l == nil || len(list) < len(members)) {
				l, members = o, list
			}
		}
		if l == nil {
			return
		}
		m.houseLateWith(l, members[0])
	}
}

func (m *model) houseLateWith(l *limbo, b *sub) {
	d, c := l.deliveryTo(b), b.session.conn
	l.taker, l.took, l.over = b.session, d, c
	if own := m.twin(c, l.message); own != nil { // what was sent was the group's, and late is the other
		own.done = false
		return
	}
	at := len(m.direct)
	for at > 0 && m.direct[at-1].order > l.order {
		at--
	}
	m.direct = slices.Insert(m.direct, at, &direct{conn: c, delivery: d})
}

// makeWay gives what was seen to be sent for one group to another, of which no member
// has the message in its row, where one of the first has.
func (m *model) makeWay() {
	for _, l := range m.limbo {
		if l.took != nil || len(m.lateMembers(l)) > 0 {
			continue
		}
		for _, o := range m.limbo {
			if o == l || o.took == nil || o.message != l.message || l.took != nil || len(m.lateMembers(o)) == 0 {
				continue
			}
			if l.mayBe(o) {
				l.inherit(o)
			}
		}
	}
}

// lateMembers are those that have l in their row, and should not have it otherwise.
func (m *model) lateMembers(l *limbo) (list []*sub) {
	for _, b := range l.members {
		d, c := l.deliveryTo(b), b.session.conn
		if d.qos == 0 && c != nil && m.isLate(b.session, d) > m.lateWith(c, d) && (l.forced || m.twin(c, l.message) != nil) {
			list = append(list, b)
		}
	}
	return list
}

// twin is msg as it was sent over c for no group.
func (m *model) twin(c *conn, msg *message) *direct {
	i := slices.IndexFunc(m.direct, func(d *direct) bool { return d.conn == c && d.done && d.message == msg })
	if i < 0 {
		return nil
	}
	return m.direct[i]
}

// lateAmong reports whether a member that takes l with QoS 0 has the same message
// in its row: of several copies it cannot be told which was sent.
func (m *model) lateAmong(l *limbo) bool {
	return slices.ContainsFunc(l.members, func(b *sub) bool {
		d := l.deliveryTo(b)
		return d.qos == 0 && b.session.conn != nil && m.isLate(b.session, d) > 0
	})
}

// isLate counts what the router has of d in the row of s.
func (m *model) isLate(s *session, d *delivery) (n int) {
	m.w.router.Late(s.id, func(topic, payload []byte, _ int) {
		n += int(bit(bytes.Equal(payload, d.payload) && bytes.Equal(topic, d.topic), 1))
	})
	return n
}

// lateWith counts what should be there.
func (m *model) lateWith(c *conn, d *delivery) (n int) {
	for _, o := range c.late {
		n += int(bit(bytes.Equal(o.payload, d.payload) && bytes.Equal(o.topic, d.topic), 1))
	}
	for _, o := range m.direct {
		n += int(bit(o.conn == c && !o.done && bytes.Equal(o.payload, d.payload) && bytes.Equal(o.topic, d.topic), 1))
	}
	return n
}

// late reports whether something waits for a connection that takes it.
func (w *World) late() bool { return w.router.Stats().Late > 0 }

// drawLate makes the bound for what is late, with numbers of its own: the plan
// of a seed is otherwise what it was before.
func (p *Plan) drawLate() {
	r := &rng{p.Seed ^ 0x6c617465}
	if r.percent(30) {
		return
	}
	p.Limits.LateBytesMax = r.of(90, 180, 300, 1000, router.DefaultLimits().LateBytesMax)
}
