package router

import "math"

// memoryLevel says how near the broker is to Limits.MemoryBytesMax, and what is
// done about it. Each level does what those before it do.
type memoryLevel int

const (
	memoryEasy   memoryLevel = iota
	memoryTrim               // the largest backlogs are cut, QoS 0 first, then as queueFull says
	memoryHold               // publishers of QoS 1 and 2 are read from in turns only, so that few acknowledgements leave
	memoryRefuse             // no new connections, nothing new is retained
)

// From which share of the limit a level holds, in percent; it ends a little
// below.
//
// table: never written.
var memoryFrom = [...]int64{memoryTrim: 70, memoryHold: 80, memoryRefuse: 90}

const (
	memoryBack  = 3           // percent below which a level ends
	memoryCalm  = int64(6e10) // ns without any level before it is said that there is enough again
	onDiskBytes = 32          // what is in memory of a message on disk only: mostly the store's index
)

// Retained messages never go away by themselves, and nothing of them can be cut: so
// that they cannot bring a level about by themselves they have a part of the limit, in
// percent.
const (
	retainedShare = 40 // beyond which no topic is new
	retainedGrown = 45 // beyond which none has a longer message
)

// filtersAtLevel is how many filters a session may have to get another while a
// level holds: no single one is to lead to the next.
const filtersAtLevel = 64

// memory is the account.
type memory struct {
	level    memoryLevel
	told     memoryLevel // the highest that was told since there was enough
	fullAt   int64       // when the last level was reached, until memoryHold ends; 0: it was not
	calmAt   int64       // when it is told that there is enough; 0: not now
	beside   int64       // bytes outside the pool, at the last look
	trim     trim
	heldBack []heldClient // not read from, in the order in which they began to wait
	passed   int          // so many of the first have waited for HoldTimeout and cannot be told
	overdue  bool         // some were told, and what they send is refused
	times    uint64       // how often that was over
	turnsAt  int64        // when some of those may go on
	account
}

// partBytesMax is how much of a packet that is not whole a connection may have
// sent, in bytes, to be read on from at the memory limit.
const partBytesMax = 16 << 10

// holdsPart notes that a packet is not whole and has n bytes so far, and ends its
// connection if there is no memory for what it goes on with: what others hold that
// way must not keep it from those who would give memory back.
func (c *Client) holdsPart(n int) {
	if n > 0 {
		c.partAt = uint32(c.r.now/1e9 + 1)
	}
	if n > partBytesMax && c.r.memory.level >= memoryRefuse {
		c.r.hit(LimitMemory)
		c.close(errNoMemory)
	}
}

// endStalled ends the connection of c if a packet that it has begun has not grown
// for SlowTimeout: while memory is short, nobody may keep some of it for ever.
func (r *Router) endStalled(c *Client) {
	since := max(int64(c.partAt)*1e9, c.seenAt) // who was not read from begins anew
	if c.partAt != 0 && c.paused == 0 && !c.closing && r.isOver(r.limits.SlowTimeout, since) {
		r.hit(LimitSlowTimeout)
		c.close(errStalled)
	}
}

// checkMemory finds the level that holds and acts on it. Once a pass.
func (r *Router) checkMemory() (wake int64) {
	limit := int64(r.limits.MemoryBytesMax)
	m := &r.memory
	if limit == 0 {
		if m.level == memoryEasy && m.told == memoryEasy {
			return 0
		}
		limit = math.MaxInt64 // there was one, and some may still be held back because of it
	}
	used := r.MemoryUsed()
	if r.witness != nil && r.limits.MemoryBytesMax > 0 {
		then := r.witness.Memory(used, limit)
		m.elsewhere += then - used
		used = then
	}
	m.beside = used - r.pool.InUse()
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
	switch {
	case level < memoryHold:
		m.fullAt = 0
	case level == memoryRefuse && m.fullAt == 0:
		m.fullAt = r.now
	}
	wake = r.tellMemory(used)
	if level >= memoryTrim {
		if r.now >= m.turnsAt {
			r.takeTurns()
			m.turnsAt = r.after(heldEvery)
		}
		if r.now >= m.trim.at && r.trimOn(r.memoryExcess()) {
			return r.now
		}
		return min(m.trim.at, m.turnsAt)
	}
	m.trim.end()
	return wake
}

// memoryExcess is by how much there is more than where the first level ends.
func (r *Router) memoryExcess() int64 {
	return r.MemoryUsed() - int64(r.limits.MemoryBytesMax)/100*(memoryFrom[memoryTrim]-memoryBack)
}

// PoolMax is how many bytes of the pool may be in use before nobody has more output
// than he must: what all else leaves of the memory until memoryHold. 0: there is no
// limit.
func (r *Router) PoolMax() int64 {
	if r.limits.MemoryBytesMax == 0 {
		return 0
	}
	return max(1, int64(r.limits.MemoryBytesMax)/100*memoryFrom[memoryHold]-r.memory.beside)
}

// retainedFill tells whether retained messages have so much of the limit.
func (r *Router) retainedFill(percent int64) bool {
	limit, n := int64(r.limits.MemoryBytesMax), int64(r.retained.Len())
	return limit > 0 && r.retained.Memory()+n*(retainedBytes+messageBytes)+int64(r.stats.RetainedBytes) >= limit/100*percent
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
		return "publishers with QoS 1 and 2 are slowed down to a message a second or less"
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
