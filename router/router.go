package router

import (
	"math"

	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/internal/timer"
	"github.com/loopmq/loopmq/router/topic"
)

// passTimersMax is how many timers run between two waits, so that a will or
// expiry storm is spread over passes.
const passTimersMax = 256

// Router holds all state of the broker.
type Router struct {
	limits   Limits
	rand     func() uint64
	events   func(*Event)
	pool     *buf.Pool
	now      int64 // ns, monotonic, the pass's only clock
	wake     int64 // what EndPass returned
	wokeAt   int64 // when the machine went on after it had stood still, see slow.go
	timers   timer.Queue
	sessions map[string]*Session
	idle     flow        // what sessions share that have nothing under way; never written to
	offline  offlineList // sessions without a connection, by expiry
	clients  clientList  // every attached connection
	index    *topic.Index[*Subscription]
	retained *topic.Retained[*retainedMessage]
	stored   uint64     // stamps of retained messages and subscriptions
	replays  []*Session // sessions owed retained messages
	stuck    stuckList
	duels    map[string]*duel
	uses     map[string]*userUse // of users with a quota
	memory   memory
	sys      sys
	version  string
	traffic  func() Traffic
	shares   map[string]*shareGroup
	keep     *keeper // nil: nothing outlives the process
	witness  Witness

	sharedSubs int // members of all groups

	serverReference  string
	responsePrefix   string
	validatePayloads bool
	queueFull        QueueFull
	moved            bool
	authMethods      map[string]func() Exchange
	identify         func(user, clientID string, from Peer) Verdict
	denyCloses       bool
	guarded          bool // somebody's Access is not nil

	// topicShort is the length from which a topic name can break a limit: one
	// of n bytes has at most n+1 levels.
	topicShort int

	fan          fan
	publish      codec.Publish // scratch of handlePublish
	incoming     publication   // likewise
	out          codec.Publish // scratch of what is sent next
	ack          codec.Ack     // scratch of the acknowledgement handlers
	scratch      []byte        // scratch of small answers
	pong         []byte        // PINGRESP
	propsScratch []byte        // scratch of properties that travel
	messages     messagePool
	stats        Stats
	turns
	filings []*filing  // packets that are done in pieces
	graves  []*grave   // subscriptions of sessions that have ended
	shrinks []*Session // more waits for them than may
	repeats []*Session // more is in flight for them than is repeated at one go
	evictions
}

// New makes a Router. It panics when Rand is missing.
func New(cfg Config) *Router {
	if cfg.Rand == nil {
		panic("router: Config.Rand is required")
	}
	pool := cfg.Pool
	if pool == nil {
		pool = buf.NewPool(1 << 20)
	}
	limits := cfg.Limits.withDefaults()
	r := &Router{
		limits:     limits,
		rand:       cfg.Rand,
		events:     cfg.Events,
		pool:       pool,
		sessions:   make(map[string]*Session),
		index:      topic.NewIndex[*Subscription](),
		pong:       []byte(codec.PingrespFrame),
		retained:   new(topic.Retained[*retainedMessage]),
		topicShort: min(limits.TopicBytesMax+1, limits.TopicLevelsMax),
		shares:     make(map[string]*shareGroup),
		duels:      make(map[string]*duel),
		uses:       make(map[string]*userUse),

		serverReference:  cfg.ServerReference,
		moved:            cfg.ServerMoved,
		responsePrefix:   cfg.ResponsePrefix,
		validatePayloads: cfg.ValidatePayloads,
		queueFull:        cfg.QueueFull,
		authMethods:      cfg.AuthMethods,
		identify:         cfg.Identify,
		denyCloses:       cfg.DenyCloses,
		version:          cfg.Version,
		traffic:          cfg.Traffic,
		witness:          cfg.Witness,
	}
	r.publish.FromClient = true
	r.sys = sys{r: r, last: make(map[string]string)}
	r.keep = newKeeper(r, &cfg)
	return r
}

// Change replaces what may change while the router runs: Limits and the
// settings, Durability and LazyInterval among them, but not Rand, Events, Pool, AuthMethods and Identify. Connections
// keep what they were told in CONNACK.
func (r *Router) Change(cfg Config) {
	old := r.limits
	r.limits = cfg.Limits.withDefaults()
	r.topicShort = min(r.limits.TopicBytesMax+1, r.limits.TopicLevelsMax)
	r.serverReference, r.moved = cfg.ServerReference, cfg.ServerMoved
	r.responsePrefix, r.validatePayloads, r.denyCloses = cfg.ResponsePrefix, cfg.ValidatePayloads, cfg.DenyCloses
	r.queueFull = cfg.QueueFull
	r.keep.change(&cfg)
	if r.sys.timer.Armed() && r.limits.SysInterval != old.SysInterval {
		r.sys.wait()
	}
	if r.stuck.timer.Armed() && (r.limits.SlowTimeout != old.SlowTimeout || r.limits.AckTimeout != old.AckTimeout) {
		r.stuck.wait()
	}
}

// CloseWhere closes the connections of clients that would not be let in again, and
// refuses those that wait in a duel to come in.
func (r *Router) CloseWhere(stranger func(from *Peer, clientID string) bool) {
	for c := r.clients.head; c != nil; c = c.next {
		if h := c.waitsInDuel(); h != nil && stranger(&c.peer, h.id) {
			c.id = h.id // for the log
			_ = c.refuse(errNoLongerWelcome)
		}
		if c.connected && !c.closing && stranger(&c.peer, c.id) {
			c.close(errNoLongerWelcome)
		}
	}
}

// Limits returns the limits in force.
func (r *Router) Limits() Limits { return r.limits }

// BeginPass starts a pass at now, in nanoseconds of a monotonic clock.
func (r *Router) BeginPass(now int64) {
	r.now = now
	r.noteRest()
	r.turns.beginPass()
	if r.keep != nil {
		r.keep.now = r.keep.wall()
	}
	if r.sys.startedAt == 0 {
		r.sys.startedAt, r.sys.sentAt = now, now
	}
}

// ViewsAge says that all output has left that Conn.SendView was given before the
// last call of it. An owner whose connections copy at once need not call it.
func (r *Router) ViewsAge() { r.fan.viewsAge() }

// EndPass does what is due and returns when it wants to be called next, in the
// clock of BeginPass; 0 means not before something arrives.
func (r *Router) EndPass() (wake int64) {
	r.wake = r.endPass()
	return r.wake
}

func (r *Router) endPass() (wake int64) {
	more := r.runTimers()
	more = r.fileOn() || more
	more = r.dig() || more
	more = r.shrink() || more
	more = r.evictRest() || more
	more = r.resendRest() || more
	more = r.replayRetained() || more
	again := r.checkMemory()
	if r.keep != nil {
		r.endBatch()
	}
	more = r.letGo() || more
	late := r.answerHeld()
	if more || r.keep != nil && r.keep.estatesWait() {
		return r.now
	}
	wake = r.timers.Next()
	for _, at := range [...]int64{again, late} {
		if at != 0 && (wake == 0 || at < wake) {
			wake = at
		}
	}
	return wake
}

// Attach gives a new connection to the router, which answers with its handler.
func (r *Router) Attach(conn Conn, from Peer) *Client {
	c := &Client{r: r, conn: conn, peer: from, sendMax: codec.MaxPacketBytes}
	c.packetMax = int32(min(c.limits().ConnectBytesMax, codec.MaxPacketBytes))
	r.clients.add(c)
	r.timers.Set(&c.timer, c, r.after(c.limits().ConnectTimeout.Nanoseconds()))
	return c
}

// Stopping sends the wills of all clients, also those that wait, then closes
// every connection. A server that goes away is a network failure to its
// clients [MQTT-3.1.2-8], and their sessions go with it; with a Store they stay,
// and so do wills that have a delay.
func (r *Router) Stopping() {
	for c := r.clients.head; c != nil; c = c.next {
		if w := c.will; w != nil && c.connected && !w.stays(c.session) { // who still waits to be let in has none
			c.will, w.session = nil, c.session
			r.publishWill(w)
		}
	}
	for s := r.offline.head; s != nil; s = s.next {
		if w := s.delayed(); w != nil && !w.stays(s) {
			s.rare.will = nil
			r.publishWill(w)
		}
	}
	if r.keep != nil {
		r.keep.writeLast()
	}
	why := errShutdown
	if r.serverReference != "" {
		why = errUseAnother
		if r.moved {
			why = errMoved
		}
	}
	for c := r.clients.head; c != nil; c = c.next {
		c.close(why)
	}
}

// after returns the instant d ns from now without overflowing.
func (r *Router) after(d int64) int64 {
	if d > math.MaxInt64-r.now {
		return math.MaxInt64
	}
	return r.now + d
}

// clientList is a doubly linked list of all attached connections: their number
// is not bounded by the router, and removal must not search.
type clientList struct {
	head   *Client
	cursor *Client // of a round, see trim.go
	n      int
}

func (l *clientList) add(c *Client) {
	c.next = l.head
	if l.head != nil {
		l.head.prev = c
	}
	l.head = c
	l.n++
}

func (l *clientList) remove(c *Client) {
	if l.cursor == c {
		l.cursor = c.next
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		l.head = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.prev, c.next = nil, nil
	l.n--
}
