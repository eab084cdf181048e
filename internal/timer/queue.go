package timer

// arity of the heap: four children are neighbours in memory, and the tree is half as deep as a binary one.
const arity = 4

// shrinkSlots is the capacity below which the heap's storage is kept whatever its load.
const shrinkSlots = 1024

// Job is what a timer does.
type Job interface {
	// Due is called by Queue.Run with Run's now when the deadline has come. The timer is stopped by then.
	Due(now int64)
}

// Timer is one deadline, embedded in what it times. The zero value is stopped.
//
// What it does lies in the heap: most timers are stopped most of the time, and a stopped one costs a word.
type Timer struct {
	pos uint32 // 1 + position in the heap; 0 = stopped
}

// Armed reports whether t waits for its deadline.
func (t *Timer) Armed() bool { return t.pos != 0 }

// slot is one armed timer. The key lies beside the pointer so that sifting does not touch the timers compared.
type slot struct {
	at  int64
	seq uint64 // order of Set: the tie-break that makes equal deadlines deterministic
	t   *Timer
	job Job
}

func (s *slot) before(o *slot) bool {
	return s.at < o.at || s.at == o.at && s.seq < o.seq
}

// Queue holds the armed timers, earliest first; equal deadlines run in the order of their Set.
// The zero value is empty and ready. Not safe for concurrent use.
type Queue struct {
	heap  []slot
	seq   uint64
	floor int64 // while Run works: the earliest deadline that Set accepts; else 1
}

// Set arms t for the deadline at (monotonic ns), or moves it there; j replaces the earlier job.
//
// A deadline below 1 counts as 1, because 0 means "none" in Next. While Run works, a deadline that is not after
// its now counts as now+1: such a timer waits for the next Run, so a job that re-arms itself cannot hold the loop.
//
// hot: no allocation but the heap's growth.
func (q *Queue) Set(t *Timer, j Job, at int64) {
	at = max(at, q.floor, 1)
	q.seq++
	s := slot{at: at, seq: q.seq, t: t, job: j}
	if t.pos == 0 {
		q.heap = append(q.heap, s)
		q.up(len(q.heap)-1, s)
		return
	}
	i := q.position(t)
	if s.before(&q.heap[i]) {
		q.up(i, s)
	} else {
		q.down(i, s)
	}
}

// Stop disarms t; a stopped timer stays stopped.
//
// hot: no allocation but the heap's shrinking.
func (q *Queue) Stop(t *Timer) {
	if t.pos != 0 {
		q.remove(q.position(t))
	}
}

// Run calls Due for the timers whose deadline is at or before now, earliest first, at most max of them, and
// returns how many it called. A Job may Set and Stop any timer, itself included; it must not call Run.
func (q *Queue) Run(now int64, max int) (ran int) {
	q.floor = now + 1
	for ran < max && len(q.heap) > 0 && q.heap[0].at <= now {
		j := q.heap[0].job
		q.remove(0)
		j.Due(now)
		ran++
	}
	q.floor = 1
	return ran
}

// Next returns the earliest deadline, 0 when no timer is armed.
func (q *Queue) Next() int64 {
	if len(q.heap) == 0 {
		return 0
	}
	return q.heap[0].at
}

// Len returns the number of armed timers.
func (q *Queue) Len() int { return len(q.heap) }

// position returns where t lies, and panics for a timer that another queue holds: going on would corrupt both.
func (q *Queue) position(t *Timer) int {
	i := int(t.pos) - 1
	if i >= len(q.heap) || q.heap[i].t != t {
		panic("timer: the timer is armed in another queue or was copied while armed")
	}
	return i
}

func (q *Queue) remove(i int) {
	q.heap[i].t.pos = 0
	end := len(q.heap) - 1
	last := q.heap[end]
	q.heap[end] = slot{}
	q.heap = q.heap[:end]
	switch {
	case i == end:
	case i > 0 && last.before(&q.heap[(i-1)/arity]):
		q.up(i, last)
	default:
		q.down(i, last)
	}
	q.shrink()
}

// shrink gives storage back after a crowd has left; half of what is kept stays free, so that it is rare.
func (q *Queue) shrink() {
	if cap(q.heap) > shrinkSlots && len(q.heap) < cap(q.heap)/4 {
		q.heap = append(make([]slot, 0, cap(q.heap)/2), q.heap...)
	}
}

// up puts s at i or above it.
func (q *Queue) up(i int, s slot) {
	for i > 0 {
		parent := (i - 1) / arity
		if !s.before(&q.heap[parent]) {
			break
		}
		q.put(i, q.heap[parent])
		i = parent
	}
	q.put(i, s)
}

// down puts s at i or below it.
func (q *Queue) down(i int, s slot) {
	for {
		first := i*arity + 1
		if first >= len(q.heap) {
			break
		}
		least := first
		for c := first + 1; c < min(first+arity, len(q.heap)); c++ {
			if q.heap[c].before(&q.heap[least]) {
				least = c
			}
		}
		if !q.heap[least].before(&s) {
			break
		}
		q.put(i, q.heap[least])
		i = least
	}
	q.put(i, s)
}

func (q *Queue) put(i int, s slot) {
	q.heap[i] = s
	s.t.pos = uint32(i + 1)
}
