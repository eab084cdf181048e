package broker

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime/metrics"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	crand "crypto/rand"

	"github.com/loopmq/loopmq/auth/guard"
	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/internal/invariant"
	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/loop/transport"
	"github.com/loopmq/loopmq/router"
)

// ErrNotRunning is what Do returns before Run and after it, and Reload after it.
var ErrNotRunning = errors.New("broker is not running")

// idleBytesMax is how much memory of finished output the broker keeps for
// reuse.
const idleBytesMax = 4 << 20

// Broker is one MQTT broker.
type Broker struct {
	cfg    *Config // as doors
	engine loop.Engine
	router *router.Router
	state  *state // nil: nothing outlives the process
	log    *logQueue
	pool   *buf.Pool
	frames transport.Frames // of all WebSockets
	logins *loginPool
	rules  *ruleBook // where no listener has its own; belongs to the loop once it runs
	made   time.Time

	generation int // of users and rules; belongs to the loop
	guard      *guard.Guard
	bans       *guard.Bans          // replaced by a reload, never changed
	encrypting []*transport.TLSDoor // also of listeners in leaving
	doors      []*door              // those in force; their sockets are there once ready is closed
	gone       []leftover           // of listeners that are no more: their connections and sessions go on
	leaving    []*door              // with TLS, that are no more, while connections last
	recording  *recording           // nil: none

	reloading sync.Mutex   // one Reload at a time
	following sync.RWMutex // cfg and doors: the loop writes, others may read
	watching  sync.Mutex   // of certificates: Reload and the end of Run may meet
	unwatched bool         // nobody begins to any more
	patience  atomic.Int64 // Config.ShutdownTimeout

	warnings []string // of New, for Run

	ready chan struct{}
	done  chan struct{}
}

// New makes a broker from cfg; nothing is opened yet. An error names the
// setting.
func New(cfg Config) (*Broker, error) {
	b := &Broker{made: time.Now(), ready: make(chan struct{}), done: make(chan struct{}), pool: buf.NewPool(idleBytesMax)}
	b.log = newLogQueue(cfg.Log)
	b.logins = newLoginPool()
	s, err := b.prepare(cfg)
	if err != nil {
		return nil, err
	}
	cfg = s.cfg
	if cfg.LoopLimits.InputBytesMax == 0 {
		cfg.LoopLimits.InputBytesMax = cfg.inputBytesMost()
	}
	b.guard = guard.New(cfg.Guard)
	b.bans, b.warnings = s.bans, s.warnings
	b.cfg, b.doors, b.rules = &cfg, s.doors, s.rules
	b.patience.Store(int64(cfg.ShutdownTimeout))
	options := loop.Options{Limits: cfg.LoopLimits, Log: b.logger(), Pool: b.pool}
	for _, d := range s.doors {
		options.Listeners = append(options.Listeners, d.loop)
	}
	if b.engine, err = loop.New(cfg.Engine, options); err != nil {
		return nil, err
	}
	rc := s.routerConfig()
	rc.Rand, rc.Events, rc.Pool, rc.AuthMethods = newRand(), b.log.event, b.pool, cfg.AuthMethods
	rc.Identify = b.identify
	rc.Version, rc.Traffic = cfg.Version, b.traffic
	if b.state = newState(cfg.StateDir, cfg.State, b.engine.Complete); b.state != nil {
		rc.Written = b.state.written
		rc.Store, rc.Wall = b.state, func() int64 { return time.Now().UnixNano() }
		rc.SaveIdentity, rc.LoadIdentity = b.saveIdentity, b.loadIdentity
	}
	if cfg.Record != nil {
		if b.recording, err = b.newRecording(cfg.Record, &rc); err != nil {
			return nil, err
		}
	}
	b.router = router.New(rc)
	return b, nil
}

// routerConfig is what of the settings can change while the router runs.
func (s *settings) routerConfig() router.Config {
	return router.Config{
		Limits: s.cfg.Limits, ServerReference: s.cfg.ServerReference, ServerMoved: s.cfg.ServerMoved,
		QueueFull: s.cfg.QueueFull, ResponsePrefix: s.prefix, ValidatePayloads: s.cfg.ValidatePayloads, DenyCloses: s.cfg.DenyCloses,
		Durability: s.cfg.Durability, LazyInterval: s.cfg.LazyInterval, WrittenPerDayWarn: uint64(max(0, s.cfg.State.WrittenPerDayWarn)),
	}
}

// bookOf is the book of rules of a listener.
func (b *Broker) bookOf(l *router.Listener) *ruleBook {
	if l != nil {
		if own, ok := l.Authenticator.(*login); ok {
			return own.rules
		}
	}
	return b.rules
}

// traffic is what $SYS tells of the engine and the process.
func (b *Broker) traffic() router.Traffic {
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	s := b.engine.Stats()
	return router.Traffic{
		BytesIn: s.BytesIn, BytesOut: s.BytesOut, Sockets: s.Conns, Accepted: s.Accepted, Heap: heap[0].Value.Uint64(),
		Listeners: b.facts(), State: b.state.traffic(),
	}
}

// monotonic is a clock that does not go back, in nanoseconds.
func (b *Broker) monotonic() int64 { return int64(time.Since(b.made)) }

// logger writes to the log from the loop.
func (b *Broker) logger() *slog.Logger { return slog.New(b.log) }

// newRand seeds a generator for client identifiers, which must not be guessed
// by others.
func newRand() func() uint64 {
	var seed [32]byte
	if _, err := crand.Read(seed[:]); err != nil {
		panic("no random numbers from the system: " + err.Error())
	}
	return rand.NewChaCha8(seed).Uint64
}

// Run serves until ctx is done or Shutdown is called, and returns nil then. It
// may be called once.
func (b *Broker) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, b.Shutdown)
	defer stop()
	defer close(b.done)
	b.log.start()
	defer b.log.close()
	begin, stopping := b.router.BeginPass, b.router.Stopping
	if r := b.recording; r != nil {
		begin, stopping = r.hooks(b.router)
		r.Start(b.router)
		defer b.endRecording()
	}
	if err := b.restore(); err != nil {
		return err
	}
	defer b.closeState()
	b.logins.start(b.engine.Complete)
	defer b.logins.stop()
	b.encrypt(b.doors)
	b.watch(b.doors, nil)
	defer b.unwatch()
	b.warn(b.warnings)
	defer b.checkEnd()
	return b.engine.Run(loop.Hooks{
		Serving: func(sockets []*loop.Socket) {
			for i, d := range b.doors {
				d.socket = sockets[i]
			}
			b.serving()
			close(b.ready)
		},
		BeginPass: begin,
		ViewsAge:  func() { b.router.ViewsAge(); b.frames.ViewsAge() },
		EndPass:   b.endPass,
		Stopping:  stopping,
	})
}

// checkEnd looks, in builds that do, whether everything is as it should be when
// all connections are gone: no timer is left of anybody, no message is held by
// nobody.
func (b *Broker) checkEnd() {
	if !invariant.On {
		return
	}
	err := b.router.CheckInvariants()
	invariant.Check(err == nil, "when the broker ended: %v", err)
	clients, conns := b.router.Stats().Clients, b.engine.Stats().Conns
	invariant.Check(clients == 0 && conns == 0, "%d clients and %d connections are left when the broker ended", clients, conns)
}

// endPass runs what is due, then encrypts what this pass sends.
func (b *Broker) endPass() (wake int64) {
	b.router.SetMemoryElsewhere(b.tlsMemory())
	wake = b.router.EndPass()
	b.engine.Bound(b.router.PoolMax())
	if b.recording != nil {
		wake = b.recording.EndPass(wake)
	}
	for _, d := range b.encrypting {
		d.Flush()
	}
	return wake
}

// tlsBytes is what TLS takes for a connection: 6 to 9 KiB at first, 25 once it has
// seen a record of the longest kind.
const tlsBytes = 16 << 10

// tlsMemory is what the connections take that the router does not see.
func (b *Broker) tlsMemory() (bytes int64) {
	for _, d := range b.doors {
		if d.secure != nil {
			bytes += int64(d.socket.Stats().Conns) * tlsBytes
		}
	}
	for i := len(b.leaving) - 1; i >= 0; i-- {
		d := b.leaving[i]
		n := d.socket.Stats().Conns
		if bytes += int64(n) * tlsBytes; n == 0 {
			b.encrypting = slices.DeleteFunc(b.encrypting, func(t *transport.TLSDoor) bool { return t == d.secure.door })
			last := len(b.leaving) - 1
			b.leaving[i], b.leaving[last] = b.leaving[last], nil
			b.leaving = b.leaving[:last]
		}
	}
	return bytes
}

// encrypt adds the doors whose output is to be encrypted.
func (b *Broker) encrypt(doors []*door) {
	for _, d := range doors {
		if d.secure != nil && !slices.Contains(b.encrypting, d.secure.door) {
			b.encrypting = append(b.encrypting, d.secure.door)
		}
	}
}

// Shutdown makes Run end: wills are sent, what is queued for clients is
// flushed for up to Config.ShutdownTimeout, connections are closed, and the
// state that is kept is committed. A second
// call ends the flushing at once.
func (b *Broker) Shutdown() { b.engine.Stop(time.Duration(b.patience.Load())) }

// Ready is closed when all listeners accept connections.
func (b *Broker) Ready() <-chan struct{} { return b.ready }

// inForce is what holds at the moment, for other goroutines than the loop's.
func (b *Broker) inForce() (cfg *Config, doors []*door) {
	b.following.RLock()
	defer b.following.RUnlock()
	return b.cfg, b.doors
}

// Addrs waits for Ready, and returns the addresses of the listeners, in their order.
// A Reload may change them.
func (b *Broker) Addrs() []net.Addr {
	<-b.ready
	var addrs []net.Addr
	_, doors := b.inForce()
	for _, d := range doors {
		addrs = append(addrs, d.socket.Addr())
	}
	return addrs
}

// URLs returns where the listeners are, in their order, as a client would
// write it, as Addrs does.
func (b *Broker) URLs() []string {
	<-b.ready
	var urls []string
	_, doors := b.inForce()
	for _, d := range doors {
		urls = append(urls, d.url())
	}
	return urls
}

// Do runs f on the loop, where it may look at all state, and waits for it. f
// must not block: nothing is served meanwhile.
func (b *Broker) Do(ctx context.Context, f func(*router.Router, *loop.Stats)) error {
	ran := make(chan struct{})
	if !b.engine.Post(func() {
		f(b.router, b.engine.Stats())
		close(ran)
	}) {
		return ErrNotRunning
	}
	select {
	case <-ran:
		return nil
	case <-b.done:
		return ErrNotRunning
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Alive waits for one turn of the loop. An error means that there was none
// until ctx was done, or that the broker does not run.
func (b *Broker) Alive(ctx context.Context) error {
	return b.Do(ctx, func(*router.Router, *loop.Stats) {})
}
