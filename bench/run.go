//go:build linux

package bench

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Options say how long a scenario runs, and where.
type Options struct {
	Addr netip.AddrPort // the broker's

	// Deliveries ends the run after so many deliveries, rounded up to whole
	// messages of every publisher. 0: WarmUp and Measure decide.
	Deliveries int64
	WarmUp     time.Duration // not measured
	Measure    time.Duration

	// Quiet is how long nothing may arrive before what is missing counts as
	// lost; 0 means 2 s.
	Quiet time.Duration

	PID  int // the broker's process, for its processor time; 0: unknown
	Core int // the core that the generator is pinned to; -1: not pinned
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
}

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
	groups []group
	shape  shape
	epoll  int
	events []unix.EpollEvent
	buf    []byte
	got    int64 // bytes that all subscribers received
	stop   bool  // publish nothing new
}

// Run connects a scenario's clients, measures, waits for what is under way,
// and disconnects.
func Run(s Scenario, o Options) (Result, error) {
	r := &run{Scenario: s, Options: o, events: make([]unix.EpollEvent, 1024), buf: make([]byte, readBytes)}
	if r.Quiet == 0 {
		r.Quiet = 2 * time.Second
	}
	unpin, err := pin(o.Core)
	if err != nil {
		return Result{}, err
	}
	defer unpin()
	defer r.close()
	if err := r.connect(); err != nil {
		return Result{}, fmt.Errorf("scenario %s: %w", s.Name, err)
	}
	// The loop allocates nothing; what was allocated so far is collected now.
	runtime.GC()
	res, err := r.measure()
	if err != nil {
		return Result{}, fmt.Errorf("scenario %s: %w", s.Name, err)
	}
	return res, nil
}

// connect opens all connections, subscribers first.
func (r *run) connect() (err error) {
	if r.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll_create1: %w", err)
	}
	r.groups = make([]group, 0, r.Publishers)
	for i := range r.Publishers {
		topic := fmt.Sprintf("bench/%06d", i)
		r.groups = append(r.groups, group{publisher: publisher{fd: -1}})
		g := &r.groups[i]
		g.publisher.cycle, r.shape = publishCycle(topic, r.QoS, r.PayloadBytes)
		g.subs = make([]subscriber, 0, r.Subscribers)
		for j := range r.Subscribers {
			fd, err := dial(r.Addr, fmt.Sprintf("bench-s%d-%d", i, j))
			if err != nil {
				return err
			}
			g.subs = append(g.subs, subscriber{fd: fd, want: g.publisher.cycle[:r.shape.frameBytes]})
			if err := ask(fd, subscribeFrame(topic, r.QoS), 5, firstSuback, 0x80, "SUBSCRIBE"); err != nil {
				return err
			}
			if err := r.watch(fd, i, j); err != nil {
				return err
			}
		}
	}
	for i := range r.groups {
		fd, err := dial(r.Addr, fmt.Sprintf("bench-p%d", i))
		if err != nil {
			return err
		}
		r.groups[i].publisher.fd = fd
		if err := r.watch(fd, i, -1); err != nil {
			return err
		}
	}
	return nil
}

// watch registers a connection under its group and its place there; -1 is the
// publisher's.
func (r *run) watch(fd, groupIndex, place int) error {
	events := uint32(unix.EPOLLIN)
	if place < 0 {
		events |= unix.EPOLLOUT | unix.EPOLLET&0xffffffff
	}
	ev := unix.EpollEvent{Events: events, Fd: int32(groupIndex), Pad: int32(place)}
	if err := errors.Join(unix.SetNonblock(fd, true), unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, fd, &ev)); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

func (r *run) close() {
	for i := range r.groups {
		for j := range r.groups[i].subs {
			unix.Close(r.groups[i].subs[j].fd)
		}
		if fd := r.groups[i].publisher.fd; fd >= 0 {
			unix.Close(fd)
		}
	}
	if r.epoll > 0 {
		unix.Close(r.epoll)
	}
}

// mark is a reading of all meters.
type mark struct {
	at        time.Time
	got       int64
	broker    time.Duration
	generator time.Duration
}

func (r *run) mark() (m mark, err error) {
	if r.PID != 0 {
		if m.broker, err = processCPU(r.PID); err != nil {
			return m, err
		}
	}
	if m.generator, err = threadCPU(); err != nil {
		return m, err
	}
	m.at, m.got = time.Now(), r.got
	return m, nil
}

// measure is warm-up, measured part, and drain; or a number of deliveries, all
// of them measured.
func (r *run) measure() (Result, error) {
	counted := r.Deliveries > 0
	if !counted {
		if err := r.turn(time.Now().Add(r.WarmUp), unlimited); err != nil {
			return Result{}, err
		}
	}
	from, err := r.mark()
	if err != nil {
		return Result{}, err
	}
	if counted {
		perMessage := int64(r.Publishers) * r.fanOut()
		err = r.drain((r.Deliveries + perMessage - 1) / perMessage)
	} else {
		err = r.turn(from.at.Add(r.Measure), unlimited)
	}
	if err != nil {
		return Result{}, err
	}
	to, err := r.mark()
	if err != nil {
		return Result{}, err
	}
	if !counted {
		if err := r.finish(); err != nil {
			return Result{}, err
		}
	}
	return r.result(from, to), nil
}

func (r *run) result(from, to mark) Result {
	frame := int64(r.shape.frameBytes)
	res := Result{
		Deliveries:    (to.got - from.got) / frame,
		Elapsed:       to.at.Sub(from.at),
		BrokerCPU:     to.broker - from.broker,
		GeneratorBusy: float64(to.generator-from.generator) / float64(to.at.Sub(from.at)),
		Published:     r.published() / frame,
		Received:      r.got / frame,
	}
	res.Wanted = res.Published * r.fanOut()
	return res
}

// published is the number of bytes that all publishers sent.
func (r *run) published() (bytes int64) {
	for i := range r.groups {
		bytes += r.groups[i].publisher.sent
	}
	return bytes
}
