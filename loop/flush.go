//go:build linux

package loop

// How output leaves.
//
// Whoever has output, or another wish to the kernel, is dirty and waits in a list. At the end of the pass the loop writes
// for those who became dirty in it, and for those whom earlier passes left over, late, within a budget: after a message
// to ten thousand connections all others would have to wait while they are written. What is left over comes in the next
// passes, which do not sleep. Of the budget the late have at least one half, in the order in which they came, so nobody
// waits for ever; and who has just become dirty does not wait behind ten thousand late ones. Who waits goes on gathering
// output, so that it leaves in larger writes. A pass that has read much may write as much: only fan-out is put off.
//
// What is meant for many is late from the beginning, and waits as long as its sender has more to say: a read is handled
// in several turns, but what comes of it leaves in one write for each receiver.
//
// Reading must not run ahead of that. Once somebody who waits has gathered more than Limits.OutputLowBytes, those who
// multiply what they send are not read from until the next age of the views (see views.go): then what waited has left. And
// once a pass has had Limits.PassSends sends, the others of their kind have to wait for the next one.

const (
	flushPerRead = 2  // connections written for each one read: an answer and a message; and bytes for each byte
	gatherPasses = 16 // most in an age of the views that output waits for more of the same read
	wideFactor   = 2  // how many times what it sends a connection makes others get, from which on it may have to wait
)

// connList is a queue of connections. Nobody is in two of them.
type connList struct {
	head, tail *conn
	n          int
}

func (q *connList) push(c *conn) {
	if q.head == nil {
		q.head = c
	} else {
		q.tail.next = c
	}
	q.tail = c
	q.n++
}

// pop takes the first; there must be one.
func (q *connList) pop() *conn {
	c := q.head
	if q.head = c.next; c.next == nil {
		q.tail = nil
	}
	c.next = nil
	q.n--
	return c
}

// take moves all but the first n of from behind the last of q; last is the n-th, nil for n = 0.
func (q *connList) take(from *connList, n int, last *conn) {
	head := from.head
	if last != nil {
		head = last.next
		last.next = nil
	}
	if head == nil {
		return
	}
	if q.head == nil {
		q.head = head
	} else {
		q.tail.next = head
	}
	q.tail = from.tail
	q.n += from.n - n
	if from.tail, from.n = last, n; n == 0 {
		from.head = nil
	}
}

// budget is what may be written in one go.
type budget struct{ conns, bytes int }

// flush writes output within the budget of a pass.
func (l *epoll) flush() {
	whole := l.passBudget()
	half := budget{(whole.conns + 1) / 2, (whole.bytes + 1) / 2}
	if l.gathering && !l.swollen && l.gathered < gatherPasses {
		l.gathered++
		half = budget{}
	}
	left := l.flushList(&l.late, half)
	rest := budget{whole.conns - half.conns + left.conns, whole.bytes - half.bytes + left.bytes}
	rest = l.flushList(&l.dirty, rest)
	if half.conns > 0 {
		l.flushList(&l.late, rest)
	}
	if l.dirty.n > 0 || l.late.n > 0 {
		l.late.take(&l.dirty, 0, nil)
		l.stats.PartFlushes++
	}
	l.ageViews()
}

// passBudget is what may be written now.
func (l *epoll) passBudget() budget {
	reads, bytes := l.stats.Reads-l.readsThen, l.stats.BytesIn-l.bytesThen
	l.readsThen, l.bytesThen = l.stats.Reads, l.stats.BytesIn
	conns := l.lim.FlushConns
	if !l.alone() {
		conns /= 2
	}
	return budget{max(conns, flushPerRead*int(reads), 1), max(l.lim.FlushBytes, flushPerRead*int(bytes))}
}

// flushAll writes the output of every dirty connection, which ends all views.
func (l *epoll) flushAll() {
	for l.late.n > 0 || l.dirty.n > 0 {
		l.late.take(&l.dirty, 0, nil)
		l.flushNext(&l.late)
	}
	l.ageViews()
}

// flushList writes for the first connections of q, and returns what is left of b.
func (l *epoll) flushList(q *connList, b budget) budget {
	for q.n > 0 && b.conns > 0 && b.bytes > 0 {
		b.conns--
		b.bytes -= l.flushNext(q)
	}
	b.bytes = max(b.bytes, 0)
	return b
}

// flushNext writes the output of the first connection of q, arms what is left, and returns how many bytes have left.
func (l *epoll) flushNext(q *connList) (bytes int) {
	c := q.pop()
	c.dirty = false
	queued := int(c.queued)
	c.flush()
	switch {
	case c.closed:
	case c.failed && c.paused: // what was received before will not be read any more
		c.Close(c.cause)
	default:
		c.watch()
	}
	return queued - int(c.queued)
}

// mustWait tells whether c is not to be read from in this pass: it multiplies what it sends, and what waits to be written
// has gathered enough, or the pass has had enough of its kind. Then it is among the heavy ones of the next pass.
func (l *epoll) mustWait(c *conn) bool {
	if c.load&wide == 0 || c.failed || !l.holding && l.sends-l.sendsThen < uint64(l.lim.PassSends) {
		return false
	}
	l.putOff(c)
	return true
}
