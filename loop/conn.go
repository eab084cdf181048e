//go:build linux

package loop

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"github.com/loopmq/loopmq/internal/invariant"
)

// conn is one connection of the epoll engine. Objects are never reused, so that a holder who forgot to let go talks
// to a dead connection and not to a stranger's. An idle one owns neither output nor input memory.
type conn struct {
	l     *epoll
	h     Handler
	cause error // why it is closed or, before that, why a write failed

	segs []segment // unsent output, oldest first; nil when there is none
	tail []byte    // received and not consumed; from the pool
	next *conn     // in the list that it is dirty in

	queued uint32 // bytes in segs; a frame has at most 256 MiB
	fd     int32
	slot   uint32
	gen    uint32
	socket int16 // index of the listening socket that it came through
	age    uint8 // of views, when it became dirty
	armed  uint8 // events that the kernel watches
	load   load  // what its last turns were like
	grown  uint8 // two bits: doublings of the first output chunk that the last flush would have filled; above: writes

	views     bool // segs may hold views
	dirty     bool // in a list of connections to flush
	closed    bool // marked by Close
	failed    bool // a write failed; what was received before is still read, then that closes the connection
	paused    bool
	blocked   bool // waits for EPOLLOUT
	retry     bool // tail is due again although nothing new came
	listed    bool // in l.again or l.heavies
	wantLow   bool // Drained is owed once queued is low
	lowListed bool // in l.drained
}

// load is what the last turns of a connection were like.
type load uint8

const (
	wide  load = 1 << iota // it made others send many times what came
	heavy                  // and above: short turns that it takes to be light again; until then others come first
)

func (c *conn) heavy() bool { return c.load >= heavy }

// ID implements Conn.
func (c *conn) ID() uint64 { return connID(c.slot, c.gen) }

// Queued implements Conn.
func (c *conn) Queued() int { return int(c.queued) }

// Taken implements Conn. The kernel asks for more only when a third of its buffer is free, a megabyte perhaps: of who
// takes it bit by bit nothing is written for minutes, but less and less waits there.
func (c *conn) Taken() uint64 {
	return uint64(c.grown/wroteOnce)<<32 | uint64(waitingInKernel(int(c.fd)))
}

// Pause implements Conn.
func (c *conn) Pause() {
	c.l.assertOwner()
	if c.closed {
		return
	}
	c.paused = true
	c.touch()
}

// Resume implements Conn.
func (c *conn) Resume() {
	c.l.assertOwner()
	if !c.paused || c.closed {
		return
	}
	c.paused = false
	c.touch()
	c.retry = true // the tail may only be known when a Data that is running now returns
	c.visitAgain()
}

// Close implements Conn.
func (c *conn) Close(why error) {
	c.l.assertOwner()
	if c.closed {
		return
	}
	c.closed, c.cause = true, why
	c.unblock() // the kernel is asked once more to take the last words
	c.l.closing = append(c.l.closing, c)
	c.touch()
}

// touch puts c on the list of connections to flush from the end of the pass on.
//
// hot: no allocation.
func (c *conn) touch() {
	if c.dirty {
		return
	}
	c.dirty, c.age = true, c.l.age
	c.l.dirty.push(c)
}

// callDrained tells owners that their output fell to the low-water mark.
func (l *epoll) callDrained() {
	list := l.drained
	l.drained = nil
	for _, c := range list {
		c.lowListed = false
		switch {
		case c.closed:
		case int(c.queued) > l.lim.OutputLowBytes:
			c.wantLow = true // more was sent since
		default:
			c.h.Drained()
		}
	}
	if l.drained == nil {
		clear(list)
		l.drained = list[:0]
	}
}

// hungUp closes a paused connection whose socket is dead in both directions: it would be reported again and again.
func (c *conn) hungUp() {
	errno, err := unix.GetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_ERROR)
	switch {
	case c.failed:
		c.Close(c.cause)
	case err == nil && errno != 0:
		c.Close(unix.Errno(errno))
	default:
		c.Close(io.EOF)
	}
}

// unblock notes that the kernel takes output again.
func (c *conn) unblock() {
	if c.blocked {
		c.blocked = false
		c.l.blocked--
		c.touch()
	}
}

// watch tells the kernel which events c waits for, if that has changed.
func (c *conn) watch() {
	var want uint8
	if !c.paused {
		want = unix.EPOLLIN
	}
	if c.blocked {
		want |= unix.EPOLLOUT
	}
	if want == c.armed {
		return
	}
	c.armed = want
	if err := c.l.control(unix.EPOLL_CTL_MOD, int(c.fd), uint32(want), int32(c.slot), c.gen); err != nil {
		c.Close(err)
	}
}

// attach gives a new connection a slot; the handler comes later.
func (l *epoll) attach(fd int) *conn {
	c := &conn{l: l, fd: int32(fd)}
	c.slot, c.gen = l.slots.take(c)
	l.stats.Conns++
	return c
}

// reap frees the slots of closed connections and tells their owners, as long as its share lasts. Closed may send to
// others and close them: they are handled in the next pass, which then does not sleep. It reports whether there were any.
// A stop closes all at once, and nobody has to wait for the end of the pass any more.
func (l *epoll) reap() bool {
	n := 0
	l.at = l.clock()
	for due, from := len(l.closing), l.at; n < due; {
		n++
		l.bury(l.closing[n-1])
		if l.spent(from) && !l.stopping {
			break
		}
	}
	l.closing = behind(l.closing, n)
	return n > 0
}

func (l *epoll) bury(c *conn) {
	invariant.Check(l.slots.conns[c.slot] == c, "slot %d reaped twice", c.slot)
	if c.dirty { // left over by a flush
		c.flush()
	}
	if c.blocked {
		c.blocked = false
		l.blocked--
	}
	c.dropOutput()
	c.dropTail()
	l.closeSocket(int(c.fd), c.cause)
	l.slots.give(c.slot)
	l.stats.Conns--
	l.sockets[c.socket].stats.Conns--
	if c.h != nil {
		l.stats.Closed++
		c.h.Closed(c.cause)
	}
}

// lingerReads is how many full reads closeSocket throws away: what a peer can have on the way in one window.
const lingerReads = 16

// closeSocket closes fd so that the peer gets our last words: closing with unread input would send a reset, which may
// overtake them. What has arrived is read and thrown away first; not in the arena, where views of others may still lie
// whose output is late.
func (l *epoll) closeSocket(fd int, why error) {
	if !errors.Is(why, io.EOF) && unix.Shutdown(fd, unix.SHUT_WR) == nil {
		scratch := l.pool.Get(l.lim.ReadBytes)
		for range lingerReads {
			if n, errno := (calls{}).read(fd, scratch[:l.lim.ReadBytes]); errno != 0 || n <= 0 {
				break
			}
		}
		l.pool.Put(scratch)
	}
	unix.Close(fd)
}
