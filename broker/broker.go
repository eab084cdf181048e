package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"

	crand "crypto/rand"

	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/router"
)

// ErrNotRunning is what Do returns before Run and after it.
var ErrNotRunning = errors.New("broker is not running")

// idleBytesMax is how much memory of finished output the broker keeps for
// reuse.
const idleBytesMax = 4 << 20

// Broker is one MQTT broker.
type Broker struct {
	cfg    Config
	engine loop.Engine
	router *router.Router
	log    *logQueue
	pool   *buf.Pool
	parsed []*parsed // of Config.Listeners

	ready   chan struct{}
	sockets []*loop.Socket // written before ready is closed
	done    chan struct{}
}

// New makes a broker from cfg; nothing is opened yet. An error names the
// setting.
func New(cfg Config) (*Broker, error) {
	if err := cfg.Limits.Validate(); err != nil {
		return nil, fmt.Errorf("limit %w", err)
	}
	if cfg.ShutdownTimeout == 0 {
		cfg.ShutdownTimeout = defaultShutdownTimeout
	}
	b := &Broker{cfg: cfg, ready: make(chan struct{}), done: make(chan struct{}), pool: buf.NewPool(idleBytesMax)}
	b.log = newLogQueue(cfg.Log)
	listeners, err := b.openDoors()
	if err != nil {
		return nil, err
	}
	if cfg.LoopLimits.InputBytesMax == 0 {
		limit := max(cfg.Limits.PacketBytesMax, router.DefaultLimits().PacketBytesMax)
		cfg.LoopLimits.InputBytesMax = limit + limit/8 + 64<<10 // an eighth for the headers of tiny WebSocket frames
	}
	b.engine, err = loop.New(cfg.Engine, loop.Options{
		Listeners: listeners, Limits: cfg.LoopLimits, Log: slog.New(b.log), Pool: b.pool,
	})
	if err != nil {
		return nil, err
	}
	prefix, err := cfg.responsePrefix()
	if err != nil {
		return nil, err
	}
	b.router = router.New(router.Config{
		Limits: cfg.Limits, Rand: newRand(), Events: b.log.event, Pool: b.pool,
		ServerReference: cfg.ServerReference, ServerMoved: cfg.ServerMoved, ResponsePrefix: prefix,
		ValidatePayloads: cfg.ValidatePayloads, AuthMethods: cfg.AuthMethods,
	})
	return b, nil
}

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
	return b.engine.Run(loop.Hooks{
		Serving: func(sockets []*loop.Socket) {
			b.sockets = sockets
			close(b.ready)
		},
		BeginPass: b.router.BeginPass,
		EndPass:   b.router.EndPass,
		Stopping:  b.router.Stopping,
	})
}

// Shutdown makes Run end: wills are sent, what is queued for clients is
// flushed for up to Config.ShutdownTimeout, connections are closed. A second
// call ends the flushing at once.
func (b *Broker) Shutdown() { b.engine.Stop(b.cfg.ShutdownTimeout) }

// Ready is closed when all listeners accept connections.
func (b *Broker) Ready() <-chan struct{} { return b.ready }

// Addrs returns the addresses of the listeners, in their order; valid once
// Ready is closed.
func (b *Broker) Addrs() []net.Addr {
	<-b.ready
	var addrs []net.Addr
	for _, s := range b.sockets {
		addrs = append(addrs, s.Addr())
	}
	return addrs
}

// URLs returns where the listeners are, in their order, as a client would
// write it; valid once Ready is closed.
func (b *Broker) URLs() []string {
	var urls []string
	for i, addr := range b.Addrs() {
		urls = append(urls, b.parsed[i].urlOf(addr))
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
