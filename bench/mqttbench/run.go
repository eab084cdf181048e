package mqttbench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/loopmq/loopmq/client"
)

// errTimeout: a message's handshake took longer than Config.Wait.
var errTimeout = errors.New("not acknowledged in time (-wait)")

// Run measures. Config.Check must have found nothing wrong. It ends early with
// the context; messages not sent then count as failures.
func Run(ctx context.Context, c *Config, m *Meter) *Results {
	r := &Results{Runs: make([]Result, c.Clients), Times: &Histogram{}}
	var merge sync.Mutex
	var all sync.WaitGroup
	start := time.Now()
	for i := range r.Runs {
		all.Go(func() {
			var h Histogram
			r.Runs[i] = runClient(ctx, c, i, m, &h)
			merge.Lock()
			r.Times.Merge(&h)
			merge.Unlock()
		})
		if i+1 < c.Clients {
			pause(ctx, c.RampUp/time.Duration(c.Clients))
		}
	}
	all.Wait()
	r.Totals = totals(r.Runs, time.Since(start))
	return r
}

// pause waits, or until the context ends.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// runClient is the life of one client.
func runClient(ctx context.Context, c *Config, id int, m *Meter, h *Histogram) (r Result) {
	r.ID = id
	start := time.Now()
	var times sample
	defer func() {
		lost := int64(c.Count) - r.Successes - r.Failures
		r.Failures += lost
		m.Failed.Add(lost)
		r.close(&times, time.Since(start))
	}()
	cl, err := client.Dial(ctx, c.options(id, m))
	if err != nil {
		r.Err = err
		return r
	}
	m.Connected.Add(1)
	s := newSender(cl, c)
	defer s.stop()
	for range c.Count {
		next := time.Now().Add(c.Interval)
		took, err := s.send(ctx)
		if err != nil {
			r.Failures++
			m.Failed.Add(1)
			if r.Err == nil {
				r.Err = err
			}
			if ctx.Err() != nil || cl.Err() != nil {
				break
			}
		} else {
			r.Successes++
			m.Done.Add(1)
			times.add(float64(took) / float64(time.Millisecond))
			h.Add(took)
		}
		pause(ctx, time.Until(next)) // behind the last one too, as the tool does
	}
	// Only then have messages of QoS 0 left.
	if err := cl.Close(); err != nil && r.Err == nil {
		r.Err = err
	}
	return r
}

// sender sends the same message again and again.
type sender struct {
	client  *client.Client
	message client.Message
	wait    time.Duration
	timer   *time.Timer // of the handshake
	stuck   *time.Timer // of a connection that takes nothing
	result  chan error
	done    func(error)
}

func newSender(cl *client.Client, c *Config) *sender {
	s := &sender{client: cl, message: c.message(), wait: c.Wait, timer: time.NewTimer(c.Wait)}
	s.stuck = time.AfterFunc(2*c.Wait, cl.Abort)
	s.expect()
	return s
}

func (s *sender) stop() {
	s.timer.Stop()
	s.stuck.Stop()
}

// expect makes the channel for the next results. It is replaced when a result
// may still come late.
func (s *sender) expect() {
	result := make(chan error, 1)
	s.result, s.done = result, func(err error) { result <- err }
}

// send sends one message and returns the time until its handshake was complete.
func (s *sender) send(ctx context.Context) (time.Duration, error) {
	s.timer.Reset(s.wait)
	s.stuck.Reset(2 * s.wait)
	start := time.Now()
	if err := s.client.PublishAsync(ctx, &s.message, s.done); err != nil {
		return 0, err
	}
	select {
	case err := <-s.result:
		return time.Since(start), err
	case <-s.timer.C:
		s.expect()
		return 0, fmt.Errorf("publish to %q: %w", s.message.Topic, errTimeout)
	case <-ctx.Done():
		s.expect()
		return 0, fmt.Errorf("publish to %q: %w", s.message.Topic, context.Cause(ctx))
	}
}
