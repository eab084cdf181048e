//go:build linux

package loop

import (
	"math/bits"

	"golang.org/x/sys/unix"

	"github.com/loopmq/loopmq/internal/buf"
)

const (
	iovMax        = 64       // segments in one writev: the kernel copies the vector first, and 64 fill a socket buffer
	copyBytesMax  = 512      // bytes below which copying is cheaper than a segment of its own
	chunkMin      = 512      // first output chunk of a connection that sends little
	chunkGrown    = 3        // doublings of it where the last flush was longer
	wroteOnce     = 4        // added to conn.grown by a write that the kernel took something of
	chunkMax      = 16 << 10 // chunks double up to this; a longer frame gets one of its own
	spareSegsMax  = 16 << 10 // queues kept for reuse
	spareSegsIdle = 1024     // and while the loop sleeps
	spareSegsCap  = 256      // longer ones are left to the garbage collector
)

// segment is a run of unsent bytes. It is a view into input memory if it has neither own nor ref.
type segment struct {
	data []byte   // unsent
	own  []byte   // the chunk that data lies in, to be given back
	ref  *buf.Ref // the body that data lies in, to be released
}

func (s *segment) isView() bool { return s.own == nil && s.ref == nil }

// Send implements Conn.
//
// hot: no allocation once the pool is warm.
func (c *conn) Send(frame []byte) bool { return c.send(frame, 0) }

// SendControl implements Conn.
//
// hot: no allocation once the pool is warm.
func (c *conn) SendControl(frame []byte) bool {
	if c.failed && !c.closed { // nobody is there to refuse it, and what came before is still handed over
		return true
	}
	return c.send(frame, c.l.lim.ControlBytesMax)
}

// Room implements Conn.
//
// hot: no allocation.
func (c *conn) Room(n int) bool { return c.room(n, 0) }

func (c *conn) send(frame []byte, extra int) bool {
	if !c.room(len(frame), extra) {
		return false
	}
	c.settle()
	c.appendCopy(frame)
	c.added(len(frame))
	return true
}

// SendView implements Conn. Frames that lie side by side, as verbatim copies of a publisher's packets do, become one
// segment.
//
// hot: no allocation once the pool is warm.
func (c *conn) SendView(frame []byte) bool {
	if !c.l.reading || c.blocked || len(frame) == 0 {
		return c.send(frame, 0)
	}
	if !c.room(len(frame), 0) {
		return false
	}
	if c.blocked { // room tried to flush
		c.appendCopy(frame)
		c.added(len(frame))
		return true
	}
	c.l.viewed = true
	if n := len(c.segs); n > 0 && c.views {
		if s := &c.segs[n-1]; s.isView() && adjacent(s.data, frame) {
			s.data = s.data[:len(s.data)+len(frame)]
			c.added(len(frame))
			return true
		}
		c.settle()
	}
	c.push(segment{data: frame})
	c.views = true
	c.added(len(frame))
	return true
}

// adjacent tells whether b begins where a ends, in a's capacity. b is not empty.
func adjacent(a, b []byte) bool {
	n := len(a)
	return cap(a)-n >= len(b) && &a[:n+1][n] == &b[0]
}

// SendShared implements Conn.
//
// hot: no allocation once the pool is warm.
func (c *conn) SendShared(head []byte, body *buf.Ref) bool {
	b := body.Bytes()
	if !c.room(len(head)+len(b), 0) {
		return false
	}
	c.settle()
	c.appendCopy(head)
	if len(b) <= copyBytesMax {
		c.appendCopy(b)
	} else {
		c.push(segment{data: b, ref: body.Retain()})
	}
	c.added(len(head) + len(b))
	return true
}

// room tells whether n more bytes may be queued.
func (c *conn) room(n, extra int) bool {
	c.l.assertOwner()
	if c.closed || c.failed {
		return false
	}
	return int(c.queued)+n <= c.l.crowd.each || c.fits(n, extra) || c.makeRoom(n, extra)
}

// fits applies the limit; a single frame may exceed it while little is queued.
func (c *conn) fits(n, extra int) bool {
	queued := int(c.queued)
	if extra == 0 && !c.hasRoom(n) {
		return queued == 0 || queued+n <= outputLeast
	}
	return queued+n <= c.l.lim.OutputBytesMax+extra || queued <= c.l.lim.OutputLowBytes || extra > 0 && c.behindLong()+n <= extra
}

// behindLong is how much is queued behind the last long frame: answers have their room also while one is written that is
// longer than the limit. All that is queued, where there is none.
func (c *conn) behindLong() (n int) {
	for i := len(c.segs) - 1; i >= 0; i-- {
		s := &c.segs[i]
		if s.ref != nil || cap(s.own) > chunkMax {
			return n
		}
		n += len(s.data)
	}
	return n
}

// hasRoom tells whether n more bytes are within what all connections may have together.
func (c *conn) hasRoom(n int) bool { return c.l.crowd.hasRoom(int(c.queued)+n, c.l.dirty.n+c.l.late.n) }

// makeRoom asks the kernel before it says no: in a wide pass the limit can be reached by a peer that is not slow.
func (c *conn) makeRoom(n, extra int) bool {
	if !c.blocked {
		c.flush()
		if !c.failed && c.fits(n, extra) {
			return true
		}
	}
	if !c.failed {
		c.wantLow = true
		c.l.stats.OutputsRefused++
	}
	return false
}

// added accounts for n queued bytes.
func (c *conn) added(n int) {
	c.queued += uint32(n)
	c.l.sent += uint64(n)
	c.l.sends++
	if int(c.queued) > c.l.lim.OutputLowBytes && !c.blocked {
		c.l.swollen = true
	}
	c.touch()
}

// settle copies a short view at the end of the queue: something else follows, so it will not grow, and alone it is not
// worth a segment in the system call.
func (c *conn) settle() {
	if !c.views || len(c.segs) == 0 {
		return
	}
	last := len(c.segs) - 1
	s := c.segs[last]
	if !s.isView() || len(s.data) > copyBytesMax {
		return
	}
	c.segs[last] = segment{}
	c.segs = c.segs[:last]
	c.appendCopy(s.data)
}

// appendCopy copies b behind the last owned chunk, and into new ones for what has no room there.
func (c *conn) appendCopy(b []byte) {
	size := chunkMin << (c.grown % wroteOnce)
	if n := len(c.segs); n > 0 {
		if s := &c.segs[n-1]; s.own != nil {
			k := min(cap(s.data)-len(s.data), len(b))
			s.data = append(s.data, b[:k]...)
			b = b[k:]
			size = min(2*cap(s.own), chunkMax)
		}
	}
	if len(b) > 0 {
		own := c.l.pool.Get(max(size, len(b)))
		c.push(segment{data: append(own, b...), own: own})
	}
}

// push adds a segment; the queue's memory is borrowed, so that an idle connection has none.
func (c *conn) push(s segment) {
	if c.segs == nil {
		c.segs = c.l.borrowSegs()
	}
	c.segs = append(c.segs, s)
}

// flush writes until the queue is empty or the kernel refuses, and copies the views that remain.
//
// hot: no allocation once the pool is warm.
func (c *conn) flush() {
	if int(c.queued) > c.l.lim.OutputLowBytes {
		c.wantLow = true
	}
	queued := c.queued
	done := 0
	for done < len(c.segs) && !c.blocked && !c.failed {
		done = c.write(done)
	}
	if c.failed {
		c.dropOutput()
		return
	}
	if done == len(c.segs) {
		c.l.returnSegs(c.segs)
		c.segs, c.views = nil, false
		// What comes next is likely to be as long: one chunk for all of it is one piece to write.
		if queued > 0 {
			c.grown += uint8(min(bits.Len(uint(queued-1)/chunkMin), chunkGrown)) - c.grown%wroteOnce
		}
	} else if done > 0 {
		n := copy(c.segs, c.segs[done:])
		clear(c.segs[n:])
		c.segs = c.segs[:n]
	}
	if c.views {
		c.ownViews()
	}
	if c.wantLow && (c.queued == 0 || int(c.queued) <= c.l.lim.OutputLowBytes && c.hasRoom(0)) && !c.closed {
		c.wantLow = false
		c.oweDrained()
	}
}

// oweDrained has Drained called in the next pass: a handler that answers it with more output must not hold the flush.
func (c *conn) oweDrained() {
	if !c.lowListed {
		c.lowListed = true
		c.l.drained = append(c.l.drained, c)
	}
}

// write makes one system call with the segments from done on and returns the first one that still has bytes.
//
// hot: no allocation.
func (c *conn) write(done int) int {
	segs := c.segs[done:]
	want := 0
	var n int
	var errno unix.Errno
	if len(segs) == 1 {
		want = len(segs[0].data)
		n, errno = c.calls().write(int(c.fd), segs[0].data)
	} else {
		k := min(len(segs), iovMax)
		iov := c.l.iov[:k]
		for i := range iov {
			iov[i].Base = &segs[i].data[0]
			iov[i].SetLen(len(segs[i].data))
			want += len(segs[i].data)
		}
		n, errno = c.calls().writev(int(c.fd), iov)
		clear(iov)
	}
	switch {
	case errno == unix.EAGAIN:
		n = 0
	case errno != 0:
		c.writeFailed(errno)
		return done
	default:
		c.l.stats.Writes++
		c.l.stats.BytesOut += uint64(n)
	}
	if n < want {
		c.blocked = true
		c.l.blocked++
		c.l.stats.Blocked++
	}
	return c.written(done, n)
}

// written takes n bytes off the queue's front.
func (c *conn) written(done, n int) int {
	if n > 0 {
		c.grown += wroteOnce
	}
	c.queued -= uint32(n)
	for n > 0 {
		s := &c.segs[done]
		if n < len(s.data) {
			s.data = s.data[n:]
			break
		}
		n -= len(s.data)
		c.discard(s)
		done++
	}
	return done
}

// discard gives back what a segment holds.
func (c *conn) discard(s *segment) {
	switch {
	case s.own != nil:
		c.l.pool.Put(s.own)
	case s.ref != nil:
		s.ref.Release()
	}
	*s = segment{}
}

// ownViews replaces the views of the queue by copies: the memory they point into is about to be used again.
func (c *conn) ownViews() {
	for i := range c.segs {
		if s := &c.segs[i]; s.isView() {
			s.own = c.l.pool.Get(len(s.data))
			s.data = append(s.own, s.data...)
		}
	}
	c.views = false
}

// writeFailed gives the output up. The connection is not closed yet: the peer's last packets may have arrived before
// it went away, and for MQTT it matters whether a DISCONNECT is among them.
func (c *conn) writeFailed(errno unix.Errno) {
	c.failed = true
	if !c.closed {
		c.cause = errno
	}
	c.visitAgain()
}

// dropOutput forgets everything unsent.
func (c *conn) dropOutput() {
	for i := range c.segs {
		if s := &c.segs[i]; s.data != nil {
			c.discard(s)
		}
	}
	c.l.returnSegs(c.segs)
	c.segs, c.views, c.queued = nil, false, 0
}

func (l *epoll) borrowSegs() []segment {
	if n := len(l.spareSegs); n > 0 {
		s := l.spareSegs[n-1]
		l.spareSegs[n-1] = nil
		l.spareSegs = l.spareSegs[:n-1]
		return s
	}
	return make([]segment, 0, 4)
}

func (l *epoll) returnSegs(s []segment) {
	if s != nil && cap(s) <= spareSegsCap && len(l.spareSegs) < spareSegsMax {
		l.spareSegs = append(l.spareSegs, s[:0])
	}
}
