package record

import (
	"sync"
	"time"
)

// queue is what waits for the writer.
//
// Waking a thread costs whoever does it ten microseconds and more, which are a hundred messages. So a writer that had
// something to do looks again by itself for a while, and only then wants to be woken.
type queue struct {
	mu     sync.Mutex
	list   []piece
	asleep bool // whoever puts something must wake the writer
	closed bool
	wake   chan struct{}
}

const (
	lookEvery = 500 * time.Microsecond
	looksMax  = 20 // in vain, before the writer sleeps until it is woken
)

// put adds a piece; last says that none comes any more.
func (q *queue) put(p piece, last bool) {
	q.mu.Lock()
	q.list = append(q.list, p)
	wake := q.asleep
	q.asleep, q.closed = false, last
	q.mu.Unlock()
	if wake {
		q.wake <- struct{}{} // has room: there is one for each time that the writer fell asleep
	}
}

// len is how many pieces wait.
func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.list)
}

// take waits for pieces. used is the memory of the ones before. The end has come where there are none.
func (q *queue) take(used []piece) []piece {
	clear(used)
	for looks := 0; ; looks++ {
		q.mu.Lock()
		list := q.list
		if len(list) > 0 || q.closed {
			q.list = used[:0]
			q.mu.Unlock()
			return list
		}
		q.asleep = looks == looksMax
		q.mu.Unlock()
		if looks < looksMax {
			time.Sleep(lookEvery)
			continue
		}
		<-q.wake
		looks = 0
	}
}
