package sim

import (
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// World is one run: a router and all that surrounds it.
type World struct {
	plan     *Plan
	router   *router.Router
	pool     *buf.Pool
	mem      *store.Mem // nil: nothing is kept
	disk     *disk      // what it is to the router where it takes its time; nil: it does not
	ledger   *ledger    // the model then
	told     []told     // what the router has reported
	ended    []int      // what the disk has done with since the last pass
	model    model
	clients  []*client
	promises []promise // that output points into
	turn     uint64    // of promises
	conns    []*conn   // in the order of dialling; closed ones are taken out
	dialled  uint64

	ids    rng   // the router's randomness
	lag    rng   // how late the loop is
	slow   rng   // what is written late
	now    int64 // ns
	wake   int64 // what EndPass said
	events eventQueue
	again  bool // something is to be done without waiting
	ready  []*conn
	dirty  []*conn
	dying  []*conn // closed in this pass
	low    []*conn // owed a Drained

	sent      []sent // packets that the router sent since the model looked
	sentBuf   []byte
	view      []byte // what the router may look at now
	drawn     uint64 // the last random number that the router got
	passes    int
	idle      int // passes in a row that the router wanted at once
	numbered  int // messages made so far
	heldSoFar int // CONNECTs that had to wait in a duel
	hurry     int // operations that come a pass after the other

	digest digest
	trace  func(string) // a line of the transcript; nil: none is kept
	err    error        // the first thing that is wrong
}

// sent is a packet that the router sent: part of sentBuf.
type sent struct {
	conn *conn
	a, b int
}

func newWorld(p *Plan) *World {
	plan := *p // healing changes it
	w := &World{plan: &plan, now: 1, digest: digestStart, lag: rng{p.Seed}, slow: rng{p.Seed + 1}, ids: rng{p.Seed}}
	if p.Store {
		w.mem = store.NewMem()
	}
	w.start()
	w.model = model{w: w, limits: w.router.Limits()}
	if p.Break.Limits != nil { // behind the model's back
		w.model.limits = router.New(router.Config{Limits: p.Limits, Rand: w.ids.next}).Limits()
	}
	if p.Disk != nil {
		w.ledger = newLedger(w)
	}
	for i := range p.Clients {
		w.clients = append(w.clients, newClient(w, i))
	}
	return w
}

// fail notes what is wrong; the first counts.
func (w *World) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
		w.note("FAILED: %v", w.err)
	}
}

// note writes a line of the transcript.
func (w *World) note(format string, args ...any) {
	if w.trace != nil {
		w.trace(fmt.Sprintf("%12.6f ", float64(w.now)/1e9) + fmt.Sprintf(format, args...))
	}
}

// guard turns a panic of the router into a failure of the run.
func (w *World) guard() {
	if p := recover(); p != nil {
		w.fail("panic: %v\n%s", p, debug.Stack())
	}
}

// advance lets the time run to an instant and does all that is due on the way.
func (w *World) advance(to int64) {
	for w.err == nil {
		next := w.next()
		if next == 0 || next > to {
			break
		}
		at := next + int64(w.lag.n(w.plan.LagMicros+1))*1000
		if held := w.model.nextHeld(); held != 0 {
			at = min(at, held-1)
		}
		w.now = max(w.now+1, at)
		w.pass()
	}
	w.now = max(w.now+1, to)
}

// next is the instant of the next pass, 0 for none.
func (w *World) next() int64 {
	if w.again || len(w.low) > 0 {
		return w.now + 1
	}
	next := w.wake
	if at := w.events.next(); at != 0 && (next == 0 || at < next) {
		next = at
	}
	return next
}

// pass is one turn of the loop that package loop would make.
func (w *World) pass() {
	defer w.guard()
	w.again = false
	w.passes++
	if w.mem != nil && w.model.heldIsDue() { // each call would let it in before the call's answers
		w.router.BeginPass(w.now)
		w.step(stepTime, nil, nil)
	}
	for w.events.next() != 0 && w.events.next() <= w.now {
		e := w.events.pop()
		w.happen(&e)
	}
	w.router.BeginPass(w.now)
	for _, kind := range w.ended {
		w.step(stepDisk+kind, nil, nil)
	}
	w.ended = w.ended[:0]
	low := w.low
	w.low = nil
	for _, c := range low {
		c.lowListed = false
		if !c.closing {
			w.step(stepDrained, c, nil)
		}
	}
	held := w.heldSoFar
	for len(w.ready) > 0 && held == w.heldSoFar { // one at a time: they go on at an instant each
		c := w.ready[0]
		w.ready = w.ready[1:]
		c.listed = false
		w.read(c)
	}
	w.again = w.again || len(w.ready) > 0
	w.step(stepTime, nil, nil)
	w.flush()
	w.reap()
	if w.ledger == nil && !w.again && len(w.low) == 0 && w.wake != w.now && w.err == nil {
		w.model.quiet()
		w.model.checkWake()
	}
	if w.err == nil && w.passes%w.plan.CheckEvery == 0 {
		w.check()
	}
	if w.idle++; w.again || w.wake == 0 || w.wake > w.now+1 {
		w.idle = 0
	} else if w.idle > idleMost {
		w.fail("the router has wanted to be called at once %d times in a row", w.idle)
	}
}

// idleMost is more than what is done in pieces ever takes here.
const idleMost = 1000

func (w *World) check() {
	if err := w.router.CheckInvariants(); err != nil {
		w.fail("invariant broken: %v", err)
	}
}

// What the router is called for.
const (
	stepAttach = iota
	stepPacket
	stepPart // the beginning of a packet
	stepDrained
	stepTime
	stepClosed
	stepStopping
	stepRestart
	stepDisk // and the event
)

// step makes one call of the router, tells the model of it, and has the model
// judge what the router sent.
func (w *World) step(kind int, c *conn, bytes []byte) {
	if w.err != nil {
		return
	}
	if w.ledger != nil {
		w.diskStep(kind, c, bytes)
		return
	}
	w.sent, w.sentBuf = w.sent[:0], w.sentBuf[:0]
	w.model.begin()
	switch kind {
	case stepAttach:
		c.handler = w.router.Attach(c, router.Peer{})
		w.model.attached(c)
	case stepPart:
		used, _ := c.data(bytes)
		w.model.receivedPart(c, bytes, used)
	case stepPacket:
		used, _ := c.data(bytes)
		if !c.closing && used != len(bytes) {
			w.fail("Data used %d of %d bytes of whole packets", used, len(bytes))
		}
		for len(bytes) > 0 && !w.model.closes(c) {
			n := frame(bytes)
			w.model.received(c, bytes[:n])
			bytes = bytes[n:]
		}
	case stepDrained:
		c.refused = false
		c.handler.Drained()
		if c.sess != nil {
			c.sess.dirty = true
		}
	case stepTime:
		w.wake = w.router.EndPass()
		w.endTogether()
		w.keepPromises()
	case stepClosed:
		c.handler.Closed(c.why)
		w.model.closed(c)
	case stepStopping:
		w.router.Stopping()
		w.model.stopping()
	case stepRestart:
		w.model.restarted()
	}
	if w.mem != nil && w.err == nil { // each call is a pass
		w.commit()
		w.router.BeginPass(w.now)
	}
	if w.mem != nil && kind != stepStopping || kind == stepTime {
		w.model.timePassed()
		w.model.fileOn()
	}
	for _, s := range w.sent {
		if w.err == nil {
			w.model.sent(s.conn, w.sentBuf[s.a:s.b])
		}
	}
	if w.err == nil {
		w.model.settle()
		w.model.lookAtStuck()
	}
}

// endTogether makes passes until all sessions have ended whose time is over: those
// with many filters end in several.
func (w *World) endTogether() {
	for w.wake == w.now && w.model.overdue() {
		w.router.BeginPass(w.now)
		w.wake = w.router.EndPass()
	}
}

// read hands what has arrived on c to the router, packet by packet.
func (w *World) read(c *conn) {
	for !c.closing && !c.paused && w.err == nil && len(c.in) > 0 {
		n := frame(c.in)
		if n <= 0 || n > len(c.in) {
			if c.given != len(c.in) { // the beginning of a packet: it must wait, or be refused at once
				c.given = len(c.in)
				w.step(stepPart, c, c.in)
			}
			break
		}
		c.given = 0
		w.hear(c, '>', c.in[:n])
		for more := n; w.plan.Batches && !c.suspect && plain(c.in[:n]); n += more {
			if more = frame(c.in[n:]); more <= 0 || n+more > len(c.in) || !plain(c.in[n:]) {
				break
			}
			w.hear(c, '>', c.in[n:n+more])
		}
		w.step(stepPacket, c, c.in[:n])
		if c.heldBack {
			c.heldBack = false
			break
		}
		c.in = c.in[n:]
	}
	if c.ended && !c.closing && !c.paused {
		c.gone = true
		c.Close(errGone)
	}
}

// plain reports whether b begins with a PUBLISH that is not retained. Several of
// them may be given to the router at once: what they cause comes in the same
// order as when they are given one by one.
func plain(b []byte) bool { return b[0]>>4 == publish && b[0]&1 == 0 }

// flush moves output to the pipes, or leaves some of it to the next pass.
func (w *World) flush() {
	late := w.dirty[:0]
	for _, c := range w.dirty {
		if !c.closing && w.slow.percent(w.plan.LateWrites) {
			late = append(late, c)
			continue
		}
		c.dirty = false
		c.flush()
	}
	clear(w.dirty[len(late):])
	w.dirty = late
	switch {
	case len(late) == 0:
		w.nextTurn()
		w.nextTurn()
	case late[0].turn == w.turn: // the one that waits longest
		w.again = true
		w.nextTurn()
	default:
		w.again = true
	}
}

// nextTurn ends the promises of the turn before: what pointed there has left.
func (w *World) nextTurn() {
	w.promises = slices.DeleteFunc(w.promises, func(p promise) bool { return p.turn < w.turn })
	w.turn++
	w.router.ViewsAge()
}

// reap tells the router of closed connections, in the order of their closing.
func (w *World) reap() {
	for len(w.dying) > 0 && w.err == nil {
		list := w.dying
		w.dying = nil
		for _, c := range list {
			c.reaped = true
			for i, other := range w.conns {
				if other == c {
					w.conns = append(w.conns[:i], w.conns[i+1:]...)
					break
				}
			}
			w.note("conn %d closed: %v", c.id, c.why)
			w.step(stepClosed, c, nil)
			w.hangUp(c)
		}
		w.again = true
	}
}

// hear notes a packet that went over a connection.
func (w *World) hear(c *conn, way byte, b []byte) {
	w.digest.number(uint64(w.now))
	w.digest.number(c.id<<8 | uint64(way))
	w.digest.bytes(b)
	if w.trace != nil {
		level := c.level
		if level == 0 {
			level = c.client.level
		}
		w.note("conn %d %s %c %s", c.id, c.client.name, way, describe(b, level))
	}
}
