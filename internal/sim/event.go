package sim

// What happens without the router's doing.
const (
	eventArrive  = iota // n bytes reach the broker
	eventEnd            // the broker learns that the client is gone
	eventRead           // the client reads up to n bytes
	eventDial           // a connection is accepted
	eventCommit         // the disk has done with a commit
	eventHasty          // a broken disk says so
	eventFetched        // the disk has read
)

// event is something that happens at an instant.
type event struct {
	at   int64
	seq  uint64 // equal instants: in the order in which they were planned
	kind int
	conn *conn
	n    int
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// eventQueue is a binary heap of events.
type eventQueue struct {
	heap []event
	seq  uint64
}

func (q *eventQueue) next() int64 {
	if len(q.heap) == 0 {
		return 0
	}
	return q.heap[0].at
}

func (q *eventQueue) push(at int64, kind int, c *conn, n int) {
	q.seq++
	q.heap = append(q.heap, event{at, q.seq, kind, c, n})
	for i := len(q.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if !q.heap[i].before(&q.heap[up]) {
			break
		}
		q.heap[i], q.heap[up] = q.heap[up], q.heap[i]
		i = up
	}
}

func (q *eventQueue) pop() event {
	first := q.heap[0]
	last := len(q.heap) - 1
	q.heap[0] = q.heap[last]
	q.heap[last] = event{}
	q.heap = q.heap[:last]
	for i := 0; ; {
		least := i
		for k := 2*i + 1; k <= 2*i+2 && k < last; k++ {
			if q.heap[k].before(&q.heap[least]) {
				least = k
			}
		}
		if least == i {
			return first
		}
		q.heap[i], q.heap[least] = q.heap[least], q.heap[i]
		i = least
	}
}

// happen does what an event says.
func (w *World) happen(e *event) {
	c := e.conn
	switch e.kind {
	case eventDial:
		w.conns = append(w.conns, c)
		w.router.BeginPass(w.now)
		w.step(stepAttach, c, nil)
		c.attached = true
		if c.ended || len(c.in) > 0 {
			c.wantRead()
		}
	case eventArrive:
		n := min(e.n, len(c.pipe))
		c.in = append(c.in, c.pipe[:n]...)
		c.pipe = c.pipe[n:]
		c.wantRead()
	case eventEnd:
		c.ended = true
		c.wantRead()
	case eventCommit, eventHasty, eventFetched:
		if e.n == w.disk.life {
			w.ended = append(w.ended, e.kind)
		}
	case eventRead:
		c.reading = false
		c.clientReads(e.n)
	}
}
