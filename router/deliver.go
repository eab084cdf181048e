package router

import "github.com/loopmq/loopmq/codec"

// origin is what a delivery owes to the subscription it comes from.
type origin struct {
	ids   []uint32    // Subscription Identifiers
	group *shareGroup // nil: not shared
	own   bool        // the delivery's alone, and not its subscription's
}

// putResult says what became of a PUBLISH.
type putResult int

const (
	putSent     putResult = iota
	putBlocked            // the output is full; Drained comes
	putTooLarge           // larger than the client takes [MQTT-3.1.2-25]
	putAbsent             // QoS 0, and nobody is there
)

// outgoing starts the PUBLISH that is sent next.
func (r *Router) outgoing(topic, payload []byte, qos byte, retain bool) *codec.Publish {
	o := &r.out
	o.Dup, o.QoS, o.Retain, o.Topic, o.Payload = false, qos, retain, topic, payload
	return o
}

// dress gives the PUBLISH that is sent next its properties.
func (r *Router) dress(props []byte, expireAt int64, o *origin) {
	p := &r.out.Props
	p.Has, p.Encoded = 0, props
	if expireAt != 0 {
		p.Has = p.Has.Add(codec.PropMessageExpiry)
		p.MessageExpirySeconds = remaining(expireAt, r.now)
	}
	if o != nil && len(o.ids) > 0 {
		p.Has = p.Has.Add(codec.PropSubscriptionID)
		p.SubscriptionIDs = o.ids
	}
}

// put sends p, which outgoing made, to one client in the form that it takes.
// With m its payload is shared instead of copied.
func (r *Router) put(c *Client, p *codec.Publish, props []byte, expireAt int64, o *origin, m *Message) putResult {
	version := codec.V311
	name := p.Topic
	var alias uint16
	known := false
	if c.v5 != nil {
		version = codec.V5
		r.dress(props, expireAt, o)
		if c.aliases != nil {
			alias, known = c.aliases.choose(name)
			if alias == 0 && c.aliases.full() && len(name) > aliasBytes {
				r.hit(LimitTopicAliasOut)
			}
			if alias != 0 {
				p.Props.TopicAlias = alias
				p.Props.Has = p.Props.Has.Add(codec.PropTopicAlias)
			}
			if known {
				p.Topic = nil
			}
		}
		if c.sendMax < codec.MaxPacketBytes && codec.PublishBytes(version, p) > int(c.sendMax) {
			if alias == 0 || known {
				return putTooLarge
			}
			alias = 0 // to set one takes some bytes more
			p.Props.Has = p.Props.Has.Remove(codec.PropTopicAlias)
			if codec.PublishBytes(version, p) > int(c.sendMax) {
				return putTooLarge
			}
		}
	}
	ok := false
	if m != nil {
		r.scratch = codec.AppendPublishHead(r.scratch[:0], version, p, len(p.Payload))
		ok = c.conn.SendShared(r.scratch, m.large)
	} else {
		r.scratch = codec.AppendPublish(r.scratch[:0], version, p)
		ok = c.conn.Send(r.scratch)
	}
	if !ok {
		r.refused(c)
		r.blocked(c)
		return putBlocked
	}
	switch {
	case known:
		r.stats.AliasBytesSaved += uint64(len(name) - aliasBytes)
	case alias != 0:
		r.memory.aliases += c.aliases.sent(alias, name)
	}
	return putSent
}

// transmit sends d as a PUBLISH.
func (r *Router) transmit(c *Client, d *delivery, id uint16, dup bool) putResult {
	p := r.outgoing(d.msg.Topic(), d.msg.Payload(), d.qos, d.retain)
	p.Dup, p.PacketID = dup, id
	var shared *Message
	if len(p.Payload) >= sharedBytesMin {
		shared = d.msg
	}
	return r.put(c, p, d.msg.props(), d.msg.expireAt(), d.from, shared)
}

// give sends d, of QoS 1 or 2, if the session may get it now, and queues it
// otherwise. The caller keeps its hold.
func (r *Router) give(s *Session, d delivery) {
	s.own()
	if s.client == nil || s.client.closing || !s.ready() || !r.sendNew(s, &d) {
		r.enqueue(s, d)
	}
}

// sendNew sends d for the first time and notes that it is in flight. False:
// not now. What must not be sent any more, or never can be, is dropped.
func (r *Router) sendNew(s *Session, d *delivery) bool {
	if d.msg.expired(r.now) {
		r.drop(s, DropExpired, d.msg.Topic())
		r.dropEntry(d)
		return true
	}
	if !r.stillAllowed(s, d.msg) {
		r.drop(s, DropNoRight, d.msg.Topic())
		r.dropEntry(d)
		return true
	}
	if s.mustHold(d.qos) {
		r.flyLater(s, *d)
		return true
	}
	switch r.transmit(s.client, d, s.out.nextID(), false) {
	case putBlocked:
		return false
	case putTooLarge:
		r.drop(s, DropPacketTooLarge, d.msg.Topic())
		r.dropEntry(d)
	default:
		r.fly(s, *d)
	}
	return true
}

// sendUnacked sends d with QoS 0 to a session that is there. False: not now.
func (r *Router) sendUnacked(s *Session, d *delivery) bool {
	if d.msg.expired(r.now) {
		r.drop(s, DropExpired, d.msg.Topic())
		return true
	}
	if !r.stillAllowed(s, d.msg) {
		r.drop(s, DropNoRight, d.msg.Topic())
		return true
	}
	switch r.transmit(s.client, d, 0, false) {
	case putBlocked:
		return false
	case putTooLarge:
		r.drop(s, DropPacketTooLarge, d.msg.Topic())
	default:
		r.delivered(0, len(d.msg.Payload()))
	}
	return true
}

// ready reports whether the session's next message with QoS > 0 may leave at
// once: it is connected, nothing is before it and the window has room.
func (s *Session) ready() bool {
	return s.queue.n == 0 && s.onShelf() == nil && (s.out.resend == s.out.next || s.kept != nil) && s.windowOpen()
}

// mustHold tells whether a message opens a flight that does not leave at once:
// QoS 2 to a durable session waits until its PacketID is durable, or a client
// could take what has the same PacketID after a crash for a repeat; and what
// comes behind such a one waits too.
func (s *Session) mustHold(qos byte) bool {
	return s.kept != nil && (qos == 2 || s.out.resend != s.out.next)
}

// flyLater opens a flight that resend sends when it may leave.
func (r *Router) flyLater(s *Session, d delivery) {
	s.out.nextID()
	r.open(s, d)
	if d.qos == 2 {
		r.keep.list(s)
	}
}

func (s *Session) windowOpen() bool { return s.out.open < int(s.client.window) }

// fly notes that d was sent.
func (r *Router) fly(s *Session, d delivery) {
	e := r.open(s, d)
	e.sent = true
	s.out.resend = s.out.next
	r.delivered(d.qos, len(d.msg.Payload()))
}

// open opens the next flight, for d.
func (r *Router) open(s *Session, d delivery) *flight {
	r.toil += uint64(s.out.wentRound() / flightsOfToil) // nextID has searched
	e := s.addFlight()
	e.delivery = d
	r.memory.origins += d.originMemory()
	e.msg.hold()
	e.state = flightPuback
	if d.qos == 2 {
		e.state = flightPubrec
	}
	r.stats.Inflight++
	if s.kept != nil {
		r.keepEntry(s, &e.delivery, e.n+1)
	}
	return e
}

// enqueue keeps d until its session can take it. At a limit the oldest go, or
// what the policy says.
func (r *Router) enqueue(s *Session, d delivery) {
	s.own()
	size := d.msg.bytes()
	if size > s.queuedBytesMax() {
		r.hit(LimitQueuedBytes)
		r.drop(s, DropTooLarge, d.msg.Topic())
		return
	}
	if !r.admits(s, &d, size) {
		return
	}
	if !r.makeWay(s, size) {
		r.drop(s, DropQueueFull, d.msg.Topic())
		return
	}
	if c := s.client; c != nil && !c.closing && s.out.open > 0 && !s.windowOpen() {
		r.hit(LimitInflight)
		r.windowShut(c)
	}
	d.msg.hold()
	if s.kept != nil {
		r.keepEntry(s, &d, 0)
	}
	s.wait(d)
}

// dequeue takes the oldest waiting message; the hold passes to the caller.
func (s *Session) dequeue() delivery {
	d := s.queue.pop(s.r)
	s.r.stats.Queued--
	s.r.stats.QueuedBytes -= int64(d.msg.bytes())
	return d
}

// pump sends what the session is owed and may get now: first what an earlier
// connection left unacknowledged, in its order [MQTT-4.4.0-1], then the queue,
// then retained messages.
func (r *Router) pump(s *Session) {
	c := s.client
	if c == nil || c.closing || c.muted() {
		return
	}
	took := r.pumpAcked(s, c)
	if s.out.open > 0 && !s.windowOpen() && (s.waiting() > 0 || s.out.open > int(c.window)) && !c.closing {
		r.windowShut(c)
	}
	if !took {
		return
	}
	if s.late.n > 0 {
		r.pumpLate(s)
	}
	if len(s.replays) > 0 {
		r.wantReplay(s)
	}
}

// pumpAcked sends QoS 1 and 2. False: the output is full.
func (r *Router) pumpAcked(s *Session, c *Client) bool {
	if !r.resend(s, c) && s.kept == nil { // a durable one opens flights that wait, within its window
		return s.out.open >= int(c.window) // then it is acknowledgements that are missing
	}
	for {
		for s.queue.n > 0 && s.windowOpen() {
			if !r.sendNew(s, s.queue.front()) {
				return false // Drained comes
			}
			r.release(s.dequeue().msg) // in flight it is held once more
		}
		if !r.refill(s) || !s.windowOpen() {
			return true
		}
	}
}
