//go:build linux

package bench

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// latencyMax is the longest latency that is told apart.
const latencyMax = 10 * time.Second

// latency sends at a steady rate. A message's time begins when it was due, even
// if it could not be sent then: who waits in line waits all the same.
func (r *run) latency() (Result, error) {
	r.AheadBytes, r.WindowMessages = 0, 0
	if err := r.connect(); err != nil {
		return Result{}, err
	}
	times := hdrhistogram.New(1, int64(latencyMax), 3)
	runtime.GC()
	if err := r.paced(r.WarmUp, nil); err != nil {
		return Result{}, err
	}
	from, err := r.mark()
	if err != nil {
		return Result{}, err
	}
	if err := r.paced(r.Measure, times); err != nil {
		return Result{}, err
	}
	to, err := r.mark()
	if err != nil {
		return Result{}, err
	}
	frame := int64(r.shape.frameBytes)
	res := r.span(from, to, (to.got-from.got)/frame)
	res.Published, res.Received = r.published()/frame, r.got/frame
	res.Wanted = res.Published * r.fanOut()
	res.Times = brackets(times)
	res.Latency = Latencies{
		P50: time.Duration(times.ValueAtQuantile(50)), P99: time.Duration(times.ValueAtQuantile(99)),
		P999: time.Duration(times.ValueAtQuantile(99.9)), Max: time.Duration(times.Max()),
	}
	return res, nil
}

// bracketStep is how much of all messages one bracket adds at least, so that
// the thousands of buckets of a histogram become a few hundred points.
const bracketStep = 0.002

// brackets are the distribution, from no message to all of them.
func brackets(times *hdrhistogram.Histogram) (list []Bracket) {
	seen, total := int64(0), times.TotalCount()
	if total == 0 {
		return nil
	}
	for _, b := range times.Distribution() {
		if b.Count == 0 {
			continue
		}
		if len(list) == 0 {
			list = append(list, Bracket{time.Duration(b.From), 0})
		}
		seen += b.Count
		share := float64(seen) / float64(total)
		if seen == total || share >= list[len(list)-1].Share+bracketStep {
			list = append(list, Bracket{time.Duration(b.To), share})
		}
	}
	return list
}

// paced sends for so long and waits for the last to arrive. The generator does
// not sleep: its waking up is not the broker's.
func (r *run) paced(long time.Duration, times *hdrhistogram.Histogram) error {
	g := &r.sets[0]
	p, s := &g.publishers[0], &g.subs[0]
	gap := time.Second / time.Duration(r.Rate)
	start := time.Now()
	sentBefore, gotBefore := p.sent, s.got
	total := max(int64(long/gap), 1) * p.frame
	last := start
	for s.got-gotBefore < total {
		now := time.Now()
		if due := int64(now.Sub(start)/gap+1) * p.frame; p.sent-sentBefore < min(due, total) {
			if err := p.write(min(due, total) - (p.sent - sentBefore)); err != nil {
				return err
			}
			if p.blocked {
				return errors.New("the broker does not read as fast as the rate asks")
			}
		}
		before := (s.got - gotBefore) / p.frame
		if err := r.spin(s); err != nil {
			return err
		}
		now = time.Now()
		for i := before; i < (s.got-gotBefore)/p.frame; i++ {
			last = now
			if times == nil {
				continue
			}
			if err := times.RecordValue(int64(min(now.Sub(start.Add(time.Duration(i)*gap)), latencyMax))); err != nil {
				return fmt.Errorf("record a latency: %w", err)
			}
		}
		if now.Sub(last) > r.Quiet+gap {
			return fmt.Errorf("message %d did not arrive within %s", before, r.Quiet)
		}
	}
	return nil
}

// spin looks once whether something has arrived.
func (r *run) spin(s *subscriber) error {
	n, err := unix.EpollWait(r.epoll, r.events, 0)
	if err == unix.EINTR || err == nil && n == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("epoll_wait: %w", err)
	}
	before := s.got
	if err := s.receive(r.buf, &r.shape); err != nil {
		return err
	}
	r.got += s.got - before
	r.tell()
	return nil
}
