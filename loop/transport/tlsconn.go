package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"

	"github.com/loopmq/loopmq/internal/invariant"
	"github.com/loopmq/loopmq/loop"
)

// TLS is one connection of a TLSDoor. It is the engine's handler; the handler inside sees it as a loop.Conn.
//
// Behind the handshake the loop alone uses the tls.Conn. It is fed one whole record at a time, and what is in it is
// written over the records of the view (see kept), so that nothing waits inside the tls.Conn while the socket is
// silent, and views of what came through TLS may be sent on like any other.
type TLS struct {
	door   *TLSDoor
	outer  loop.Conn
	accept func(loop.Conn, *tls.ConnectionState) loop.Handler
	failed func(why error)
	timer  *invariant.Timer // of the handshake
	came   int64            // see newcomers
	wire   wire

	shaking *handshake   // until its verdict
	conn    *tls.Conn    // from then on
	inner   loop.Handler // nil until the handshake has succeeded

	kept   kept   // the beginning of the next view
	broken error  // why no more input is decrypted
	gather []byte // output to encrypt; from the pool
	pend   []byte // encrypted output that the engine refused; from the pool
	owed   int    // bytes that had to be added to pend all the same

	grown   uint8 // doublings of gather's first memory that the last flush would have filled
	listed  bool  // in door.unsent
	reading bool  // tls.Conn reads: what it writes now are answers of its own
	begun   bool  // its first record has come
	partial bool  // the last input ended inside a record
	paused  bool  // by the handler inside
	held    bool  // by us: the handshake has a full buffer or waits for its turn, or owed is at its limit
	closed  bool
}

const (
	// barrenMax is how many records, or frames of a WebSocket, may bring nothing in one pass; the others wait for the
	// next one. New keys cost about 10 µs, a ping 0.1 µs, and nobody needs them often.
	barrenMax = 64
	// recordsTurn is how many records of one connection are decrypted before others have their turn: short ones, that
	// is, of the longest a read has four.
	recordsTurn = 512
	// backlogBytesMax is how many bytes may wait for that: more than an engine reads at a time that then stops reading.
	backlogBytesMax       = 1 << 20
	backlogFramesBytesMax = 256 << 10 // the same for frames, which need no handshake
)

var (
	errCloseNotify = errors.New("peer closed TLS")
	errBarren      = errors.New("too many records with nothing in them")
	errCutOff      = fmt.Errorf("connection closed inside a TLS record: %w", io.ErrUnexpectedEOF)
)

// Data implements loop.Handler.
func (t *TLS) Data(view []byte) (used int, err error) {
	if t.inner != nil {
		return t.input(view)
	}
	if !t.begun && len(view) > 0 {
		if err := checkFirst(view); err != nil {
			t.stranger(view[0])
			return 0, err
		}
		if recordLen(view) > 0 { // before that nobody needs to listen
			t.begun = true
			t.door.take(t.came)
			if err := t.door.begin(t); err != nil {
				t.closed = true
				return 0, err
			}
		}
	}
	if t.shaking != nil {
		used = t.shaking.feed(view, t.door.limits.HandshakeBytesMax)
	}
	return used, nil
}

// input decrypts all whole records of view, and hands on what was in them.
//
// hot: tls.Conn allocates 24 bytes a record, we nothing.
func (t *TLS) input(view []byte) (used int, err error) {
	end := t.kept.plain
	raw := end + t.kept.gap
	barren := 0 // records with nothing for the handler
	left := recordsTurn
	for ; t.broken == nil && t.owed < owedBytesMax && barren < barrenMax && left > 0; left-- {
		n := recordLen(view[raw:])
		if n == 0 {
			break
		}
		t.wire.in = view[raw : raw+n]
		raw += n
		t.reading = true
		got, err := t.conn.Read(view[end:raw]) // the record is longer than what is in it
		t.reading = false
		invariant.Check(len(t.wire.in) == 0 || err != errWouldBlock, "a record was not read to its end")
		if end += got; got == 0 {
			barren++
		}
		if err != nil && err != errWouldBlock {
			t.broken = err
		}
	}
	t.wire.in = nil
	t.partial = raw < len(view) && t.broken == nil
	switch {
	case t.broken != nil:
	case barren == barrenMax:
		t.later(len(view) - raw)
	case left == 0:
		t.outer.Pause()
		t.steer()
	}
	if t.owed >= owedBytesMax && !t.held {
		t.partial = false
		t.door.stats.Held++
		t.hold()
	}
	start := 0
	if end > 0 {
		start, err = t.inner.Data(view[:end])
		invariant.Check(start >= 0 && start <= end, "Data used %d of %d bytes", start, end)
		start = min(max(start, 0), end)
	}
	switch {
	case err != nil:
		t.sayGoodbye()
		return start, err
	case t.broken != nil && !t.paused && !t.closed:
		return start, t.fail()
	}
	if t.broken != nil && start == end {
		t.kept = kept{gap: 1} // so that the engine calls again after Resume
		return raw - 1, nil
	}
	return t.kept.keep(view, start, end, raw), nil
}

// later has the engine hand over the rest in its next pass. An engine that goes on reading meanwhile gathers ever more.
func (t *TLS) later(rest int) {
	if rest > backlogBytesMax {
		t.broken = errBarren
		return
	}
	t.outer.Pause()
	t.steer()
}

// fail ends the connection because of t.broken, of which tls.Conn has told the peer.
func (t *TLS) fail() error {
	t.sayGoodbye()
	if errors.Is(t.broken, io.EOF) {
		return errCloseNotify
	}
	t.door.stats.Broken++
	return fmt.Errorf("TLS: %w", t.broken)
}

// Drained implements loop.Handler.
func (t *TLS) Drained() {
	if t.closed {
		return
	}
	t.sendPending()
	if len(t.pend) == 0 && t.inner != nil {
		t.release()
		t.inner.Drained()
	}
}

// Closed implements loop.Handler. The handler inside hears io.EOF if the peer closed, whether it said so in TLS or not:
// in MQTT it is DISCONNECT that tells a clean end.
func (t *TLS) Closed(why error) {
	ours := t.closed
	t.closed = true
	t.stopTimer()
	t.door.forget(t)
	if !t.begun {
		t.door.take(t.came)
	}
	t.door.pool.Put(t.gather)
	t.door.pool.Put(t.pend)
	t.gather, t.pend = nil, nil
	if h := t.shaking; h != nil {
		t.shaking = nil
		h.cancel()
		if !ours && !errors.Is(why, loop.ErrStopped) {
			h.hungUp = why // failed hears of it with the verdict
			return
		}
	}
	switch {
	case errors.Is(why, errCloseNotify):
		why = io.EOF
	case t.inner != nil && t.partial && errors.Is(why, io.EOF):
		why = errCutOff
	case t.inner == nil && t.begun && !ours:
		why = fmt.Errorf("closed during the TLS handshake: %w", why)
	}
	switch {
	case t.inner != nil:
		t.inner.Closed(why)
	case t.failed != nil && !errors.Is(why, ErrNotAccepted):
		t.failed(why)
	}
}

// expire ends a handshake that takes too long.
func (t *TLS) expire() {
	if t.inner == nil && !t.closed {
		t.door.stats.TimedOut++
		t.close(ErrHandshakeTimeout)
	}
}

// close has the engine close the connection, to which nothing more is sent.
func (t *TLS) close(why error) {
	t.closed = true
	t.door.forget(t)
	t.outer.Close(why)
}

func (t *TLS) stopTimer() {
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
}

// hold stops reading until release.
func (t *TLS) hold() {
	t.held = true
	t.steer()
}

// release undoes hold.
func (t *TLS) release() {
	t.held = false
	t.steer()
}

// steer has the engine read if nobody is against it.
func (t *TLS) steer() {
	if t.held || t.paused {
		t.outer.Pause()
	} else {
		t.outer.Resume()
	}
}
