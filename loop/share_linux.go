package loop

import "time"

// One goroutine serves everybody, so a pass has to stay short: whoever comes in the middle of it waits for its end. Each
// kind of work has a share of time in a pass, and does at least one thing in it. What is left comes in the next pass,
// in the order in which it came.
//
// A connection of whose last turns one was long, or did not come to an end, is heavy. Heavy ones wait for their turns in
// a queue of their own, and the kernel is asked behind their share: who sends little is never behind fifty who send as
// much as they can, and has its answer before they go on.
//
// While nobody light has been read from lately, the heavy ones have twice the time, and twice as many are written for:
// they are dearer in small pieces, and keep each other waiting only.
//
// After a rest, of the loop or of the whole machine, all that waits is read in one pass: timers run behind it, and a keep
// alive must not end a connection whose PINGREQ is there. How long that pass takes is no rest, or the next would be like it.
//
// Functions are not inlined where copies would only make the program larger.
const (
	longNanos  = int64(50 * time.Microsecond)  // a turn that is long,
	longBytes  = 4 << 10                       // if that much came: otherwise it was not the sender who took the time
	aloneNanos = int64(100 * time.Millisecond) // since somebody light was read from: the heavy ones are alone
	restNanos  = int64(100 * time.Millisecond) // between two passes
	heavyTurns = 9                             // short ones in a row, until a connection is light again
	answersMax = 32                            // connections that are read and answered in a pass: each answer is a system call
)

// spent tells whether the share of the work that began at from is over.
//
//go:noinline
func (l *epoll) spent(from int64) bool {
	l.at = l.clock()
	return l.at-from >= l.share
}

// visit reads c now, or in its turn if it is heavy.
func (l *epoll) visit(c *conn) {
	if c.heavy() && !l.rested {
		l.putOff(c)
		return
	}
	l.lightAt = l.at
	l.turn(c)
}

// alone tells that only heavy connections have been read from lately.
func (l *epoll) alone() bool { return l.now-l.lightAt > aloneNanos }

// turn reads c. Since looking at the clock costs as much as a small packet, a turn begins where the last one ended.
//
// hot: no allocation while no tail is left.
//
//go:noinline
func (l *epoll) turn(c *conn) {
	from, in := l.at, l.stats.BytesIn
	l.readable(c)
	l.at = l.clock()
	switch {
	case c.listed || l.at-from > l.long && l.stats.BytesIn-in >= longBytes:
		c.load = c.load&wide | heavyTurns*heavy
	case c.heavy():
		c.load -= heavy
	}
}

// putOff queues c for a turn.
//
//go:noinline
func (l *epoll) putOff(c *conn) {
	if !c.listed {
		c.listed = true
		l.heavies = append(l.heavies, c)
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
	due, from := len(l.again), l.at // who asks meanwhile comes in the next pass
	for i := range due {
		c := l.again[i]
		c.listed = false
		if l.at-from >= l.share && !l.rested {
			l.putOff(c)
		} else {
			l.visit(c)
		}
	}
	l.again = behind(l.again, due)
}

// dispatchAll acts on the events of the last wait.
func (l *epoll) dispatchAll() {
	for from, answers := l.at, 0; l.next < l.ready; {
		l.next++
		if l.dispatch(&l.events[l.next-1]) {
			answers++
		}
		if !l.rested && ((l.at-from)/2 >= l.share || answers >= answersMax) { // two shares: most clients are these
			return
		}
	}
}

// queueHeavies has those who asked to be visited again, and are heavy, wait with their like.
func (l *epoll) queueHeavies() {
	kept := 0
	for _, c := range l.again {
		if c.heavy() {
			l.heavies = append(l.heavies, c)
		} else {
			l.again[kept] = c
			kept++
		}
	}
	clear(l.again[kept:])
	l.again = l.again[:kept]
}

// visitHeavies gives those who were put off their turns. Who is put off again is not among them.
func (l *epoll) visitHeavies() {
	share := l.share
	if l.alone() {
		share *= 2
	}
	n, due := 0, len(l.heavies)
	for from := l.at; n < due && (n == 0 || l.rested || l.at-from < share); n++ {
		l.heavies[n].listed = false
		l.turn(l.heavies[n])
	}
	l.heavies = behind(l.heavies, n)
}

// behind takes the first n off a list, whose memory stays.
//
//go:noinline
func behind(list []*conn, n int) []*conn {
	rest := copy(list, list[n:])
	clear(list[rest:])
	return list[:rest]
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
