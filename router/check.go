package router

import "fmt"

// CheckInvariants walks all state and returns the first contradiction:
// counters equal sums, the index holds exactly the sessions' filters, every
// message is held by those who say so.
func (r *Router) CheckInvariants() error {
	holders, disk := map[*Message]int32{}, onDisk{entry: map[uint64]int{}}
	var n sums
	for id, s := range r.sessions {
		if s.id != id {
			return fmt.Errorf("session %q is filed under %q", s.id, id)
		}
		if (s.client == nil) != r.offline.has(s) {
			return fmt.Errorf("session %q: connected %v, on the list of absent ones %v", id, s.client != nil, r.offline.has(s))
		}
		if s.client == nil {
			n.offline++
		} else if s.client.session != s {
			return fmt.Errorf("session %q and its client disagree", id)
		}
		err := r.checkSession(s, holders)
		if err == nil {
			err = s.checkKept(&disk)
		}
		if err != nil {
			return fmt.Errorf("session %q: %w", id, err)
		}
		n.subs += s.subs.len()
		n.queued += s.waiting()
		n.inflight += s.out.open
		n.late += s.late.n
		n.lateBytes += s.late.bytes
		if s.late.n > 0 && (s.client == nil || !s.client.behind) {
			return fmt.Errorf("session %q: messages are late for nobody", id)
		}
		_, bytes := s.inMemory()
		n.queuedBytes += bytes
		if w := s.delayed(); w != nil {
			holders[w.msg]++
			if s.client != nil || w.session != s {
				return fmt.Errorf("session %q: a will waits that should not", id)
			}
		}
	}
	for c := r.clients.head; c != nil; c = c.next {
		n.clients++
		if c.will != nil {
			holders[c.will.msg]++
		}
	}
	err := firstError(r.checkGraves(&n, holders), r.checkEstates(&n, holders, &disk))
	if err != nil {
		return fmt.Errorf("sessions that have ended: %w", err)
	}
	retainedBytes := r.holdRetained(holders)
	return firstError(
		differs("subscriptions in the index", r.index.Len()-len(r.shares)+r.sharedSubs, n.subs),
		differs("absent sessions", r.offline.n, n.offline),
		differs("clients", r.clients.n, n.clients),
		r.checkAccount(holders),
		r.checkUses(),
		differs("queued messages", r.stats.Queued, n.queued),
		differs("late messages", r.stats.Late, n.late),
		differs("late bytes", int(r.stats.LateBytes), n.lateBytes),
		differs("queued bytes", int(r.stats.QueuedBytes), n.queuedBytes),
		differs("messages in flight", r.stats.Inflight, n.inflight),
		differs("retained bytes", r.stats.RetainedBytes, retainedBytes),
		differs("live messages", r.messages.live, len(holders)),
		differs("armed timers", r.timers.Len(), r.armedTimers()),
		differs("bytes of payloads", int(r.messages.payloadBytes), payloadsOf(holders)),
		checkHolders(holders),
		r.checkDisk(holders, &disk),
		r.checkShares(),
		differs("entries of the idle flow", r.idle.out.open+len(r.idle.out.ring)+int(r.idle.out.next)+r.idle.queue.n+len(r.idle.replays), 0),
		r.index.CheckInvariants(),
		r.retained.CheckInvariants(),
	)
}

// sums are what a walk finds of all sessions together.
type sums struct{ subs, queued, queuedBytes, inflight, offline, clients, late, lateBytes int }

// checkGraves adds what is left in memory of sessions that have ended.
func (r *Router) checkGraves(n *sums, holders map[*Message]int32) error {
	for _, g := range r.graves {
		n.subs += g.filters
		if !g.flow {
			continue
		}
		s := g.session
		if err := r.checkSession(s, holders); err != nil {
			return err
		}
		n.queued += s.queue.n
		n.queuedBytes += s.queue.bytes
		n.inflight += s.out.open
	}
	return nil
}

// checkUses holds what users have against what counts for them.
func (r *Router) checkUses() error {
	has := map[*userUse]userUse{}
	for c := r.clients.head; c != nil; c = c.next {
		if c.rare != nil && c.rare.use != nil {
			n := has[c.rare.use]
			n.connections++
			has[c.rare.use] = n
		}
	}
	r.retained.Walk(func(_ string, m *retainedMessage) bool {
		if o := m.msg.owner(); o != nil {
			n := has[o]
			n.retained++
			has[o] = n
		}
		return true
	})
	for u, n := range has {
		if n.user = u.user; n != *u || r.uses[u.user] != u {
			return fmt.Errorf("user %q has %+v, counted are %+v", u.user, n, *u)
		}
	}
	return differs("users who have something", len(r.uses), len(has))
}

// payloadsOf counts the payloads of all messages that are held.
func payloadsOf(holders map[*Message]int32) (bytes int) {
	for m := range holders {
		bytes += len(m.Payload())
	}
	return bytes
}

// checkSession checks one session and adds its holds.
func (r *Router) checkSession(s *Session, holders map[*Message]int32) error {
	bytes := 0
	for i := range s.queue.n {
		d := s.queue.at(i)
		holders[d.msg]++
		bytes += d.msg.bytes()
	}
	if t := s.onShelf(); t != nil {
		t.holders(holders)
	}
	for i := range s.late.n {
		holders[s.late.at(i).msg]++
	}
	ids := map[uint16]bool{}
	for i := range s.out.open {
		e := s.out.at(i)
		if e.msg != nil {
			holders[e.msg]++
		}
		if (e.msg == nil) != (e.state == flightPubcomp) {
			return fmt.Errorf("message %d in flight: state %d, message kept %v", e.n, e.state, e.msg != nil)
		}
		if i > 0 && s.out.at(i-1).n >= e.n || e.n >= s.out.next || ids[e.packetID()] {
			return fmt.Errorf("message %d in flight is out of order or its PacketID %d is given twice", e.n, e.packetID())
		}
		ids[e.packetID()] = true
	}
	var lost error
	s.subs.each(func(sub *Subscription) {
		if sub.session != s {
			lost = fmt.Errorf("filter %q belongs to another session", sub.filter)
		}
	})
	err := firstError(lost, differs("bytes in the queue", s.queue.bytes, bytes))
	if err == nil && s.received != nil {
		err = differs("QoS 2 PacketIDs", s.received.n, s.received.count())
	}
	return err
}

// holdRetained adds the holds of retained messages and returns their bytes.
func (r *Router) holdRetained(holders map[*Message]int32) (bytes int) {
	for _, all := range []string{"#", "$SYS/#"} {
		c := r.retained.Cursor(all)
		for done := false; !done; {
			done = c.Next(1024, func(m *retainedMessage) bool {
				holders[m.msg]++
				bytes += m.msg.bytes()
				return true
			})
		}
		c.Close()
	}
	return bytes
}

// checkShares holds the groups against their members.
func (r *Router) checkShares() error {
	members := 0
	for key, g := range r.shares {
		members += len(g.members)
		if len(g.members) == 0 || g.turn > len(g.members) {
			return fmt.Errorf("group %q: %d members, turn %d", key, len(g.members), g.turn)
		}
		for _, sub := range g.members {
			if sub.group() != g || r.sessions[sub.session.id] != sub.session && !sub.session.gone() || sub.session.subs.find([]byte(key)) != sub {
				return fmt.Errorf("group %q: a member of %q does not belong to it", key, sub.session.id)
			}
		}
	}
	return differs("members of groups", r.sharedSubs, members)
}

func checkHolders(holders map[*Message]int32) error {
	for m, n := range holders {
		if m.holders != n {
			return fmt.Errorf("message on %q: %d holders, %d found", m.Topic(), m.holders, n)
		}
	}
	return nil
}

func differs(what string, counted, found int) error {
	if counted != found {
		return fmt.Errorf("%s: counted %d, found %d", what, counted, found)
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Waiting tells of each message that waits for a session, oldest first: for its
// PacketID to be durable, or in the queue. The slices are views. It reads what
// is on disk only, and waits for that; what is damaged is left out. It is for
// tests.
func (r *Router) Waiting(clientID string, each func(topic, properties, payload []byte, qos byte)) {
	s := r.sessions[clientID]
	if s == nil {
		return
	}
	for i := range s.out.open {
		if e := s.out.at(i); s.kept != nil && !e.sent && e.msg != nil {
			each(e.msg.Topic(), e.msg.props(), e.msg.Payload(), e.qos)
		}
	}
	for i := range s.queue.n {
		d := s.queue.at(i)
		each(d.msg.Topic(), d.msg.props(), d.msg.Payload(), d.qos)
	}
	if t := s.onShelf(); t != nil {
		r.eachShelved(t, func(d *delivery, err error) {
			if err == nil {
				each(d.msg.Topic(), d.msg.props(), d.msg.Payload(), d.qos)
			}
		})
	}
}

// Filing tells how many filters of the long packet of a connection were handled;
// under: it is not done.
func (r *Router) Filing(conn uint64) (done int, under bool) {
	for _, f := range r.filings {
		if f.c.conn.ID() != conn || f.c.closing {
			continue
		}
		switch k := f.filters.(type) {
		case *subscribing:
			return len(k.ack.Codes), true
		case *unsubscribing:
			return len(k.ack.Codes), true
		}
	}
	return 0, false
}

// eachShelved reads what waits on disk only, and goes on to what joins it there.
func (r *Router) eachShelved(t *shelf, each func(*delivery, error)) {
	here := -t.void
	t.cold.each(func(w stub) bool {
		if w.stays() {
			if here++; here > 0 {
				each(t.here.at(here-1), nil)
			}
			return true
		}
		values := r.keep.store.Fetch([]uint64{recordKey(tableMessages, w.message), recordKey(tableEntries, w.entry)})
		d, err := r.keep.revive(t.s, w, values[:w.records()])
		each(&d, err)
		if err == nil {
			r.release(d.msg)
		}
		return true
	})
	for i := range t.fresh.n {
		each(t.fresh.at(i), nil)
	}
}

// Late is Waiting for QoS 0 messages that wait for room in the output; bytes is
// what the limit counts of one.
func (r *Router) Late(clientID string, each func(topic, payload []byte, bytes int)) {
	s := r.sessions[clientID]
	if s == nil {
		return
	}
	for i := range s.late.n {
		m := s.late.ring[(s.late.head+i)&(len(s.late.ring)-1)].msg
		each(m.Topic(), m.Payload(), m.bytes())
	}
}
