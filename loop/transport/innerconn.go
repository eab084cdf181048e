package transport

import (
	"github.com/gobwas/ws"

	"github.com/loopmq/loopmq/internal/buf"
)

// innerConn is a WebSocket as the handler inside sees it: a loop.Conn. Each send is one binary frame. Frames are not
// gathered into larger ones: that would need a buffer of our own with limits of its own, and saves two bytes a packet;
// the system call is shared anyway.
type innerConn WebSocket

const (
	viewBytesMax    = 4 << 10  // packets that are put into Frames
	smallBytesMax   = 512      // bytes that are copied twice sooner than given a shared body
	scratchBytesMax = 64 << 10 // scratch memory that is kept
)

// ID implements loop.Conn.
func (c *innerConn) ID() uint64 { return c.outer.ID() }

// Room implements loop.Conn.
func (c *innerConn) Room(n int) bool { return !c.closed && c.outer.Room(n+ws.MaxHeaderSize) }

// Queued implements loop.Conn; headers of frames are counted.
func (c *innerConn) Queued() int { return c.outer.Queued() }

// Taken implements loop.Conn.
func (c *innerConn) Taken() uint64 { return c.outer.Taken() }

// Send implements loop.Conn.
//
// hot: no allocation once the pool is warm.
func (c *innerConn) Send(frame []byte) bool {
	if c.closed {
		return false
	}
	d := c.door
	if len(frame) <= smallBytesMax {
		d.scratch = append(AppendFrameHeader(d.scratch[:0], ws.OpBinary, len(frame)), frame...)
		return c.outer.Send(d.scratch)
	}
	body := d.pool.NewRef(frame)
	defer body.Release()
	d.scratch = AppendFrameHeader(d.scratch[:0], ws.OpBinary, len(frame))
	return c.outer.SendShared(d.scratch, body)
}

// SendView implements loop.Conn. Header and frame must be taken or refused together, and so it is a view of Frames that
// is queued, not frame itself. Of large ones the copy made by Send is cheaper than finding out that it is the last again.
//
// hot: no allocation once the pool is warm.
func (c *innerConn) SendView(frame []byte) bool {
	if f := c.door.frames; f != nil && !c.closed && len(frame) > 0 && len(frame) <= viewBytesMax {
		if framed := f.of(c.outer.ID(), frame); framed != nil {
			return c.outer.SendView(framed)
		}
	}
	return c.Send(frame)
}

// SendShared implements loop.Conn.
//
// hot: no allocation.
func (c *innerConn) SendShared(head []byte, body *buf.Ref) bool {
	if c.closed {
		return false
	}
	d := c.door
	d.scratch = append(AppendFrameHeader(d.scratch[:0], ws.OpBinary, len(head)+len(body.Bytes())), head...)
	return c.outer.SendShared(d.scratch, body)
}

// SendControl implements loop.Conn.
//
// hot: no allocation unless frame is large.
func (c *innerConn) SendControl(frame []byte) bool {
	if c.closed {
		return false
	}
	d := c.door
	d.scratch = append(AppendFrameHeader(d.scratch[:0], ws.OpBinary, len(frame)), frame...)
	ok := c.outer.SendControl(d.scratch)
	if cap(d.scratch) > scratchBytesMax {
		d.scratch = nil
	}
	return ok
}

// Pause implements loop.Conn.
func (c *innerConn) Pause() {
	c.paused = true
	c.outer.Pause()
}

// Resume implements loop.Conn.
func (c *innerConn) Resume() {
	c.paused, c.yielded = false, true
	c.outer.Resume()
}

// Close implements loop.Conn. The peer gets a close frame first.
func (c *innerConn) Close(why error) {
	w := (*WebSocket)(c)
	if w.closed {
		return
	}
	w.sendClose(w.codeFor(why, ws.StatusPolicyViolation), "")
	w.outer.Close(why)
}
