package router

// Under memory pressure the largest backlogs are cut. Finding them looks at all
// sessions, some in each pass; cutting them goes on as long as a turn.
const (
	trimLooks = 1024       // sessions looked at in a pass
	trimMost  = 16         // backlogs that are cut after one look at all
	trimCuts  = 1024       // messages cut in a pass
	trimEvery = int64(1e8) // ns between the end of one round and the next
)

// trimStage is what comes next in a round.
type trimStage byte

const (
	trimBegins  trimStage = iota
	trimClients           // looking at sessions that have a connection
	trimAbsent            // at the others
	trimCutting
)

// trim is a round of looking for the largest backlogs and cutting them.
type trim struct {
	at      int64 // when the next round may begin
	stage   trimStage
	largest []backlog // of those seen, the largest first
}

type backlog struct {
	s     *Session
	bytes int
	left  int // to be cut; 0: has not begun, negative: enough
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
		if c.session != nil {
			t.look(c.session)
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
	}
	if r.cutLargest(excess) {
		return true
	}
	t.end()
	t.at = r.after(trimEvery)
	return false
}

// end forgets the round.
func (t *trim) end() {
	clear(t.largest)
	t.largest, t.stage = t.largest[:0], trimBegins
}

// look remembers s if its backlog is among the largest.
func (t *trim) look(s *Session) {
	n, waiting := s.inMemory()
	b := backlog{s: s, bytes: s.late.bytes + waiting + (s.late.n+n)*messageOverBytes + (s.waiting()-n)*onDiskBytes}
	if b.bytes <= 0 {
		return
	}
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
	cuts := trimCuts
	for i := range r.memory.trim.largest {
		b := &r.memory.trim.largest[i]
		if b.left == 0 {
			if excess <= 0 {
				return false
			}
			r.stats.Trims++
			b.left = (b.bytes + 1) / 2
		}
		for ; b.left > 0 && excess > 0; cuts-- {
			if cuts == 0 {
				return true
			}
			n := 0
			if r.sessions[b.s.id] == b.s { // it may have ended since
				n = r.cutOne(b.s)
			}
			if n == 0 {
				break
			}
			b.left -= n
			excess -= int64(n)
		}
		b.left = -1
	}
	return false
}
