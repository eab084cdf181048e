package soak

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/loopmq/loopmq/client"
	"github.com/loopmq/loopmq/codec"
)

// keeper is a subscriber with a session that lasts, and a publisher of numbers with QoS 1. What was acknowledged to the
// one must come to the other, whatever becomes of the broker meanwhile.
type keeper struct {
	c          *crowd
	n          int
	subscribed chan struct{}

	mu    sync.Mutex
	acked map[int]bool // and not seen yet
	seen  map[int]bool // and not acknowledged yet, or never
	count int          // acknowledged
}

// keep adds a keeper.
func (c *crowd) keep(n int) {
	k := &keeper{c: c, n: n, subscribed: make(chan struct{}), acked: map[int]bool{}, seen: map[int]bool{}}
	c.keepers = append(c.keepers, k)
	c.staying.Go(k.subscribe)
	c.all.Go(func() { c.again("keeper", k.publish) })
}

func (k *keeper) topic() string { return fmt.Sprint("kept/", k.n) }

// lasting are the options of a client whose session outlives its connection.
func lasting(o client.Options) client.Options {
	if o.CleanStart = false; o.Version == codec.V5 {
		o.Props.SessionExpirySeconds = uint32(sessionExpiry / time.Second)
		o.Props.Has = o.Props.Has.Add(codec.PropSessionExpiry)
	}
	return o
}

// subscribe comes back whenever the connection ends, and must find its session.
func (k *keeper) subscribe() {
	c := k.c
	for known := false; c.stay.Err() == nil; {
		generation := c.generation.Load()
		s := c.dial(c.stay, lasting(client.Options{
			URL: c.urls[k.n%2], ClientID: fmt.Sprint("k", k.n), Version: version(k.n), OnMessage: k.take,
		}))
		if s == nil {
			return
		}
		if known && !s.SessionPresent() && version(k.n) != codec.V31 { // 3.1 does not tell
			c.t.Errorf("keeper %d: its session is gone", k.n)
			known = false
		}
		if !known {
			if _, err := s.Subscribe(c.stay, codec.Filter{Name: []byte(k.topic()), QoS: 1}); err == nil {
				known = true
				k.once()
			}
		}
		select {
		case <-s.Done():
			if c.stay.Err() == nil && !c.restarted(generation) {
				c.t.Errorf("keeper %d, which stays: %v", k.n, s.Err())
			}
		case <-c.stay.Done():
			s.Close()
		}
	}
}

// once lets the publisher begin.
func (k *keeper) once() {
	select {
	case <-k.subscribed:
	default:
		close(k.subscribed)
	}
}

// take is the subscriber's.
func (k *keeper) take(m *client.Message) bool {
	n, err := strconv.Atoi(string(m.Payload))
	if err != nil {
		k.c.t.Errorf("keeper %d: got %.40q", k.n, m.Payload)
	}
	k.c.received.Add(1)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.acked[n] {
		delete(k.acked, n)
	} else {
		k.seen[n] = true
	}
	return true
}

// publish goes on from the number that comes next.
func (k *keeper) publish() error {
	c := k.c
	select {
	case <-k.subscribed:
	case <-c.ctx.Done():
		return nil
	}
	p := c.dial(c.ctx, client.Options{URL: c.urls[(k.n+1)%2], ClientID: fmt.Sprint("q", k.n), CleanStart: true, Version: version(k.n / 3)})
	if p == nil {
		return nil
	}
	defer p.Close()
	for c.ctx.Err() == nil {
		n := int(c.published.Add(1))
		if err := p.Publish(c.ctx, &client.Message{Topic: k.topic(), Payload: fmt.Append(nil, n), QoS: 1}); err != nil {
			return err
		}
		k.mu.Lock()
		k.count++
		if k.seen[n] {
			delete(k.seen, n)
		} else {
			k.acked[n] = true
		}
		k.mu.Unlock()
		c.rest(10 * time.Millisecond)
	}
	return nil
}

// owed is how many acknowledged messages have not come, of how many.
func (k *keeper) owed() (open, of int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.acked), k.count
}

// collect waits until all that was acknowledged has come; nothing tells of the last message of many.
func (c *crowd) collect() {
	total := 0
	for _, k := range c.keepers {
		open, of := k.owed()
		for end := time.Now().Add(patience); open > 0 && time.Now().Before(end); open, of = k.owed() {
			time.Sleep(10 * time.Millisecond)
		}
		if open > 0 || of == 0 {
			c.t.Errorf("keeper %d: %d of %d acknowledged messages have not come", k.n, open, of)
		}
		total += of
	}
	c.t.Logf("%d messages of QoS 1 were acknowledged to %d publishers and awaited by sessions that last", total, len(c.keepers))
}

// again has do done until all is over. What ends it is a fault, unless the broker was restarted meanwhile.
func (c *crowd) again(who string, do func() error) {
	for c.ctx.Err() == nil {
		generation := c.generation.Load()
		err := do()
		if c.calm(generation) {
			c.t.Errorf("%s, which stays: %v", who, err)
			return
		}
	}
}

// calm tells that neither has the broker been restarted since, nor is all over.
func (c *crowd) calm(generation int64) bool {
	return c.ctx.Err() == nil && !c.restarted(generation)
}

// restarted tells whether the broker has been restarted since, or is just now.
func (c *crowd) restarted(generation int64) bool {
	return generation%2 == 1 || c.generation.Load() != generation
}
