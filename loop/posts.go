package loop

import (
	"sync"
	"sync/atomic"
)

// posts is the queue of functions that other goroutines want to run on the loop, in the order they came.
//
// The loop announces its sleep with sleeping; whoever finds it set takes it back and wakes the loop. So one wake-up is
// paid per sleep, however many functions come. The loop takes the lock only when there is something to take, or was:
// whoever holds it may be without a processor.
type posts struct {
	max      int
	wake     func() // makes the loop's wait return; any goroutine
	sleeping atomic.Bool
	refused  atomic.Uint64
	queued   atomic.Bool // something is in queue

	mu        sync.Mutex
	queue     []post
	outsiders int // entries of queue and batch that count against max
	ended     bool

	batch []post // taken from queue; empty once outsiders knows that all have run; loop goroutine only
	next  int    // first of batch not yet run
}

type post struct {
	run      func()
	outsider bool
}

// add queues f. Outsiders are refused when max of them are waiting.
func (p *posts) add(f func(), outsider bool) bool {
	p.mu.Lock()
	if p.ended || outsider && p.outsiders >= p.max {
		p.mu.Unlock()
		p.refused.Add(1)
		return false
	}
	if outsider {
		p.outsiders++
	}
	p.queue = append(p.queue, post{f, outsider})
	p.queued.Store(true)
	p.mu.Unlock()
	p.rouse()
	return true
}

// rouse wakes the loop if it sleeps or is about to.
func (p *posts) rouse() {
	if p.sleeping.CompareAndSwap(true, false) {
		p.wake()
	}
}

// waiting tells whether run has something to do: functions wait, or those that have run have not made room for others
// yet, who are refused without a wake-up. Loop goroutine only; others may add at any time.
func (p *posts) waiting() bool { return len(p.batch) > 0 || p.queued.Load() }

// run runs at most n functions and returns how many it ran. Loop goroutine only.
func (p *posts) run(n int) (ran int) {
	for ran < n {
		if p.next == len(p.batch) && !p.take() {
			break
		}
		f := p.batch[p.next].run
		p.batch[p.next].run = nil
		p.next++
		ran++
		f()
	}
	return ran
}

// take swaps the run batch for the queue; false if the queue is empty.
func (p *posts) take() bool {
	if len(p.batch) == 0 && !p.queued.Load() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.batch {
		if p.batch[i].outsider {
			p.outsiders--
		}
	}
	p.batch, p.queue = p.queue, p.batch[:0]
	p.next = 0
	p.queued.Store(false)
	return len(p.batch) > 0
}

// end refuses everything from now on, if nothing is waiting; false if something is.
func (p *posts) end() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) > 0 || p.next < len(p.batch) {
		return false
	}
	p.ended = true
	return true
}
