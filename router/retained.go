package router

import (
	"cmp"
	"slices"

	"github.com/loopmq/loopmq/internal/timer"
	"github.com/loopmq/loopmq/router/topic"
)

// retainedMessage is the last message of a topic that asked to be retained.
type retainedMessage struct {
	msg   *Message
	stamp uint64 // Router.stored when it was stored
	key   uint64 // of its record; 0 = there is none
	qos   byte
	dirty bool // its record is to be written
}

// retainedEnd removes a retained message when its Message Expiry is over.
type retainedEnd struct {
	r     *Router
	m     *retainedMessage
	timer timer.Timer
}

// Due removes the message.
func (e *retainedEnd) Due(int64) {
	e.r.stats.Dropped[DropExpired]++
	e.r.unretain(e.m.msg.Topic())
}

// replay is the delivery of retained messages to one new subscription. It goes
// at the session's pace, in pieces, and survives a reconnect.
type replay struct {
	cursor *topic.Cursor[*retainedMessage] // nil: called off
	n      uint32                          // Subscription.owed; later ones have larger numbers
	from   *origin
	before uint64 // stamps from here on were delivered as they came
	qos    byte
}

// replayPassMax is how many retained messages leave between two waits of the
// loop, all sessions together.
const replayPassMax = 4096

// unfit says why p, which is to be retained, cannot be, and counts that; nil: it
// can. old is what its topic has; nil: nothing.
func (r *Router) unfit(p *publication, old *retainedMessage) error {
	if len(p.payload) == 0 || p.topic[0] == '$' && r.retained.HasRoom(p.topic) { // what tells of limits does not meet them
		return nil
	}
	size := p.retainedBytes(old)
	switch o := p.owner; {
	case old == nil && (r.memory.level >= memoryRefuse || r.retainedFill(retainedShare) || !r.retained.HasRoom(p.topic)),
		old != nil && size > 0 && r.retainedFill(retainedGrown),
		// Who sends QoS 1 or 2 is slowed down; who does not must not make what is
		// there longer.
		old != nil && size > 0 && p.qos == 0 && r.memory.level >= memoryRefuse:
		r.hit(LimitMemory)
		return errNoMemoryToKeep
	case old == nil && r.retained.Len() >= r.limits.RetainedMessagesMax:
		r.hit(LimitRetainedMessages)
		return errRetainedMessages
	case o != nil && (old == nil || old.msg.owner() != o) && o.retained >= p.most:
		r.stats.OverQuota++
		return errRetainedQuota
	case size > r.limits.RetainedBytesMax-r.stats.RetainedBytes: // no sum: it might be more than an int of 32 bits
		r.hit(LimitRetainedBytes)
		return errRetainedBytes
	}
	return nil
}

// retainedBytes is by how much retained messages grow with p in the place of old.
func (p *publication) retainedBytes(old *retainedMessage) int {
	size := p.bytes()
	if old != nil {
		size -= old.msg.bytes()
	}
	return size
}

// mustRetain says why p, of a 5.0 client that waits for an answer, is not taken:
// it could not be retained. What the topic has stays.
func (r *Router) mustRetain(p *publication) error {
	if !p.retain || !p.v5 || p.qos == 0 {
		return nil
	}
	old, _ := r.retained.Get(p.topic)
	return r.unfit(p, old)
}

// retain keeps p as the retained message of its topic, or removes it when the
// payload is empty [MQTT-3.3.1-5], [MQTT-3.3.1-10]. Where p does not fit, and its
// sender could not be told, what the topic has goes too: none is better than one
// that is no longer true [MQTT-3.3.1-7].
func (r *Router) retain(p *publication) {
	old, had := r.retained.Get(p.topic)
	if p.gone = len(p.payload) == 0 || r.unfit(p, old) != nil; p.gone {
		if had {
			r.unretain(p.topic)
		}
		return
	}
	r.stats.RetainedBytes += p.retainedBytes(old)
	m := r.message().hold()
	r.ownRetained(m, 1)
	if had { // in place: the topic's entry need not be found again
		r.ownRetained(old.msg, -1)
		r.stopEnd(old.msg)
		r.release(old.msg)
	} else {
		old = new(retainedMessage)
		r.retained.Set(p.topic, old)
	}
	old.msg, old.stamp, old.qos = m, r.stored, p.qos
	r.startEnd(old)
	r.keepRetained(old)
}

// unretain removes the retained message of a topic.
func (r *Router) unretain(t []byte) {
	old, had := r.retained.Delete(t)
	r.toil += uint64(r.retained.Looks() / looksOfToil)
	if had {
		r.forget(old)
	}
}

// ownRetained counts a retained message for its owner.
func (r *Router) ownRetained(m *Message, n int) {
	if o := m.owner(); o != nil {
		o.retained += n
		r.forgetUse(o) // it may have been the last, after the user's last connection
	}
}

// startEnd has m removed when its Message Expiry is over.
func (r *Router) startEnd(m *retainedMessage) {
	if at := m.msg.expireAt(); at != 0 {
		end := &retainedEnd{r: r, m: m}
		m.msg.more.end = end
		r.timers.Set(&end.timer, end, at)
	}
}

func (r *Router) stopEnd(m *Message) {
	if m.more != nil && m.more.end != nil {
		r.timers.Stop(&m.more.end.timer)
		m.more.end = nil
	}
}

// forget releases a retained message that is no longer in the trie.
func (r *Router) forget(m *retainedMessage) {
	r.stopEnd(m.msg)
	r.dropRetained(m)
	r.stats.RetainedBytes -= m.msg.bytes()
	r.ownRetained(m.msg, -1)
	r.release(m.msg)
}

// addReplay notes that a subscription is owed what is retained. A newer one
// for the same filter takes the place of an older.
func (r *Router) addReplay(s *Session, sub *Subscription) {
	s.callOff(sub)
	if r.retained.Len() == 0 {
		return
	}
	s.own()
	if len(s.replays) > 2*s.subs.len()+replaysSlack { // most were called off
		open := s.replays[:0]
		for _, p := range s.replays {
			if p.cursor != nil {
				open = append(open, p)
			}
		}
		clear(s.replays[len(open):])
		s.replays = open
	}
	s.lastReplay++
	sub.owed = s.lastReplay
	r.stored++ // what is retained from here on reaches the session as it comes
	s.replays = append(s.replays, replay{
		cursor: r.retained.Cursor(sub.filter), n: sub.owed, from: sub.origin(), before: r.stored, qos: sub.qos,
	})
}

// replaysSlack is how many replays that were called off may stand among the
// others.
const replaysSlack = 64

// callOff forgets what of the retained messages is still owed to sub.
func (s *Session) callOff(sub *Subscription) {
	if sub.owed == 0 || len(s.replays) == 0 {
		return
	}
	first := s.replays[0].n // numbers may begin anew after four billion
	i, found := slices.BinarySearchFunc(s.replays, sub.owed-first, func(p replay, n uint32) int { return cmp.Compare(p.n-first, n) })
	if found && s.replays[i].cursor != nil {
		s.replays[i].cursor.Close()
		s.replays[i] = replay{n: sub.owed}
	}
	sub.owed = 0
}

// startReplay delivers the first piece at once, behind the SUBACK: some
// clients give retained messages only a moment to come back.
func (r *Router) startReplay(s *Session) {
	if r.advance(s, r.limits.RetainedPassMax) {
		r.wantReplay(s)
	}
}

// wantReplay puts s on the list of sessions to go on with.
func (r *Router) wantReplay(s *Session) {
	if !s.replaying {
		s.replaying = true
		r.replays = append(r.replays, s)
	}
}

// replayRetained goes on with the sessions on the list, each a piece. It
// reports whether some could go on at once.
func (r *Router) replayRetained() (more bool) {
	if len(r.replays) == 0 {
		return false
	}
	list := r.replays
	kept := list[:0]
	turn := max(1, replayPassMax/r.limits.RetainedPassMax)
	for i, s := range list {
		if i >= turn { // others first in the next pass
			kept = append(kept, s)
			continue
		}
		s.replaying = false
		if r.advance(s, r.limits.RetainedPassMax) {
			s.replaying = true
			kept = append(kept, s)
		}
	}
	if waited := len(list) - turn; waited > 0 && len(kept) > waited {
		// those that had their turn stand before those that had not
		rotate(kept, len(kept)-waited)
	}
	clear(list[len(kept):])
	r.replays = kept
	return len(kept) > 0
}

// rotate moves the first n elements behind the others.
func rotate(list []*Session, n int) {
	slices.Reverse(list[:n])
	slices.Reverse(list[n:])
	slices.Reverse(list)
}

// advance looks at up to max retained messages for s. It reports whether it
// could go on at once; false when all is delivered or the session must first
// read, acknowledge or come back, which pump notices.
func (r *Router) advance(s *Session, max int) (more bool) {
	for len(s.replays) > 0 {
		p := &s.replays[0]
		if max == 0 {
			r.hit(LimitRetainedPass)
			return true
		}
		if p.cursor == nil {
			max--
			s.replays = s.replays[1:]
			continue
		}
		blocked, done, left := false, false, max
		max, done = p.cursor.Walk(max, func(m *retainedMessage) bool {
			if m.stamp >= p.before || m.msg.expired(r.now) {
				return true
			}
			blocked = !r.deliverRetained(s, m, min(m.qos, p.qos), p.from)
			return !blocked
		})
		r.toil += uint64(toilOfLook * (left - max))
		if blocked {
			return false
		}
		if !done {
			r.hit(LimitRetainedPass)
			return true
		}
		p.cursor.Close()
		s.replays[0] = replay{}
		s.replays = s.replays[1:]
	}
	s.replays = nil
	return false
}

// deliverRetained sends one retained message with RETAIN set [MQTT-3.3.1-8].
// False: not now.
func (r *Router) deliverRetained(s *Session, m *retainedMessage, qos byte, o *origin) bool {
	c := s.client
	if c == nil || c.closing || c.muted() {
		return false
	}
	if !r.stillAllowed(s, m.msg) {
		return true // not a drop: it was never this session's
	}
	d := delivery{msg: m.msg, from: o, qos: qos, retain: true}
	if qos > 0 {
		return s.ready() && r.sendNew(s, &d)
	}
	return r.sendUnacked(s, &d)
}
