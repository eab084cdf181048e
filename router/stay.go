package router

// What waits behind the window with class none has no records, so it stays in
// memory, and only its place among the others is a stub: one with QoS 0, which
// nothing on disk has. The order of a queue is the same for all classes.

// stays tells whether b stands for a message that is in memory.
func (b stub) stays() bool { return b.flags&stubQoS == 0 }

// stay puts d, of class none, behind what is on disk only.
func (t *shelf) stay(d delivery) {
	k, held := t.s.r.keep, t.cold.held
	t.cold.push(stub{entry: t.cold.last.entry, message: t.cold.last.message})
	k.shelfBytes += int64(t.cold.held - held)
	t.here.push(k.r, d)
}

// popStub takes the oldest place away, and those behind it that are of nobody.
func (t *shelf) popStub() stub {
	k, held := t.s.r.keep, t.cold.held
	b := t.cold.pop()
	for t.void > 0 && t.cold.n > 0 && t.cold.peek().stays() {
		t.cold.pop()
		t.void--
	}
	k.shelfBytes += int64(t.cold.held - held)
	return b
}

// popHere takes the oldest message out, which is in memory; the hold passes to
// the caller.
func (r *Router) popHere(t *shelf) delivery {
	t.popStub()
	d := t.here.pop(r)
	r.stats.Queued--
	r.stats.QueuedBytes -= int64(d.msg.bytes())
	return d
}

// moveUp puts into the window what is next and in memory.
func (t *shelf) moveUp() {
	s, r := t.s, t.s.r
	for t.cold.n > 0 && t.cold.peek().stays() && s.fits(s.queue.n, s.queue.bytes, t.here.front().msg.bytes()) {
		t.popStub()
		s.own()
		s.queue.push(r, t.here.pop(r))
	}
}

// cutNone drops the oldest message of s that can go nowhere else, and returns
// how many that are.
func (r *Router) cutNone(s *Session) int {
	t := s.onShelf()
	var d delivery
	switch {
	case s.queue.n > 0 && s.queue.front().key == 0:
		d = s.dequeue()
	case t == nil:
		return 0
	default:
		t.shelveFresh()
		if t.here.n == 0 {
			s.clearShelf()
			return 0
		}
		if t.cold.peek().stays() {
			d = r.popHere(t)
			break
		}
		d = t.here.pop(r)
		t.void++ // its place goes when it is the oldest
		r.stats.Queued--
		r.stats.QueuedBytes -= int64(d.msg.bytes())
	}
	r.dropWaiting(s, DropMemory, d)
	s.clearShelf()
	return 1
}
