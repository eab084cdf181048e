package loop

import "time"

// One goroutine serves everybody, so a pass has to stay short: whoever comes in the middle of it waits for its end. Each
// kind of work has a share of time in a pass, and does at least one thing in it. What is left comes in the next pass,
// in the order in which it came.
//
// A connection whose last turn was long, or did not come to an end, is heavy. Heavy ones wait for their turns in a queue
// of their own, behind all others: who sends little is never behind fifty who send as much as they can.
const (
	shareNanos = int64(200 * time.Microsecond) // of a kind of work in a pass
	heavyNanos = int64(50 * time.Microsecond)  // a turn that is long
)

// spent tells whether the share of the work that began at from is over.
func (l *epoll) spent(from int64) bool {
	l.at = l.clock()
	return l.at-from >= l.share
}

// visit reads c now, or in its turn if it is heavy.
func (l *epoll) visit(c *conn) {
	if c.heavy {
		l.putOff(c)
		return
	}
	l.turn(c)
}

// turn reads c. Since looking at the clock costs as much as a small packet, a turn begins where the last one ended.
//
// hot: no allocation while no tail is left.
func (l *epoll) turn(c *conn) {
	from := l.at
	l.readable(c)
	l.at = l.clock()
	c.heavy = c.listed || l.at-from > heavyNanos
}

// putOff queues c for a turn.
func (l *epoll) putOff(c *conn) {
	if !c.listed {
		c.listed = true
		l.late = append(l.late, c)
	}
}

// visitAgain asks for a visit in the next pass, event or not.
func (c *conn) visitAgain() {
	if !c.listed {
		c.listed = true
		c.l.again = append(c.l.again, c)
	}
}

// visitAgain reads connections that no event will announce.
func (l *epoll) visitAgain() {
	list := l.again
	l.again = nil
	for _, c := range list {
		c.listed = false
		if l.at-l.now >= l.share {
			l.putOff(c)
		} else {
			l.visit(c)
		}
	}
	if l.again == nil {
		clear(list)
		l.again = list[:0] // keep the memory
	}
}

// dispatchAll acts on the events of the last wait, as long as the share of the pass lasts.
func (l *epoll) dispatchAll() {
	for l.next < l.ready {
		l.next++
		l.dispatch(&l.events[l.next-1])
		if l.at-l.now >= l.share {
			return
		}
	}
}

// visitLate gives those who were put off their turns.
func (l *epoll) visitLate() {
	n := 0
	for n < len(l.late) {
		c := l.late[n]
		n++
		c.listed = false
		l.turn(c)
		if l.at-l.now >= l.share {
			break
		}
	}
	if n > 0 {
		rest := copy(l.late, l.late[n:])
		clear(l.late[rest:])
		l.late = l.late[:rest]
	}
}

// runPosts runs what was posted.
func (l *epoll) runPosts() {
	from := l.clock()
	for range l.lim.PassPosts {
		if l.posts.run(1) == 0 {
			return
		}
		l.stats.Posted++
		if l.spent(from) {
			return
		}
	}
}
