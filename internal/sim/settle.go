package sim

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/loopmq/loopmq/router"
)

// settle judges what should have been sent in the step and was not.
func (m *model) settle() {
	w := m.w
	m.settleCloses()
	for _, a := range m.answers {
		silent := a.conn.hushed || unread(a.conn.why) || takesNothing(a.conn.why)
		if !a.done && !(a.conn.closing && silent) && !a.conn.gone {
			w.fail("conn %d was not sent %s", a.conn.id, brief(&a.packet))
		}
	}
	for _, d := range m.direct {
		blocked := d.conn.refusedNow || d.conn.hushed || m.limits.LateBytesMax > lateOverBytes && (d.conn.refused || m.mayKeepLate(d.delivery))
		if !d.done && !blocked && m.fits(d.delivery, d.conn) == fitsSurely {
			w.fail("conn %d was not sent %q with QoS 0, and refused nothing", d.conn.id, d.payload)
		}
	}
	m.houseLate()
	m.settleLate()
	m.settleLimbo()
	m.settleFresh()
	m.settleLost()
	for _, s := range m.sessions {
		if w.mem == nil { // what is not here by now does not come
			s.replays = slices.DeleteFunc(s.replays, func(r *replay) bool { return r.name == nil })
		}
		if s.dirty && w.err == nil {
			s.dirty = false
			m.settleSession(s)
		}
	}
	m.settleCounters()
	for _, c := range w.conns {
		if c.sess != nil && c.answered && c.paused != (c.filing != nil) && !c.closing && w.err == nil {
			w.fail("conn %d is read from: %v; a packet is done in pieces: %v", c.id, !c.paused, c.filing != nil)
		}
		c.refusedNow, c.controlRefused, c.hushed, c.gone = false, false, false, c.closing
	}
}

// settleFresh queues what was not sent at once after all.
func (m *model) settleFresh() {
	for _, s := range m.sessions {
		if s.fresh > 0 { // had to wait after all
			fresh := slices.Clone(s.pending[len(s.pending)-s.fresh:])
			s.pending, s.fresh = s.pending[:len(s.pending)-s.fresh], 0
			for _, d := range fresh {
				if s.conn == nil || s.conn.closing || m.fits(d, s.conn) != fitsNever || m.full(s) {
					m.enqueue(s, d)
				}
			}
		}
	}
}

// settleCloses compares the connections that were closed with those that had to
// be.
func (m *model) settleCloses() {
	for _, k := range m.ends {
		c := k.conn
		switch {
		case !c.closing:
			m.w.fail("conn %d had to be closed (reason 0x%02x) and was not", c.id, k.reason)
		case k.reason == 0 || c.level != 5 || !c.answered || c.controlRefused || unread(c.why) || c.suspect:
		case slices.ContainsFunc(m.ends, func(o closing) bool { return o.conn == c && c.told == int(o.reason) }):
		case c.told != int(k.reason): // nor what else it had to be closed for
			m.w.fail("conn %d was closed with reason 0x%02x, should be 0x%02x", c.id, c.told, k.reason)
		}
	}
	for _, c := range m.w.conns {
		if !c.closing || c.gone || m.closes(c) {
			continue
		}
		if !(unread(c.why) && c.controlRefused) && !m.tooSlow(c) {
			m.w.fail("conn %d was closed without cause: %v", c.id, c.why)
		}
	}
}

// waiting is a message in a queue of the router.
type waiting struct {
	topic, payload []byte
	props          props
	qos            byte
}

// queue appends what waits for s in the router.
func (m *model) queue(is []waiting, s *session) []waiting {
	m.w.router.Waiting(s.id, func(topic, properties, payload []byte, qos byte) {
		q := waiting{topic: bytes.Clone(topic), payload: bytes.Clone(payload), qos: qos}
		in := input{b: append(varint(nil, len(properties)), properties...)}
		if q.props.decode(&in, publish); in.err != nil {
			m.w.fail("%s waits with properties that cannot be read: %v", short(payload), in.err)
		}
		is = append(is, q)
	})
	return is
}

// full reports whether the window of a session has no room.
func (m *model) full(s *session) bool {
	return len(s.flights) >= s.conn.window || len(s.flights) >= m.limits.InflightMax
}

// settleSession compares the queue with the router's, and holds that nothing
// waits without a reason.
func (m *model) settleSession(s *session) {
	m.is = m.queue(m.is[:0], s)
	if m.w.mem != nil {
		m.dropReplayed(s)
	}
	if !m.align(s, 0) && !m.mixed(s) {
		m.w.fail("%s has a wrong queue: %s", s.id, m.queues(s))
		return
	}
	s.pending = s.pending[:len(m.is)]
	c := s.conn
	if c == nil || c.closing || c.refused || m.w.err != nil {
		return
	}
	m.passOver(s, c)
	s.stuck = s.stuck || m.full(s) && s.owesAcked()
	for i := 0; i < len(s.flights); i++ {
		if f := s.flights[i]; f.conn == c || c.open >= c.window {
			continue
		} else if f.qos == 1 && m.forgone(f, c) {
			s.flights = slices.Delete(s.flights, i, i+1)
			i--
			continue
		}
		m.w.fail("%s: %q was not repeated on conn %d", s.id, s.flights[i].payload, c.id)
	}
	if len(s.pending) > 0 && !m.full(s) && c.open < c.window {
		m.w.fail("%s: %q waits although it could be sent", s.id, s.pending[0].payload)
	}
}

// align brings pending into the form of the router's queue from a place on:
// deliveries of one publication have no order, and some may have been dropped.
func (m *model) align(s *session, at int) bool {
	if at == len(s.pending) {
		return at == len(m.is)
	}
	d := s.pending[at]
	if at < len(m.is) {
		for i := at; i < len(s.pending) && s.pending[i].order == d.order; i++ {
			if equals(s.pending[i], &m.is[at]) {
				s.pending[at], s.pending[i] = s.pending[i], s.pending[at]
				if m.align(s, at+1) {
					return true
				}
				s.pending[at], s.pending[i] = s.pending[i], s.pending[at]
				break
			}
		}
	}
	if s.conn == nil || !m.mayDrop(d, s.conn) {
		return false
	}
	before := s.pending
	s.pending = slices.Delete(slices.Clone(before), at, at+1)
	if m.align(s, at) {
		return true
	}
	s.pending = before
	return false
}

// passOver notes the retained messages that are too large for a connection: the
// router may have passed them over.
func (m *model) passOver(s *session, c *conn) {
	if c.maxPacket >= 1<<28 {
		return
	}
	for _, r := range s.replays {
		for _, msg := range r.left {
			if m.fits(r.delivery(msg), c) != fitsSurely {
				r.passed = append(r.passed, msg)
			}
		}
	}
}

func equals(d *delivery, q *waiting) bool {
	return d.qos == q.qos && bytes.Equal(d.payload, q.payload) && bytes.Equal(d.topic, q.topic) &&
		d.props.sameTravel(&q.props)
}

// settleCounters holds drops against the counters: none is made in silence.
func (m *model) settleCounters() {
	d := &m.w.router.Stats().Dropped
	if m.w.err == nil && d[router.DropQueueFull] != m.queueFull {
		m.w.fail("%d drops of full queues are counted, should be %d", d[router.DropQueueFull], m.queueFull)
	}
	if n := d[router.DropSession]; m.w.err == nil && (n < m.ended || n > m.ended+m.endedPerhaps) {
		m.w.fail("%d drops of ended sessions are counted, should be %d", n, m.ended)
	}
	m.ended, m.endedPerhaps = d[router.DropSession], 0
	s := m.w.router.Stats()
	subs, clients := 0, 0
	for _, o := range m.sessions {
		subs += len(o.subs)
	}
	for _, c := range m.w.conns {
		clients += int(bit(c.connected, 1))
	}
	counted := [...]int{s.Sessions, s.Subscriptions, s.Retained, s.Clients}
	if should := [...]int{len(m.sessions), subs, len(m.retained), clients}; m.w.err == nil && counted != should {
		m.w.fail("sessions, subscriptions, retained, clients are counted %v, should be %v", counted, should)
	}
}

// quiet is called when the router wants nothing more: what is retained must
// have been sent, as far as the session takes it.
func (m *model) quiet() {
	m.buried = nil
	if len(m.filings) > 0 {
		m.w.fail("conn %d has a packet that nobody goes on with", m.filings[0].conn.id)
	}
	for _, s := range m.sessions {
		c := s.conn
		if len(s.replays) == 0 || c == nil || c.closing || c.refused || len(s.pending) > 0 || !s.repeated() {
			continue
		}
		if m.full(s) && (s.stuck || s.owesAcked()) {
			s.stuck = true // one that needs the window stands before others, until an acknowledgement comes
			continue
		}
		for _, r := range s.replays {
			for _, msg := range r.left {
				if r.due(m, msg, c) {
					m.w.fail("%s was not sent the retained %q for %s", s.id, short(msg.payload), r.name)
				}
			}
		}
	}
}

// owesAcked reports whether a retained message needs the window.
func (s *session) owesAcked() bool {
	return slices.ContainsFunc(s.replays, func(r *replay) bool {
		return slices.ContainsFunc(r.left, func(msg *message) bool { return min(msg.qos, r.qos) > 0 })
	})
}

// queues writes what waits for a session, and what should.
func (m *model) queues(s *session) string {
	var is, should []string
	for _, q := range m.queue(nil, s) {
		is = append(is, fmt.Sprintf("%s:%d", short(q.payload), q.qos))
	}
	for _, d := range s.pending {
		should = append(should, fmt.Sprintf("%s:%d", short(d.payload), d.qos))
	}
	return fmt.Sprintf("%v, should be %v", is, should)
}

func short(payload []byte) []byte { return bytes.TrimRight(payload[:min(len(payload), 24)], ".") }
