package mqttbench

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/loopmq/loopmq/client"
	"github.com/loopmq/loopmq/codec"
)

const (
	// aheadMax is how many messages of a pair are under way at most; so nothing
	// has to be dropped.
	aheadMax = 20
	// headBytes begin each payload: what the run is known by, the number of the
	// message, and when it was published.
	headBytes = 24
)

// pair is a publisher and its subscriber.
type pair struct {
	pub, sub *client.Client
	load     *Load
	meter    *Meter
	base     time.Time // that times count from
	tag      uint64
	message  client.Message
	ahead    chan struct{} // holds one for each message under way
	sent     int64

	// Of the subscriber's reading goroutine, until it has ended.
	times               Histogram
	next                uint64 // number of the message that comes now, if none is lost
	delivered, repeated int64
	last                time.Duration // when the last one was delivered
}

func newPair(ctx context.Context, l *Load, i int, tag uint64, base time.Time, m *Meter) (*pair, error) {
	p := &pair{load: l, meter: m, base: base, tag: tag, ahead: make(chan struct{}, aheadMax)}
	p.message = client.Message{Topic: fmt.Sprintf("%s/%d", l.Topic, i), QoS: l.QoS, Payload: make([]byte, l.Size)}
	binary.BigEndian.PutUint64(p.message.Payload, tag)
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

// receive counts a message. Those of a pair arrive in their order, so a number
// that was passed is a repeat, and one that is skipped is lost.
func (p *pair) receive(m *client.Message) bool {
	if len(m.Payload) != p.load.Size || binary.BigEndian.Uint64(m.Payload) != p.tag {
		return true // somebody else's
	}
	number := binary.BigEndian.Uint64(m.Payload[8:])
	if number < p.next {
		p.repeated++
		return true
	}
	p.last = time.Since(p.base)
	p.times.Add(p.last - time.Duration(binary.BigEndian.Uint64(m.Payload[16:])))
	p.delivered++
	p.meter.Delivered.Add(1)
	for range min(number-p.next+1, aheadMax) { // the number is what somebody sent
		p.free()
	}
	p.next = number + 1
	return true
}

// free gives a place back, unless run has given it up.
func (p *pair) free() {
	select {
	case <-p.ahead:
	default:
	}
}

// run publishes until load ends and waits for what is under way then.
func (p *pair) run(load, ctx context.Context) error {
	patience := time.NewTimer(settleTime)
	defer patience.Stop()
	due := time.Since(p.base)
	for load.Err() == nil {
		if p.load.Rate > 0 {
			pause(load, due-time.Since(p.base))
		}
		patience.Reset(settleTime)
		select {
		case p.ahead <- struct{}{}:
		case <-load.Done():
			return p.settle(ctx)
		case <-p.sub.Done():
			return fmt.Errorf("subscriber: %w", p.sub.Err())
		case <-p.pub.Done():
			return fmt.Errorf("publisher: %w", p.pub.Err())
		case <-patience.C:
			p.giveUp()
			continue
		}
		stamp := time.Since(p.base)
		if p.load.Rate > 0 {
			stamp = due
			due += time.Second / time.Duration(p.load.Rate)
		}
		binary.BigEndian.PutUint64(p.message.Payload[8:], uint64(p.sent))
		binary.BigEndian.PutUint64(p.message.Payload[16:], uint64(stamp))
		if err := p.pub.PublishAsync(load, &p.message, p.acknowledged); err != nil {
			if load.Err() != nil {
				p.free() // it was not queued any more
				break
			}
			return err
		}
		p.sent++
	}
	return p.settle(ctx)
}

// giveUp waits no longer for what is under way, all of which may be lost.
func (p *pair) giveUp() {
	for range aheadMax {
		p.free()
	}
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
			patience.Reset(settleTime)
		case <-p.sub.Done():
			return fmt.Errorf("subscriber: %w", p.sub.Err())
		case <-patience.C:
			return nil // what is missing is seen in the result
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
