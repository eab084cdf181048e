package router

import (
	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/internal/invariant"
)

// sharedBytesMin is the payload size from which a delivery shares one copy
// between connections instead of copying it into each one's output.
const sharedBytesMin = 4 << 10

// visitsOfSet is what finding a filter costs, in visits to a subscription: a
// filter lies anywhere in memory.
const visitsOfSet = 16

// formCount is how many forms a PUBLISH has: version group, QoS, RETAIN.
const formCount = 12

// fan is the delivery of one PUBLISH: what was received and what has been made
// of it so far. Each form is made once, however many sessions get it.
type fan struct {
	p      *publication
	msg    *Message // made when a session must keep the message
	seq    uint64
	passed uint64                        // taken as they are, and not yet in the statistics
	buf    []byte                        // encoded forms, one behind the other
	made   uint16                        // which forms are in buf
	forms  [formCount]struct{ a, b int } // where

	pass     []byte            // forms with a PacketID, which output may point into
	older    []byte            // those of before
	numbered [formCount][]byte // in pass
	ids      [formCount]uint16 // their PacketIDs
	with     uint16            // which forms are in numbered
}

// Bounds of the forms with a PacketID that are kept until their output has left,
// in bytes: what is beyond is copied for each subscriber.
const (
	passBytesMin = 16 << 10
	passBytesMax = 256 << 10
)

// viewsAge lets the forms go that were made before the last call: their output
// has left.
func (f *fan) viewsAge() {
	invariant.Mangle(f.older)
	f.pass, f.older = f.older[:0], f.pass
}

func (f *fan) begin(p *publication) {
	f.p = p
	f.buf = f.buf[:0]
	f.made, f.with = 0, 0
	f.seq++
}

// formGroup is a kind of clients that get the same bytes.
type formGroup byte

const (
	group3     formGroup = iota // 3.1 and 3.1.1
	group5                      // 5.0 without aliases
	groupAlias                  // 5.0 with aliases: each its own
	groupCount
)

func groupOf(v5 bool) formGroup {
	if v5 {
		return group5
	}
	return group3
}

// class numbers the forms.
func class(v5 bool, qos byte, retain bool) int {
	n := int(qos) * 2
	if retain {
		n++
	}
	if v5 {
		n += formCount / 2
	}
	return n
}

// form returns the message as a packet of this kind, without an alias or
// Subscription Identifiers; for QoS > 0 the PacketID is still to be filled in.
//
// hot: no allocation once the buffer has grown.
func (r *Router) form(v5 bool, qos byte, retain bool) []byte {
	f := &r.fan
	k := class(v5, qos, retain)
	s := &f.forms[k]
	if f.made>>k&1 == 0 {
		f.made |= 1 << k
		o := r.outgoing(f.p.topic, f.p.payload, qos, retain)
		o.PacketID = 1
		version := codec.V311
		if v5 {
			version = codec.V5
			r.dress(f.p.props, f.p.expireAt, nil)
		}
		s.a = len(f.buf)
		f.buf = codec.AppendPublish(f.buf, version, o)
		s.b = len(f.buf)
	}
	return f.buf[s.a:s.b]
}

// shared returns the message as a packet with this PacketID that stays as it is
// until ViewsAge was called twice, so that subscribers who are in step share it.
// nil: the first that asked had another PacketID, or there is no room left.
//
// hot: no allocation once the memory has grown.
func (r *Router) shared(v5 bool, qos byte, retain bool, id uint16) []byte {
	f := &r.fan
	k := class(v5, qos, retain)
	if f.with>>k&1 != 0 {
		if f.ids[k] != id {
			return nil
		}
		return f.numbered[k]
	}
	f.with |= 1 << k
	f.ids[k], f.numbered[k] = id, nil
	form := r.form(v5, qos, retain)
	if cap(f.pass)-len(f.pass) < len(form) {
		if 2*cap(f.pass) > passBytesMax {
			return nil
		}
		f.pass = make([]byte, 0, max(2*cap(f.pass), passBytesMin)) // the views hold the old one
	}
	from := len(f.pass)
	f.pass = append(f.pass, form...)
	frame := f.pass[from:]
	at := codec.PublishPacketIDOffset(frame)
	frame[at], frame[at+1] = byte(id>>8), byte(id)
	f.numbered[k] = frame
	return frame
}

// message returns the copy that sessions keep.
func (r *Router) message() *Message {
	f := &r.fan
	if f.msg == nil {
		f.msg = r.cloneMessage(f.p)
	}
	return f.msg
}

// fanOut delivers the fan's PUBLISH to the subscribers in sets.
//
// hot: no allocation for QoS 0.
func (r *Router) fanOut(sets [][]*Subscription) {
	for _, set := range sets {
		r.visited += uint64(visitsOfSet + len(set))
	}
	switch len(sets) {
	case 0:
		r.stats.Unmatched++
	case 1: // one filter: no session twice
		r.fanOutOne(sets[0])
	default:
		r.toil += uint64(len(sets) / setsOfToil)
		r.fanOutOverlapping(sets)
	}
}

// fanOutOne delivers to the subscribers of one filter. With QoS 0 all clients
// of a group get the same bytes, which are looked for once.
//
// hot: no allocation for QoS 0.
func (r *Router) fanOutOne(set []*Subscription) {
	p := r.fan.p
	var frames [groupCount][]byte
	as := groupAlias // the group that gets the packet as it came; none
	if p.raw != nil && !p.retain {
		as = groupOf(p.v5)
		frames[as] = p.raw
	}
	for _, sub := range set {
		if sub.opts != nil {
			r.deliverWithOptions(sub)
			continue
		}
		if r.guarded && !sub.session.mayReceive(p.topic) {
			continue
		}
		c := sub.session.client
		if c != nil {
			f := frames[c.group]
			if f != nil && !c.behind && len(f) <= int(c.sendMax) {
				if c.group == as && c.conn.SendView(f) || c.group != as && c.conn.Send(f) {
					r.fan.passed++
					continue
				}
				r.refused(c)
			}
		}
		switch r.deliver(sub.session, min(p.qos, sub.qos), false, nil) {
		case putBlocked:
			r.putLate(sub.session, delivery{msg: r.message()})
		case putSent:
			if p.qos == 0 && c.group != groupAlias && len(p.payload) < sharedBytesMin {
				frames[c.group] = r.form(c.v5 != nil, 0, false)
			}
		}
	}
	r.stats.Delivered[0] += r.fan.passed
	r.stats.PayloadBytesOut += r.fan.passed * uint64(len(p.payload))
	r.fan.passed = 0
}

// deliverWithOptions delivers to a subscription that is alone in its session
// to match and has options of 5.0, or to a group.
func (r *Router) deliverWithOptions(sub *Subscription) {
	if g := sub.opts.entry; g != nil {
		r.deliverShared(g)
		return
	}
	if sub.opts.noLocal && sub.session == r.fan.p.from {
		return // [MQTT-3.8.3-3]
	}
	if r.guarded && !sub.session.mayReceive(r.fan.p.topic) {
		return
	}
	retain := sub.opts.rap && r.fan.p.retain
	if r.deliver(sub.session, min(r.fan.p.qos, sub.qos), retain, sub.origin()) == putBlocked {
		r.putLate(sub.session, delivery{msg: r.message(), from: sub.origin(), retain: retain})
	}
}

// fanOutOverlapping delivers once to each session, with the highest QoS that
// any of its matching filters was granted [MQTT-3.3.5-1] and all of their
// Subscription Identifiers [MQTT-3.3.4-4].
func (r *Router) fanOutOverlapping(sets [][]*Subscription) {
	seq := r.fan.seq
	for _, set := range sets {
		for _, sub := range set {
			if sub.opts != nil && (sub.opts.entry != nil || sub.opts.noLocal && sub.session == r.fan.p.from) {
				continue
			}
			k := sub.session.seldom()
			f := k.fan
			switch {
			case f == nil:
				f = &overlap{seq: seq, first: sub, qos: sub.qos}
				k.fan = f
			case f.seq != seq:
				f.seq, f.first, f.qos, f.rap = seq, sub, sub.qos, false
				f.ids = f.ids[:0]
			default:
				f.qos = max(f.qos, sub.qos)
			}
			if sub.opts != nil {
				f.rap = f.rap || sub.opts.rap
				f.ids = append(f.ids, sub.opts.ids...)
			}
		}
	}
	for _, set := range sets {
		for _, sub := range set {
			if sub.opts != nil && sub.opts.entry != nil {
				r.deliverShared(sub.opts.entry)
				continue
			}
			s := sub.session
			f := s.seldom().fan
			if f == nil || f.seq != seq || f.first != sub {
				continue
			}
			f.first = nil
			if r.guarded && !s.mayReceive(r.fan.p.topic) {
				continue
			}
			var o *origin
			if len(f.ids) > 0 {
				o = &origin{ids: append([]uint32(nil), f.ids...), own: true}
			}
			retain := f.rap && r.fan.p.retain
			if r.deliver(s, min(r.fan.p.qos, f.qos), retain, o) == putBlocked {
				r.putLate(s, delivery{msg: r.message(), from: o, retain: retain})
			}
		}
	}
}

// deliver hands the fan's PUBLISH to one session. RETAIN is 0 for what an
// established subscription gets [MQTT-3.3.1-9], unless it asked for Retain As
// Published. putBlocked: it is QoS 0 and cannot leave now.
//
// hot: no allocation for QoS 0.
func (r *Router) deliver(s *Session, qos byte, retain bool, o *origin) putResult {
	if qos > 0 {
		return r.deliverAcked(s, qos, retain, o)
	}
	c := s.client
	if c == nil {
		return putAbsent // QoS 0 is not kept for absent sessions (section 3.1.2.4)
	}
	if c.behind {
		return putBlocked
	}
	p := r.fan.p
	v5 := c.v5 != nil
	view := p.raw != nil && v5 == p.v5 && p.retain == retain
	if o != nil || c.aliases != nil || !view && len(p.payload) >= sharedBytesMin {
		return r.deliverOwn(c, retain, o)
	}
	frame := p.raw
	if !view {
		frame = r.form(v5, 0, retain)
	}
	switch {
	case len(frame) > int(c.sendMax):
		r.drop(s, DropPacketTooLarge, p.topic)
		return putTooLarge
	case view && c.conn.SendView(frame), !view && c.conn.Send(frame):
		r.delivered(0, len(p.payload))
		return putSent
	}
	r.refused(c)
	r.blocked(c)
	return putBlocked
}

// deliverOwn sends the fan's PUBLISH with QoS 0 in a form that only this
// client gets, or with a payload that is shared.
func (r *Router) deliverOwn(c *Client, retain bool, o *origin) putResult {
	p := r.fan.p
	out := r.outgoing(p.topic, p.payload, 0, retain)
	var m *Message
	if len(p.payload) >= sharedBytesMin {
		m = r.message()
	}
	result := r.put(c, out, p.props, p.expireAt, o, m)
	switch result {
	case putTooLarge:
		r.drop(c.session, DropPacketTooLarge, p.topic)
	case putSent:
		r.delivered(0, len(p.payload))
	}
	return result
}

// deliverAcked sends the fan's PUBLISH with QoS 1 or 2 if the session may get
// it now, and queues it otherwise.
func (r *Router) deliverAcked(s *Session, qos byte, retain bool, o *origin) putResult {
	c := s.client
	if c == nil && s.gone() {
		return putAbsent
	}
	s.own()
	d := delivery{msg: r.message(), from: o, qos: qos, retain: retain}
	if c == nil || !s.ready() {
		r.enqueue(s, d)
		return putSent
	}
	if o != nil || c.aliases != nil || len(d.msg.Payload()) >= sharedBytesMin || s.mustHold(qos) {
		r.give(s, d)
		return putSent
	}
	id := s.out.nextID()
	frame := r.shared(c.v5 != nil, qos, retain, id)
	view := frame != nil
	if !view {
		frame = r.form(c.v5 != nil, qos, retain)
		at := codec.PublishPacketIDOffset(frame)
		frame[at], frame[at+1] = byte(id>>8), byte(id)
	}
	switch {
	case len(frame) > int(c.sendMax):
		r.drop(s, DropPacketTooLarge, r.fan.p.topic)
	case view && c.conn.SendView(frame), !view && c.conn.Send(frame):
		r.fly(s, d)
	default:
		r.refused(c)
		r.blocked(c)
		r.enqueue(s, d)
	}
	return putSent
}
