package router

import "math/bits"

// What is kept for clients that are away may be what fills the memory: sessions of
// client identifiers that are made up each time, filters, messages in flight. Nobody
// takes it away for days, and at the last level nobody is let in. So from memoryHold
// on, if cutting backlogs was not enough, sessions of absent clients are dropped, as
// long as such sessions hold a part of the limit that is worth it. The largest make
// room first; of those about alike, the one that is away longest.
const (
	purgeLooks = 1024 // sessions looked at in a pass
	purgeLeast = 20   // percent of the limit
)

// purge is the second half of a round of trim.
type purge struct {
	sizes [64]int64 // bytes of absent sessions, by the bits of what each has
	sum   int64     // of all of them
	from  int       // so many bits one must have to be dropped
	left  int64     // bytes to free

	unread, present heaviest // of who is connected: what is neither acknowledged nor read, and all
}

// uncutMemory is about what s holds beside its backlog.
func (r *Router) uncutMemory(s *Session) int64 {
	filters := int64(r.index.Len() + r.sharedSubs)
	each := filterBytes + (r.memory.filters+r.index.Memory())/max(filters, 1)
	return sessionBytes + int64(s.subs.len())*each + s.unacked()
}

// unacked is about what s has in flight.
func (s *Session) unacked() int64 {
	if s.flow == &s.r.idle {
		return 0
	}
	n := flowBytes + int64(len(s.out.ring))*flightBytes + int64(s.received.memory())
	inFlight := int64(0) // a guess, which may be more than an int of 32 bits
	for i := range min(s.out.open, trimProbe) {
		if m := s.out.at(i * (s.out.open - 1) / (trimProbe - 1)).msg; m != nil {
			inFlight += int64(m.weight() / max(int(m.holders), 1))
		}
	}
	return n + inFlight/trimProbe*int64(s.out.open)
}

// look counts s, which is absent.
func (p *purge) look(r *Router, s *Session) {
	n := r.uncutMemory(s)
	p.sizes[bits.Len64(uint64(n))] += n
	p.sum += n
}

// beginPurge decides who is dropped to free excess bytes.
func (r *Router) beginPurge(excess int64) {
	p := &r.memory.trim.purge
	r.offline.cursor = nil
	worth := p.sum >= int64(r.limits.MemoryBytesMax)/100*purgeLeast
	if !worth || excess <= 0 || r.memory.level < memoryHold || len(r.graves) > 0 { // those free some, but not at once
		return
	}
	r.offline.cursor, p.left = r.offline.head, excess
	sum := int64(0)
	for p.from = len(p.sizes) - 1; p.from > 0; p.from-- {
		if sum += p.sizes[p.from]; sum >= excess {
			break
		}
	}
}

// purgeOn drops some of them, and reports whether there is more to do.
func (r *Router) purgeOn() (more bool) {
	p, toil, visited := &r.memory.trim.purge, r.toil, r.visited
	for looks := purgeLooks; r.offline.cursor != nil && p.left > 0; looks-- {
		if looks == 0 || r.over(toil, visited) {
			return true
		}
		s := r.offline.cursor
		r.offline.cursor = s.next
		n := r.uncutMemory(s)
		if bits.Len64(uint64(n)) < p.from {
			continue
		}
		p.left -= n
		r.stats.Purged++
		r.toil += toilOfFilter
		r.dropAway(s, "memory-limit")
	}
	return false
}
