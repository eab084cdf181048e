package record

import (
	"errors"
	"io"
	"sort"
	"sync/atomic"
	"time"

	"github.com/loopmq/loopmq/router"
)

const (
	chunkBytes  = 256 << 10                     // handed to the writer at once, and what the file is aligned to
	chunkRoom   = chunkBytes + 80<<10           // of a buffer: what one read of a connection adds stays in it
	sparesMin   = 32                            // buffers kept for reuse, made at once: what is not used is no memory yet
	sparesMax   = waitingMax / chunkBytes       // and at most, while all are used now and then
	sparesNanos = int64(time.Second)            // after which those go that were not
	piecesMax   = 1024                          // that wait for the writer
	flushNanos  = int64(100 * time.Millisecond) // after which less is handed over
	sumsNanos   = flushNanos                    // after which sums are written down, also where chunks are full sooner
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
	opts   Options
	w      io.WriterAt
	on     bool
	why    error  // why it ended
	buf    []byte // what stands in the file from base on
	base   int64
	handed int   // bytes of buf that the writer has got already
	whole  int   // where the event ends that began before base
	passAt int64 // of the last kindPass
	sentAt int64 // when something was handed over
	trimAt int64 // likewise spares
	sumAt  int64 // of the last kindSums
	now    int64

	queue   queue
	spares  spares
	done    chan struct{}
	failed  atomic.Pointer[error] // what the writer ran into
	waiting atomic.Int64          // bytes on their way to the writer

	rt        *router.Router
	sum       sums
	numbers   map[uint64]uint64 // of connections that are open, by what the loop calls them
	conns     uint64
	rulings   uint64
	wall      int64 // the last answer of router.Config.Wall
	used      int64 // of the last kindMemory
	saved     savedUsers
	current   *Tap // whose Data is running
	listeners map[*router.Listener]uint64
}

// piece is something to write. The loop goes on behind what it has handed over.
type piece struct {
	b    []byte
	at   int64
	from int  // what is before was handed over earlier
	last bool // whole chunks: nobody writes to b any more
}

// New prepares a recording into w, from its beginning, and changes rc, of which the router is to be made, so that what it asks goes into it.
func New(w io.WriterAt, rc *router.Config, o Options) *Recorder {
	if o.BytesMax == 0 {
		o.BytesMax = bytesMaxDef
	}
	r := &Recorder{
		opts: o, w: w, on: true, queue: queue{wake: make(chan struct{}, 1)}, done: make(chan struct{}),
		listeners: map[*router.Listener]uint64{}, numbers: map[uint64]uint64{}, saved: savedUsers{},
	}
	h := Header{
		Started: o.Started, Redacted: o.Redact.String(), Settings: *settingsOf(rc),
		Identifies: rc.Identify != nil, Keeps: rc.Store != nil, Saves: rc.SaveIdentity != nil, Loads: rc.LoadIdentity != nil, Writes: rc.Written != nil,
	}
	for name := range rc.AuthMethods {
		h.AuthMethods = append(h.AuthMethods, name)
	}
	sort.Strings(h.AuthMethods)
	r.buf = append(make([]byte, 0, chunkRoom), h.line()...)
	r.listenIn(rc)
	return r
}

// Start begins to write what happens to rt.
func (r *Recorder) Start(rt *router.Router) {
	r.rt = rt
	for range sparesMin {
		r.spares.put(make([]byte, 0, chunkRoom))
	}
	go r.write()
}

// write is the writer.
func (r *Recorder) write() {
	defer close(r.done)
	for list := r.queue.take(nil); len(list) > 0; list = r.queue.take(list) {
		for _, p := range list {
			b, at := p.b, p.at
			if !p.last {
				b, at = b[p.from:], at+int64(p.from)
			} // otherwise whole, even what is there already: it lies as File likes it
			if r.failed.Load() == nil { // nobody can play what is behind a hole
				if _, err := r.w.WriteAt(b, at); err != nil {
					r.failed.Store(&err)
				}
			}
			r.waiting.Add(int64(p.from - len(p.b)))
			if p.last && cap(p.b) <= 2*chunkRoom {
				r.spares.put(p.b[:0])
			}
		}
	}
}

// Close writes what waits and why the recording ends. The loop must have ended.
func (r *Recorder) Close() error {
	why := "the broker has stopped"
	if r.why != nil {
		why = r.why.Error()
	}
	if r.why == nil || errors.Is(r.why, ErrFull) {
		r.put(kindOver)
		r.text(why)
	}
	r.queue.put(piece{b: r.buf, at: r.base, from: r.handed}, true)
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

// BeginPass is to be called after the router's.
func (r *Recorder) BeginPass(now int64) {
	if !r.on {
		return
	}
	r.put(kindPass, uint64(now-r.passAt))
	r.passAt, r.now = now, now
}

// EndPass is to be called after the router's, with what that returned.
func (r *Recorder) EndPass(wake int64) int64 {
	if !r.on {
		return wake
	}
	r.put(kindEnd)
	if err := r.failed.Load(); err != nil {
		r.end(*err)
		return wake
	}
	if r.now-r.sumAt >= sumsNanos {
		r.sums()
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

// flush hands over what is there, whole chunks of it where there is one: then the event that crosses its end goes on
// in the next.
func (r *Recorder) flush() {
	const over = 100 // bytes for the end
	if r.base+int64(len(r.buf))+over > r.opts.BytesMax {
		r.giveUp(ErrFull)
		return
	}
	if r.queue.len() >= piecesMax || r.waiting.Load() > waitingMax {
		r.giveUp(ErrSlow)
		return
	}
	if r.sentAt = r.now; r.now-r.trimAt >= sparesNanos {
		r.trimAt = r.now
		r.spares.trim()
	}
	n := len(r.buf) / chunkBytes * chunkBytes
	p := piece{b: r.buf, at: r.base, from: r.handed}
	if p.last = n > 0; p.last {
		p.b = r.buf[:n]
	}
	r.waiting.Add(int64(len(p.b) - p.from))
	r.queue.put(p, false)
	if !p.last {
		r.handed = len(r.buf)
		return
	}
	r.buf = append(r.spares.take(), r.buf[n:]...)
	r.base += int64(n)
	r.handed, r.whole = 0, len(r.buf)
}

// giveUp ends the recording with the last event that the file has some of.
func (r *Recorder) giveUp(why error) {
	r.buf = r.buf[:max(r.handed, r.whole)]
	r.end(why)
}

// Stopping is to be called after the router's.
func (r *Recorder) Stopping() {
	if r.on {
		r.put(kindStopping)
	}
}

// Reload notes that the router got other settings.
func (r *Recorder) Reload(rc *router.Config) {
	if !r.on {
		return
	}
	r.put(kindReload)
	r.json(settingsOf(rc))
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
		r.put(kindListener, n, flag(l.Authenticator != nil, flagKnown))
		r.text(l.Name)
		r.text(string(l.Versions))
		r.json(l.Limits)
	}
	return n
}
