package mqttbench

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/loopmq/loopmq/client"
	"github.com/loopmq/loopmq/codec"
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
// Topic and ClientPrefix; Config.Check says what is wrong with them.
type Load struct {
	Config
	Duration time.Duration
	// Rate is how many messages each publisher sends a second. 0: the next one
	// when one of the twenty before it was delivered.
	Rate int
}

const (
	// aheadMax is how many messages of a pair are under way at most; so nothing
	// has to be dropped.
	aheadMax = 20
	// stampBytes at the beginning of a payload are the time it was sent.
	stampBytes = 8
	// settleTime is how long the last messages may take.
	settleTime = 2 * time.Second
)

// Check says what is wrong, in the words of the flags.
func (l *Load) Check() error {
	switch {
	case l.Size < stampBytes:
		return fmt.Errorf("--size %d: at least %d, for the time that each message carries", l.Size, stampBytes)
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
	Sent, Delivered int64
	Times           *Histogram // from publishing to delivery
	Samples         []Sample
}

// RunCase connects the clients of a case, lets them run for Load.Duration and
// ends them. pid is the broker's process, 0 if not known; each is called with
// every sample.
func RunCase(ctx context.Context, l *Load, cs Case, pid int, each func(Sample)) (*CaseResult, error) {
	var m Meter
	r := &CaseResult{Case: cs, Times: &Histogram{}}
	pairs := make([]*pair, 0, cs.Pairs)
	defer func() {
		for _, p := range pairs {
			p.close()
		}
	}()
	base := time.Now()
	for i := range cs.Pairs {
		p, err := newPair(ctx, l, i, base, &m)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", cs.Name, err)
		}
		pairs = append(pairs, p)
	}
	w := Watch(&m, pid, SampleEvery, each)
	start := time.Now()
	load, cancel := context.WithTimeout(ctx, l.Duration)
	defer cancel()
	var all sync.WaitGroup
	errs := make([]error, len(pairs))
	for i, p := range pairs {
		all.Go(func() {
			if errs[i] = p.run(load, ctx); errs[i] != nil {
				cancel()
			}
		})
	}
	<-load.Done()
	all.Wait()
	r.Ran = time.Since(start)
	r.Samples = w.Stop()
	for i, p := range pairs {
		if errs[i] != nil {
			return nil, fmt.Errorf("%s: %w", cs.Name, errs[i])
		}
		p.close()
		r.Sent += p.sent
		r.Delivered += p.delivered
		r.Times.Merge(&p.times)
	}
	return r, ctx.Err()
}

// pair is a publisher and its subscriber.
type pair struct {
	pub, sub *client.Client
	load     *Load
	meter    *Meter
	base     time.Time
	message  client.Message
	ahead    chan struct{} // holds one for each message under way
	sent     int64

	// Of the subscriber's reading goroutine, until it has ended.
	times     Histogram
	delivered int64
}

func newPair(ctx context.Context, l *Load, i int, base time.Time, m *Meter) (*pair, error) {
	p := &pair{load: l, meter: m, base: base, ahead: make(chan struct{}, aheadMax)}
	p.message = client.Message{Topic: fmt.Sprintf("%s/%d", l.Topic, i), QoS: l.QoS, Payload: make([]byte, l.Size)}
	o := l.options(2*i, m)
	o.OnMessage = p.receive
	var err error
	if p.sub, err = client.Dial(ctx, o); err != nil {
		return nil, err
	}
	if p.pub, err = client.Dial(ctx, l.options(2*i+1, m)); err != nil {
		p.close()
		return nil, err
	}
	m.Connected.Add(2)
	codes, err := p.sub.Subscribe(ctx, codec.Filter{Name: []byte(p.message.Topic), QoS: l.QoS})
	if err == nil && codes[0].Failed() {
		err = fmt.Errorf("subscribe to %q: %w", p.message.Topic, &client.ReasonError{Packet: codec.TypeSuback, Reason: codes[0]})
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// close may be called again. It returns when nothing more is received.
func (p *pair) close() {
	for _, c := range []*client.Client{p.pub, p.sub} {
		if c != nil {
			c.Close()
		}
	}
}

// receive counts a message.
func (p *pair) receive(m *client.Message) bool {
	if len(m.Payload) != p.load.Size {
		return true // somebody else's
	}
	stamp := time.Duration(binary.BigEndian.Uint64(m.Payload))
	p.times.Add(time.Since(p.base) - stamp)
	p.delivered++
	p.meter.Delivered.Add(1)
	select {
	case <-p.ahead:
	default: // a repeat
	}
	return true
}

// run publishes until load ends and waits for what is under way then.
func (p *pair) run(load, ctx context.Context) error {
	next := time.Now()
	for load.Err() == nil {
		if p.load.Rate > 0 {
			pause(load, time.Until(next))
			next = next.Add(time.Second / time.Duration(p.load.Rate))
		}
		select {
		case p.ahead <- struct{}{}:
		case <-load.Done():
			return p.settle(ctx)
		case <-p.sub.Done():
			return fmt.Errorf("subscriber: %w", p.sub.Err())
		case <-p.pub.Done():
			return fmt.Errorf("publisher: %w", p.pub.Err())
		}
		binary.BigEndian.PutUint64(p.message.Payload, uint64(time.Since(p.base)))
		if err := p.pub.PublishAsync(ctx, &p.message, p.acknowledged); err != nil {
			return err
		}
		p.sent++
	}
	return p.settle(ctx)
}

// acknowledged counts the end of a handshake.
func (p *pair) acknowledged(err error) {
	if err != nil {
		p.meter.Failed.Add(1)
		return
	}
	p.meter.Done.Add(1)
}

// settle waits until nothing is under way: when all places are free.
func (p *pair) settle(ctx context.Context) error {
	patience := time.NewTimer(settleTime)
	defer patience.Stop()
	for range aheadMax {
		select {
		case p.ahead <- struct{}{}:
		case <-patience.C:
			return nil // what is missing is seen in the result
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
