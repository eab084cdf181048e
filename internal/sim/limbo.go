package sim

import (
	"bytes"
	"slices"

	"github.com/loopmq/loopmq/router"
)

// tookLimbo finds a shared message that p may be. Where the same message is on
// its way through several groups, a look at p does not tell through which it
// came: earlier findings are changed when they stand in the way.
func (m *model) tookLimbo(s *session, c *conn, p *packet) *delivery {
	for _, move := range []bool{false, true} {
		for _, l := range m.limbo {
			if (l.took != nil) != move {
				continue
			}
			for _, b := range l.members {
				if b.session != s {
					continue
				}
				d := l.deliveryTo(b)
				if !m.isDelivery(d, c, p) || move && !m.move(l, len(m.limbo)) {
					continue
				}
				if l.forced && d.expired(m.now()) {
					m.w.fail("%s is sent %s after its expiry [MQTT-3.3.2-5]", s.id, brief(p))
				}
				d.others = m.undressed(l, c)
				m.take(l, s, d, c)
				return d
			}
		}
	}
	return nil
}

// undressed are the messages that c, which shows no properties, cannot tell from l: a
// message is repeated without them where its client has come back with such a version.
func (m *model) undressed(l *limbo, c *conn) (list []*message) {
	for _, o := range m.limbo {
		if c.level != 5 && o.message != l.message && bytes.Equal(o.topic, l.topic) && bytes.Equal(o.payload, l.payload) {
			list = append(list, o.message)
		}
	}
	return list
}

// take notes that s got l as d: over c, or in its queue.
func (m *model) take(l *limbo, s *session, d *delivery, c *conn) {
	l.taker, l.took, l.over = s, d, c
	for _, o := range m.limbo {
		if o == l || o.message != l.message {
			continue
		}
		for _, b := range o.members {
			if b.session != s {
				continue
			}
			if other := o.deliveryTo(b); other.like(d, c) {
				d.groups = append(d.groups, o.groups...)
				d.mayBe(other)
			}
		}
	}
	s.doubt(d, c)
}

// doubt compares d with all else that s has under way.
func (s *session) doubt(d *delivery, c *conn) {
	for _, f := range s.flights {
		d.doubt(f.delivery, c)
	}
	for _, o := range s.pending {
		d.doubt(o, c)
	}
}

// doubt notes that d and another delivery of the same message to the same
// session may be each other.
func (d *delivery) doubt(o *delivery, c *conn) {
	if o == d || o.message != d.message || !o.like(d, c) {
		return
	}
	d.mayBe(o)
	o.mayBe(d)
	if len(o.groups) == 0 || o.unsure {
		o.unsure, d.unsure = true, true
		o.groups = append(slices.Clone(o.groups), d.groups...)
	}
}

// mayBe notes the other form that d may turn out to have.
func (d *delivery) mayBe(o *delivery) {
	if d.qos == o.qos && (d.retain != o.retain || !slices.Equal(d.ids, o.ids)) {
		d.forms = append(d.forms, form{o.retain, o.ids})
	}
}

// like reports whether d and o, of the same message, look the same on c, or in
// a queue.
func (d *delivery) like(o *delivery, c *conn) bool {
	return d.qos == o.qos && (c == nil || d.retain == o.retain && (c.level != 5 || slices.Equal(d.ids, o.ids)))
}

// move has the session that was found to have got l have got another one.
func (m *model) move(l *limbo, depth int) bool {
	if depth == 0 {
		return false
	}
	for _, o := range m.limbo {
		if o == l || o.message != l.message {
			continue
		}
		for _, b := range o.members {
			d := o.deliveryTo(b)
			if b.session == l.taker && d.like(l.took, l.over) && (o.took == nil || m.move(o, depth-1)) {
				o.taker, o.took, o.over = l.taker, l.took, l.over
				d.mayBe(o.took)
				o.took.forms = append(o.took.forms, d.forms...)
				o.took.ids, o.took.retain = d.ids, d.retain
				o.taker.doubt(o.took, o.over)
				l.taker, l.took = nil, nil
				return true
			}
		}
	}
	return false
}

// deliveryTo is what the message would be for one member.
func (l *limbo) deliveryTo(b *sub) *delivery {
	d := &delivery{
		message: l.message, qos: min(l.most, b.qos), retain: b.rap && l.message.retain, ids: b.ids,
		groups: slices.Clone(l.groups), order: l.order,
	}
	if l.forced {
		d.retain = l.retain
		for _, f := range l.forms {
			d.forms = append(d.forms, form{f.retain, b.ids})
		}
	}
	return d
}

// endLimbo takes an ending session out of the choice of members. What it may
// have been given in this step is passed on.
func (m *model) endLimbo(s *session) {
	for _, l := range m.limbo {
		i := slices.IndexFunc(l.members, func(b *sub) bool { return b.session == s })
		if i < 0 || l.took != nil {
			continue
		}
		d := l.deliveryTo(l.members[i])
		l.members = slices.Delete(l.members, i, i+1)
		if d.qos == 0 || d.size > m.limits.QueuedBytesMax {
			continue
		}
		m.endedPerhaps++
		m.chained = true
		l.unsure = true
		if len(l.members) > 0 {
			m.limbo = append(m.limbo, &limbo{
				message: l.message, groups: l.groups, members: slices.Clone(l.members), order: l.order,
				most: d.qos, retain: d.retain, forced: true, unsure: true,
			})
		}
	}
}

// settleLimbo finds the members in whose queues shared messages went that were
// not sent at once.
func (m *model) settleLimbo() {
	if m.chained { // passed on once and again: in which order cannot be told
		for _, l := range m.limbo {
			l.order = m.order
		}
		for _, s := range m.sessions {
			for _, d := range s.pending {
				if d.order > m.before {
					d.order = m.order
				}
			}
		}
	}
	for _, l := range m.limbo {
		if l.took == nil && m.w.err == nil {
			m.house(l, 4)
		}
	}
}

// house finds a queue that has l, or one that has another message whose place l
// can take.
func (m *model) house(l *limbo, depth int) bool {
	for _, b := range l.members {
		d, s := l.deliveryTo(b), b.session
		if d.qos > 0 && m.find(s.id) == s && m.waiting(s, d) > count(s.pending, d) {
			m.insert(s, d)
			m.take(l, s, d, nil)
			s.dirty = true
			return true
		}
	}
	for _, o := range m.limbo {
		if depth == 0 || o == l || o.took == nil || o.message != l.message {
			continue
		}
		if !l.mayBe(o) {
			continue
		}
		l.inherit(o)
		if m.house(o, depth-1) {
			return true
		}
		o.inherit(l)
	}
	return false
}

// settleLost judges the shared messages that went to nobody.
func (m *model) settleLost() {
	for _, l := range m.limbo {
		if l.took != nil || l.unsure || m.w.err != nil {
			continue
		}
		if m.w.router.Stats().Dropped[router.DropQueueFull] > m.queueFull {
			m.queueFull++ // it was queued, and another message of the step took its place
			continue
		}
		if !m.excused(l) && !m.lateAmong(l) && !m.wasKept(l) && !m.lends(l, nil) {
			m.w.fail("%q went to no member of %s", short(l.payload), l.groups[0].name)
		}
	}
}

// lends has another one give l what was seen to be sent or queued for it, as they look
// the same: one that perhaps need not have gone to anybody, one for which a retained
// message was taken, or one to which a third lends in its turn. Those in asked have
// been tried.
func (m *model) lends(l *limbo, asked []*limbo) bool {
	asked = append(asked, l)
	for _, o := range m.limbo {
		if o.took == nil || o.message != l.message || slices.Contains(asked, o) || !l.mayBe(o) {
			continue
		}
		l.inherit(o)
		if o.unsure || m.wasKept(o) || m.lends(o, asked) {
			l.took.groups = append(slices.Clone(l.took.groups), l.groups...)
			return true
		}
		o.inherit(l)
	}
	return false
}

// keptSent is what was taken in this step for a retained message that s was owed.
type keptSent struct {
	session *session
	conn    *conn
	replay  *replay
	*delivery
}

// wasKept has l be what was taken for a retained message that looks the same. That
// one is owed still, unless it has been replaced, or its subscription, meanwhile.
func (m *model) wasKept(l *limbo) bool {
	for i, k := range m.kept {
		for _, b := range l.members {
			d := l.deliveryTo(b)
			if k.message != l.message || b.session != k.session || !d.like(k.delivery, k.conn) {
				continue
			}
			m.kept = slices.Delete(m.kept, i, i+1)
			for _, f := range k.session.flights {
				if f.delivery == k.delivery {
					f.delivery = d
				}
			}
			r := k.replay
			if r.left = append(r.left, k.message); r.name == nil || !slices.Contains(m.retained, k.message) {
				r.passed = append(r.passed, k.message)
			}
			m.take(l, k.session, d, k.conn)
			return true
		}
	}
	return false
}

// mayBe reports whether what was seen of o may as well be l.
func (l *limbo) mayBe(o *limbo) bool {
	return slices.ContainsFunc(l.members, func(b *sub) bool {
		return b.session == o.taker && l.deliveryTo(b).like(o.took, o.over)
	})
}

// inherit has l be what was taken for o.
func (l *limbo) inherit(o *limbo) {
	l.taker, l.took, l.over = o.taker, o.took, o.over
	o.taker, o.took, o.over = nil, nil, nil
}

// insert queues d among what came in this step.
func (m *model) insert(s *session, d *delivery) {
	if d.size > m.limits.QueuedBytesMax {
		return
	}
	at := len(s.pending)
	for at > 0 && s.pending[at-1].order > d.order {
		at--
	}
	if s.fresh > 0 && at > len(s.pending)-s.fresh {
		s.fresh++
	}
	s.pending = slices.Insert(s.pending, at, d)
}

// excused reports whether a message may have gone to no member of its group:
// nobody could take it, or the router counts that it was dropped.
func (m *model) excused(l *limbo) bool {
	if m.groupDrops() > m.dropped {
		return true
	}
	return slices.ContainsFunc(l.groups, func(g *group) bool {
		return !slices.ContainsFunc(l.members, func(b *sub) bool {
			c := b.session.conn
			return string(b.name) == string(g.name) && (l.deliveryTo(b).qos > 0 || c != nil && !c.closing)
		})
	})
}

// waiting counts in the router's queue of s what equals d.
func (m *model) waiting(s *session, d *delivery) (n int) {
	if m.queued == nil {
		m.queued = map[*session][]waiting{}
	}
	list, looked := m.queued[s]
	if !looked {
		list = m.queue(nil, s)
		m.queued[s] = list
	}
	for i := range list {
		n += int(bit(equals(d, &list[i]), 1))
	}
	return n
}

func count(list []*delivery, d *delivery) (n int) {
	for _, o := range list {
		if o.qos == d.qos && bytes.Equal(o.payload, d.payload) && bytes.Equal(o.topic, d.topic) && o.props.sameTravel(&d.props) {
			n++
		}
	}
	return n
}

// groupDrops is how many messages were dropped for what may befall a member.
func (m *model) groupDrops() uint64 {
	d := &m.w.router.Stats().Dropped
	return d[router.DropPacketTooLarge] + d[router.DropTooLarge] + d[router.DropOutputFull] + d[router.DropNoMember] +
		d[router.DropExpired]
}
