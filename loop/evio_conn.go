//go:build linux || darwin || freebsd

package loop

import (
	"net/netip"
	"reflect"

	"github.com/tidwall/evio"
	"golang.org/x/sys/unix"

	"github.com/loopmq/loopmq/internal/buf"
)

// evConn is one connection of the evio engine.
type evConn struct {
	e   *evioLoop
	ec  evio.Conn
	h   Handler
	out reflect.Value // evio's unsent output
	fd  int
	why error

	socket *Socket // that it came through

	pend        []byte // output not yet given to evio; from the pool
	tail        []byte // received and not consumed; from the pool
	sentBytes   uint64 // ever
	longEnd     uint64 // of those, up to the last frame longer than the limit: behind it answers have their room
	slot, gen   uint32
	lingerUntil int64 // when a closed connection is cut off

	closed  bool // marked by Close
	told    bool // Closed was called
	gone    bool // evio has closed it
	paused  bool
	dirty   bool // in e.dirty or e.late
	waits   bool // in e.waiting
	listed  bool // in e.again
	wantLow bool // Drained is owed once little is queued
}

// ID implements Conn.
func (c *evConn) ID() uint64 { return connID(c.slot, c.gen) }

// Queued implements Conn.
func (c *evConn) Queued() int {
	if c.gone {
		return 0
	}
	return len(c.pend) + c.out.Len()
}

// Taken implements Conn: what was sent, less what waits here, with evio, or with the kernel where that tells. It tells
// evio that it wants more only when it has much room: see the other engine's.
func (c *evConn) Taken() uint64 {
	taken := c.sentBytes - uint64(c.Queued())
	if !c.gone { // else the descriptor may be somebody else's
		taken -= uint64(waitingInKernel(c.fd))
	}
	return taken
}

// Send implements Conn.
func (c *evConn) Send(frame []byte) bool { return c.send(frame, nil, 0) }

// SendControl implements Conn.
func (c *evConn) SendControl(frame []byte) bool { return c.send(frame, nil, c.e.lim.ControlBytesMax) }

// SendView implements Conn. evio copies in any case.
func (c *evConn) SendView(frame []byte) bool { return c.send(frame, nil, 0) }

// SendShared implements Conn. evio copies in any case.
func (c *evConn) SendShared(head []byte, body *buf.Ref) bool { return c.send(head, body.Bytes(), 0) }

// Room implements Conn.
func (c *evConn) Room(n int) bool { return c.room(n, 0) }

// room tells whether n more bytes may be queued.
func (c *evConn) room(n, extra int) bool {
	return !c.closed && (c.fits(n, extra) || c.makeRoom(n, extra))
}

// send queues head and body.
//
// hot: no allocation once the pool is warm.
func (c *evConn) send(head, body []byte, extra int) bool {
	if !c.room(len(head)+len(body), extra) {
		return false
	}
	c.pend = c.appendPooled(c.appendPooled(c.pend, head), body)
	c.sentBytes += uint64(len(head) + len(body))
	if extra == 0 && c.Queued() > c.e.lim.OutputBytesMax {
		c.longEnd = c.sentBytes
	}
	c.touch()
	return true
}

// fits applies the limit; a single frame may exceed it while little is queued.
func (c *evConn) fits(n, extra int) bool {
	queued := c.Queued()
	if extra == 0 && !c.hasRoom(n) {
		return queued == 0 || queued+n <= outputLeast
	}
	return queued+n <= c.e.lim.OutputBytesMax+extra || queued <= c.e.lim.OutputLowBytes || c.sentBytes-c.longEnd+uint64(n) <= uint64(extra)
}

// hasRoom tells whether n more bytes are within what all connections may have together, of what we hold.
func (c *evConn) hasRoom(n int) bool { return c.e.crowd.hasRoom(c.Queued()+n, len(c.e.dirty)) }

// makeRoom asks the kernel before it says no. If evio holds nothing, what we hold is next, and may be written here.
func (c *evConn) makeRoom(n, extra int) bool {
	if c.out.Len() == 0 {
		written, err := unix.Write(c.fd, c.pend)
		if err == nil && written > 0 {
			c.e.stats.Writes++
			c.e.stats.BytesOut += uint64(written)
			c.pend = c.pend[:copy(c.pend, c.pend[written:])]
		}
		if c.fits(n, extra) {
			c.wantLow = true
			return true
		}
	}
	c.wantLow = true
	c.touch()
	c.e.stats.OutputsRefused++
	return false
}

func (c *evConn) touch() {
	if !c.dirty {
		c.dirty = true
		c.e.dirty = append(c.e.dirty, c)
	}
}

// give hands our output to evio, if it has sent what it had before, and the wish to close behind the last of it.
func (c *evConn) give() ([]byte, evio.Action) {
	e := c.e
	e.pool.Put(e.lent)
	e.lent = nil
	if c.Queued() > e.lim.OutputLowBytes {
		c.wantLow = true
	}
	if len(c.pend) > 0 && c.out.Len() > 0 {
		c.wait()
		return nil, evio.None
	}
	if c.wantLow && !c.closed {
		c.wait()
		if c.Queued() == 0 { // the kernel took it all, so evio has nothing to write that would remind us
			e.posts.rouse()
		}
	}
	out := c.pend
	c.pend = nil
	e.lent = out
	if len(out) > 0 {
		e.stats.Writes++
		e.stats.BytesOut += uint64(len(out))
	}
	if c.closed {
		return out, evio.Close
	}
	return out, evio.None
}

// wait has sent called after evio was about to write.
func (c *evConn) wait() {
	if !c.waits && !c.gone {
		c.waits = true
		c.e.waiting = append(c.e.waiting, c)
	}
}

// sent looks at what evio has left.
func (c *evConn) sent() {
	if c.gone {
		return
	}
	if q := c.Queued(); c.wantLow && !c.closed && (q == 0 || q <= c.e.lim.OutputLowBytes && c.hasRoom(0)) {
		c.wantLow = false
		c.h.Drained()
	}
	switch {
	case c.out.Len() > 0:
		if len(c.pend) > 0 || c.wantLow {
			c.wait()
		}
	case len(c.pend) > 0 || c.closed:
		c.touch()
	}
}

// input hands in, behind what was kept, to the handler.
func (c *evConn) input(in []byte) {
	if c.closed {
		return
	}
	if c.paused {
		c.keep(in)
		return
	}
	view := in
	if len(c.tail) > 0 {
		c.tail = c.appendPooled(c.tail, in)
		view = c.tail
	}
	used, err := c.h.Data(view)
	used = min(max(used, 0), len(view))
	if err != nil {
		c.Close(err)
	}
	switch {
	case c.closed || used == len(view):
		c.dropTail()
	case len(c.tail) > 0:
		c.tail = c.tail[:copy(c.tail, c.tail[used:])]
		c.keep(nil)
	default:
		c.keep(in[used:])
	}
}

// keep appends to the tail.
func (c *evConn) keep(in []byte) {
	if c.closed {
		return
	}
	c.tail = c.appendPooled(c.tail, in)
	if len(c.tail) > c.e.lim.InputBytesMax {
		c.e.stats.InputsTooLong++
		c.Close(ErrInputTooLong)
	}
}

// appendPooled is append with memory from the pool, which doubles.
func (c *evConn) appendPooled(dst, b []byte) []byte {
	if len(b) == 0 {
		return dst
	}
	if need := len(dst) + len(b); need > cap(dst) {
		grown := append(c.e.pool.Get(max(need, 2*cap(dst))), dst...)
		c.e.pool.Put(dst)
		dst = grown
	}
	return append(dst, b...)
}

// Pause implements Conn. evio goes on reading; input is kept.
func (c *evConn) Pause() { c.paused = true }

// Resume implements Conn.
func (c *evConn) Resume() {
	if c.paused && !c.closed {
		c.paused = false
		c.askAgain()
	}
}

// askAgain has the tail handed over in the next control pass.
func (c *evConn) askAgain() {
	if !c.listed {
		c.listed = true
		c.e.again = append(c.e.again, c)
	}
}

// Close implements Conn.
func (c *evConn) Close(why error) {
	if c.closed {
		return
	}
	c.closed, c.why = true, why
	c.e.closing = append(c.e.closing, c)
}

// tellClosed calls Closed, and sees to it that evio closes too.
func (c *evConn) tellClosed() {
	if c.told {
		return
	}
	c.told = true
	c.dropTail()
	c.e.stats.Conns--
	if !c.gone {
		c.lingerUntil = c.e.now + c.e.linger
		c.e.lingering = append(c.e.lingering, c)
		c.touch()
	}
	if c.h != nil {
		c.e.stats.Closed++
		c.h.Closed(c.why)
	}
}

func (c *evConn) dropTail() {
	c.e.pool.Put(c.tail)
	c.tail = nil
}

// drop gives all memory back.
func (c *evConn) drop() {
	c.dropTail()
	c.e.pool.Put(c.pend)
	c.pend = nil
}

// localAddr is the address that the peer connected to; evio knows only the listener's.
func localAddr(fd int) netip.AddrPort {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}
	}
	return addrPort(sa)
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
