package router

import (
	"cmp"
	"fmt"
	"slices"
	"sort"

	"github.com/loopmq/loopmq/codec"
)

// Restored says what a start has found.
type Restored struct {
	Sessions      int // that wait for their clients
	Subscriptions int
	Retained      int
	Queued        int // messages that wait for sessions
	Inflight      int // messages that were sent and not finished
	Expired       int // sessions whose time was over
	Left          int // messages of sessions that had ended before, and are cleared away
	Lost          int // records without what they belong to, which a repair leaves behind
}

// restoring is what is known while records are read. They come by table, so
// that each finds what it refers to, but for messages, which come last.
type restoring struct {
	r        *Router
	k        *keeper
	found    Restored
	beat     int64 // wall clock of the last beat; 0 = none
	sessions map[uint64]*Session
	awayAt   map[*Session]int64 // wall clock; 0 = connected
	flights  []restoredEntry
	sent     map[uint64]bool // messages of flights: whether there is a record
	messages map[uint64]*Message
	estate   *shelf // of sessions that are gone; nil: there is none
}

type restoredEntry struct {
	entryRecord
	key uint64
}

// Restore brings back what the store holds, at the instant now of the clock of
// BeginPass. It comes before the first Attach. An error names the record that
// cannot be understood.
func (r *Router) Restore(now int64) (Restored, error) {
	k := r.keep
	if k == nil {
		return Restored{}, nil
	}
	r.now, k.now = now, k.wall()
	g := &restoring{
		r: r, k: k, sessions: make(map[uint64]*Session), awayAt: make(map[*Session]int64),
		sent: make(map[uint64]bool), messages: make(map[uint64]*Message),
	}
	err := k.store.Load(func(key uint64, value []byte) error {
		if err := g.record(byte(key>>tableShift), key&numberMask, value); err != nil {
			return fmt.Errorf("record %d/%d: %w", key>>tableShift, key&numberMask, err)
		}
		return nil
	})
	if err != nil {
		return Restored{}, fmt.Errorf("restore state: %w", err)
	}
	if err := g.fetchMessages(); err != nil {
		return Restored{}, fmt.Errorf("restore state: %w", err)
	}
	g.joinFlights()
	g.leaveMessages()
	k.durable, k.lasting = k.entries, k.sessions
	g.leave()
	g.found.Sessions, g.found.Subscriptions = len(r.sessions), r.Stats().Subscriptions
	g.found.Retained, g.found.Queued, g.found.Inflight = r.retained.Len(), r.stats.Queued, r.stats.Inflight
	return g.found, nil
}

// record takes one record. value is a view.
func (g *restoring) record(table byte, n uint64, value []byte) error {
	if n == 0 && table != tableMeta {
		return fmt.Errorf("%w: number 0", errRecordWrong)
	}
	switch table {
	case tableMeta:
		f := fieldsOf(value)
		switch n {
		case metaWear:
			g.k.wear.resume(g.k.now/dayNanos, f.time(), uint64(f.time()))
		case metaBeat:
			g.beat = f.time()
		default:
			return errRecordNewer
		}
		return f.end()
	case tableSessions:
		return g.session(n, value)
	case tableWills:
		return g.will(n, value)
	case tableSubscriptions:
		return g.subscription(n, value)
	case tableRetained:
		return g.retained(n, value)
	case tableReceived:
		return g.received(n)
	case tableEntries:
		return g.entry(n, value)
	case tableMessages:
		return g.message(n)
	}
	return fmt.Errorf("%w: table %d", errRecordNewer, table)
}

// lose drops a record that belongs to nothing.
func (g *restoring) lose(table byte, n uint64) error {
	g.found.Lost++
	g.k.delete(recordKey(table, n), promised)
	return nil
}

// owner is the session with number n, nil if it has ended. Its number is not given
// again as long as something is left of it.
func (g *restoring) owner(n uint64) *Session {
	g.k.sessions = max(g.k.sessions, n)
	return g.sessions[n]
}

func (g *restoring) session(n uint64, value []byte) error {
	var rec sessionRecord
	if err := rec.decode(value); err != nil {
		return err
	}
	g.k.sessions = max(g.k.sessions, n)
	if g.r.sessions[rec.id] != nil {
		return fmt.Errorf("%w: a second session %q", errRecordWrong, rec.id)
	}
	s := g.r.newSession(rec.id)
	s.expiry = rec.expiry
	s.identity = g.k.load(rec.identity, rec.id)
	g.r.guard(s.identity)
	s.kept = &kept{number: n}
	g.sessions[n], g.awayAt[s] = s, rec.away
	return nil
}

func (g *restoring) will(n uint64, value []byte) error {
	var rec willRecord
	if err := rec.decode(value); err != nil {
		return err
	}
	s := g.owner(n)
	if s == nil {
		return g.lose(tableWills, n)
	}
	w := &will{msg: g.k.cloneBody(&rec.body), qos: rec.qos, retain: rec.retain, delay: rec.delay, expiry: rec.expiry, id: s.id}
	w.session, w.writer = s, g.k.writerOf(rec.body.writer)
	w.due, w.msg.class = rec.due, DurabilitySync // whatever the rules say by now
	s.seldom().will, s.kept.will = w, true
	return nil
}

func (g *restoring) subscription(n uint64, value []byte) error {
	var rec subscriptionRecord
	if err := rec.decode(value); err != nil {
		return err
	}
	g.k.subscriptions = max(g.k.subscriptions, n)
	s := g.owner(rec.session)
	if s == nil { // the session had ended, and the process did before its last filter was taken away
		g.k.delete(recordKey(tableSubscriptions, n), promised)
		return nil
	}
	f := codec.Filter{Name: rec.filter, QoS: rec.qos, NoLocal: rec.noLocal, RetainAsPublished: rec.rap, RetainHandling: 2}
	if err := checkFilter(&f); err != nil {
		return err
	}
	if s.subs.find(rec.filter) != nil {
		return g.lose(tableSubscriptions, n)
	}
	sub := g.r.enter(s, rec.filter)
	sub.qos, sub.key = rec.qos, n
	sub.setOptions(&f, rec.ids)
	return nil
}

func (g *restoring) retained(n uint64, value []byte) error {
	var rec retainedRecord
	if err := rec.decode(value); err != nil {
		return err
	}
	if rec.body.topic[0] == '$' {
		return fmt.Errorf("%w: retained topic %q", errRecordWrong, rec.body.topic)
	}
	r := g.r
	g.k.retained = max(g.k.retained, n)
	m := &retainedMessage{msg: g.k.cloneOwned(&rec.body, r.use(rec.owner)), qos: rec.qos, key: n}
	if _, had := r.retained.Get(rec.body.topic); had || m.msg.expired(r.now) {
		r.ownRetained(m.msg, 0)
		r.release(m.msg)
		g.k.delete(recordKey(tableRetained, n), promised)
		return nil
	}
	r.ownRetained(m.msg, 1)
	r.retained.Set(rec.body.topic, m)
	r.stats.RetainedBytes += m.msg.bytes()
	r.startEnd(m)
	return nil
}

func (g *restoring) received(n uint64) error {
	s := g.owner(n >> receivedShift)
	if s == nil {
		return g.lose(tableReceived, n)
	}
	s.own()
	s.received = s.r.addTo(s.received, uint16(n))
	return nil
}

// entry takes what a session is owed. What waits stays where it is: memory gets
// no more of it than if it had been on disk only before.
func (g *restoring) entry(n uint64, value []byte) error {
	e := restoredEntry{key: n}
	k := g.k
	if err := e.decode(value); err != nil {
		return err
	}
	k.entries, k.messages = max(k.entries, n), max(k.messages, e.message)
	s := g.owner(e.session)
	if e.flight != 0 {
		if e.message != 0 {
			g.sent[e.message] = false
		}
		e.group, e.ids = slices.Clone(e.group), slices.Clone(e.ids)
		g.flights = append(g.flights, e)
		return nil
	}
	t := g.estate
	switch {
	case s != nil:
		t = s.shelf()
	case t == nil: // it ended, and the power went before its estate was settled
		t = &shelf{s: &Session{r: g.r, flow: &g.r.idle}, ended: true}
		g.estate, k.estates = t, append(k.estates, t)
	}
	if t.ended {
		g.found.Left++
	}
	k.named.add(e.message, 1)
	t.pushCold(e.stub())
	g.r.stats.Queued++
	return nil
}

func (e *restoredEntry) stub() stub {
	b := stub{entry: e.key, message: e.message, size: e.size, flags: e.qos | flagIf(e.retain, stubRetain)}
	if len(e.ids)+len(e.group) > 0 {
		b.flags |= stubOrigin | flagIf(len(e.group) > 0, stubGroup)
	}
	return b
}

// message takes note of a body, which is not read.
func (g *restoring) message(n uint64) error {
	g.k.messages = max(g.k.messages, n)
	if _, sent := g.sent[n]; sent {
		g.sent[n] = true
		return nil
	}
	if g.k.named.of(n) == 0 {
		return g.lose(tableMessages, n)
	}
	return nil
}

// fetchMessages makes what is in flight, and reads the bodies of what was sent to
// members of shared subscriptions.
func (g *restoring) fetchMessages() error {
	var numbers []uint64
	for i := range g.flights {
		e := &g.flights[i]
		if !g.sent[e.message] {
			continue
		}
		if g.messages[e.message] == nil {
			g.messages[e.message] = g.r.absentMessage(e.message)
		}
		if len(e.group) > 0 {
			numbers = append(numbers, e.message)
		}
	}
	for len(numbers) > 0 {
		part := numbers[:min(len(numbers), unshelveMax)]
		numbers = numbers[len(part):]
		keys := make([]uint64, len(part))
		for i, n := range part {
			keys[i] = recordKey(tableMessages, n)
		}
		for i, v := range g.k.store.Fetch(keys) {
			m := g.messages[part[i]]
			if !m.absent {
				continue
			}
			if err := g.k.embody(m, v); err != nil {
				return fmt.Errorf("record %d/%d: %w", tableMessages, part[i], err)
			}
		}
	}
	return nil
}

// joinFlights gives sessions what was in flight, in the order of sending.
func (g *restoring) joinFlights() {
	sort.Slice(g.flights, func(i, j int) bool {
		a, b := &g.flights[i], &g.flights[j]
		return cmp.Or(cmp.Compare(a.session, b.session), cmp.Compare(a.flight, b.flight), cmp.Compare(a.key, b.key)) < 0
	})
	for i := range g.flights {
		e := &g.flights[i]
		s, m := g.sessions[e.session], g.messages[e.message]
		gone := m == nil && e.message != 0
		if s == nil || gone && e.qos < 2 || e.flight <= s.out.next {
			_ = g.lose(tableEntries, e.key)
			continue
		}
		g.join(s, m, e)
		if gone { // its client may have it: what is left to do is PUBREL
			g.found.Lost++
			g.k.putEntry(s, &s.out.at(s.out.open-1).delivery, e.flight, promised)
		}
	}
}

func (g *restoring) join(s *Session, m *Message, e *restoredEntry) {
	s.own()
	s.out.next = e.flight - 1
	f := s.addFlight()
	f.delivery = delivery{msg: m, key: e.key, qos: e.qos, retain: e.retain, from: g.k.origin(s, &e.entryRecord)}
	s.r.memory.origins += f.originMemory()
	f.sent = true
	switch {
	case m == nil:
		f.state = flightPubcomp
	case e.qos == 2:
		f.state = flightPubrec
	default:
		f.state = flightPuback
	}
	if m != nil {
		m.hold()
		g.k.named.add(m.key, 1)
	}
	s.kept.settled = s.out.next
	g.r.stats.Inflight++
}

// leaveMessages lets go of the hold that reading has on messages.
func (g *restoring) leaveMessages() {
	for n, m := range g.messages {
		if g.k.named.of(n) == 0 {
			_ = g.lose(tableMessages, n)
		}
		g.r.release(m)
	}
}

// leave puts sessions on the list of those who are away, and ends those whose
// time is over: the broker's absence does not count for them.
func (g *restoring) leave() {
	r, k := g.r, g.k
	gone := k.now // when connections ended, at the latest
	if g.beat != 0 {
		gone = min(gone, g.beat+beatEvery+beatSlack)
	}
	list := make([]*Session, 0, len(g.sessions))
	for _, s := range g.sessions {
		list = append(list, s)
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		return cmp.Or(cmp.Compare(cmp.Or(g.awayAt[a], gone), cmp.Or(g.awayAt[b], gone)), cmp.Compare(a.kept.number, b.kept.number)) < 0
	})
	var over []*Session
	for _, s := range list {
		r.offline.add(s)
		away := g.awayAt[s]
		if away == 0 {
			away = gone
			k.putSession(s, away)
		}
		if w := s.delayed(); w != nil {
			if w.due == 0 {
				w.due = away + w.delay
				k.putWill(s, w, w.due)
			}
			r.timers.Set(&w.timer, w, k.instantOf(w.due))
		}
		left := min(s.expiry, s.expiry-(k.now-away)) // a clock that was put back gives nobody more
		if left <= 0 {
			over = append(over, s)
			continue
		}
		r.timers.Set(&s.timer, s, r.after(left))
	}
	for _, s := range over {
		g.found.Expired++
		s.Due(r.now)
	}
}
