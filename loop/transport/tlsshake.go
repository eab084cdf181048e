package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// handshake is the part of a TLS connection's life in which a goroutine of its own has the tls.Conn: it calculates for
// a millisecond and waits for its peer in between.
//
// The loop copies whole records to it as they come, and leaves them with the engine as well until they are read, so
// that what was not read when the handshake is over lies where all later input does. The goroutine reads no further
// than to the end of a record, so nothing of what follows the handshake is inside the tls.Conn then.
type handshake struct {
	t    *TLS // for functions that run on the loop
	door *TLSDoor
	conn *tls.Conn
	fed  chan struct{} // holds one when something was put in

	mu     sync.Mutex
	in     []byte // whole records, from the first one not read
	left   int    // bytes of the first record in in
	taken  int    // bytes read since the loop last looked
	closed error  // why there will be no more
	more   bool   // the loop has more, which it keeps because of the limit
	out    []byte // for the loop to send
	posted bool   // report is on its way to the loop

	offered int   // bytes at the beginning of the engine's next view that were copied; loop goroutine only
	hungUp  error // why the peer is gone; loop goroutine only
}

// newHandshake starts one. tls.Conn and its configuration are used by a goroutine of their own until verdict.
func newHandshake(t *TLS) *handshake {
	h := &handshake{t: t, door: t.door, fed: make(chan struct{}, 1)}
	t.wire.shaking = h
	h.conn = tls.Server(&t.wire, t.door.config())
	go h.run()
	return h
}

// run is the goroutine. It ends when the peer does what it should, when its bytes are wrong, or when cancel is called.
func (h *handshake) run() {
	h.door.cpus <- struct{}{}
	err := h.conn.Handshake() // with a context that can end it would start another goroutine
	<-h.door.cpus
	h.door.complete(func() { h.t.verdict(h, err) })
}

// read is tls.Conn's Read. It waits, and gives its turn to calculate to others meanwhile.
func (h *handshake) read(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.in) == 0 && h.closed == nil {
		h.mu.Unlock()
		h.post()
		<-h.door.cpus
		<-h.fed
		h.door.cpus <- struct{}{}
		h.mu.Lock()
	}
	if len(h.in) == 0 {
		return 0, h.closed
	}
	if h.left == 0 {
		h.left = recordLen(h.in)
	}
	n := copy(b, h.in[:h.left])
	h.left -= n
	h.taken += n
	h.in = h.in[n:]
	return n, nil
}

// write is tls.Conn's Write.
func (h *handshake) write(b []byte) (int, error) {
	h.mu.Lock()
	h.out = append(h.out, b...)
	h.mu.Unlock()
	h.post()
	return len(b), nil
}

// post has report run on the loop, if there is anything to do for it. It may wake the loop, which wants the lock then: it
// does so without.
func (h *handshake) post() {
	h.mu.Lock()
	due := !h.posted && (len(h.out) > 0 || h.more)
	h.posted = h.posted || due
	h.mu.Unlock()
	if due {
		h.door.complete(h.report)
	}
}

// report sends what the handshake has written, and has the engine go on if it was held. Loop goroutine.
func (h *handshake) report() {
	h.mu.Lock()
	out, more := h.out, h.more
	h.out, h.more, h.posted = nil, false, false
	h.mu.Unlock()
	if h.t.closed || h.t.shaking != h {
		return
	}
	if len(out) > 0 {
		h.t.emit(out)
	}
	if more {
		h.t.release()
	}
}

// feed copies what is new in view. It returns how much of view was read. Loop goroutine.
func (h *handshake) feed(view []byte, limit int) (used int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	used, h.taken = h.taken, 0
	h.offered -= used
	for {
		rest := view[used+h.offered:]
		n := recordLen(rest)
		if n == 0 {
			break
		}
		if len(h.in) > 0 && len(h.in)+n > limit {
			h.more = true
			h.t.hold()
			break
		}
		h.in = append(h.in, rest[:n]...)
		h.offered += n
		h.wake()
	}
	return used
}

// cancel ends the waiting for the peer.
func (h *handshake) cancel() {
	h.mu.Lock()
	h.closed = net.ErrClosed
	h.mu.Unlock()
	h.wake()
}

func (h *handshake) wake() {
	select {
	case h.fed <- struct{}{}:
	default:
	}
}

// verdict takes the tls.Conn over. Loop goroutine; the goroutine of the handshake is at its end, and the connection
// may be gone.
func (t *TLS) verdict(h *handshake, err error) {
	d := t.door
	d.ended()
	if t.closed {
		t.judge(h, err)
		return
	}
	h.report()
	t.stopTimer()
	t.shaking, t.wire.shaking = nil, nil
	if err != nil {
		d.stats.Failed++
		t.close(fmt.Errorf("TLS handshake: %w", err))
		return
	}
	d.stats.Done++
	state := h.conn.ConnectionState()
	if state.DidResume {
		d.stats.Resumed++
	}
	t.conn = h.conn
	t.kept.gap = h.taken // all that the engine gave us before that is behind it
	if t.inner = t.accept((*tlsInner)(t), &state); t.inner == nil {
		t.sayGoodbye()
		t.close(ErrNotAccepted)
		return
	}
	t.accept, t.failed = nil, nil
	t.outer.Pause() // and go on, which has the engine hand over what it has kept
	t.held = false
	t.steer()
}

// judge says why the connection failed whose peer was gone before the verdict. In TLS 1.3 a client is through before its
// certificate has been looked at, and may well leave; the operator wants to know that it was refused.
func (t *TLS) judge(h *handshake, err error) {
	if h.hungUp == nil {
		return
	}
	why := fmt.Errorf("closed during the TLS handshake: %w", h.hungUp)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		t.door.stats.Failed++
		why = fmt.Errorf("TLS handshake: %w", err)
	}
	if t.failed != nil {
		t.failed(why)
	}
}

// wire is the net.Conn below a tls.Conn. It is memory.
type wire struct {
	t       *TLS
	shaking *handshake // whose goroutine uses us; nil: the loop does
	in      []byte     // the rest of a record in the engine's view
}

// Read implements net.Conn.
//
// hot: behind the handshake one copy.
func (w *wire) Read(b []byte) (int, error) {
	if w.shaking != nil {
		return w.shaking.read(b)
	}
	n := copy(b, w.in)
	if n == 0 {
		return 0, errWouldBlock
	}
	w.in = w.in[n:]
	return n, nil
}

// Write implements net.Conn. It never fails and takes everything: tls.Conn does not forgive an error.
func (w *wire) Write(b []byte) (int, error) {
	if w.shaking != nil {
		return w.shaking.write(b)
	}
	w.t.emit(b)
	return len(b), nil
}

// Close implements net.Conn. Connections are closed by way of the engine.
func (w *wire) Close() error { return nil }

// LocalAddr implements net.Conn.
func (w *wire) LocalAddr() net.Addr { return noAddr{} }

// RemoteAddr implements net.Conn.
func (w *wire) RemoteAddr() net.Addr { return noAddr{} }

// SetDeadline implements net.Conn.
func (w *wire) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (w *wire) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// noAddr is the address of memory.
type noAddr struct{}

func (noAddr) Network() string { return "memory" }
func (noAddr) String() string  { return "memory" }

// errWouldBlock says that a record is used up. tls.Conn keeps any error but a temporary one for ever.
var errWouldBlock net.Error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string { return "no more input yet" }

// Timeout implements net.Error.
func (wouldBlock) Timeout() bool { return true }

// Temporary implements net.Error.
func (wouldBlock) Temporary() bool { return true }
