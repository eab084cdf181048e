package sim

import (
	"slices"
	"time"

	"github.com/loopmq/loopmq/router"
)

// DrawDisk is the plan of a seed for a router whose store takes its time,
// finds no room, fails, and loses its power. The model is the ledger.
func DrawDisk(seed uint64) *Plan {
	p := draw(seed)
	r := &rng{seed ^ 0xd15c}
	p.Store, p.Batches, p.Stop = true, false, false
	l := &p.Limits
	l.QueuedMessagesMax, l.QueuedBytesMax, l.SessionsMax = 0, 0, 0
	l.RetainedMessagesMax, l.RetainedBytesMax = 0, 0
	l.QueuedWindowMax = r.of(1, 2, 3, 8, 200)
	p.Disk = &Disk{
		CommitMicros: r.of(0, 200, 5000, 100_000, 2_000_000), ReadMicros: r.of(0, 200, 5000, 100_000, 2_000_000),
		Reads: r.of(1, 2, 64), Kept: r.of(0, 50, 100), Stops: r.of(0, 0, 30),
	}
	if r.percent(30) {
		p.Disk.Full, p.Disk.FullMillis, p.Disk.Tight = r.of(1, 5, 20), r.of(10, 1000, 10_000), r.of(0, 50, 100)
	}
	if r.percent(15) {
		p.Disk.Fails = r.of(2, 20)
	}
	if r.percent(30) {
		p.Disk.ReadFails = r.of(1, 20, 60)
	}
	if r.percent(15) {
		p.Disk.Damage = r.of(5, 50)
	}
	p.drawLiar(&rng{seed ^ 0x6c696172})
	p.Clean, p.Resume = r.of(0, 0, 20, 50), r.of(60, 90, 100) // sessions that live on
	if r.percent(30) {
		p.Props, p.Shared = 0, 0
	}
	for range r.of(1, 3, 6, 20) {
		p.Ops = slices.Insert(p.Ops, r.n(len(p.Ops)), Op{opRestart, 0, uint32(r.next())})
	}
	if r.percent(50) {
		p.drawClasses(r)
	}
	p.drawQueues(&rng{seed ^ 0x71756575})
	p.drawRoom(&rng{seed ^ 0x726f6f6d})
	return p.drawLong()
}

// drawLiar has one client do what no good one does, or none.
func (p *Plan) drawLiar(r *rng) {
	none := r.percent(30)
	p.Disk.Others = r.percent(30)
	p.Ops = slices.DeleteFunc(p.Ops, func(o Op) bool { return o.isLie() && (none || o.Kind == opGarbage || o.Kind == opMutate) })
	for i := range p.Ops {
		if o := &p.Ops[i]; o.isLie() {
			o.Client = 0
		}
	}
}

func (o Op) isLie() bool { return o.Kind >= opWrongAck && o.Kind <= opIllegal || o.Kind == opRelease }

// drawRoom bounds how many sessions and retained messages there are.
func (p *Plan) drawRoom(r *rng) {
	if r.percent(20) {
		p.Limits.SessionsMax = r.between(1, 4)
	}
	if r.percent(20) {
		p.Limits.RetainedMessagesMax = r.between(1, 3)
	}
	if r.percent(20) {
		p.Limits.RetainedBytesMax = r.between(20, 200)
	}
}

// drawQueues bounds the queues.
func (p *Plan) drawQueues(r *rng) {
	if r.percent(30) {
		p.Limits.QueuedMessagesMax = r.between(1, 6)
	}
	if r.percent(20) {
		p.Limits.QueuedBytesMax = r.between(10, 120)
	}
	if r.percent(15) {
		p.Limits.QueuedTotalMax = r.between(1, 60)
	}
}

// lazyWait is how long what is acknowledged with class lazy may not be on a disk
// that has no trouble: the interval, the commit that is under way when it ends,
// and its own.
func lazyWait(p *Plan) int64 {
	return int64(time.Second) + 2*int64(p.Disk.CommitMicros+p.LagMicros+2000)*1000
}

// newLife gives the router that starts its disk.
func (w *World) newLife() {
	life, rand := 1, rng{w.plan.Seed ^ 0x11fe}
	if w.disk != nil {
		life, rand = w.disk.life+1, w.disk.rand
	}
	was := w.disk
	w.disk, w.ended = newDisk(w, w.mem, life, rand), w.ended[:0]
	if was != nil { // a full disk stays full
		w.disk.fullUntil = was.fullUntil
	}
}

// diskStep is step where the store takes its time: the ledger judges.
func (w *World) diskStep(kind int, c *conn, bytes []byte) {
	w.sent, w.sentBuf = w.sent[:0], w.sentBuf[:0]
	l := w.ledger
	switch kind {
	case stepAttach:
		c.handler = w.router.Attach(c, router.Peer{})
	case stepPart:
		c.data(bytes)
	case stepPacket:
		if used, _ := c.data(bytes); used == 0 && !c.closing { // it is held back until the disk has room
			c.heldBack = true
			break
		}
		l.received(c, bytes)
	case stepDrained:
		c.refused = false
		c.handler.Drained()
	case stepTime:
		w.wake = w.router.EndPass()
		w.keepPromises()
		l.goOn()
		l.looked = w.now
		l.willsPass()
	case stepClosed:
		c.handler.Closed(c.why)
		l.parts(c)
	case stepStopping:
		w.router.Stopping()
		l.willsStop()
	case stepDisk + eventCommit:
		w.disk.complete()
	case stepDisk + eventHasty:
		w.disk.hasty(nil)
	case stepDisk + eventFetched:
		w.disk.fetched()
	}
	l.hears()
	if l.began == 0 && w.disk.trouble() {
		l.began = w.now
	}
	for _, s := range w.sent {
		if w.err == nil {
			l.sent(s.conn, w.sentBuf[s.a:s.b])
		}
	}
	if kind == stepTime && w.err == nil {
		l.passEnds()
	}
}

// cutPower ends the router, mostly without a word to anybody, and starts one on
// what its store has, some time later.
func (w *World) cutPower(r *rng) {
	defer w.guard()
	if w.err != nil {
		return
	}
	if stop := r.percent(w.disk.conf.Stops) && !w.disk.trouble(); stop {
		w.note("- stops in good order")
		w.router.BeginPass(w.now)
		w.step(stepStopping, nil, nil)
		w.reap()
		w.step(stepTime, nil, nil)
		_ = w.mem.Close()
		w.ledger.willsOutlast()
		w.ledger.forgets(true)
	} else {
		w.note("- the power is cut")
		w.ledger.cut()
	}
	w.mem = w.disk.cut()
	w.startAgain(r)
}

func (w *World) startAgain(r *rng) {
	was := w.conns
	for _, c := range was {
		c.closing, c.reaped, c.why = true, true, errGone
		w.ledger.parts(c)
	}
	w.conns, w.low, w.dying, w.ready, w.dirty = nil, nil, nil, nil, nil
	w.now += int64(r.of(1, 1000, 2_000_000, 100_000_000)) * 1000
	w.ledger.drops, w.ledger.now = w.ledger.dropped(), nil
	for _, n := range w.ledger.names { // a start knows of none
		n.duel = duel{}
	}
	w.start()
	for _, c := range was {
		w.hangUp(c)
	}
	w.again = true
}

// mend gives the router a disk without faults.
func (w *World) mend() {
	if w.err != nil {
		return
	}
	w.note("- the disk is mended")
	conf := &w.disk.conf
	conf.CommitMicros, conf.ReadMicros = min(conf.CommitMicros, 5000), min(conf.ReadMicros, 5000)
	conf.Full, conf.Fails, conf.ReadFails, conf.Damage, conf.Stops = 0, 0, 0, 0, 0
	w.plan.Disk, w.disk.doomed = conf, false
	if w.disk.fullUntil != 0 {
		w.disk.fullUntil = w.now
	}
	if w.disk.failed {
		w.cutPower(&rng{w.plan.Seed})
	}
}

// lastLook has a new subscriber see what is retained, then ends everything: in
// the store nothing may be left.
func (w *World) lastLook() {
	if w.err != nil {
		return
	}
	w.note("- last look")
	w.advance(w.now + int64(20*time.Second)) // what was given up may still arrive
	for _, cl := range w.clients {
		cl.dial(&packet{kind: connect, level: 4, clean: true, clientID: []byte(cl.name)})
	}
	w.advance(w.now + int64(2*time.Second))
	cl := w.clients[0]
	cl.kept = map[string]int{}
	cl.send(&packet{kind: subscribe, id: 1, filters: []filter{{name: []byte("#")}}})
	w.advance(w.now + int64(2*time.Second))
	if w.err != nil {
		return
	}
	w.ledger.judgeRetained(cl.kept)
	w.cleanUp(cl)
}

// cleanUp ends everything: in the router and in its store nothing may be left.
func (w *World) cleanUp(cl *client) {
	id := uint16(2)
	for _, v := range w.ledger.values {
		if _, there := cl.kept[string(v.topic)]; there {
			delete(cl.kept, string(v.topic))
			cl.send(&packet{kind: publish, qos: 1, id: id, retain: true, topic: v.topic})
			id++
		}
	}
	w.advance(w.now + int64(2*time.Second))
	for _, cl := range w.clients {
		cl.send(&packet{kind: disconnect})
	}
	for range 3 { // sessions end, and their wills are published
		w.advance(w.now + w.model.limits.SessionExpiry.Nanoseconds() + beatSlack)
	}
	if w.err != nil {
		return
	}
	w.check()
	s := w.router.Stats()
	if left := s.Clients + s.Sessions + s.Subscriptions + s.Queued + s.Inflight + int(s.QueuedBytes) + len(w.conns); left != 0 {
		w.fail("left behind: %d clients, %d sessions, %d subscriptions, %d queued (%d bytes), %d in flight, %d connections",
			s.Clients, s.Sessions, s.Subscriptions, s.Queued, s.QueuedBytes, s.Inflight, len(w.conns))
	}
	if n := w.disk.Stats().LiveRecords; n > int64(1+s.Retained) { // one says when the broker was there
		w.fail("left behind in the store: %d records, %d messages are retained", n, s.Retained)
	}
}
