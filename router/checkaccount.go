package router

import "fmt"

// checkAccount holds what memory counts against what is there.
func (r *Router) checkAccount(holders map[*Message]int32) error {
	filters, aliases := 0, 0
	for _, s := range r.sessions {
		s.subs.each(func(sub *Subscription) { filters += len(sub.filter) })
	}
	for c := r.clients.head; c != nil; c = c.next {
		aliases += int(c.aliasMemory())
	}
	if len(r.graves) > 0 { // whose filters are not looked through
		filters = int(r.memory.filters)
	}
	found := account{}
	queued := map[*Message]int32{}
	for _, s := range r.sessions {
		s.addTo(&found, r, queued)
	}
	for _, g := range r.graves {
		if g.flow {
			g.session.addTo(&found, r, queued)
		}
	}
	if r.keep != nil {
		for _, t := range r.keep.estates {
			t.s.addTo(&found, r, queued)
			t.addTo(&found, queued)
		}
	}
	extra := 0
	for m := range holders {
		extra += m.extra()
		if m.queued != queued[m] {
			return fmt.Errorf("message on %q: in %d queues, %d found", m.Topic(), m.queued, queued[m])
		}
	}
	return firstError(
		differs("places in queues", r.memory.places, found.places),
		differs("places of flights", r.memory.flights, found.flights),
		differs("bytes of origins", r.memory.origins, found.origins),
		differs("flows", r.memory.flows, found.flows),
		differs("bytes of sets of PacketIDs", r.memory.sets, found.sets),
		differs("bytes of messages", int(r.messages.extra), extra),
		differs("bytes of filters", int(r.memory.filters), filters),
		differs("bytes of Topic Aliases", int(r.memory.aliases), aliases),
	)
}

// addTo adds what s has to what an account should say.
func (s *Session) addTo(found *account, r *Router, queued map[*Message]int32) {
	if s.flow != &r.idle {
		found.flows++
		found.flights += len(s.out.ring)
		for i := range s.out.open {
			found.origins += s.out.at(i).originMemory()
		}
		found.sets += s.received.memory()
		s.queue.addTo(found, queued)
		s.late.addTo(found, queued)
	}
	if s.kept != nil {
		found.sets += s.kept.unwritten.memory()
	}
	if t := s.onShelf(); t != nil {
		t.addTo(found, queued)
	}
}

func (t *shelf) addTo(found *account, queued map[*Message]int32) {
	t.here.addTo(found, queued)
	t.fresh.addTo(found, queued)
}

func (q *queue) addTo(found *account, queued map[*Message]int32) {
	found.places += len(q.ring)
	for i := range q.n {
		queued[q.at(i).msg]++
		found.origins += q.at(i).originMemory()
	}
}
