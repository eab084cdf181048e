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
// empty queue keeps.
const (
	queueRingMin  = 8
	queueRingKeep = 64
)

func (q *queue) push(d delivery) {
	if q.n == len(q.ring) {
		ring := make([]delivery, max(queueRingMin, 2*q.n))
		for i := range q.n {
			ring[i] = q.ring[(q.head+i)&(len(q.ring)-1)]
		}
		q.ring, q.head = ring, 0
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = d
	q.n++
	q.bytes += d.msg.bytes()
}

func (q *queue) front() *delivery { return &q.ring[q.head] }

// at returns the i-th oldest.
func (q *queue) at(i int) *delivery { return &q.ring[(q.head+i)&(len(q.ring)-1)] }

func (q *queue) pop() delivery {
	d := q.ring[q.head]
	q.ring[q.head] = delivery{}
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	q.bytes -= d.msg.bytes()
	q.mayGiveUp()
	return d
}

// popLast takes the newest out.
func (q *queue) popLast() delivery {
	last := q.at(q.n - 1)
	d := *last
	*last = delivery{}
	q.n--
	q.bytes -= d.msg.bytes()
	q.mayGiveUp()
	return d
}

// mayGiveUp gives up a long ring that is empty.
func (q *queue) mayGiveUp() {
	if q.n == 0 && len(q.ring) > queueRingKeep {
		*q = queue{}
	}
}
