package router

// account counts what clients make the router hold: what can be many or long to
// the byte as it is allocated, the rest by rough costs. A message counts once,
// however many sessions it waits for; each of those pays for a place in a queue.
type account struct {
	elsewhere int64 // bytes that others told of with SetMemoryElsewhere
	filters   int64 // bytes of the text of all filters
	aliases   int64 // bytes of Topic Aliases, both ways
	pending   int64 // bytes of CONNECTs that wait for a verdict or for their turn
	places    int   // of deliveries, in the rings of all queues
	flights   int   // places of those that are in flight
	flows     int   // sessions that have one of their own
	origins   int   // bytes of what deliveries owe to several subscriptions
	sets      int   // bytes of sets of PacketIDs
}

// What one of each takes, in bytes. Those of the first group are structs, as the
// allocator rounds them; the others are rough, with the maps and lists that they
// are in, and TestAccountIsWhatTheHeapHolds says whether they are true.
const (
	messageBytes  = 64
	moreBytes     = 64
	refBytes      = 48
	placeBytes    = 32
	flightBytes   = 48
	originBytes   = 48
	flowBytes     = 192
	setBytes      = 576
	setPageBytes  = 128
	retainedBytes = 48

	clientBytes  = 1_000
	sessionBytes = 256
	filterBytes  = 130 // beside its text and what the index has of it
)

// MemoryUsed is what clients make the broker hold, in bytes.
func (r *Router) MemoryUsed() int64 {
	m := &r.memory
	kept := m.elsewhere + m.filters + m.aliases + m.pending
	if k := r.keep; k != nil {
		kept += k.named.bytes() + k.store.Memory()
	}
	return kept + r.backlogMemory() + r.retained.Memory() + r.index.Memory() +
		int64(r.retained.Len())*retainedBytes + int64(m.flights)*flightBytes + int64(m.flows)*flowBytes + int64(m.sets+m.origins) +
		int64(r.clients.n)*clientBytes + int64(len(r.sessions))*sessionBytes + int64(r.index.Len()+r.sharedSubs)*filterBytes
}

// backlogMemory is that part of MemoryUsed which becomes less when backlogs are
// cut.
func (r *Router) backlogMemory() int64 {
	n := r.pool.InUse() + r.messages.extra + int64(r.messages.live)*messageBytes + int64(r.memory.places)*placeBytes
	if r.keep != nil {
		n += r.keep.shelfBytes
	}
	return n
}

// SetMemoryElsewhere adds bytes that the router does not know of to the account.
func (r *Router) SetMemoryElsewhere(bytes int64) { r.memory.elsewhere = bytes }

// originMemory is what the origin of d takes, if it is its own.
func (d *delivery) originMemory() int {
	if d.from == nil || !d.from.own {
		return 0
	}
	return originBytes + 4*cap(d.from.ids)
}

// addFlight is inflight.add.
func (s *Session) addFlight() *flight {
	before := len(s.out.ring)
	e := s.out.add()
	s.r.memory.flights += len(s.out.ring) - before
	return e
}

// addTo puts id into a set, which it makes if there is none.
func (r *Router) addTo(set *packetSet, id uint16) *packetSet {
	if set == nil {
		set = new(packetSet)
		r.memory.sets += setBytes
	}
	before := set.paged
	set.add(id)
	r.memory.sets += (set.paged - before) * setPageBytes
	return set
}

func (s *packetSet) memory() int {
	if s == nil {
		return 0
	}
	return setBytes + s.paged*setPageBytes
}

// disown gives the flow of s up, of which nothing is under way any more.
func (s *Session) disown() {
	r := s.r
	if s.flow == &r.idle {
		return
	}
	s.queue.giveUp(r)
	s.late.giveUp(r)
	r.memory.flights -= len(s.out.ring)
	r.memory.sets -= s.received.memory()
	r.memory.flows--
	s.flow = &r.idle
}
