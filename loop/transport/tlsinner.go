package transport

import (
	"math/bits"

	"github.com/loopmq/loopmq/internal/buf"
)

// How output goes through.
//
// What is sent in one pass is gathered, at most a record of it, and encrypted when the record is full or at the end of
// the pass: encrypting takes as long for a message of 64 bytes as for a kilobyte. A record cannot be taken back and
// none may be left out, so the engine is asked for room before anything is gathered. What it refuses even so, because
// TLS itself had something to say or because one message is longer than the limit, waits in pend and goes first;
// meanwhile no sends are taken.

const (
	gatherBytesMin = 512      // first memory to gather in
	pieceBytes     = 16 << 10 // in which pend is offered to the engine
	owedBytesMax   = 16 << 10 // acknowledgements and answers of TLS itself added to pend, as loop.Limits.ControlBytesMax
)

// tlsInner is a TLS connection as the handler inside sees it: a loop.Conn.
type tlsInner TLS

// ID implements loop.Conn.
func (c *tlsInner) ID() uint64 { return c.outer.ID() }

// Room implements loop.Conn.
//
// hot: no allocation.
func (c *tlsInner) Room(n int) bool {
	if c.closed || len(c.pend) > 0 {
		return false
	}
	n += len(c.gather)
	return c.outer.Room(n + (n/c.door.limits.RecordBytesMax+1)*recordExtraBytes)
}

// Queued implements loop.Conn; what is not yet encrypted counts.
func (c *tlsInner) Queued() int { return c.outer.Queued() + len(c.gather) + len(c.pend) }

// Taken implements loop.Conn.
func (c *tlsInner) Taken() uint64 { return c.outer.Taken() }

// Send implements loop.Conn.
//
// hot: no allocation once the pool is warm, but for 24 bytes a record in tls.Conn.
func (c *tlsInner) Send(frame []byte) bool {
	if !c.Room(len(frame)) {
		return false
	}
	(*TLS)(c).write(frame)
	return true
}

// SendView implements loop.Conn. It copies: the bytes are needed until they are encrypted.
//
// hot: as Send.
func (c *tlsInner) SendView(frame []byte) bool { return c.Send(frame) }

// SendShared implements loop.Conn. The body is encrypted for each connection, so it is shared no longer than until then.
//
// hot: as Send.
func (c *tlsInner) SendShared(head []byte, body *buf.Ref) bool {
	b := body.Bytes()
	if !c.Room(len(head) + len(b)) {
		return false
	}
	(*TLS)(c).write(head)
	(*TLS)(c).write(b)
	return true
}

// SendControl implements loop.Conn.
//
// hot: as Send.
func (c *tlsInner) SendControl(frame []byte) bool {
	if c.closed {
		return false
	}
	if len(c.pend) > 0 {
		if c.owed+len(frame) > owedBytesMax {
			return false
		}
		c.owed += len(frame)
	}
	(*TLS)(c).write(frame)
	return true
}

// Pause implements loop.Conn.
func (c *tlsInner) Pause() {
	c.paused = true
	(*TLS)(c).steer()
}

// Resume implements loop.Conn.
func (c *tlsInner) Resume() {
	c.paused = false
	(*TLS)(c).steer()
}

// Close implements loop.Conn. The peer gets what was sent, and close_notify.
func (c *tlsInner) Close(why error) {
	if !c.closed {
		(*TLS)(c).sayGoodbye()
		c.outer.Close(why)
	}
}

// write gathers b, and encrypts what fills records.
//
// hot: as Send.
func (t *TLS) write(b []byte) {
	full := t.door.limits.RecordBytesMax
	if n := len(t.gather); n > 0 {
		k := min(full-n, len(b))
		t.gather = appendPooled(t.door.pool, t.gather, b[:k])
		if b = b[k:]; len(t.gather) == full {
			t.flush()
		}
	}
	if n := len(b) / full * full; n > 0 {
		t.encrypt(b[:n])
		b = b[n:]
	}
	if len(b) == 0 {
		return
	}
	if t.gather == nil { // what comes is likely to be as much as the last time
		t.gather = t.door.pool.Get(max(gatherBytesMin<<t.grown, len(b)))
	}
	t.gather = appendPooled(t.door.pool, t.gather, b)
	if !t.listed {
		t.listed = true
		t.door.unsent = append(t.door.unsent, t)
	}
}

// flush encrypts what was gathered.
//
// hot: as Send.
func (t *TLS) flush() {
	if b := t.gather; len(b) > 0 {
		t.gather = nil
		t.grown = uint8(bits.Len(uint(len(b)-1) / gatherBytesMin))
		t.encrypt(b)
		t.door.pool.Put(b)
	}
}

// encrypt makes records of b and emits them. An error of tls.Conn means that it has sent an alert, and that input will
// fail, too.
//
// hot: as Send.
func (t *TLS) encrypt(b []byte) {
	full := t.door.limits.RecordBytesMax
	if full == recordBytesMax {
		full = len(b) // tls.Conn cuts it as it likes
	}
	for len(b) > 0 {
		n := min(full, len(b))
		_, _ = t.conn.Write(b[:n])
		b = b[n:]
	}
}

// emit takes what tls.Conn has encrypted.
//
// hot: no allocation while the engine takes it.
func (t *TLS) emit(b []byte) {
	if len(t.pend) == 0 && t.outer.SendControl(b) {
		return
	}
	if t.reading {
		t.owed += len(b)
	}
	t.pend = appendPooled(t.door.pool, t.pend, b)
}

// sendPending offers pend to the engine again. If it is refused, Drained will come again.
func (t *TLS) sendPending() {
	rest := t.pend
	for len(rest) > 0 {
		n := min(pieceBytes, len(rest))
		if !t.outer.Send(rest[:n]) {
			break
		}
		rest = rest[n:]
	}
	if len(rest) == 0 {
		t.door.pool.Put(t.pend)
		t.pend, t.owed = nil, 0
		return
	}
	t.pend = t.pend[:copy(t.pend, rest)]
}

// sayGoodbye sends what was gathered and close_notify, once, and nothing after it. The peer's answer is not waited for:
// the engine flushes ours and closes.
func (t *TLS) sayGoodbye() {
	if t.closed {
		return
	}
	t.flush()
	_ = t.conn.CloseWrite()
	t.sendPending()
	t.closed = true
}

// appendPooled is append with memory from the pool, which doubles.
//
// hot: no allocation once the pool is warm.
func appendPooled(p *buf.Pool, dst, b []byte) []byte {
	if need := len(dst) + len(b); need > cap(dst) {
		grown := append(p.Get(max(need, 2*cap(dst), gatherBytesMin)), dst...)
		p.Put(dst)
		dst = grown
	}
	return append(dst, b...)
}
