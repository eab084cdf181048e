package router

// Under memory pressure the largest backlogs are cut. Finding them looks at all
// sessions, some in each pass; cutting them goes on as long as a turn. How large
// one is, is what cutting it can free: a message that waits for many counts for
// each as its share, and one that somebody else holds, who is not cut, as nothing.
//
// What is cut is cut for something: backlogs that all together come to less than
// trimLeast of the limit are let be, since something else fills the memory then; and
// those whose messages are free only when many are cut lose no larger part than it
// takes from all.
const (
	trimLooks = 1024       // sessions looked at in a pass
	trimMost  = 16         // backlogs that are cut after one look at all
	trimCuts  = 1024       // messages cut in a pass
	trimEvery = int64(1e8) // ns between the end of one round and the next
	trimLeast = 1          // percent
	trimPart  = 32         // one in so many messages of a backlog is cut at least, if one is
	trimProbe = 3          // messages of a queue that are looked at
)

// trimStage is what comes next in a round.
type trimStage byte

const (
	trimBegins  trimStage = iota
	trimClients           // looking at sessions that have a connection
	trimAbsent            // at the others
	trimCutting
	trimPurging
)

// trim is a round of looking for the largest backlogs and cutting them.
type trim struct {
	at      int64 // when the next round may begin
	stage   trimStage
	largest []backlog // of those seen, the largest first
	sum     int64     // bytes of all that were seen
	purge   purge
}

type backlog struct {
	s      *Session
	bytes  int64 // a guess, which may be more than an int of 32 bits
	n      int   // messages
	shared bool  // most of them wait for others, too
	left   int   // to be cut; 0: has not begun, negative: enough
}

// trimOn goes on with the round, to free about excess bytes in the end, and
// reports whether there is more to do at once.
func (r *Router) trimOn(excess int64) (more bool) {
	t := &r.memory.trim
	if t.stage == trimBegins {
		r.clients.cursor, r.offline.cursor = r.clients.head, nil
		t.stage = trimClients
	}
	looks := trimLooks
	for ; t.stage == trimClients; looks-- {
		c := r.clients.cursor
		if c == nil {
			r.offline.cursor = r.offline.head
			t.stage = trimAbsent
			break
		}
		if looks == 0 {
			return true
		}
		r.clients.cursor = c.next
		if r.memory.level >= memoryHold {
			r.endStalled(c)
		}
		if c.session != nil {
			t.look(c.session)
			if r.memory.fullAt != 0 {
				t.purge.weigh(r, c)
			}
		}
	}
	for ; t.stage == trimAbsent; looks-- {
		s := r.offline.cursor
		if s == nil {
			t.stage = trimCutting
			break
		}
		if looks <= 0 {
			return true
		}
		r.offline.cursor = s.next
		t.look(s)
		t.purge.look(r, s)
	}
	if t.stage == trimCutting {
		if r.cutLargest(excess) {
			return true
		}
		t.stage = trimPurging
		r.beginPurge(r.memoryExcess())
	}
	if r.purgeOn() {
		return true
	}
	r.shed()
	t.end()
	t.at = r.after(trimEvery)
	return false
}

// end forgets the round.
func (t *trim) end() {
	clear(t.largest)
	t.largest, t.stage, t.sum, t.purge = t.largest[:0], trimBegins, 0, purge{}
}

// add counts q in.
func (b *backlog) add(q *queue) {
	if q.n == 0 {
		return
	}
	sum, shared := 0, 0
	for i := range trimProbe {
		m := q.at(i * (q.n - 1) / (trimProbe - 1)).msg
		if m.queued > 1 {
			shared++
		}
		if m.holders == m.queued {
			sum += m.weight() / int(m.queued)
		}
	}
	b.bytes += int64(q.n) * int64(placeBytes+sum/trimProbe)
	b.n += q.n
	b.shared = b.shared || shared > trimProbe/2
}

// part is how many messages of b are cut, to free about excess bytes of sum: up to
// one half, and less if others must be cut as well before any is free.
func (b *backlog) part(excess, sum int64) int {
	half := (b.n + 1) / 2
	if !b.shared || 4*excess >= sum {
		return half
	}
	return max(b.n/trimPart, int(int64(b.n)*2*excess/max(sum, 1)), 1)
}

// look remembers s if its backlog is among the largest.
func (t *trim) look(s *Session) {
	b := backlog{s: s}
	b.add(&s.late)
	b.add(&s.queue)
	if h := s.onShelf(); h != nil {
		b.add(&h.here)
		b.add(&h.fresh)
		if s.r.memory.level >= memoryRefuse { // else it stays
			cold := h.cold.n - h.here.n - h.void
			b.bytes += int64(cold) * onDiskBytes
			b.n += cold
		}
	}
	if b.n == 0 {
		return
	}
	t.sum += b.bytes
	at := len(t.largest)
	for at > 0 && b.before(&t.largest[at-1]) {
		at--
	}
	if at == trimMost {
		return
	}
	for i := range t.largest {
		if t.largest[i].s == s { // it has lost its connection since it was looked at
			return
		}
	}
	if len(t.largest) < trimMost {
		t.largest = append(t.largest, backlog{})
	}
	copy(t.largest[at+1:], t.largest[at:])
	t.largest[at] = b
}

func (b *backlog) before(o *backlog) bool {
	if b.bytes != o.bytes {
		return b.bytes > o.bytes
	}
	return compareText(b.s.id, o.s.id) < 0 // the same in every run
}

// cutLargest cuts each of the largest backlogs by up to one half: QoS 0 first,
// then as queueFull says. It reports whether there is more to cut.
func (r *Router) cutLargest(excess int64) (more bool) {
	t := &r.memory.trim
	if t.sum < int64(r.limits.MemoryBytesMax)/100*trimLeast {
		return false
	}
	cuts := trimCuts
	for i := range t.largest {
		b := &t.largest[i]
		if b.left == 0 {
			if excess <= 0 {
				return false
			}
			r.stats.Trims++
			b.left = b.part(excess, t.sum)
		}
		for ; b.left > 0 && excess > 0; cuts-- {
			if cuts == 0 {
				return true
			}
			n, freed := r.cutBacklog(b)
			if n == 0 {
				break
			}
			b.left -= n
			excess -= freed
		}
		if b.left >= 0 && r.sessions[b.s.id] == b.s {
			excess -= r.fitRings(b.s)
		}
		b.left = -1
	}
	return false
}

// cutBacklog is cutOne for a session that may have ended since it was looked at.
// It returns how many messages went, and the bytes that are free.
func (r *Router) cutBacklog(b *backlog) (n int, freed int64) {
	s := b.s
	if r.sessions[s.id] != s {
		return 0, 0
	}
	before, thrown := r.backlogMemory(), r.stats.ThrownOut
	if n = r.cutOne(s); r.stats.ThrownOut != thrown && s.expiry == 0 {
		return n, b.bytes // at the end of the pass
	}
	return n, before - r.backlogMemory()
}

// fitRings gives up what the queues of s have too much of after they were cut.
func (r *Router) fitRings(s *Session) (freed int64) {
	before := r.memory.places
	s.late.fit(r)
	s.queue.fit(r)
	if t := s.onShelf(); t != nil {
		t.here.fit(r)
		t.fresh.fit(r)
	}
	return int64(before-r.memory.places) * placeBytes
}
