package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopmq/loopmq/client"
	"github.com/loopmq/loopmq/codec"
)

// patience is how long anything may take that must happen.
const patience = 30 * time.Second

// Who is there.
const (
	pairs       = 12  // publishers, each with a subscriber, that stay
	comers      = 10  // clients at a time that come and go
	identifiers = 150 // that those who come and go share
	slowReaders = 2   // that read a little
	keepers     = 10  // publishers with a subscriber whose session lasts
)

// crowd is everybody who uses the broker.
type crowd struct {
	t    *testing.T
	urls []string
	tcp  string
	ctx  context.Context // until publishers stop
	stop context.CancelFunc
	all  sync.WaitGroup

	stay    context.Context // until subscribers with a session that lasts do
	leave   context.CancelFunc
	staying sync.WaitGroup
	keepers []*keeper

	connects, published, received, tripped, slowClosed atomic.Int64

	generation   atomic.Int64  // odd while the broker is restarted
	slowTimeouts atomic.Uint64 // that the broker has counted
	closedInAll  uint64        // the same of all brokers so far; the test's goroutine
	dropped      uint64        // messages dropped for want of room in an output, of the broker with the most; the test's goroutine

	mu       sync.Mutex
	measured []time.Duration
}

// gather has everybody come.
func gather(t *testing.T, addrs []string) *crowd {
	c := &crowd{t: t, urls: []string{"mqtt://" + addrs[0], "ws://" + addrs[1] + "/mqtt"}, tcp: addrs[0]}
	c.ctx, c.stop = context.WithCancel(t.Context())
	c.stay, c.leave = context.WithCancel(t.Context())
	c.all.Go(func() { c.again("witness", c.witness) })
	for i := range pairs {
		c.all.Go(func() { c.again("pair", func() error { return c.pair(i) }) })
	}
	for i := range comers {
		c.all.Go(func() { c.comeAndGo(rand.New(rand.NewPCG(uint64(i), 4))) })
	}
	for i := range keepers {
		c.keep(i)
	}
	c.all.Go(c.flood)
	c.all.Go(c.readNothing)
	for range slowReaders {
		c.all.Go(c.readLittle)
	}
	return c
}

// disperse has everybody leave, those last who are owed something.
func (c *crowd) disperse() {
	c.stop()
	c.all.Wait()
	c.collect()
	c.leave()
	c.staying.Wait()
}

// trips takes what the witness has measured.
func (c *crowd) trips() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	trips := c.measured
	c.measured = nil
	return trips
}

// dial connects until it works or ctx ends.
func (c *crowd) dial(ctx context.Context, o client.Options) *client.Client {
	for ctx.Err() == nil {
		k, err := client.Dial(ctx, o)
		if err == nil {
			c.connects.Add(1)
			return k
		}
		c.rest(50 * time.Millisecond)
	}
	return nil
}

// rest waits, or ends at once when all is over.
func (c *crowd) rest(d time.Duration) {
	select {
	case <-c.ctx.Done():
	case <-time.After(d):
	}
}

// witness measures the round trips of its own messages. It must never lose one.
func (c *crowd) witness() error {
	back := make(chan string, 1)
	k := c.dial(c.ctx, client.Options{URL: c.urls[0], ClientID: "witness", CleanStart: true, OnMessage: func(m *client.Message) bool {
		back <- string(m.Payload)
		return true
	}})
	if k == nil {
		return nil
	}
	defer k.Close()
	if _, err := k.Subscribe(c.ctx, codec.Filter{Name: []byte("witness"), QoS: 1}); err != nil {
		return err
	}
	for n := 0; c.ctx.Err() == nil; n++ {
		start := time.Now()
		if err := k.Publish(c.ctx, &client.Message{Topic: "witness", Payload: fmt.Append(nil, n), QoS: 1}); err != nil {
			return err
		}
		select {
		case got := <-back:
			if got != fmt.Sprint(n) {
				return fmt.Errorf("got message %s, want %d", got, n)
			}
		case <-time.After(patience):
			return fmt.Errorf("message %d was lost", n)
		case <-k.Done():
			return k.Err()
		case <-c.ctx.Done():
			return nil
		}
		c.mu.Lock()
		c.measured = append(c.measured, time.Since(start))
		c.tripped.Add(1)
		c.mu.Unlock()
		c.rest(10 * time.Millisecond)
	}
	return nil
}

// versions are those of MQTT.
func version(n int) codec.Version { return []codec.Version{codec.V31, codec.V311, codec.V5}[n%3] }

// pair publishes steadily to a subscriber that stays.
func (c *crowd) pair(n int) error {
	name := fmt.Sprint("pair/", n)
	sub := c.dial(c.ctx, client.Options{URL: c.urls[n%2], ClientID: fmt.Sprint("s", n), CleanStart: true, Version: version(n), OnMessage: func(*client.Message) bool {
		c.received.Add(1)
		return true
	}})
	if sub == nil {
		return nil
	}
	defer sub.Close()
	pub := c.dial(c.ctx, client.Options{URL: c.urls[(n+1)%2], ClientID: fmt.Sprint("p", n), CleanStart: true, Version: version(n / 3)})
	if pub == nil {
		return nil
	}
	defer pub.Close()
	if _, err := sub.Subscribe(c.ctx, codec.Filter{Name: []byte(name + "/#"), QoS: 2}); err != nil {
		return err
	}
	for i := 0; c.ctx.Err() == nil; i++ {
		payload := []byte(strings.Repeat("x", 20+i%400))
		err := pub.Publish(c.ctx, &client.Message{Topic: fmt.Sprintf("%s/%d", name, i%20), Payload: payload, QoS: byte(i % 3)})
		if err != nil {
			return err
		}
		c.published.Add(1)
		c.rest(20 * time.Millisecond)
	}
	return nil
}

// comeAndGo is one client after the other, of few identifiers: some take up the session that another has left.
func (c *crowd) comeAndGo(rng *rand.Rand) {
	for c.ctx.Err() == nil {
		o := client.Options{
			URL: c.urls[rng.IntN(2)], ClientID: fmt.Sprint("c", rng.IntN(identifiers)), CleanStart: rng.IntN(2) == 0,
			Version:   version(rng.IntN(3)),
			OnMessage: func(*client.Message) bool { c.received.Add(1); return true },
		}
		if !o.CleanStart {
			o = lasting(o)
		}
		if rng.IntN(3) == 0 {
			o.Will = &client.Message{Topic: "wills/" + o.ClientID, Payload: []byte("gone"), QoS: byte(rng.IntN(3)), Retain: rng.IntN(4) == 0}
		}
		k := c.dial(c.ctx, o)
		if k == nil {
			return
		}
		c.visit(k, rng)
		if rng.IntN(3) == 0 {
			k.Abort()
		} else {
			k.Close()
		}
		c.rest(time.Duration(rng.IntN(50)) * time.Millisecond)
	}
}

// visit is what such a client does.
func (c *crowd) visit(k *client.Client, rng *rand.Rand) {
	ctx, cancel := context.WithTimeout(c.ctx, 5*time.Second)
	defer cancel()
	filters := []string{"pair/+/1", "pair/1/#", "wills/#", "state/+", "$share/group/pair/#", "state/5"}
	for range 1 + rng.IntN(3) {
		filter := filters[rng.IntN(len(filters))]
		if rng.IntN(4) == 0 {
			_, _ = k.Unsubscribe(ctx, filter)
			continue
		}
		_, _ = k.Subscribe(ctx, codec.Filter{Name: []byte(filter), QoS: byte(rng.IntN(3))})
	}
	for range rng.IntN(20) {
		m := client.Message{
			Topic: fmt.Sprint("state/", rng.IntN(500)), Payload: []byte(strings.Repeat("s", rng.IntN(2000))),
			QoS: byte(rng.IntN(3)), Retain: rng.IntN(2) == 0,
		}
		if k.Publish(ctx, &m) != nil {
			return
		}
		c.published.Add(1)
	}
}
