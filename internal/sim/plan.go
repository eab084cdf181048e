package sim

import (
	"time"

	"github.com/loopmq/loopmq/router"
)

// Plan is what one run is made of. Equal plans make equal runs.
type Plan struct {
	Seed    uint64
	Clients int
	Ops     []Op
	Limits  router.Limits

	OutputBytes  int // limit of queued output of a connection
	ControlBytes int // what acknowledgements may exceed it by
	KernelBytes  int // what the socket takes before the client reads

	DelayMicros int // longest time between two chunks
	SmallChunks int // percent of writes that arrive in pieces
	SmallReads  int // percent of reads that take a few bytes
	LagMicros   int // longest time by which a pass is late, and gathers more
	LateWrites  int // percent of outputs that a pass leaves to the next one
	GapMicros   int // longest time between two operations
	SleepMillis int // longest sleep; 0: any

	Versions  [3]int // weights of 3.1, 3.1.1 and 5.0
	Clean     int    // percent of connects that begin anew
	Wills     int    // percent of connects with a will
	KeepAlive int    // percent of connects with a keep alive
	Narrow    int    // percent of 5.0 connects with small maxima
	Aliases   int    // percent of 5.0 connects that take aliases
	Props     int    // percent of packets with properties
	Shared    int    // percent of filters that are shared
	Cold      int    // percent of topics from a large set
	Large     int    // percent of payloads that are shared between outputs
	Refusals  int    // percent of messages that a 5.0 client refuses
	SlowAcks  int    // percent of messages that are acknowledged later
	Resume    int    // percent of connects with session expiry, in 5.0

	CheckEvery int // passes between two walks over the router's state

	Batches bool  // the router is given several packets at once
	Stop    bool  // the run ends with the router's end
	Store   bool  // the router has a store
	Disk    *Disk // which takes its time; nil: it does not

	Classes []router.DurabilityRule // with a store

	Break Break
}

// Op is one thing that a client does. What it does in detail follows from Seed
// and from the state that it finds, so that operations can be taken away.
type Op struct {
	Kind   uint8
	Client uint8
	Seed   uint32
}

// The operations.
const (
	opConnect = iota
	opPublish
	opSubscribe
	opUnsubscribe
	opAck
	opSleep
	opCut
	opDisconnect
	opClog
	opUnclog
	opPing
	opWrongAck
	opDoubleAck
	opGarbage
	opMutate
	opIllegal
	opHalfClose
	opRelease // PUBREL out of turn
	opRestart // of a plan with a store
	opLong    // a SUBSCRIBE or UNSUBSCRIBE that is done in pieces
	opKinds
)

// Draw makes the plan of a seed.
func Draw(seed uint64) *Plan { return draw(seed).drawLong() }

// draw makes the plan of a seed without long packets. Each run has its own mixture of faults and
// limits: what always happens together hides what only happens alone.
func draw(seed uint64) *Plan {
	r := &rng{seed}
	p := &Plan{
		Seed: seed, Clients: r.between(2, 6), CheckEvery: 4,
		OutputBytes: 256 << 10, ControlBytes: 16 << 10, KernelBytes: 64 << 10,
		DelayMicros: r.of(0, 100, 5000, 300_000), SmallChunks: r.of(0, 0, 10, 60), SmallReads: r.of(0, 0, 10, 60),
		GapMicros: r.of(10, 1000, 50_000), Clean: r.of(0, 20, 50, 90), Wills: r.of(0, 30, 80),
		KeepAlive: r.of(0, 0, 50), Narrow: r.of(0, 0, 30, 90), Aliases: r.of(0, 30, 80), Props: r.of(0, 20, 60),
		Shared: r.of(0, 0, 20, 60), Cold: r.of(0, 0, 50), Large: r.of(0, 0, 0, 3), SlowAcks: r.of(0, 20, 70, 100),
		Resume: r.of(10, 60, 90), Refusals: r.of(0, 0, 10),
	}
	p.Limits = drawLimits(r)
	if p.Shared > 0 { // which member's queue has lost a message could not be told
		p.Limits.QueuedMessagesMax, p.Limits.QueuedBytesMax = 0, 0
	}
	p.drawLate()
	if r.percent(40) {
		p.OutputBytes = r.between(40, 600)
		p.ControlBytes = r.of(50, 200, 1000)
		p.KernelBytes = r.between(20, 400)
	}
	p.Batches = p.OutputBytes > 1000 && r.percent(60)
	p.Stop = r.percent(10)
	p.LagMicros = r.of(0, 0, 100, 3000, 50_000)
	p.Versions = [3]int{r.of(0, 1, 1), r.of(0, 1, 4), r.of(0, 1, 4)}
	if p.Versions == [3]int{} {
		p.Versions = [3]int{0, 1, 1}
	}
	weights := drawWeights(r)
	total := 0
	for _, w := range weights {
		total += w
	}
	p.Ops = make([]Op, 0, 300)
	for range r.between(60, 250) {
		at, kind := r.n(total), 0
		for at >= weights[kind] {
			at -= weights[kind]
			kind++
		}
		p.Ops = append(p.Ops, Op{uint8(kind), uint8(r.n(p.Clients)), uint32(r.next())})
	}
	p.drawStuck()
	p.LateWrites = r.of(0, 0, 30, 80)
	return p
}

// drawLimits makes limits that are reached in some runs and out of sight in
// others.
func drawLimits(r *rng) router.Limits {
	l := router.Limits{SessionExpiry: time.Duration(r.of(60, 3600, 1<<20)) * time.Second, TopicAliasMax: r.of(1, 3, 32), TakeoversMax: 1 << 30, LateBytesMax: 1, SlowTimeout: 1e6 * time.Hour, AckTimeout: 1e6 * time.Hour, HoldTimeout: 1e6 * time.Hour}
	tiny := func(field *int, a, b int) {
		if r.percent(30) {
			*field = r.between(a, b)
		}
	}
	tiny(&l.InflightMax, 1, 4)
	tiny(&l.QueuedMessagesMax, 1, 6)
	tiny(&l.QueuedBytesMax, 10, 120)
	tiny(&l.SubscriptionsMax, 1, 3)
	tiny(&l.SessionsMax, 1, 3)
	tiny(&l.RetainedMessagesMax, 1, 3)
	tiny(&l.RetainedBytesMax, 20, 200)
	tiny(&l.RetainedPassMax, 1, 3)
	tiny(&l.TopicLevelsMax, 1, 4)
	tiny(&l.TopicBytesMax, 3, 12)
	tiny(&l.ReceiveMaximum, 1, 4)
	tiny(&l.TopicAliasOutMax, 1, 3)
	tiny(&l.PacketBytesMax, 60, 200)
	tiny(&l.ClientIDBytesMax, 3, 8)
	if r.percent(20) {
		l.KeepAliveMax = time.Duration(r.between(1, 20)) * time.Second
	}
	if r.percent(20) {
		l.ConnectTimeout = time.Duration(r.between(1, 3)) * time.Second
	}
	return l
}

// drawWeights says how often each operation comes in this run.
func drawWeights(r *rng) (w [opKinds]int) {
	w[opConnect] = r.of(4, 10, 20)
	w[opPublish] = r.of(20, 40)
	w[opSubscribe] = r.of(5, 12)
	w[opUnsubscribe] = r.of(0, 1, 4)
	w[opAck] = r.of(2, 10, 20)
	w[opSleep] = r.of(0, 2, 6)
	w[opPing] = 1
	some := func(op int, most int) {
		if r.percent(40) {
			w[op] = r.between(1, most)
		}
	}
	some(opCut, 8)
	some(opDisconnect, 5)
	some(opHalfClose, 3)
	if r.percent(40) {
		w[opClog], w[opUnclog] = r.between(1, 5), r.between(1, 5)
	}
	if r.percent(25) {
		some(opWrongAck, 3)
		some(opDoubleAck, 3)
		some(opRelease, 3)
		some(opIllegal, 2)
	}
	if r.percent(20) {
		some(opGarbage, 2)
		some(opMutate, 4)
	}
	return w
}

// Break damages the router's dealings with the world, to prove that the model
// notices. Nil functions do nothing.
type Break struct {
	// Send is given each packet that the router sends; it may alter it and
	// returns how often it is sent.
	Send func(conn uint64, packet *[]byte) int
	// Receive may alter what the router receives, behind the model's back.
	Receive func(view []byte)

	// Limits may alter those of the router.
	Limits func(l *router.Limits)

	Pause func() bool // whether a connection is not read from when the router wants so

	// Drops is given how many messages the router has counted as dropped, and returns
	// how many it tells.
	Drops func(n int) int

	// Of a disk:
	Hasty func() bool // whether a commit is said to be done at once
	Full  func() bool // whether a batch that finds no room is forgotten
	Read  func() bool // whether a read is ever answered
	// Load may alter what a start finds; nil: there is no such record.
	Load func(key uint64, value []byte) []byte
}

func (b *Break) send(c *conn, packet *[]byte) int {
	if b.Send == nil {
		return 1
	}
	return b.Send(c.id, packet)
}

func (b *Break) receive(view []byte) {
	if b.Receive != nil {
		b.Receive(view)
	}
}
