package mqttbench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Case is one of the classic ones. Each pair is a publisher and a subscriber
// with a topic of their own.
type Case struct {
	Name  string
	Pairs int
}

// Cases are the classic ones.
func Cases() []Case {
	return []Case{{"broker alone", 0}, {"two clients", 1}, {"one hundred clients", 50}}
}

// Load is how a case is measured. Of Config it needs how to connect, Size, QoS,
// Topic and ClientPrefix.
type Load struct {
	Config
	Duration time.Duration
	// Rate is how many messages each publisher sends a second; times count from
	// when a message was due. 0: as many as go through, the next one when one of
	// the twenty before it was delivered.
	Rate int
}

// settleTime is how long nothing may arrive before what is missing is lost.
const settleTime = 2 * time.Second

// Check says what is wrong, in the words of the flags.
func (l *Load) Check() error {
	switch {
	case l.Size < headBytes:
		return fmt.Errorf("--size %d: at least %d, for the time and the number that each message carries", l.Size, headBytes)
	case l.Duration <= 0:
		return fmt.Errorf("--duration %v: more than 0", l.Duration)
	case l.Rate < 0 || l.Rate > 1_000_000:
		return fmt.Errorf("--rate %d: 0 to 1000000", l.Rate)
	}
	return l.Config.Check()
}

// CaseResult is what came out of one case.
type CaseResult struct {
	Case
	Ran             time.Duration // until the last message was delivered
	Sent, Delivered int64         // each message counts once
	Repeated        int64         // deliveries of messages that were delivered before
	Times           *Histogram    // from publishing to delivery
	Samples         []Sample
}

// Lost is how many messages were never delivered.
func (r *CaseResult) Lost() int64 { return r.Sent - r.Delivered }

// Rate is deliveries a second.
func (r *CaseResult) Rate() float64 {
	if r.Ran <= 0 {
		return 0
	}
	return float64(r.Delivered) / r.Ran.Seconds()
}

// RunCase connects the clients of a case, lets them run for Load.Duration and
// ends them. pid is the broker's process, 0 if not known; each, if not nil, is
// called with every sample. When the context ends, the result is of the time
// until then and comes with an error.
func RunCase(ctx context.Context, l *Load, cs Case, pid int, each func(Sample)) (*CaseResult, error) {
	var m Meter
	r := &CaseResult{Case: cs, Times: &Histogram{}}
	pairs := make([]*pair, 0, cs.Pairs)
	defer func() {
		for _, p := range pairs {
			p.close()
		}
	}()
	tag := rand.Uint64()
	base := time.Now()
	for i := range cs.Pairs {
		p, err := newPair(ctx, l, i, tag, base, &m)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", cs.Name, err)
		}
		pairs = append(pairs, p)
	}
	w := Watch(&m, pid, SampleEvery, each)
	start := time.Since(base)
	err := runPairs(ctx, l.Duration, pairs)
	r.Samples = w.Stop()
	r.Ran = time.Since(base) - start
	var last time.Duration
	for _, p := range pairs {
		p.close()
		r.Sent += p.sent
		r.Delivered += p.delivered
		r.Repeated += p.repeated
		r.Times.Merge(&p.times)
		last = max(last, p.last)
	}
	if last > start {
		r.Ran = last - start // and not what was waited for what is lost
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w", cs.Name, err)
	}
	return r, nil
}

// runPairs has all of them publish, and returns when none does any more.
func runPairs(ctx context.Context, d time.Duration, pairs []*pair) error {
	load, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var all sync.WaitGroup
	errs := make([]error, len(pairs))
	for i, p := range pairs {
		all.Go(func() {
			if errs[i] = p.run(load, ctx); errs[i] != nil {
				cancel() // one is enough to end the others
			}
		})
	}
	<-load.Done()
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}
