package router

// cutOne drops the message that s can do without most easily, or puts on disk
// only what is there, and returns how many messages that are.
func (r *Router) cutOne(s *Session) int {
	switch {
	case s.late.n > 0:
		d := r.popFor(&s.late)
		r.isNotLate(&d)
		r.dropWaiting(s, DropMemory, d)
		return 1
	case s.kept != nil && r.keep.accepts() == nil: // what is not durable yet will be at the next look
		if n := r.shelveWindow(s); n > 0 {
			return n
		}
		if n := r.cutNone(s); n > 0 || r.memory.level < memoryRefuse {
			return n
		}
		return r.cutCold(s)
	case s.queue.n > 0, s.onShelf() != nil && s.onShelf().fresh.n > 0 && s.onShelf().cold.n == 0:
		return r.cutInMemory(s)
	}
	return r.cutNone(s)
}

// cutCold drops the oldest message of s that is on disk only, for the little that
// it takes: its client may not even be let in any more.
func (r *Router) cutCold(s *Session) int {
	t := s.onShelf()
	if t == nil || t.cold.n == 0 || r.keep.estateRoom() <= 0 {
		return 0
	}
	if t.cold.peek().stays() {
		return r.cutNone(s)
	}
	r.drop(s, DropMemory, nil)
	r.keep.unwrite(r.takeCold(t))
	r.keep.estateDone++
	s.clearShelf()
	return 1
}
