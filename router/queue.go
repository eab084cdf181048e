package router

// delivery is one message on its way to one session.
type delivery struct {
	msg    *Message
	from   *origin // nil: a plain subscription
	key    uint64  // of its record; 0 = there is none
	qos    byte
	retain bool
}

// queue is a first-in first-out of deliveries over a ring that grows with what
// waits and is given up when empty.
type queue struct {
	ring  []delivery // length is 0 or a power of two
	head  int
	n     int
	bytes int
}

// queueRingMin is the length of a new ring; queueRingKeep the longest that an
// empty queue keeps, and queueRingMove the longest that is changed for a shorter
// one: to copy a quarter of it takes some 0.2 ms.
const (
	queueRingMin  = 8
	queueRingKeep = 64
	queueRingMove = 1 << 17
)

func (q *queue) push(r *Router, d delivery) {
	if q.n == len(q.ring) {
		q.resize(r, max(queueRingMin, 2*q.n))
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = d
	q.n++
	q.bytes += d.msg.bytes()
	d.msg.queued++
	r.memory.origins += d.originMemory()
}

// resize has the queue go on in a ring of n places.
func (q *queue) resize(r *Router, n int) {
	r.memory.places += n - len(q.ring)
	ring := make([]delivery, n)
	for i := range q.n {
		ring[i] = *q.at(i)
	}
	q.ring, q.head = ring, 0
}

func (q *queue) front() *delivery { return &q.ring[q.head] }

// at returns the i-th oldest.
func (q *queue) at(i int) *delivery { return &q.ring[(q.head+i)&(len(q.ring)-1)] }

func (q *queue) pop(r *Router) delivery {
	d := q.ring[q.head]
	q.ring[q.head] = delivery{}
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	q.bytes -= d.msg.bytes()
	d.msg.queued--
	r.memory.origins -= d.originMemory()
	q.mayShrink(r)
	return d
}

// popLast takes the newest out.
func (q *queue) popLast(r *Router) delivery {
	last := q.at(q.n - 1)
	d := *last
	*last = delivery{}
	q.n--
	q.bytes -= d.msg.bytes()
	d.msg.queued--
	r.memory.origins -= d.originMemory()
	q.mayShrink(r)
	return d
}

// mayShrink gives up a long ring that is empty, and most of one that nearly is.
func (q *queue) mayShrink(r *Router) {
	switch n := len(q.ring); {
	case n <= queueRingKeep || q.n > n/4:
	case q.n == 0:
		q.giveUp(r)
	case n <= queueRingMove:
		q.resize(r, n/2)
	}
}

// fit gives up the half of the ring that is empty after much was cut.
func (q *queue) fit(r *Router) {
	if n := len(q.ring); n > queueRingKeep && n <= queueRingMove && q.n <= n/2 {
		q.resize(r, n/2)
	}
}

// giveUp gives the ring up, which is empty.
func (q *queue) giveUp(r *Router) {
	r.memory.places -= len(q.ring)
	*q = queue{}
}
