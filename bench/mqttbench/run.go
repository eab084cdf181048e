package mqttbench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/loopmq/loopmq/client"
	"github.com/loopmq/loopmq/internal/invariant"
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
			if r.Runs[i].Successes == 0 {
				return
			}
			merge.Lock()
			defer merge.Unlock()
			r.Times.Merge(&h)
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
		if r.Successes == 0 {
			times = sample{}
		}
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
	r.unsay(c, m, s.arrived(ctx))
	if err := cl.Close(); err != nil && r.Err == nil {
		r.Err = err
	}
	return r
}

// unsay makes failures of successes that nobody confirmed, those of QoS 0: who
// cannot know how many of them arrived does not claim any.
func (r *Result) unsay(c *Config, m *Meter, err error) {
	if c.QoS > 0 || err == nil {
		return
	}
	m.Done.Add(-r.Successes)
	m.Failed.Add(r.Successes)
	r.Failures += r.Successes
	r.Successes = 0
	if r.Err == nil {
		r.Err = err
	}
}

// sender sends the same message again and again.
type sender struct {
	client  *client.Client
	message client.Message
	wait    time.Duration
	timer   *time.Timer      // of the handshake
	stuck   *invariant.Timer // ends a connection that takes nothing; runs only while one is sent
	result  chan error
	done    func(error)
}

func newSender(cl *client.Client, c *Config) *sender {
	s := &sender{client: cl, message: c.message(), wait: c.Wait, timer: time.NewTimer(c.Wait)}
	s.stuck = invariant.AfterFunc(c.Wait, cl.Abort)
	s.stuck.Stop()
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
	s.stuck.Reset(s.wait)
	start := time.Now()
	err := s.client.PublishAsync(ctx, &s.message, s.done)
	s.stuck.Stop()
	switch {
	case errors.Is(err, client.ErrClosed): // by stuck
		return 0, fmt.Errorf("publish to %q: %w", s.message.Topic, errTimeout)
	case err != nil:
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

// arrived returns when the broker has read everything of QoS 0, or with an
// error. Nothing acknowledges that, but packets are answered in their order: so
// a filter that nobody has is taken back.
func (s *sender) arrived(ctx context.Context) error {
	if s.message.QoS > 0 {
		return nil
	}
	patience := s.wait
	if ctx.Err() != nil {
		patience = min(patience, settleTime) // somebody wants to go
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), patience, errTimeout)
	defer cancel()
	if _, err := s.client.Unsubscribe(ctx, s.message.Topic); err != nil {
		return fmt.Errorf("whether messages of QoS 0 arrived is not known: %w", err)
	}
	return nil
}
