package router

// An estate is what waited for a session that has ended: what is on disk only, and of
// a long queue what memory has. It is taken away in pieces, so that one of millions of
// messages does not hold the loop; those of shared subscriptions are read and go to
// other members. A start takes up what was left of one.

const (
	estatePassMax  = 4096  // messages of estates in one pass
	estateBatchMax = 12288 // in one batch, which then leaves: see lazyBytesMax
)

// bequeath leaves what s had behind its window to the passes that come, and a long
// window as well.
func (r *Router) bequeath(s *Session) {
	if s.kept == nil || s.kept.shelf == nil && s.queue.n == 0 {
		return
	}
	t := s.shelf()
	s.kept.shelf = nil
	t.ended = true
	r.keep.estates = append(r.keep.estates, t)
}

// settleEstates does a piece of what is left. A disk that has failed still has all
// of it, and the next start goes on: what is passed on now would be so again.
func (k *keeper) settleEstates() {
	if k.failed {
		return
	}
	budget := min(estatePassMax, k.estateRoom())
	kept := k.estates[:0]
	for _, t := range k.estates {
		budget = k.settleEstate(t, budget)
		if t.reading || t.s.queue.n+t.cold.n+t.fresh.n > 0 {
			kept = append(kept, t)
		} else {
			t.giveUp()
			t.s.disown()
		}
	}
	clear(k.estates[len(kept):])
	k.estates = kept
}

// estateRoom is how many messages of estates have a place in the open batch.
func (k *keeper) estateRoom() int { return estateBatchMax - k.estateDone }

// estatesWait tells whether the next piece can follow at once.
func (k *keeper) estatesWait() bool {
	if k.failed || k.estateRoom() <= 0 {
		return false // a commit comes, or nothing
	}
	for _, t := range k.estates {
		if !t.reading && !t.hungry {
			return true
		}
	}
	return false
}

// settleEstate goes on with t as far as budget allows, and returns what is left
// of that.
func (k *keeper) settleEstate(t *shelf, budget int) int {
	r, s := k.r, t.s
	for ; budget > 0 && s.queue.n > 0; budget-- {
		r.inherit(t, s.dequeue())
	}
	for !t.reading && !t.hungry && budget > 0 && t.cold.n > 0 {
		budget--
		if t.cold.peek().stays() {
			r.inherit(t, r.popHere(t))
			continue
		}
		if t.cold.peek().has(stubGroup) {
			t.readInherited()
			break
		}
		r.drop(s, DropSession, nil)
		k.unwrite(r.takeCold(t))
		k.estateDone++
	}
	for budget > 0 && t.cold.n == 0 && t.fresh.n > 0 {
		r.inherit(t, r.popFresh(t))
		budget--
	}
	return budget
}

// inherit passes d on, which has left the queue.
func (r *Router) inherit(t *shelf, d delivery) {
	if d.key != 0 { // else it is no part of a batch
		r.keep.estateDone++
	}
	r.passOn(&d, false)
	r.dropWaiting(t.s, DropSession, d)
}

// readInherited fetches the next messages of shared subscriptions.
func (t *shelf) readInherited() {
	var list []stub
	bytes := 0
	t.cold.each(func(b stub) bool {
		if !b.has(stubGroup) || len(list) == unshelveMax || len(list) > 0 && bytes+b.size > t.s.r.limits.QueuedWindowBytesMax {
			return false
		}
		list = append(list, b)
		bytes += b.size
		return true
	})
	t.fetch(list, t.inherited)
}

// inherited passes on what was read.
func (t *shelf) inherited(list []stub, values []StoreValue) {
	r, s := t.s.r, t.s
	for _, b := range list {
		mine := values[:b.records()]
		values = values[b.records():]
		d, err := r.keep.revive(s, b, mine)
		if t.mustReread(err) {
			return
		}
		r.takeCold(t)
		if err != nil {
			r.keep.unwrite(b)
			r.unreadable(s, mine[0].Data, err)
			continue
		}
		r.inherit(t, d)
	}
}
