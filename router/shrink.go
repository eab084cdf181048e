package router

// A limit of queues may be lowered while a million messages wait, or one message
// be as long as thousands of those before it. So only a few are dropped when one
// comes that does not fit, and the others in pieces: a queue that has too many
// never grows by what comes.

const (
	shrinkAtOnce  = 16
	shrinkPassMax = 4096 // messages in one pass
)

// over says which limit s has broken, if n messages of size bytes more are
// counted in.
func (s *Session) over(n, size int) (limit LimitID, over bool) {
	switch { // no sums: they might be more than an int of 32 bits
	case s.waiting() > s.limits().QueuedMessagesMax-n:
		return LimitQueuedMessages, true
	case s.waitingBytes() > s.queuedBytesMax()-size:
		return LimitQueuedBytes, true
	case s.r.stats.Queued > s.r.limits.QueuedTotalMax-n:
		return LimitQueuedTotal, true
	}
	return 0, false
}

func (s *Session) queuedBytesMax() int {
	most := s.limits().QueuedBytesMax
	if q := s.quota(); q != nil && q.QueuedBytes > 0 {
		most = min(most, q.QueuedBytes)
	}
	return most
}

// makeWay drops what waits longest for s, so that size bytes more are within its
// limits: now, or soon. False: nothing does, it is others who have all the places.
func (r *Router) makeWay(s *Session, size int) bool {
	for range shrinkAtOnce {
		limit, over := s.over(1, size)
		if !over {
			return true
		}
		if s.waiting() == 0 {
			r.hit(limit)
			return false
		}
		r.dropOldest(s, limit)
	}
	if !s.shrinking {
		s.shrinking = true
		r.shrinks = append(r.shrinks, s)
	}
	return true
}

// shrink goes on with those that have too many. It reports whether the next piece
// can follow at once.
func (r *Router) shrink() (more bool) {
	for left := shrinkPassMax; len(r.shrinks) > 0; left-- {
		s := r.shrinks[0]
		limit, over := LimitID(0), false
		if !s.gone() {
			limit, over = s.over(0, 0)
			if over = over && s.waiting() > 0; !over {
				s.shrinking = false
			}
		}
		switch {
		case !over:
			r.shrinks[0], r.shrinks = nil, r.shrinks[1:]
			continue
		case left <= 0:
			return true
		case s.kept == nil:
			r.dropOldest(s, limit)
			continue
		case !r.keep.failed && r.keep.estateRoom() <= 0:
			return false // a commit comes
		}
		lazy := r.keep.lazyBytes
		r.dropOldest(s, limit)
		if r.keep.lazyBytes != lazy { // else it had no records
			r.keep.estateDone++
		}
	}
	r.shrinks = nil
	return false
}
