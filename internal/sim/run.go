package sim

import (
	"fmt"
	"strings"
	"time"
)

// Result is how a run went.
type Result struct {
	Digest uint64
	Passes int
	Err    error
}

// Run makes one run. With trace it writes a transcript, a line for all that
// happens.
func Run(p *Plan, trace func(line string)) Result {
	w := newWorld(p)
	w.trace = trace
	w.run()
	return Result{uint64(w.digest), w.passes, w.err}
}

// run has three parts: faults, healing, farewell.
func (w *World) run() {
	defer w.guard()
	gap := rng{w.plan.Seed ^ 0xabcdef}
	for _, op := range w.plan.Ops {
		wait := int64(gap.n(w.plan.GapMicros+1)) * 1000
		if w.hurry > 0 {
			w.hurry--
			wait = 1
		}
		w.advance(w.now + wait)
		if w.err != nil {
			return
		}
		w.perform(op)
	}
	switch {
	case w.plan.Stop:
		w.stop()
	case w.ledger != nil:
		w.mend()
		w.heal()
		w.lastLook()
	default:
		w.heal()
		w.farewell()
	}
}

// stop ends the router while all is under way. Its sessions outlive it by their
// expiry only.
func (w *World) stop() {
	w.note("- stopping")
	w.advance(w.now + 1)
	w.router.BeginPass(w.now)
	w.step(stepStopping, nil, nil)
	w.flush()
	w.reap()
	for range 2 {
		w.advance(w.now + w.router.Limits().SessionExpiry.Nanoseconds() + int64(2*time.Second))
	}
	w.empty()
}

// healRounds bounds the time that everything may take to come to rest.
const healRounds = 400

// heal stops all faults: everybody is there, reads and acknowledges, and all
// that is owed must arrive.
func (w *World) heal() {
	w.note("- healing")
	for _, c := range w.conns {
		if c.client.conn != c || c.suspect {
			c.cut(0)
			c.client.lost(c)
		}
	}
	w.plan.calm()
	for _, cl := range w.clients {
		if cl.healing = true; w.ledger != nil && cl.conn != nil && cl.conn.other { // its own session waits
			cl.conn.cut(0)
			cl.lost(cl.conn)
		}
	}
	for range healRounds {
		for _, cl := range w.clients {
			cl.heal()
		}
		w.advance(w.now + int64(100*time.Millisecond))
		if w.err != nil || w.unhealed() == "" {
			return
		}
	}
	w.fail("not at rest: %s", w.unhealed())
}

// calm takes the faults of the network away.
func (p *Plan) calm() {
	p.DelayMicros, p.SmallChunks, p.SmallReads, p.KernelBytes = min(p.DelayMicros, 2000), 0, 0, 64<<10
}

func (cl *client) heal() {
	if c := cl.conn; c != nil && !c.hung {
		c.deaf = false
		c.planRead()
		cl.settle(1000)
		return
	}
	p := &packet{kind: connect, level: 4, clientID: []byte(cl.name)}
	if cl.tries++; cl.tries%2 == 1 && cl.w.plan.Versions[2] > 0 { // 3.1.1 knows no Receive Maximum
		p.level = 5
		p.props.set(propSessionExpiry)
		p.props.sessionExpiry = 1000
	}
	cl.dial(p)
}

// unhealed names something that has not come to rest.
func (w *World) unhealed() string {
	for _, cl := range w.clients {
		switch {
		case cl.conn == nil || !cl.up:
			return cl.name + " is not connected"
		case len(cl.unacked) > 0:
			return fmt.Sprintf("%s has no answer for PacketID %d", cl.name, cl.unacked[0].packet.id)
		case len(cl.conn.pipe) > 0 || len(cl.conn.kernel) > 0 || len(cl.conn.out) > 0:
			return cl.name + " has bytes on the way"
		}
	}
	if w.ledger != nil {
		return w.ledger.owed()
	}
	if w.late() {
		return "something is late"
	}
	for _, s := range w.model.sessions {
		if s.conn == nil {
			continue
		}
		switch {
		case len(s.pending) > 0:
			return fmt.Sprintf("%s waits for %q", s.id, s.pending[0].payload)
		case len(s.flights) > 0:
			return fmt.Sprintf("%s has not finished %q", s.id, s.flights[0].payload)
		case len(s.replays) > 0 && !w.model.replayed(s):
			return s.id + " waits for retained messages"
		}
	}
	return ""
}

func (m *model) replayed(s *session) bool {
	for _, r := range s.replays {
		for _, msg := range r.left {
			if r.due(m, msg, s.conn) {
				return false
			}
		}
	}
	return true
}

// farewell ends all sessions and removes all retained messages: nothing may be
// left.
func (w *World) farewell() {
	if w.err != nil {
		return
	}
	w.note("- farewell")
	for _, cl := range w.clients {
		cl.dial(&packet{kind: connect, level: 4, clean: true, clientID: []byte(cl.name)})
	}
	for _, c := range w.conns { // also those with other client identifiers
		c.cut(0)
	}
	w.advance(w.now + int64(time.Second))
	for _, r := range w.model.retained {
		w.clients[0].send(&packet{kind: publish, retain: true, topic: r.topic})
	}
	w.advance(w.now + int64(time.Second))
	for _, cl := range w.clients {
		cl.send(&packet{kind: disconnect})
	}
	for range 3 { // wills of sessions that expire may be retained
		w.advance(w.now + w.router.Limits().SessionExpiry.Nanoseconds() + int64(2*time.Second))
	}
	w.empty()
}

// empty checks that nothing is left behind.
func (w *World) empty() {
	if w.err != nil {
		return
	}
	w.check()
	s := w.router.Stats()
	left := s.Clients + s.Sessions + s.Subscriptions + s.Queued + s.Inflight + int(s.QueuedBytes) + len(w.conns)
	if left != 0 {
		w.fail("left behind: %d clients, %d sessions, %d subscriptions, %d queued (%d bytes), %d in flight, %d connections",
			s.Clients, s.Sessions, s.Subscriptions, s.Queued, s.QueuedBytes, s.Inflight, len(w.conns))
	}
	if n := len(w.model.retained); s.Retained != n {
		w.fail("%d retained messages, should be %d", s.Retained, n)
	}
	if w.pool.InUse() != 0 && s.Retained == 0 {
		w.fail("%d bytes of the pool were never given back", w.pool.InUse())
	}
}

// Transcript runs a plan and returns what happened, line by line.
func Transcript(p *Plan) string {
	var b strings.Builder
	Run(p, func(line string) {
		b.WriteString(line)
		b.WriteByte('\n')
	})
	return b.String()
}
