//go:build linux

package bench

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// churn has clients connect, get their CONNACK and leave, so many at a time.
func (r *run) churn() (Result, error) {
	var err error
	if r.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return Result{}, fmt.Errorf("epoll_create1: %w", err)
	}
	round := 0
	if _, err := r.churnUntil(time.Now().Add(r.WarmUp), &round); err != nil {
		return Result{}, err
	}
	from, err := r.mark()
	if err != nil {
		return Result{}, err
	}
	n, err := r.churnUntil(from.at.Add(max(r.Measure, time.Nanosecond)), &round)
	if err != nil {
		return Result{}, err
	}
	to, err := r.mark()
	if err != nil {
		return Result{}, err
	}
	res := r.span(from, to, n)
	res.Published, res.Received, res.Wanted = n, n, n
	return res, nil
}

// sources is how many addresses clients come from that leave at once.
const sources = 200

// churnUntil makes rounds of r.Publishers clients: all connect, then all are
// answered, then all leave. None has the identifier of an earlier one: the broker may
// not have heard yet that that one has left.
func (r *run) churnUntil(until time.Time, round *int) (n int64, err error) {
	fds := make([]int, 0, r.Publishers)
	for ; n == 0 || time.Now().Before(until); *round++ {
		fds = fds[:0]
		for i := range r.Publishers {
			fd, err := open(r.Addr, 1+*round%sources)
			if err != nil {
				return n, err
			}
			fds = append(fds, fd)
			if _, err := write(fd, connectFrame(fmt.Sprintf("bench-c%d-%d", *round, i), true)); err != nil {
				return n, fmt.Errorf("write CONNECT: %w", err)
			}
		}
		for _, fd := range fds {
			var answer [4]byte
			if err := readFull(fd, answer[:]); err != nil {
				return n, fmt.Errorf("no answer to CONNECT: %w", err)
			}
			if err := expect(answer[:], firstConnack, 1, "CONNECT"); err != nil {
				return n, err
			}
			if _, err := write(fd, []byte(disconnectFrame)); err != nil {
				return n, fmt.Errorf("write DISCONNECT: %w", err)
			}
			if err := unix.Close(fd); err != nil {
				return n, fmt.Errorf("close: %w", err)
			}
		}
		n += int64(len(fds))
		r.tellMore(len(fds), 0)
	}
	return n, nil
}

// idleWait is how long clients are idle before they are weighed.
const idleWait = 12 * time.Second

// clientsOfSource is how many clients an address may have at a time: fewer than
// Linux gives it ports (28,232).
const clientsOfSource = 20_000

// idle connects clients, each with a subscription of its own, and weighs them.
func (r *run) idle() (Result, error) {
	before, err := r.memory()
	if err != nil {
		return Result{}, err
	}
	r.sets = []group{{subs: make([]subscriber, 0, r.Count)}}
	from, err := r.mark()
	if err != nil {
		return Result{}, err
	}
	for i := range r.Count {
		if err := r.late(); err != nil {
			return Result{}, fmt.Errorf("%w: %d clients of %d", err, i, r.Count)
		}
		fd, err := dialFrom(r.Addr, 1+i/clientsOfSource, fmt.Sprintf("bench-i%06d", i), true)
		if err != nil {
			return Result{}, fmt.Errorf("client %d: %w", i, err)
		}
		r.sets[0].subs = append(r.sets[0].subs, subscriber{fd: fd})
		if err := ask(fd, subscribeFrame(0, r.topic(i)), 5, firstSuback, 0x80, "SUBSCRIBE"); err != nil {
			return Result{}, fmt.Errorf("client %d: %w", i, err)
		}
		r.tellMore(1, 0)
	}
	to, err := r.mark()
	if err != nil {
		return Result{}, err
	}
	if r.PID != 0 {
		time.Sleep(idleWait)
	}
	if err := r.weigh(before, r.Count, 0); err != nil {
		return Result{}, err
	}
	res := r.span(from, to, int64(r.Count))
	res.Published, res.Received, res.Wanted = res.Deliveries, res.Deliveries, res.Deliveries
	return res, nil
}
