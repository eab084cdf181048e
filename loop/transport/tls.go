package transport

import (
	"crypto/tls"
	"errors"
	"runtime"
	"slices"
	"time"

	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/internal/invariant"
	"github.com/loopmq/loopmq/loop"
)

// recordBytesMax is the most plaintext that a record of TLS can have [RFC 8446, section 5.1].
const recordBytesMax = 16 << 10

// TLSLimits bound what the peers of a TLSDoor can make it hold or do at one time. Zero means the default.
type TLSLimits struct {
	// HandshakesMax is how many handshakes may be unfinished (256); each has a goroutine, which costs about 25 KiB while
	// it lasts. Further connections wait in the order in which they came, with reading paused. Counter: Waited.
	HandshakesMax int
	// HandshakesWaitingMax is how many connections may wait for that (4096). Beyond it they are closed with
	// ErrTooManyHandshakes; see also Busy. Counter: Refused.
	HandshakesWaitingMax int
	// HandshakeCPUs is how many handshakes calculate at one time (one less than the Go scheduler has processors, at
	// least 1), so that they leave one to the loop. A handshake that waits for its peer does not count.
	HandshakeCPUs int
	// HandshakeTimeout is the time from TLS to the end of the handshake, in which waiting for a turn is included (10 s;
	// negative: none, when somebody else watches over it). Then the connection is closed with ErrHandshakeTimeout.
	// Counter: TimedOut.
	HandshakeTimeout time.Duration
	// HandshakeBytesMax is how much input is copied for a handshake that has not asked for it yet, in bytes (64 KiB).
	// With more than that, reading is paused until it has.
	HandshakeBytesMax int
	// RecordBytesMax is the most plaintext that is sent in one record, in bytes (16,384, what the standard allows).
	// Clients with little memory, such as BearSSL on an ESP8266, can take no more than they have buffers for, and
	// crypto/tls cannot be asked for that by the client (RFC 6066, Maximum Fragment Length). Records of the handshake
	// are not cut: for such clients keep the chain of certificates short.
	RecordBytesMax int
}

// withDefaults returns l with every zero replaced.
func (l TLSLimits) withDefaults() TLSLimits {
	for _, row := range []struct {
		field *int
		value int
	}{
		{&l.HandshakesMax, 256},
		{&l.HandshakesWaitingMax, 4096},
		{&l.HandshakeCPUs, max(1, runtime.GOMAXPROCS(0)-1)},
		{&l.HandshakeBytesMax, 64 << 10},
		{&l.RecordBytesMax, recordBytesMax},
	} {
		if *row.field <= 0 {
			*row.field = row.value
		}
	}
	l.RecordBytesMax = min(l.RecordBytesMax, recordBytesMax)
	if l.HandshakeTimeout == 0 {
		l.HandshakeTimeout = 10 * time.Second
	}
	return l
}

// TLSStats are a TLSDoor's counters. They are plain fields: read them on the loop goroutine.
type TLSStats struct {
	Running   uint64 // handshakes now
	Waiting   uint64 // connections that wait for their turn now
	Done      uint64 // handshakes that succeeded
	Resumed   uint64 // of those, by a ticket of an earlier one
	Failed    uint64 // handshakes that did not
	Waited    uint64 // connections that had to wait because of TLSLimits.HandshakesMax
	Refused   uint64 // connections closed because of TLSLimits.HandshakesWaitingMax
	TimedOut  uint64 // connections closed because of TLSLimits.HandshakeTimeout
	Strangers uint64 // connections that began with something else than TLS
	Broken    uint64 // connections closed because of an error in TLS behind the handshake
	Held      uint64 // times that reading stopped because the output that TLS itself makes was not read
}

// TLSOptions are given to NewTLSDoor.
type TLSOptions struct {
	// Config returns the configuration for one more connection. It is asked on the loop for each of them, so that
	// certificates can be exchanged in between. What the configuration calls runs on goroutines of the handshakes.
	Config func() *tls.Config
	// Complete has a function run on the loop, as loop.Engine.Complete does.
	Complete func(func())
	Limits   TLSLimits
	Pool     *buf.Pool // for output; default: one of its own
}

// Errors that close connections of a TLSDoor.
var (
	ErrHandshakeTimeout  = errors.New("TLS handshake took too long")
	ErrTooManyHandshakes = errors.New("too many connections wait for a TLS handshake")
)

// TLSDoor is what the TLS connections of one listener have in common. It belongs to the loop goroutine.
type TLSDoor struct {
	config   func() *tls.Config
	complete func(func())
	limits   TLSLimits
	pool     *buf.Pool
	stats    TLSStats
	cpus     chan struct{} // one in it for each handshake that calculates
	waiting  []*TLS        // oldest first
	newcomers
	unsent []*TLS // with output to encrypt
}

// NewTLSDoor checks the options.
func NewTLSDoor(o TLSOptions) (*TLSDoor, error) {
	if o.Config == nil || o.Complete == nil {
		return nil, errors.New("TLS needs a configuration and a way back to the loop")
	}
	d := &TLSDoor{config: o.Config, complete: o.Complete, limits: o.Limits.withDefaults(), pool: o.Pool}
	d.cpus = make(chan struct{}, d.limits.HandshakeCPUs)
	if d.pool == nil {
		d.pool = buf.NewPool(0)
	}
	return d, nil
}

// TLS returns the handler of a new connection c, to give to the engine. accept is called when the handshake has
// succeeded; it returns the handler of what comes through, which sends on the loop.Conn that accept got, or nil, which
// closes the connection. failed, which may be nil, hears why a connection ended before accept had its turn.
func (d *TLSDoor) TLS(
	c loop.Conn, accept func(loop.Conn, *tls.ConnectionState) loop.Handler, failed func(why error),
) *TLS {
	t := &TLS{door: d, outer: c, accept: accept, failed: failed}
	t.wire.t = t
	t.came = d.add()
	if d.limits.HandshakeTimeout > 0 {
		t.timer = invariant.AfterFunc(d.limits.HandshakeTimeout, func() { d.complete(t.expire) })
	}
	return t
}

// Flush encrypts and sends what was sent on the door's connections since the last call. The owner must call it at the
// end of Hooks.EndPass: what is sent in one pass leaves in as few records as possible.
func (d *TLSDoor) Flush() {
	for i, t := range d.unsent {
		t.listed = false
		t.flush()
		d.unsent[i] = nil
	}
	d.unsent = d.unsent[:0]
}

// SetRecordBytesMax changes TLSLimits.RecordBytesMax for what is sent from now on, on connections that are there, too.
func (d *TLSDoor) SetRecordBytesMax(most int) {
	d.Flush() // what was gathered may be more than a record by then
	d.limits.RecordBytesMax = TLSLimits{RecordBytesMax: most}.withDefaults().RecordBytesMax
}

// Stats returns the counters.
func (d *TLSDoor) Stats() *TLSStats {
	d.stats.Waiting = uint64(len(d.waiting))
	return &d.stats
}

// busyPart is which part of HandshakesWaitingMax has the door be busy: what is there has to be through before its
// deadline.
const busyPart = 4

// Busy tells whether so many wait, or have just come, that more connections had better wait in the kernel: there no
// deadline runs, and nobody is turned away.
func (d *TLSDoor) Busy() bool {
	d.newcomers.at()
	return len(d.waiting)+d.newcomers.n[0]+d.newcomers.n[1] >= d.limits.HandshakesWaitingMax/busyPart
}

// newcomers counts connections whose first record has not come. Those that are silent for longer than a second may well
// stay so, and count no more: they are not to keep others out.
type newcomers struct {
	half int64  // the present half of a second
	n    [2]int // that came in it, and in the one before
}

// at is the present half of a second.
func (s *newcomers) at() int64 {
	if now := time.Now().UnixMilli() / 500; now != s.half {
		if now != s.half+1 {
			s.n = [2]int{}
		}
		s.half, s.n[now&1] = now, 0
	}
	return s.half
}

// add counts one that comes, and returns when that was.
func (s *newcomers) add() int64 {
	at := s.at()
	s.n[at&1]++
	return at
}

// take counts one no more that came at.
func (s *newcomers) take(at int64) {
	if now := s.at(); at == now || at == now-1 {
		s.n[at&1]--
	}
}

// begin starts t's handshake, or has it wait for its turn.
func (d *TLSDoor) begin(t *TLS) error {
	switch {
	case d.stats.Running < uint64(d.limits.HandshakesMax):
		d.start(t)
	case len(d.waiting) >= d.limits.HandshakesWaitingMax:
		d.stats.Refused++
		return ErrTooManyHandshakes
	default:
		d.stats.Waited++
		d.waiting = append(d.waiting, t)
		t.hold()
	}
	return nil
}

// start starts t's handshake.
func (d *TLSDoor) start(t *TLS) {
	d.stats.Running++
	t.shaking = newHandshake(t)
}

// ended makes room for the next handshake.
func (d *TLSDoor) ended() {
	d.stats.Running--
	if len(d.waiting) == 0 {
		return
	}
	t := d.waiting[0]
	d.waiting = slices.Delete(d.waiting, 0, 1)
	d.start(t)
	t.release()
}

// forget takes t, which is closed, off the list of those who wait.
func (d *TLSDoor) forget(t *TLS) {
	if i := slices.Index(d.waiting, t); i >= 0 {
		d.waiting = slices.Delete(d.waiting, i, i+1)
	}
}
