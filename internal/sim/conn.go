package sim

import (
	"bytes"
	"errors"

	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/router"
)

var errGone = errors.New("the peer is gone")

// conn is one connection. It is the router's Conn, with the promises of
// loop.Conn, and behind it the two directions of a stream with their faults.
type conn struct {
	w       *World
	id      uint64
	client  *client
	handler *router.Client
	level   byte // protocol level, 0 before CONNECT is read by the model
	rand    rng

	// From the client: written, on its way, arrived.
	pipe     []byte
	in       []byte
	given    int   // bytes of in that the router has seen and left
	lastAt   int64 // when the last byte arrives
	ended    bool  // the broker has seen the end
	hung     bool  // the client writes no more
	attached bool

	// To the client: queued with us, taken by the kernel, read by the client.
	out     []byte
	kernel  []byte
	inbox   []byte
	deaf    bool // the client reads nothing (clogged)
	left    bool // the client has hung up; the kernel swallows all
	reading bool // a read of the client is planned

	wantLow, lowListed bool
	refused            bool // a send was refused since the last Drained
	refusedNow         bool // in this step
	controlRefused     bool // an acknowledgement was refused

	taken       uint64
	movedAt     int64 // when something of out left last
	movedBefore int64 // and before that instant
	refusedAt   int64 // since when c.refused

	why                     error
	turn                    uint64 // when it became dirty
	listed, dirty           bool
	paused, closing, reaped bool
	suspect                 bool // the client sent something that may be wrong
	other                   bool // its client identifier is not its client's own

	side // what the model knows

	// What the ledger knows.
	name        *name
	holder      *holder   // nil: it is not known which
	set         []*holder // of which it is one then; nil stands for a new one
	asked       []*request
	heldBack    bool     // the router has not taken the last packet
	heldAs      *request // the CONNECT with which it waits in a duel
	expiry      int64
	most        int64 // what expiry was at most
	connectedAt int64
	testament   *testament // its will; nil: there is none
	flying      []uint16   // PacketIDs of what was sent and is not finished
	releasing   []uint16   // and of what only a PUBREL was sent for
}

// ID implements router.Conn.
func (c *conn) ID() uint64 { return c.id }

// Queued implements router.Conn.
func (c *conn) Queued() int { return len(c.out) }

// Taken implements router.Conn.
func (c *conn) Taken() uint64 { return c.taken }

// Pause implements router.Conn.
func (c *conn) Pause() {
	if b := c.w.plan.Break.Pause; b == nil || b() {
		c.paused = true
	}
}

// Resume implements router.Conn.
func (c *conn) Resume() {
	c.paused = false
	c.given = 0
	c.wantRead()
	c.w.again = true
}

// Close implements router.Conn.
func (c *conn) Close(why error) {
	if c.closing {
		return
	}
	c.closing, c.why = true, why
	c.w.dying = append(c.w.dying, c)
	c.touch()
}

// Send implements router.Conn.
func (c *conn) Send(frame []byte) bool { return c.put(0, frame, nil) }

// SendControl implements router.Conn.
func (c *conn) SendControl(frame []byte) bool {
	if c.put(c.w.plan.ControlBytes, frame, nil) {
		return true
	}
	c.controlRefused = true
	return false
}

// SendShared implements router.Conn.
func (c *conn) SendShared(head []byte, body *buf.Ref) bool { return c.put(0, head, body.Bytes()) }

// SendView implements router.Conn. What is not part of the view must be as it
// is until the output leaves.
func (c *conn) SendView(frame []byte) bool {
	view := c.w.view
	at := cap(view) - cap(frame)
	if len(view) == 0 {
		return c.put(0, frame, nil) // outside of Data an engine copies
	}
	if at < 0 || at+len(frame) > len(view) || &view[at] != &frame[0] {
		c.w.promises = append(c.w.promises, promise{frame, bytes.Clone(frame), c.w.turn})
	}
	return c.put(0, frame, nil)
}

// promise is memory of the router's that must stay as it is until the turn after
// this one has ended.
type promise struct {
	frame, was []byte
	turn       uint64
}

// keepPromises checks that it has.
func (w *World) keepPromises() {
	for _, p := range w.promises {
		if !bytes.Equal(p.frame, p.was) {
			w.fail("bytes given to SendView have changed before they have left")
		}
	}
}

// put queues a packet, as package loop does: the kernel is asked before the
// answer is no, and one packet may exceed the limit while little is queued.
func (c *conn) put(extra int, head, body []byte) bool {
	if c.closing || c.w.err != nil {
		return false
	}
	n := len(head) + len(body)
	fits := func() bool {
		return len(c.out)+n <= c.w.plan.OutputBytes+extra || len(c.out) <= c.w.plan.OutputBytes/4
	}
	if !fits() {
		if c.flush(); !fits() {
			if c.wantLow, c.refusedNow = true, true; !c.refused {
				c.refused, c.refusedAt = true, c.w.now
			}
			return false
		}
	}
	a := len(c.w.sentBuf)
	c.w.sentBuf = append(append(c.w.sentBuf, head...), body...)
	whole := c.w.sentBuf[a:]
	for range c.w.plan.Break.send(c, &whole) {
		c.w.sentBuf = append(c.w.sentBuf[:a], whole...)
		c.w.sent = append(c.w.sent, sent{c, a, len(c.w.sentBuf)})
		c.out = append(c.out, whole...)
		c.w.hear(c, '<', whole)
		a = len(c.w.sentBuf)
	}
	c.touch()
	return true
}

func (c *conn) touch() {
	if !c.dirty {
		c.dirty, c.turn = true, c.w.turn
		c.w.dirty = append(c.w.dirty, c)
	}
}

func (c *conn) wantRead() {
	if !c.listed && c.attached && !c.closing && !c.paused {
		c.listed = true
		c.w.ready = append(c.w.ready, c)
	}
}

// data calls the router with a view that dies on return.
func (c *conn) data(b []byte) (used int, err error) {
	w := c.w
	w.view = append(w.view[:0], b...)
	w.plan.Break.receive(w.view)
	used, err = c.handler.Data(w.view)
	if err != nil {
		c.Close(err)
	}
	for i := range w.view {
		w.view[i] = 0xcc
	}
	w.view = w.view[:0]
	return used, err
}

// flush moves queued output into the kernel, as much as it takes.
func (c *conn) flush() {
	low := c.w.plan.OutputBytes / 4
	if len(c.out) > low {
		c.wantLow = true
	}
	if c.left {
		if len(c.out) > 0 {
			c.moves(len(c.out))
			c.out = c.out[:0]
		}
	} else if n := min(len(c.out), c.w.plan.KernelBytes-len(c.kernel)); n > 0 {
		c.kernel = append(c.kernel, c.out[:n]...)
		c.out = c.out[:copy(c.out, c.out[n:])]
		c.moves(n)
		c.planRead()
	}
	if c.wantLow && len(c.out) <= low && !c.closing {
		c.wantLow = false
		if !c.lowListed {
			c.lowListed = true
			c.w.low = append(c.w.low, c)
		}
	}
}

// moves notes that n bytes of out have left.
func (c *conn) moves(n int) {
	c.taken += uint64(n)
	if c.movedAt != c.w.now {
		c.movedAt, c.movedBefore = c.w.now, c.movedAt
	}
}

// planRead has the client read in a while.
func (c *conn) planRead() {
	if c.reading || c.deaf || c.left || len(c.kernel) == 0 {
		return
	}
	c.reading = true
	n := 1 << 20
	if c.rand.percent(c.w.plan.SmallReads) {
		n = c.rand.between(1, 30)
	}
	c.w.events.push(c.w.now+c.delay(), eventRead, c, n)
}

func (c *conn) delay() int64 { return 1 + int64(c.rand.n(c.w.plan.DelayMicros+1))*1000 }

// clientReads gives the client up to n bytes.
func (c *conn) clientReads(n int) {
	if c.deaf || c.left {
		return
	}
	n = min(n, len(c.kernel))
	c.inbox = append(c.inbox, c.kernel[:n]...)
	c.kernel = c.kernel[:copy(c.kernel, c.kernel[n:])]
	if len(c.out) > 0 {
		c.touch()
		c.w.again = true
	}
	c.planRead()
	for !c.left && c.w.err == nil {
		n := frame(c.inbox)
		if n <= 0 || n > len(c.inbox) {
			break
		}
		c.client.takes(c, c.inbox[:n])
		c.inbox = c.inbox[:copy(c.inbox, c.inbox[n:])]
	}
	if c.reaped && len(c.kernel) == 0 {
		c.client.lost(c)
	}
}

// write sends bytes from the client, in chunks.
func (c *conn) write(b []byte) {
	if c.left || c.hung {
		return
	}
	if c.lastAt < c.w.now {
		c.lastAt = c.w.now
	}
	c.pipe = append(c.pipe, b...)
	for len(b) > 0 {
		n := len(b)
		if c.rand.percent(c.w.plan.SmallChunks) {
			n = c.rand.between(1, len(b))
			if c.rand.percent(20) {
				n = 1
			}
		}
		c.lastAt += c.delay()
		c.w.events.push(c.lastAt, eventArrive, c, n)
		b = b[n:]
	}
}

// cut ends the connection from the client's side. Of what is on its way, some
// bytes still arrive.
func (c *conn) cut(keep int) {
	if c.left {
		return
	}
	c.left = true
	c.pipe = c.pipe[:min(keep, len(c.pipe))]
	c.hang()
}

// hang has the broker learn that no more will come.
func (c *conn) hang() {
	if c.hung {
		return
	}
	c.hung = true
	c.lastAt = max(c.lastAt, c.w.now) + c.delay()
	c.w.events.push(c.lastAt, eventEnd, c, 0)
}

// hangUp lets the client find out that its connection is gone, when it has
// read what the kernel took before.
func (w *World) hangUp(c *conn) {
	c.out = nil
	if c.deaf || c.left || len(c.kernel) == 0 {
		c.client.lost(c)
		return
	}
	c.planRead()
}
