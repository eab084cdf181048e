package router

import (
	"github.com/loopmq/loopmq/codec"
)

// sharedBytesMin is the payload size from which a delivery shares one copy
// between connections instead of copying it into each one's output.
const sharedBytesMin = 4 << 10

// fan is the delivery of one PUBLISH: what was received and what has been made
// of it so far. Each form is made once, however many sessions get it.
type fan struct {
	p     *codec.Publish
	raw   []byte   // the packet as it came; nil when it cannot be passed on as it is
	msg   *Message // made when a session must keep the message
	seq   uint64
	buf   []byte                // encoded forms, one behind the other
	forms [6]struct{ a, b int } // by class; b == 0: not made
}

func (f *fan) begin(p *codec.Publish, raw []byte) {
	f.p, f.raw = p, raw
	f.buf = f.buf[:0]
	f.forms = [6]struct{ a, b int }{}
	f.seq++
}

// class numbers the forms: QoS and RETAIN.
func class(qos byte, retain bool) int {
	n := int(qos) * 2
	if retain {
		n++
	}
	return n
}

// form returns p as a packet with this QoS and RETAIN; for QoS > 0 the
// PacketID is still to be filled in.
//
// hot: no allocation once buf has grown.
func (f *fan) form(qos byte, retain bool) []byte {
	s := &f.forms[class(qos, retain)]
	if s.b == 0 {
		p := codec.Publish{QoS: qos, Retain: retain, Topic: f.p.Topic, PacketID: 1, Payload: f.p.Payload}
		s.a = len(f.buf)
		f.buf = codec.AppendPublish(f.buf, codec.V311, &p)
		s.b = len(f.buf)
	}
	return f.buf[s.a:s.b]
}

// message returns the copy that sessions keep.
func (f *fan) message(r *Router) *Message {
	if f.msg == nil {
		f.msg = r.cloneMessage(f.p)
	}
	return f.msg
}

// fanOut delivers the fan's PUBLISH to the subscribers in sets.
//
// hot: no allocation for QoS 0.
func (r *Router) fanOut(sets [][]*Subscription) {
	switch len(sets) {
	case 0:
		r.stats.Unmatched++
	case 1: // one filter: no session twice
		qos := r.fan.p.QoS
		for _, sub := range sets[0] {
			r.deliver(sub.session, min(qos, sub.qos))
		}
	default:
		r.fanOutOverlapping(sets)
	}
}

// fanOutOverlapping delivers once to each session, with the highest QoS that
// any of its matching filters was granted [MQTT-3.3.5-1].
func (r *Router) fanOutOverlapping(sets [][]*Subscription) {
	seq := r.fan.seq
	for _, set := range sets {
		for _, sub := range set {
			s := sub.session
			if s.fanSeq != seq {
				s.fanSeq, s.fanFirst, s.fanQoS = seq, sub, sub.qos
			} else {
				s.fanQoS = max(s.fanQoS, sub.qos)
			}
		}
	}
	for _, set := range sets {
		for _, sub := range set {
			if s := sub.session; s.fanFirst == sub {
				s.fanFirst = nil
				r.deliver(s, min(r.fan.p.QoS, s.fanQoS))
			}
		}
	}
}

// deliver hands the fan's PUBLISH to one session. RETAIN is 0 for what an
// established subscription gets [MQTT-3.3.1-9].
//
// hot: no allocation for QoS 0.
func (r *Router) deliver(s *Session, qos byte) {
	if qos > 0 {
		r.deliverAcked(s, qos)
		return
	}
	c := s.client
	if c == nil {
		return // QoS 0 is not kept for absent sessions (section 3.1.2.4)
	}
	f := &r.fan
	var ok bool
	switch {
	case f.raw != nil && !f.p.Retain:
		ok = c.conn.SendView(f.raw)
	case len(f.p.Payload) >= sharedBytesMin:
		ok = r.sendShared(c, f.message(r), &codec.Publish{Topic: f.p.Topic})
	default:
		ok = c.conn.Send(f.form(0, false))
	}
	if !ok {
		r.drop(s, DropOutputFull)
		return
	}
	r.stats.Delivered[0]++
}

// deliverAcked sends the fan's PUBLISH with QoS 1 or 2 if the session may get
// it now, and queues it otherwise.
func (r *Router) deliverAcked(s *Session, qos byte) {
	f := &r.fan
	d := delivery{msg: f.message(r), qos: qos}
	c := s.client
	if c == nil || !s.ready(r) {
		r.enqueue(s, d)
		return
	}
	id := s.out.nextID()
	var ok bool
	if len(f.p.Payload) >= sharedBytesMin {
		ok = r.sendShared(c, d.msg, &codec.Publish{QoS: qos, Topic: f.p.Topic, PacketID: id})
	} else {
		frame := f.form(qos, false)
		at := codec.PublishPacketIDOffset(frame)
		frame[at], frame[at+1] = byte(id>>8), byte(id)
		ok = c.conn.Send(frame)
	}
	if !ok {
		r.enqueue(s, d)
		return
	}
	r.fly(s, d)
}

// sendShared sends a large message: its head is copied, its payload shared.
func (r *Router) sendShared(c *Client, m *Message, p *codec.Publish) bool {
	r.scratch = codec.AppendPublishHead(r.scratch[:0], codec.V311, p, len(m.Payload()))
	return c.conn.SendShared(r.scratch, m.payload)
}

// ready reports whether the session's next message with QoS > 0 may leave at
// once: nothing is before it and the window has room.
func (s *Session) ready(r *Router) bool {
	return s.queue.n == 0 && s.out.resend == s.out.next && s.windowOpen(r)
}

func (s *Session) windowOpen(r *Router) bool {
	return s.out.open < r.limits.InflightMax
}

// fly notes that d was sent.
func (r *Router) fly(s *Session, d delivery) {
	e := s.out.add()
	s.out.resend = s.out.next
	e.delivery = d
	e.msg.hold()
	e.state = flightPuback
	if d.qos == 2 {
		e.state = flightPubrec
	}
	r.stats.Inflight++
	r.stats.Delivered[d.qos]++
}

// enqueue keeps d until its session can take it. At a limit the oldest go.
func (r *Router) enqueue(s *Session, d delivery) {
	size := d.msg.bytes()
	if size > r.limits.QueuedBytesMax {
		r.hit(LimitQueuedBytes)
		r.drop(s, DropTooLarge)
		return
	}
	for s.queue.n >= r.limits.QueuedMessagesMax {
		r.dropOldest(s, LimitQueuedMessages)
	}
	for s.queue.bytes+size > r.limits.QueuedBytesMax {
		r.dropOldest(s, LimitQueuedBytes)
	}
	d.msg.hold()
	s.queue.push(d)
	r.stats.Queued++
	r.stats.QueuedBytes += int64(size)
}

func (r *Router) dropOldest(s *Session, limit LimitID) {
	r.hit(limit)
	r.drop(s, DropQueueFull)
	r.release(s.dequeue().msg)
}

// dequeue takes the oldest waiting message; the hold passes to the caller.
func (s *Session) dequeue() delivery {
	d := s.queue.pop()
	s.r.stats.Queued--
	s.r.stats.QueuedBytes -= int64(d.msg.bytes())
	return d
}

// pump sends what the session is owed and may get now: first what an earlier
// connection left unacknowledged, in its order [MQTT-4.4.0-1], then the queue,
// then retained messages.
func (r *Router) pump(s *Session) {
	c := s.client
	if c == nil || c.closing {
		return
	}
	if !r.resend(s, c) {
		return
	}
	for s.queue.n > 0 && s.windowOpen(r) {
		d := s.queue.front()
		if !r.transmit(c, d, s.out.nextID(), false) {
			return // Drained comes
		}
		r.fly(s, *d)
		r.release(s.dequeue().msg) // fly holds it
	}
	if len(s.replays) > 0 {
		r.wantReplay(s)
	}
}

// resend repeats what was sent on an earlier connection and is still open. It
// reports whether all of it has left.
func (r *Router) resend(s *Session, c *Client) bool {
	o := &s.out
	for i := o.since(o.resend); i < o.open; i++ {
		e := o.at(i)
		o.resend = e.n
		if e.state == flightPubcomp {
			if c.acknowledge(codec.TypePubrel, e.packetID()) != nil {
				c.close(errAnswersUnread)
				return false
			}
			continue
		}
		if !r.transmit(c, &e.delivery, e.packetID(), true) { // [MQTT-3.3.1-1]
			return false
		}
		r.stats.Delivered[e.qos]++
	}
	o.resend = o.next
	return true
}

// transmit sends d as a PUBLISH.
func (r *Router) transmit(c *Client, d *delivery, id uint16, dup bool) bool {
	p := codec.Publish{Dup: dup, QoS: d.qos, Retain: d.retain, Topic: d.msg.Topic(), PacketID: id}
	if len(d.msg.Payload()) >= sharedBytesMin {
		return r.sendShared(c, d.msg, &p)
	}
	p.Payload = d.msg.Payload()
	r.scratch = codec.AppendPublish(r.scratch[:0], codec.V311, &p)
	return c.conn.Send(r.scratch)
}
