//go:build linux

package loop

import (
	"io"

	"golang.org/x/sys/unix"

	"github.com/loopmq/loopmq/internal/invariant"
)

// How input is held.
//
// Every read lands in the arena, behind the last bytes that a view names; a read that gave no view is overwritten by the
// next one. When all views have ended, as they do with every pass that writes all of its output, reading starts over at
// its beginning. When the arena is full before that, another one takes its place (see views.go).
//
// A short unconsumed tail is kept in memory of the connection and put before the next read. A tail longer than
// tailCopyMax is a large packet on its way: what follows is read straight behind it, more at a time than else, into
// memory of at most ownRoom times what has come. A declared length is never trusted with memory.

// tailCopyMax is the longest tail, in bytes, that is copied before the next read. Longer ones grow in place.
const tailCopyMax = 8 << 10

const (
	ownRoom    = 4         // memory for a long tail, in lengths of it: large packets often come in rows
	ownRoomMax = 256 << 10 // beyond that, memory doubles as it fills
	ownReads   = 4         // reads in one, of what follows a long tail: large packets are cheap to route
)

// readable reads c once and hands over what came.
//
// hot: no allocation while no tail is left.
func (l *epoll) readable(c *conn) {
	switch {
	case c.closed || c.paused || l.mustWait(c):
	case c.retry && len(c.tail) > 0:
		c.retry = false // without reading: a handler that takes little at a time must not gather more and more
		l.deliverOwn(c)
		if c.failed {
			c.visitAgain() // there may be more to read, or nothing: that closes it
		}
	case len(c.tail) > min(tailCopyMax, l.lim.ReadBytes): // so that the arena always has room for both
		l.readOwn(c)
	default:
		c.retry = false // it may be asked for where there is no tail
		l.readArena(c)
	}
}

// readArena reads behind a copy of the tail in the arena.
//
// hot: no allocation while no tail is left.
func (l *epoll) readArena(c *conn) {
	kept := len(c.tail)
	if l.pos+kept+l.lim.ReadBytes > len(l.arena) {
		l.newArena()
	}
	area := l.arena[l.pos:]
	n := l.read(c, area[kept:kept+l.lim.ReadBytes])
	if n <= 0 {
		return
	}
	if kept > 0 {
		copy(area, c.tail)
		c.dropTail()
	}
	view := area[:kept+n] // with the arena's capacity, see SendView
	used, viewed := l.deliver(c, view)
	if used < len(view) && !c.closed {
		c.keepTail(view[used:])
	}
	if viewed {
		l.pos += len(view)
	} else if invariant.On {
		invariant.Mangle(view)
	}
}

// readOwn reads behind the tail in the connection's own memory.
func (l *epoll) readOwn(c *conn) {
	if len(c.tail) == cap(c.tail) {
		grown := append(l.pool.Get(2*cap(c.tail)), c.tail...)
		l.pool.Put(c.tail)
		c.tail = grown
	}
	kept := len(c.tail)
	room := min(cap(c.tail)-kept, ownReads*l.lim.ReadBytes)
	n := l.read(c, c.tail[kept:kept+room])
	if n <= 0 {
		return
	}
	c.tail = c.tail[:kept+n]
	l.deliverOwn(c)
}

// deliverOwn hands over the tail where it lies, and keeps what is left of it in memory of the right size.
func (l *epoll) deliverOwn(c *conn) {
	whole := c.tail
	c.tail = nil
	used, viewed := l.deliver(c, whole)
	left := whole[used:]
	switch {
	case c.closed || len(left) == 0:
	case used == 0 && !viewed:
		c.tail = whole
		c.checkTail()
		return
	default:
		c.keepTail(left)
	}
	if viewed {
		l.retire(whole)
	} else {
		l.pool.Put(whole)
	}
}

// deliver calls Data. viewed tells that output refers to view until the flush.
//
// hot: no allocation.
func (l *epoll) deliver(c *conn, view []byte) (used int, viewed bool) {
	l.reading, l.viewed = true, false
	sent, others, last := l.sent, l.dirty.n, l.dirty.tail
	used, err := c.h.Data(view)
	l.reading = false
	c.load &^= wide
	if l.sent-sent > uint64(wideFactor*max(used, 0)) {
		c.load |= wide
		l.late.take(&l.dirty, others, last)
		l.gathering = l.gathering || c.retry
	}
	if used < 0 || used > len(view) {
		invariant.Check(false, "Data used %d of %d bytes", used, len(view))
	}
	if err != nil {
		c.Close(err)
	}
	return min(max(used, 0), len(view)), l.viewed
}

// read fills b once. It returns 0 or less if there is nothing to hand over, after closing c if it is at its end.
//
// hot: no allocation.
func (l *epoll) read(c *conn, b []byte) int {
	n, errno := c.calls().read(int(c.fd), b)
	switch {
	case errno == 0 && n > 0:
		l.stats.Reads++
		l.stats.BytesIn += uint64(n)
		if c.failed {
			c.visitAgain()
		}
		return n
	case c.failed:
		c.Close(c.cause)
	case errno == 0:
		c.Close(io.EOF)
	case errno != unix.EAGAIN:
		c.Close(errno)
	}
	return 0
}

// keepTail copies what the handler did not use.
func (c *conn) keepTail(left []byte) {
	size := len(left)
	if size > tailCopyMax && !c.retry && !c.paused { // who has had enough is not read from before it has taken this
		size = max(size, min(ownRoom*size, ownRoomMax))
	}
	c.tail = append(c.l.pool.Get(size), left...)
	c.checkTail()
}

// checkTail closes a connection that keeps more than the limit.
func (c *conn) checkTail() {
	if len(c.tail) > c.l.lim.InputBytesMax {
		c.l.stats.InputsTooLong++
		c.Close(ErrInputTooLong)
	}
}

func (c *conn) dropTail() {
	if c.tail != nil {
		c.l.pool.Put(c.tail)
		c.tail = nil
	}
}
