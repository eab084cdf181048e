package loop

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/loopmq/loopmq/internal/buf"
)

// ErrStopped is the reason that Handler.Closed hears for connections that were still open when the engine stopped.
var ErrStopped = errors.New("server stopped")

// ErrInputTooLong closes a connection whose handler left more than Limits.InputBytesMax bytes unconsumed.
var ErrInputTooLong = errors.New("incomplete packet longer than the input limit")

// Handler is the owner's end of one connection. All methods are called on the loop goroutine.
type Handler interface {
	// Data hands over received bytes and learns how many were used. The rest is kept and handed over again in front
	// of the next bytes. view dies at return, except for the parts given to SendView during the call. Until then it may
	// be written to: what is left comes again as the handler left it. An error closes the connection after flushing,
	// as Close does. A handler that pauses its connection may leave complete packets unconsumed: they come again after
	// Resume, even if the peer sends nothing more.
	Data(view []byte) (used int, err error)
	// Drained tells that queued output fell to Limits.OutputLowBytes after a send was refused or more than that was
	// queued. At most once a pass.
	Drained()
	// Closed is the last call, exactly once. io.EOF means that the peer closed.
	Closed(why error)
}

// Conn is the engine's end of one connection. All methods are for the loop goroutine only; after Close they do nothing
// and the sends return false.
type Conn interface {
	// ID returns slot<<32 | generation: never the same for two connections whose completions may meet.
	ID() uint64
	// Send queues a copy of frame. false: the output limit is reached and nothing was queued.
	Send(frame []byte) bool
	// SendView queues frame, which is part of the view handed to Data in this call, or of other memory that stays as it
	// is until Hooks.ViewsAge was called twice, and keeps its capacity (so that neighbours can be joined). It is copied
	// only if the kernel refuses it.
	SendView(frame []byte) bool
	// SendShared queues a copy of head, then body, which is retained until it is written.
	SendShared(head []byte, body *buf.Ref) bool
	// SendControl is Send that may exceed the output limit by Limits.ControlBytesMax, for acknowledgements and last
	// words. After a failed write it takes what nobody gets: the rest of the input is still handed over.
	SendControl(frame []byte) bool
	// Room tells whether Send would queue n bytes now. As a send does, it asks the kernel before it says no; after false,
	// Drained is called once there is room. For filters, whose output depends on what was sent before.
	Room(n int) bool
	// Queued returns the number of unsent output bytes.
	Queued() int
	// Taken changes when, and only when, the other end has taken output: equal numbers mean that it took nothing
	// between. It may ask the kernel.
	Taken() uint64
	// Pause stops reading: no Data until Resume.
	Pause()
	// Resume restarts reading, beginning with what Data left unconsumed.
	Resume()
	// Close marks the connection as closed. What is queued is flushed as far as the kernel takes it, and Closed(why)
	// is called, at the end of the pass.
	Close(why error)
}

// Peer says where a connection comes from.
type Peer struct {
	Listener string         // Listener.Name
	Remote   netip.AddrPort // zero for unix sockets
	Local    netip.AddrPort // zero for unix sockets
	Process  *Process       // the other end of a unix socket, where the system tells; otherwise nil
}

// Process is who opened a connection on a unix socket, as the kernel has noted it (SO_PEERCRED).
type Process struct {
	PID      int
	UID, GID uint32
}

// Hooks are the owner's callbacks. All run on the loop goroutine; only Accept is required.
type Hooks struct {
	// Serving is called once, when all listeners are bound and before the first accept; sockets are in their order.
	Serving func(sockets []*Socket)
	// Accept returns the handler of a new connection; nil refuses it, after sending what was queued. Listeners may
	// have their own.
	Accept func(c Conn, from Peer) Handler
	// BeginPass opens a pass. now is monotonic, in nanoseconds, never 0: the pass's only clock.
	BeginPass func(now int64)
	// EndPass runs what is due and returns the next deadline in the same clock; 0 means none.
	EndPass func() (wake int64)
	// ViewsAge is called between passes and between calls of Data, when all that SendView was given before the last
	// call of it has left: whoever lends memory to SendView has two and changes them here. Twice in a row means that
	// nothing is lent.
	ViewsAge func()
	// Stopping is called once, after Stop: the time to queue last words and close connections.
	Stopping func()
}

// Options are given to New. The zero value of each field means its default.
type Options struct {
	Listeners []Listener
	Limits    Limits
	Log       *slog.Logger // default: discard
	Pool      *buf.Pool    // for output and kept input; default: one of its own
}

// Engine is an event loop. Several may live in one process.
type Engine interface {
	// Run binds the listeners and serves until Stop. It may be called once. An error names the listener and the way
	// out, for instance which process holds the port.
	Run(Hooks) error
	// Post runs f on the loop in one of the next passes. Any goroutine. false: Limits.PostsMax functions are waiting
	// already, or the engine has ended.
	Post(f func()) bool
	// Complete is Post for work that left the loop and comes back. It is never refused, and runs even while stopping.
	Complete(f func())
	// Stop ends Run: no more accepts, Hooks.Stopping, then all queued output is flushed for at most this long, then
	// all connections are closed and Run returns nil. Any goroutine. A second call ends the flushing at once.
	Stop(flush time.Duration)
	// Bind opens a listening socket that is not served yet, or says what is in the way. Any goroutine; it may block. An
	// engine that cannot listen anew while it runs returns ErrBindLate.
	Bind(Listener) (*Socket, error)
	// Serve starts accepting on a socket of Bind. Loop goroutine only.
	Serve(*Socket) error
	// Withdraw closes a listening socket, also one of Options; its connections stay. Loop goroutine only.
	Withdraw(*Socket)
	// Take raises Limits.InputBytesMax to n. Loop goroutine only.
	Take(n int)
	// Bound has each connection queue 4 KiB of output at most, or one frame, and answers, where more could not be held
	// with n bytes of Options.Pool in use; 0: there is no such bound. Counter: OutputsRefused. Loop goroutine only.
	Bound(n int64)
	// Stats returns the engine's counters. Loop goroutine only.
	Stats() *Stats
}

// New returns an engine of the given kind; "" means the platform's default. Nothing is opened before Run.
func New(kind string, o Options) (Engine, error) {
	o.Limits = o.Limits.withDefaults()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Pool == nil {
		o.Pool = buf.NewPool(0)
	}
	all := kinds()
	if len(all) == 0 {
		return nil, errors.New("no event loop for this operating system; use Linux, macOS or FreeBSD")
	}
	if kind == "" {
		kind = all[0].name
	}
	names := make([]string, len(all))
	for i, k := range all {
		if k.name == kind {
			return k.open(o)
		}
		names[i] = k.name
	}
	return nil, fmt.Errorf("unknown engine %q; choose one of: %s", kind, strings.Join(names, ", "))
}

// Kinds returns the names of the engines of this platform, the default one first.
func Kinds() []string {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.name)
	}
	return names
}

// engineKind is a row of the platform's list in engines_*.go.
type engineKind struct {
	name string
	open func(Options) (Engine, error)
}

// withDefaults fills the hooks that the owner left out.
func (h Hooks) withDefaults() Hooks {
	if h.Serving == nil {
		h.Serving = func([]*Socket) {}
	}
	if h.Accept == nil {
		h.Accept = func(Conn, Peer) Handler { return nil }
	}
	if h.BeginPass == nil {
		h.BeginPass = func(int64) {}
	}
	if h.EndPass == nil {
		h.EndPass = func() int64 { return 0 }
	}
	if h.ViewsAge == nil {
		h.ViewsAge = func() {}
	}
	if h.Stopping == nil {
		h.Stopping = func() {}
	}
	return h
}
