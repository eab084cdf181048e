package router

// memoryLevel says how near the broker is to Limits.MemoryBytesMax, and what is
// done about it. Each level does what those before it do.
type memoryLevel int

const (
	memoryEasy   memoryLevel = iota
	memoryTrim               // the largest backlogs are cut, oldest messages first
	memoryHold               // publishers of QoS 1 and 2 are not read from, so that no acknowledgement leaves
	memoryRefuse             // no new connections, nothing new is retained
)

// From which share of the limit a level holds, in percent; it ends a little
// below.
//
// table: never written.
var memoryFrom = [...]int64{memoryTrim: 70, memoryHold: 80, memoryRefuse: 90}

const (
	memoryBack       = 3           // percent below which a level ends
	memoryCalm       = int64(6e10) // ns without any level before it is said that there is enough again
	clientBytes      = 1_000       // rough costs, for the account; bench says what they are
	sessionBytes     = 600
	filterBytes      = 170 // beside its text and what the index has of it
	messageOverBytes = 100
	onDiskBytes      = 32 // what is in memory of a message on disk only: mostly the store's index
)

// memory is the account.
type memory struct {
	level     memoryLevel
	told      memoryLevel // the highest that was told since there was enough
	calmAt    int64       // when it is told that there is enough; 0: not now
	trim      trim
	heldBack  []*Client // not read from
	elsewhere int64     // bytes that others told of with SetMemoryElsewhere
	filters   int64     // bytes of the text of all filters
	aliases   int64     // bytes of Topic Aliases, both ways
	pending   int64     // bytes of CONNECTs that wait for a verdict or for their turn
}

// MemoryUsed estimates what clients make the broker hold, in bytes: what is
// counted exactly, and rough costs of the rest.
func (r *Router) MemoryUsed() int64 {
	s, m := &r.stats, &r.memory
	kept := m.elsewhere + m.filters + m.aliases + m.pending
	if k := r.keep; k != nil {
		kept += k.shelfBytes + k.named.bytes() + k.store.Memory()
	}
	return kept + r.pool.InUse() + s.QueuedBytes + s.LateBytes + int64(s.RetainedBytes) + r.retained.Memory() + r.index.Memory() +
		int64(r.messages.live)*messageOverBytes + int64(r.clients.n)*clientBytes +
		int64(len(r.sessions))*sessionBytes + int64(r.index.Len()+r.sharedSubs)*filterBytes
}

// SetMemoryElsewhere adds bytes that the router does not know of to the account.
func (r *Router) SetMemoryElsewhere(bytes int64) { r.memory.elsewhere = bytes }

// checkMemory finds the level that holds and acts on it. Once a pass.
func (r *Router) checkMemory() (wake int64) {
	limit := int64(r.limits.MemoryBytesMax)
	if limit == 0 {
		return 0
	}
	m, used := &r.memory, r.MemoryUsed()
	level := memoryEasy
	for l := memoryTrim; l <= memoryRefuse; l++ {
		from := memoryFrom[l]
		if m.level >= l {
			from -= memoryBack
		}
		if used >= limit/100*from {
			level = l
		}
	}
	if level != m.level {
		if level > m.level {
			r.hit(LimitMemory)
		}
		m.level = level
	}
	wake = r.tellMemory(used)
	if level < memoryHold && !r.keep.crowded() {
		r.letGo()
	}
	if level >= memoryTrim {
		if r.now >= m.trim.at && r.trimOn(used-limit/100*(memoryFrom[memoryTrim]-memoryBack)) {
			return r.now
		}
		return m.trim.at
	}
	m.trim.end()
	return wake
}

// tellMemory tells each level once: under pressure they come and go many times a
// second. It returns when it wants to be called again; 0: not by itself.
func (r *Router) tellMemory(used int64) (wake int64) {
	m := &r.memory
	switch {
	case m.level > m.told:
	case m.level != memoryEasy || m.told == memoryEasy:
		m.calmAt = 0
		return 0
	case m.calmAt == 0:
		m.calmAt = r.after(memoryCalm)
		return m.calmAt
	case r.now < m.calmAt:
		return m.calmAt
	}
	m.told, m.calmAt = m.level, 0
	r.event(&Event{Kind: EventMemory, Detail: m.level.String(), Count: uint64(used), Waiting: r.limits.MemoryBytesMax})
	return 0
}

func (l memoryLevel) String() string {
	switch l {
	case memoryTrim:
		return "the largest backlogs are cut"
	case memoryHold:
		return "publishers with QoS 1 and 2 have to wait"
	case memoryRefuse:
		return "new connections are refused"
	}
	return "enough again"
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// cutOne drops the message that s can do without most easily, or puts on disk
// only what is there, and returns the bytes that it had.
func (r *Router) cutOne(s *Session) int {
	var d delivery
	switch {
	case s.late.n > 0:
		d = r.popLate(s)
	case s.kept != nil && r.keep.accepts() == nil: // what is not durable yet will be at the next look
		if n := r.shelveWindow(s); n > 0 {
			return n
		}
		if n := r.cutNone(s); n > 0 || r.memory.level < memoryRefuse {
			return n
		}
		return r.cutCold(s)
	case s.queue.n > 0:
		d = s.dequeue()
	case s.onShelf() != nil && s.onShelf().fresh.n > 0 && s.onShelf().cold.n == 0:
		d = r.popFresh(s.onShelf())
	default:
		return r.cutNone(s)
	}
	n := d.msg.bytes() + messageOverBytes
	r.dropWaiting(s, DropMemory, d)
	s.clearShelf()
	return n
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
	return onDiskBytes
}

// slowDown stops reading from a publisher of QoS 1 or 2 until there is memory
// again, or room in the store for what came of its message since mark.
func (c *Client) slowDown(mark uint64) {
	if c.r.memory.level >= memoryHold {
		c.holdUp()
	} else {
		c.awaitRoom(mark)
	}
}

// awaitRoom stops reading from a client until there is room in the store, if it
// has written something since mark.
func (c *Client) awaitRoom(mark uint64) {
	if k := c.r.keep; k.mark() != mark && k.crowded() {
		c.holdUp()
	}
}

// holdUp stops reading from c until letGo.
func (c *Client) holdUp() {
	if c.paused&pausedByMemory != 0 {
		return
	}
	c.paused |= pausedByMemory
	c.conn.Pause()
	c.r.stats.Held++
	c.r.memory.heldBack = append(c.r.memory.heldBack, c)
}

// letGo reads again from all who had to wait.
func (r *Router) letGo() {
	for _, c := range r.memory.heldBack {
		if c.closing {
			continue
		}
		c.paused &^= pausedByMemory
		c.seenAt = r.now // its silence was ours
		if c.paused == 0 {
			c.conn.Resume()
		}
	}
	clear(r.memory.heldBack)
	r.memory.heldBack = r.memory.heldBack[:0]
}
