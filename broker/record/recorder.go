package record

import (
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/loopmq/loopmq/router"
)

const (
	chunkBytes  = 64 << 10                      // handed to the writer at once
	chunksMax   = 4096                          // that wait for it
	flushNanos  = int64(100 * time.Millisecond) // after which less is handed over
	waitingMax  = 64 << 20                      // bytes that wait for it: a disk may take its time now and then
	bytesMaxDef = 256 << 20
)

// ErrFull ends a recording that has reached Options.BytesMax.
var ErrFull = errors.New("the recording has reached its limit; record-bytes-max")

// ErrSlow ends a recording that cannot be written as fast as things happen.
var ErrSlow = errors.New("the recording cannot be written fast enough")

// Options say how to record.
type Options struct {
	BytesMax int64           // of the file; 0: 256 MiB
	Redact   Redact          // what to leave out
	Started  time.Time       // for the Header
	Ended    func(why error) // called on the loop when it ends before Close; may be nil
}

// Recorder writes down what happens to one router. All methods but Start and Close are for the loop goroutine.
type Recorder struct {
	opts    Options
	w       io.Writer
	on      bool
	why     error // why it ended
	buf     []byte
	written int64
	passAt  int64 // of the last kindPass
	sentAt  int64 // when the last chunk was handed over
	now     int64

	ch      chan []byte
	spare   chan []byte
	done    chan struct{}
	failed  atomic.Pointer[error] // what the writer ran into
	waiting atomic.Int64          // bytes on their way to the writer

	conns     uint64
	rulings   uint64
	current   *Tap // whose Data is running
	listeners map[*router.Listener]uint64
}

// New prepares a recording into w and changes rc, of which the router is to be made, so that what it asks goes into it.
func New(w io.Writer, rc *router.Config, o Options) *Recorder {
	if o.BytesMax == 0 {
		o.BytesMax = bytesMaxDef
	}
	r := &Recorder{
		opts: o, w: w, on: true, ch: make(chan []byte, chunksMax), spare: make(chan []byte, 16), done: make(chan struct{}),
		listeners: map[*router.Listener]uint64{},
	}
	h := Header{
		Started: o.Started, Redacted: o.Redact.String(), Settings: settingsOf(rc), AuthMethods: slices.Sorted(maps.Keys(rc.AuthMethods)),
		Identifies: rc.Identify != nil,
	}
	r.buf = h.line()
	r.listenIn(rc)
	return r
}

// Start begins to write.
func (r *Recorder) Start() {
	go func() {
		defer close(r.done)
		for b := range r.ch {
			if _, err := r.w.Write(b); err != nil && r.failed.Load() == nil {
				r.failed.Store(&err)
			}
			r.waiting.Add(-int64(len(b)))
			if cap(b) > 4*chunkBytes {
				continue
			}
			select {
			case r.spare <- b[:0]:
			default:
			}
		}
	}()
}

// Close writes what waits and why the recording ends. The loop must have ended.
func (r *Recorder) Close() error {
	why := "the broker has stopped"
	if r.why != nil {
		why = r.why.Error()
	}
	if r.why == nil || errors.Is(r.why, ErrFull) {
		r.buf = appendString(append(r.buf, byte(kindOver)), why)
	}
	r.ch <- r.buf
	close(r.ch)
	<-r.done
	if err := r.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// end stops recording: what happens from now on is not written down.
func (r *Recorder) end(why error) {
	r.on, r.why = false, why
	if r.opts.Ended != nil {
		r.opts.Ended(why)
	}
}

// BeginPass is to be called before the router's.
func (r *Recorder) BeginPass(now int64) {
	if !r.on {
		return
	}
	r.buf = binary.AppendUvarint(append(r.buf, byte(kindPass)), uint64(now-r.passAt))
	r.passAt, r.now = now, now
}

// EndPass is to be called after the router's, with what that returned.
func (r *Recorder) EndPass(wake int64) int64 {
	if !r.on {
		return wake
	}
	r.buf = append(r.buf, byte(kindEnd))
	if err := r.failed.Load(); err != nil {
		r.end(*err)
		return wake
	}
	if len(r.buf) >= chunkBytes || r.now-r.sentAt >= flushNanos {
		r.flush()
		return wake
	}
	if at := r.sentAt + flushNanos; wake == 0 || at < wake {
		return at // what is left must not wait for the next one who comes
	}
	return wake
}

// flush hands the buffer to the writer. It holds whole events, so that a recording may end between any two.
func (r *Recorder) flush() {
	const over = 100 // bytes for the end
	if r.written+int64(len(r.buf))+over > r.opts.BytesMax {
		r.buf = r.buf[:0]
		r.end(ErrFull)
		return
	}
	if len(r.ch) == cap(r.ch) || r.waiting.Load() > waitingMax { // nobody else sends: there will still be a place
		r.buf = r.buf[:0]
		r.end(ErrSlow)
		return
	}
	r.waiting.Add(int64(len(r.buf)))
	r.ch <- r.buf
	r.written += int64(len(r.buf))
	r.sentAt = r.now
	select {
	case r.buf = <-r.spare:
	default:
		r.buf = make([]byte, 0, 2*chunkBytes)
	}
}

// Stopping is to be called after the router's.
func (r *Recorder) Stopping() {
	if r.on {
		r.buf = append(r.buf, byte(kindStopping))
	}
}

// Reload notes that the router got other settings.
func (r *Recorder) Reload(rc *router.Config) {
	if !r.on {
		return
	}
	r.buf = appendJSON(append(r.buf, byte(kindReload)), settingsOf(rc))
	clear(r.listeners)
}

// listener returns the number of l.
func (r *Recorder) listener(l *router.Listener) uint64 {
	if l == nil {
		return 0
	}
	n, known := r.listeners[l]
	if !known {
		n = uint64(len(r.listeners)) + 1
		r.listeners[l] = n
		b := binary.AppendUvarint(append(r.buf, byte(kindListener)), n)
		b = appendString(appendString(b, l.Name), string(l.Versions))
		b = appendJSON(b, l.Limits)
		r.buf = append(b, flag(l.Authenticator != nil, 1))
	}
	return n
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func flag(set bool, bit byte) byte {
	if set {
		return bit
	}
	return 0
}
