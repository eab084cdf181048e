package sim

import (
	"slices"
	"strings"
	"time"

	"github.com/loopmq/loopmq/router"
)

// Who takes a session over too often has to wait; who takes nothing of what it
// is sent is closed; who leaves a full window unacknowledged is reported. Of the
// last two the router looks in intervals: here they must happen within two of
// them, and must not before their time.

const (
	duelWindow = int64(10 * time.Second)
	duelForget = int64(time.Minute)
	duelDelay  = int64(time.Second)
)

// duel counts how often a session was taken over.
type duel struct {
	since int64
	n     int
	held  int // who had to wait, until a minute was over
}

// begins makes a window of d, which has been over.
func (d *duel) begins(now int64) {
	if now-d.since > duelForget {
		d.held = 0
	}
	d.since, d.n = now, 0
}

// isTold counts one who has to wait, and says whether it is told: of the first, the
// tenth, the twentieth, the hundredth and so on.
func (d *duel) isTold() bool {
	d.held++
	for unit := 10; d.held >= unit; unit *= 10 {
		if d.held%unit == 0 && d.held < 10*unit {
			return true
		}
	}
	return d.held == 1
}

// told is an event that the router has reported.
type told struct {
	kind router.EventKind
	id   string
}

// holdsBack reports whether c, which asks for a session, has to wait.
func (m *model) holdsBack(c *conn, p *packet) bool {
	id := string(p.clientID)
	if s := m.find(id); s == nil || s.conn == nil {
		return false
	}
	if m.duels == nil {
		m.duels = map[string]*duel{}
	}
	d := m.duels[id]
	if d == nil {
		d = &duel{since: m.now()}
		m.duels[id] = d
	}
	if m.now()-d.since > duelWindow {
		d.begins(m.now())
	}
	d.n++
	if d.n <= m.limits.TakeoversMax {
		return false
	}
	if d.isTold() && !m.hears(router.EventDuel, id) {
		m.w.fail("nobody was told of the duel for %q", id)
	}
	raw := encode(nil, p, c.level)
	held, _ := decode(raw, c.level)
	m.armed++
	m.w.heldSoFar++
	c.held, c.heldArmed, c.heldUntil = &held, m.armed, m.now()+duelDelay
	return true
}

// hears takes an event off those that the router has reported in this step.
func (m *model) hears(kind router.EventKind, id string) bool {
	i := slices.Index(m.w.told, told{kind, id})
	if i >= 0 {
		m.w.told = slices.Delete(m.w.told, i, i+1)
	}
	return i >= 0
}

// nextHeld is the instant at which the first of those that wait goes on; 0: there
// is none. What else happens in that pass must not have to be told apart: who lost
// the connection then was perhaps sent something before.
func (m *model) nextHeld() (first int64) {
	for _, c := range m.w.conns {
		if c.waits() && (first == 0 || c.heldUntil < first) {
			first = c.heldUntil
		}
	}
	return first
}

// heldIsDue reports whether somebody goes on now.
func (m *model) heldIsDue() bool {
	return slices.ContainsFunc(m.w.conns, func(c *conn) bool { return c.waits() && m.now() >= c.heldUntil })
}

// waits reports whether c waits in a duel.
func (c *conn) waits() bool { return c.held != nil || c.heldAs != nil }

// goesOn lets c in after it has waited.
func (m *model) goesOn(c *conn) {
	p := c.held
	c.held, c.seenAt, c.hushed = nil, m.now(), m.w.mem != nil
	m.admit(c, p)
}

// lookSlack is by how much a look of the router's may be late: one interval, and
// one more until it sees what has not moved since; and passes that are late.
func (m *model) lookSlack() int64 {
	every := max(int64(time.Millisecond), min(m.limits.SlowTimeout, m.limits.AckTimeout).Nanoseconds()/4)
	return 2*every + 4*int64(m.w.plan.LagMicros)*1000 + int64(time.Millisecond)
}

const never = 1e5 * time.Hour

// lookAtStuck holds those who must have been closed or reported by now.
func (m *model) lookAtStuck() {
	for _, c := range m.w.conns {
		if c.gone || c.closing || c.sess == nil {
			continue
		}
		since := max(c.movedAt, c.refusedAt)
		if c.refused && m.limits.SlowTimeout < never && m.now() >= since+m.limits.SlowTimeout.Nanoseconds()+m.lookSlack() {
			m.w.fail("conn %d has taken nothing since %d, and was not closed", c.id, since)
		}
		if m.limits.AckTimeout < never {
			m.lookAtWindow(c, c.sess)
		}
	}
	for len(m.w.told) > 0 {
		t := m.w.told[0]
		m.w.told = m.w.told[1:]
		s := m.find(t.id)
		switch {
		case t.kind == router.EventDuel, s == nil || s.conn == nil:
			m.w.fail("event %d of %q has no cause", t.kind, t.id)
		case s.conn.oldestAt == m.now() && s.conn.seenAt == m.now(): // it was of the connection that this one took over from
		case m.now()-s.conn.oldestAt < m.limits.AckTimeout.Nanoseconds():
			m.w.fail("conn %d is reported for not acknowledging, since %d only", s.conn.id, s.conn.oldestAt)
		default:
			s.conn.reported = true
		}
	}
}

// lookAtWindow notes since when the oldest message in flight is, and since when
// others wait for it.
func (m *model) lookAtWindow(c *conn, s *session) {
	oldest := (*flight)(nil)
	if len(s.flights) > 0 {
		oldest = s.flights[0]
	}
	if oldest != c.oldest {
		c.oldest, c.oldestAt, c.shutAt, c.reported = oldest, m.now(), 0, false
	}
	switch {
	case !m.full(s) || len(s.pending) == 0:
		c.shutAt = 0
	case c.shutAt == 0:
		c.shutAt = m.now()
	case !c.reported && m.now() >= c.shutAt+m.limits.AckTimeout.Nanoseconds()+m.lookSlack() &&
		!slices.Contains(m.w.told, told{router.EventUnacked, s.id}):
		m.w.fail("conn %d has not acknowledged %q since %d, and nobody was told", c.id, oldest.payload, c.shutAt)
	}
}

func takesNothing(why error) bool {
	return why != nil && strings.HasPrefix(why.Error(), "the client takes nothing")
}

// tooSlow reports whether the router closed a connection because it took
// nothing, and holds that it had the time to.
func (m *model) tooSlow(c *conn) bool {
	if !takesNothing(c.why) {
		return false
	}
	moved := c.movedAt
	if moved == m.now() { // it has begun to take something just now, which the router has not seen
		moved = c.movedBefore
	}
	if m.now()-moved < m.limits.SlowTimeout.Nanoseconds() {
		m.w.fail("conn %d was closed for taking nothing; it did at %d", c.id, moved)
	}
	if c.level == 5 && c.answered && !c.controlRefused && c.told != 0x97 {
		m.w.fail("conn %d was closed with reason 0x%02x, should be 0x97", c.id, c.told)
	}
	return true
}

// drawStuck makes the limits of this file, with numbers of its own.
func (p *Plan) drawStuck() {
	r := &rng{p.Seed ^ 0x73747563}
	l := &p.Limits
	if r.percent(30) {
		l.TakeoversMax = r.between(1, 3)
	}
	if r.percent(30) {
		l.SlowTimeout = time.Duration(r.of(50, 500, 5000, 30_000)) * time.Millisecond
		p.OutputBytes, p.KernelBytes, p.Batches = r.between(40, 600), r.between(20, 400), false
		for range r.between(3, 12) {
			p.Ops = slices.Insert(p.Ops, r.n(len(p.Ops)), Op{opClog, uint8(r.n(p.Clients)), uint32(r.next())})
		}
	}
	if r.percent(30) {
		l.AckTimeout = time.Duration(r.of(1, 5, 30)) * time.Second
	}
	if shorter := min(l.SlowTimeout, l.AckTimeout); shorter < never { // the router looks four times in it
		p.SleepMillis = int(60 * shorter / time.Millisecond)
	}
}
