package router

// A durable session has only the front of its queue in memory: a window. What
// comes behind it stays in memory until its batch is durable, and then only on
// disk:
//
//	window (flow.queue)  what leaves next
//	cold                 on disk only; memory has stubs, and what stays (stay.go)
//	fresh                came last, is not durable yet
//
// Entries are numbered in the order in which they came, so the three are in
// order. When half of the window is free and somebody is there, the next part
// is read, ahead of time (unshelve.go).

// shelf is what waits behind the window of a durable session.
type shelf struct {
	s       *Session
	cold    stubs
	here    queue // of class none: messages whose places are in cold
	void    int   // so many of the first of those places are of nobody any more
	fresh   queue
	listed  uint64 // lot whose list it is on
	reading bool
	hungry  bool // is on keeper.hungry, or will be (reread.go)
	ails    bool // the last read failed
	ended   bool // is an estate: its session has ended
}

// onShelf is what waits behind the window; nil: nothing does.
func (s *Session) onShelf() *shelf {
	if s.kept == nil {
		return nil
	}
	return s.kept.shelf
}

func (s *Session) shelf() *shelf {
	if s.kept.shelf == nil {
		s.kept.shelf = &shelf{s: s}
	}
	return s.kept.shelf
}

// clearShelf gives up what has become empty.
func (s *Session) clearShelf() {
	if t := s.onShelf(); t != nil && t.cold.n+t.fresh.n == 0 && !t.reading && !t.hungry {
		t.giveUp()
		s.kept.shelf = nil
	}
}

// giveUp gives up the rings of t, which are empty.
func (t *shelf) giveUp() {
	t.here.giveUp(t.s.r)
	t.fresh.giveUp(t.s.r)
}

// waiting is how many messages wait for s, in memory or on disk.
func (s *Session) waiting() int {
	n := s.queue.n
	if t := s.onShelf(); t != nil {
		n += t.cold.n - t.void + t.fresh.n
	}
	return n
}

// waitingBytes are their topics and payloads.
func (s *Session) waitingBytes() int {
	n := s.queue.bytes
	if t := s.onShelf(); t != nil {
		n += t.cold.bytes + t.here.bytes + t.fresh.bytes
	}
	return n
}

// inMemory is what of it takes memory: messages and their bytes.
func (s *Session) inMemory() (n, bytes int) {
	n, bytes = s.queue.n, s.queue.bytes
	if t := s.onShelf(); t != nil {
		n, bytes = n+t.here.n+t.fresh.n, bytes+t.here.bytes+t.fresh.bytes
	}
	return n, bytes
}

// fits tells whether size bytes more have a place in the window. A message has
// one, however long.
func (s *Session) fits(n, bytes, size int) bool {
	l := &s.r.limits
	return n == 0 || n < l.QueuedWindowMax && bytes <= l.QueuedWindowBytesMax-size
}

// wait puts d, which is written down, behind all that waits.
func (s *Session) wait(d delivery) {
	r := s.r
	size := d.msg.bytes()
	r.stats.Queued++
	r.stats.QueuedBytes += int64(size)
	if s.kept == nil || s.kept.shelf == nil && s.fits(s.queue.n, s.queue.bytes, size) {
		s.queue.push(r, d)
		return
	}
	t := s.shelf()
	t.fresh.push(r, d)
	if t.listed != r.keep.open {
		t.listed = r.keep.open
		l := r.keep.lot()
		l.addShelf(t)
		l.firm = true
	}
}

// settle puts on disk what has become durable, as far as it does not fit into
// the window.
func (t *shelf) settle() {
	s := t.s
	if t.ended || s.onShelf() != t {
		return
	}
	t.shelveFresh()
	s.clearShelf()
	if s.client != nil {
		s.r.pump(s)
	}
}

// shelveFresh moves what is durable, or never will be, to where its place is.
func (t *shelf) shelveFresh() {
	s, r := t.s, t.s.r
	for t.fresh.n > 0 && t.fresh.front().key <= r.keep.durable {
		d := t.fresh.pop(r)
		switch {
		case t.cold.n == 0 && s.fits(s.queue.n, s.queue.bytes, d.msg.bytes()):
			s.queue.push(r, d)
		case d.key == 0:
			t.stay(d)
		default:
			if s.queue.n >= r.limits.QueuedWindowMax {
				r.hit(LimitQueuedWindow)
			} else {
				r.hit(LimitQueuedWindowBytes)
			}
			t.pushCold(r.shelve(&d))
		}
	}
}

// shelve forgets d, which is durable, but for its stub.
func (r *Router) shelve(d *delivery) stub {
	b := stub{entry: d.key, message: d.msg.key, size: d.msg.bytes(), flags: d.qos | flagIf(d.retain, stubRetain)}
	if o := d.from; o != nil {
		b.flags |= stubOrigin | flagIf(o.group != nil, stubGroup)
	}
	r.stats.QueuedBytes -= int64(b.size)
	r.release(d.msg)
	return b
}

// pushCold puts b behind what is on disk only.
func (t *shelf) pushCold(b stub) {
	r := t.s.r
	held := t.cold.held
	t.cold.push(b)
	r.keep.shelfBytes += int64(t.cold.held - held)
	r.stats.QueuedOnDisk++
	r.stats.QueuedDiskBytes += int64(b.size)
}

// takeCold takes the oldest, which is on disk only, out of the account.
func (r *Router) takeCold(t *shelf) stub {
	b := t.popStub()
	r.stats.Queued--
	r.stats.QueuedOnDisk--
	r.stats.QueuedDiskBytes -= int64(b.size)
	return b
}

// unwrite takes the records of b away.
func (k *keeper) unwrite(b stub) {
	k.delete(recordKey(tableEntries, b.entry), later)
	k.forget(b.message)
}

// shelveWindow puts the window of s on disk as well, if all of it is durable,
// and returns how many messages that are.
func (r *Router) shelveWindow(s *Session) int {
	n := s.queue.n
	if s.kept == nil || n == 0 || s.queue.at(n-1).key > r.keep.durable {
		return 0
	}
	for i := range n {
		if s.queue.at(i).key == 0 { // of class none
			return 0
		}
	}
	var older stubs
	for range n {
		d := s.queue.pop(r)
		older.push(r.shelve(&d))
	}
	r.stats.QueuedOnDisk += older.n
	r.stats.QueuedDiskBytes += int64(older.bytes)
	t := s.shelf()
	r.keep.shelfBytes -= int64(t.cold.held)
	t.cold.unshift(older)
	r.keep.shelfBytes += int64(t.cold.held)
	return n
}

// dropOldest drops the message that has waited longest for s.
func (r *Router) dropOldest(s *Session, limit LimitID) {
	r.hit(limit)
	t := s.onShelf()
	switch {
	case s.queue.n > 0:
		r.dropWaiting(s, DropQueueFull, s.dequeue())
	case t.here.n > 0 && t.cold.peek().stays():
		r.dropWaiting(s, DropQueueFull, r.popHere(t))
	case t.cold.n > 0: // nothing is read for that, so nobody is told its topic
		r.drop(s, DropQueueFull, nil)
		r.keep.unwrite(r.takeCold(t))
	default:
		r.dropWaiting(s, DropQueueFull, r.popFresh(t))
	}
	s.clearShelf()
}

// dropWaiting drops d, which has left the queue.
func (r *Router) dropWaiting(s *Session, why DropReason, d delivery) {
	r.drop(s, why, d.msg.Topic())
	r.dropEntry(&d)
	r.release(d.msg)
}

// popFresh takes the oldest out that is not durable; the hold passes to the
// caller.
func (r *Router) popFresh(t *shelf) delivery {
	d := t.fresh.pop(r)
	r.stats.Queued--
	r.stats.QueuedBytes -= int64(d.msg.bytes())
	return d
}
