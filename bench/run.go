//go:build linux

package bench

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Options say how long a scenario runs, and where.
type Options struct {
	_ [0]func() // nobody compares two: no code for that

	Addr netip.AddrPort // the broker's

	// Deliveries ends the run after so many deliveries, rounded up to whole
	// messages of every publisher. 0: WarmUp and Measure decide.
	Deliveries int64
	WarmUp     time.Duration // not measured
	Measure    time.Duration

	// Quiet is how long nothing may arrive before what is missing counts as
	// lost; 0 means 2 s.
	Quiet time.Duration

	// Guest: the broker serves others too. Only topics below bench/ are asked
	// for, and nothing stays behind.
	Guest bool
	Live  *Live // nil: nobody looks
	// Patience is how long connecting and loading may take; 0 means two minutes.
	Patience time.Duration

	PID  int // the broker's process, for its processor time and memory; 0: unknown
	Core int // the core that the generator is pinned to; -1: not pinned
}

// Live is what others may read while a run goes on.
type Live struct {
	Deliveries        *atomic.Int64 // or clients, where a scenario counts those
	BytesIn, BytesOut *atomic.Int64 // of PUBLISH packets: from the broker, to it
}

// tell stores where the run is.
//
// hot: no allocation.
func (r *run) tell() {
	if r.Live == nil {
		return
	}
	r.Live.Deliveries.Store(r.got / int64(r.shape.frameBytes))
	r.Live.BytesIn.Store(r.got)
	r.Live.BytesOut.Store(r.published())
}

// tellMore adds what was done where the run counts no bytes of its own.
func (r *run) tellMore(n, bytesIn int) {
	if r.Live != nil {
		r.Live.Deliveries.Add(int64(n))
		r.Live.BytesIn.Add(int64(bytesIn))
	}
}

// Result is what one run found. Deliveries, Elapsed and the processor times
// are those of the measured part; Published and Received are of the whole run.
type Result struct {
	Deliveries int64
	Elapsed    time.Duration
	BrokerCPU  time.Duration
	// GeneratorBusy is the share of Elapsed that the generator's thread ran.
	GeneratorBusy float64
	Published     int64 // messages
	Received      int64 // deliveries
	Wanted        int64 // deliveries: Published times the fan-out

	Memory    int64         // bytes of the broker's own memory at the end; 0: unknown
	BytesEach int64         // what a client, filter or message costs beyond its text
	Load      time.Duration // how long the filters or messages took to get there
	Latency   Latencies     // of kind Latency
	Times     []Bracket     // of kind Latency: all of the distribution
	Ready     time.Duration // from the broker's start to its first CONNACK; 0: not measured
	Daemon    Footprint     // of kind Daemon
	// WrittenEach is what the broker had the disk write for each byte of topic and
	// payload; 0: unknown, or nothing.
	WrittenEach float64
}

// Bracket says what share of the messages took so long or less.
type Bracket struct {
	Time  time.Duration
	Share float64
}

// Latencies are quantiles of the time from the instant at which a message was
// due to the one at which its subscriber had it.
type Latencies struct{ P50, P99, P999, Max time.Duration }

// Rate is deliveries a second.
func (r *Result) Rate() float64 { return float64(r.Deliveries) / r.Elapsed.Seconds() }

// Share is the part of all deliveries that arrived, 1 when nothing was lost.
func (r *Result) Share() float64 { return float64(r.Received) / float64(max(r.Wanted, 1)) }

// CPUPerMillion is the broker's processor time for a million deliveries.
func (r *Result) CPUPerMillion() time.Duration {
	return time.Duration(float64(r.BrokerCPU) / (float64(max(r.Deliveries, 1)) / 1e6))
}

// readBytes is the size of one read.
const readBytes = 256 << 10

// run is the state of one measurement.
type run struct {
	Scenario
	Options
	sets   []group
	shape  shape
	epoll  int
	events []unix.EpollEvent
	buf    []byte
	got    int64     // bytes that all subscribers received
	stop   bool      // publish nothing new
	before time.Time // by then all must be connected and loaded
	load   time.Duration
	each   int64 // see Result.BytesEach
}

// Run connects a scenario's clients, measures, waits for what is under way,
// and disconnects.
func Run(s Scenario, o Options) (Result, error) {
	r := &run{Scenario: s, Options: o, events: make([]unix.EpollEvent, 1024)}
	if r.Quiet == 0 {
		r.Quiet = 2 * time.Second
	}
	if r.Patience == 0 {
		r.Patience = 2 * time.Minute
	}
	r.before = time.Now().Add(r.Patience)
	unpin, err := pin(o.Core)
	if err != nil {
		return Result{}, err
	}
	defer unpin()
	defer r.close()
	kinds := map[Kind]func() (Result, error){
		Stream: r.stream, Latency: r.latency, Churn: r.churn, Idle: r.idle, Retained: r.retained, Drain: r.drained, Daemon: r.daemon,
	}
	res, err := kinds[s.Kind]()
	if err == nil && o.PID != 0 {
		res.Memory, err = processMemory(o.PID)
	}
	if err != nil {
		return Result{}, fmt.Errorf("scenario %s: %w", s.Name, err)
	}
	return res, nil
}

// late is an error when connecting and loading have taken too long.
func (r *run) late() error {
	if time.Now().Before(r.before) {
		return nil
	}
	return fmt.Errorf("not connected and loaded within %s", r.Patience)
}

// stream measures how much goes through.
func (r *run) stream() (Result, error) {
	if err := r.connect(); err != nil {
		return Result{}, err
	}
	// The loop allocates nothing; what was allocated so far is collected now.
	runtime.GC()
	return r.measure()
}

// connect opens all connections, subscribers first.
func (r *run) connect() (err error) {
	if r.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll_create1: %w", err)
	}
	perSet := r.Publishers / r.groups()
	r.sets = make([]group, r.groups())
	for i := range r.sets {
		g := &r.sets[i]
		g.spread = r.spread()
		g.publishers = make([]publisher, perSet)
		for k := range g.publishers {
			g.publishers[k].fd = -1
			r.encode(&g.publishers[k], i*perSet+k)
		}
		if err := r.connectSubscribers(i, g); err != nil {
			return err
		}
	}
	if r.Filters > 0 {
		if err := r.loadFilters(); err != nil {
			return err
		}
	}
	r.buf = make([]byte, readBytes+r.shape.frameBytes)
	return r.connectPublishers()
}

// encode makes the frames of publisher n.
func (r *run) encode(p *publisher, n int) {
	topic := func(int) string { return r.topic(n) }
	most := cycleFrames
	if r.Filters > 0 {
		draw := newDraw(uint64(r.Filters))
		topic, most = func(int) string { return filterName(int(draw())) }, randomFrames
	}
	p.cycle, r.shape = publishCycle(topic, most, r.QoS, r.PayloadBytes)
	r.shape.varies = r.Filters > 0 || r.OneGroup
	p.frame = int64(r.shape.frameBytes)
}

// newDraw returns numbers below n in an order that looks random and is always
// the same (splitmix64).
func newDraw(n uint64) func() uint64 {
	state := uint64(0)
	return func() uint64 {
		state += 0x9e3779b97f4a7c15
		z := (state ^ state>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return (z ^ z>>31) % n
	}
}

func (r *run) connectSubscribers(i int, g *group) error {
	g.subs = make([]subscriber, 0, r.Subscribers)
	for j := range r.Subscribers {
		if err := r.late(); err != nil {
			return err
		}
		fd, err := dial(r.Addr, fmt.Sprintf("bench-s%d-%d", i, j), !r.Durable)
		if err != nil {
			return err
		}
		g.subs = append(g.subs, subscriber{fd: fd, qos: r.QoS, want: g.publishers[0].cycle[:r.shape.frameBytes]})
		if r.Filters > 0 {
			continue
		}
		if err := ask(fd, subscribeFrame(r.QoS, r.filter(i)), 5, firstSuback, 0x80, "SUBSCRIBE"); err != nil {
			return err
		}
		if err := r.watch(fd, i, j); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) connectPublishers() error {
	for i := range r.sets {
		for k := range r.sets[i].publishers {
			fd, err := dial(r.Addr, fmt.Sprintf("bench-p%d-%d", i, k), !r.Durable)
			if err != nil {
				return err
			}
			r.sets[i].publishers[k].fd = fd
			if err := r.watch(fd, i, -1-k); err != nil {
				return err
			}
		}
	}
	return nil
}

// watch registers a connection under its group and its place there; publishers
// have the negative ones.
func (r *run) watch(fd, set, place int) error {
	events := uint32(unix.EPOLLIN)
	if place < 0 {
		events |= unix.EPOLLOUT | unix.EPOLLET&0xffffffff
	}
	ev := unix.EpollEvent{Events: events, Fd: int32(set), Pad: int32(place)}
	if err := errors.Join(unix.SetNonblock(fd, true), unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, fd, &ev)); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

func (r *run) close() {
	for i := range r.sets {
		for j := range r.sets[i].subs {
			unix.Close(r.sets[i].subs[j].fd)
		}
		for k := range r.sets[i].publishers {
			if fd := r.sets[i].publishers[k].fd; fd >= 0 {
				unix.Close(fd)
			}
		}
	}
	if r.epoll > 0 {
		unix.Close(r.epoll)
	}
}
