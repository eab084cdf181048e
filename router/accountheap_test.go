package router_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/router"
)

// heapNow is what is in use after the collector has looked twice: finalizers and pools need that.
func heapNow() int64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// TestAccountIsWhatTheHeapHolds: for each thing that clients can make the router hold many of, the account grows as the
// heap does, within a factor.
func TestAccountIsWhatTheHeapHolds(t *testing.T) {
	roomy := router.Limits{
		QueuedMessagesMax: 1 << 20, QueuedBytesMax: 1 << 30, SessionExpiry: time.Hour, InflightMax: 20, SubscriptionsMax: 1 << 20,
		PacketBytesMax: 1 << 20, RetainedMessagesMax: 1 << 20,
	}
	for _, row := range []struct {
		name string
		fill func(c *heap)
	}{
		{"private queues", func(c *heap) { c.queues(60, 60, 1000, 100) }},
		{"private queues of long messages", func(c *heap) { c.queues(8, 8, 500, 8000) }},
		{"shared queues", func(c *heap) { c.queues(60, 1, 1000, 8000) }},
		{"shared queues of short messages", func(c *heap) { c.queues(60, 1, 1000, 20) }},
		{"messages of a middle size", func(c *heap) { c.queues(4, 4, 2000, 1500) }},
		{"retained", func(c *heap) { c.retain(20_000, 60) }},
		{"retained long", func(c *heap) { c.retain(1000, 9000) }},
		{"subscriptions", func(c *heap) { c.subscriptions(100, 500) }},
		{"in flight", func(c *heap) { c.flights(1000, 20) }},
		{"PacketIDs received", func(c *heap) { c.received(200) }},
		{"Subscription Identifiers", func(c *heap) { c.identifiers(20, 50, 100) }},
		{"sessions", func(c *heap) { c.sessions(5000) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := &heap{t: t, r: router.New(router.Config{Rand: func() uint64 { return 1 }, Limits: roomy})}
			c.r.BeginPass(1)
			c.publisher = c.join(0x02)
			used, before := c.r.MemoryUsed(), heapNow()
			row.fill(c)
			c.r.EndPass()
			c.r.BeginPass(2)
			grown, counted := heapNow()-before, c.r.MemoryUsed()-used
			t.Logf("the heap grew by %d, the account by %d: %.2f", grown, counted, float64(counted)/float64(grown))
			if counted < grown*2/3 || counted > grown*3/2 {
				t.Errorf("the heap grew by %d, the account by %d", grown, counted)
			}
			runtime.KeepAlive(c)
		})
	}
}

// heap is a router with clients over connections that keep nothing.
type heap struct {
	t         *testing.T
	r         *router.Router
	publisher *router.Client
	joined    int
	clients   []*router.Client
}

func (c *heap) join(flags byte) *router.Client {
	c.joined++
	x := c.r.Attach(new(sinkConn), router.Peer{})
	c.data(x, longPacket(0x10, append([]byte("\x00\x04MQTT\x04"), flags, 0, 0), lengthed(fmt.Sprintf("%07d", c.joined))))
	return x
}

func (c *heap) data(x *router.Client, b []byte) {
	for len(b) > 0 {
		n, err := x.Data(b)
		if err != nil {
			c.t.Fatal(err)
		}
		if b = b[n:]; len(b) > 0 || n == 0 {
			c.r.EndPass()
			c.r.BeginPass(2)
		}
	}
}

// queues has n messages wait for each of so many absent sessions, which are subscribed to so many topics in turn.
func (c *heap) queues(sessions, topics, n, size int) {
	for i := range sessions {
		s := c.join(0)
		c.data(s, longPacket(0x82, []byte{0, 1}, lengthed(fmt.Sprint("q/", i%topics)), []byte{1}))
		s.Closed(nil)
	}
	for i := range topics {
		for range n {
			c.publish(fmt.Sprint("q/", i), size)
		}
	}
}

func (c *heap) publish(topic string, size int) {
	c.data(c.publisher, longPacket(0x32, lengthed(topic), []byte{0, 1}, make([]byte, size)))
}

func (c *heap) retain(n, size int) {
	for i := range n {
		c.data(c.publisher, longPacket(0x31, lengthed(fmt.Sprint("r/", i)), make([]byte, size)))
	}
}

func (c *heap) subscriptions(sessions, n int) {
	for i := range sessions {
		s := c.join(2)
		for j := range n {
			c.data(s, longPacket(0x82, []byte{0, 1}, lengthed(fmt.Sprint("some/place/", i, "/", j)), []byte{0}))
		}
		c.clients = append(c.clients, s)
	}
}

func (c *heap) flights(sessions, n int) {
	for range sessions {
		s := c.join(2)
		c.data(s, longPacket(0x82, []byte{0, 1}, lengthed(fmt.Sprint("f/", len(c.clients))), []byte{1}))
		c.clients = append(c.clients, s)
		for range n {
			c.publish(fmt.Sprint("f/", len(c.clients)-1), 100)
		}
	}
}

// received has each of so many clients begin QoS 2 with PacketIDs far from each other.
func (c *heap) received(sessions int) {
	for range sessions {
		s := c.join(2)
		c.clients = append(c.clients, s)
		for id := range 64 {
			c.data(s, longPacket(0x34, lengthed("n"), []byte{byte(id << 2), 1}, []byte(strings.Repeat("x", 10))))
		}
	}
}

// identifiers has n messages wait for each of so many clients of 5.0, with the identifiers of so many filters.
func (c *heap) identifiers(clients, filters, n int) {
	for range clients {
		c.joined++
		x := c.r.Attach(new(sinkConn), router.Peer{})
		c.data(x, longPacket(0x10, []byte("\x00\x04MQTT\x05\x02\x00\x00\x03\x21\x00\x01"), lengthed(fmt.Sprintf("%07d", c.joined))))
		c.clients = append(c.clients, x)
		for i := range filters {
			filter := strings.Repeat("+/", i/2) + []string{"#", "+/#"}[i%2]
			c.data(x, longPacket(0x82, []byte{0, 1, 2, 0x0b, byte(i + 1)}, lengthed(filter), []byte{1}))
		}
	}
	for range n {
		c.publish(strings.Repeat("l/", filters)+"end", 10)
	}
}

func (c *heap) sessions(n int) {
	for range n {
		c.join(0).Closed(nil)
	}
}
