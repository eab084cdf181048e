package router_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/loopmq/loopmq/internal/invariant"
	"github.com/loopmq/loopmq/router"
)

// crowd is one publisher and its subscribers, above connections that take
// everything.
type crowd struct {
	t         testing.TB
	r         *router.Router
	publisher *router.Client
	all       []*router.Client
	got       []*sinkConn
}

// newCrowd connects so many subscribers of "bench" with this QoS.
func newCrowd(t testing.TB, subscribers int, qos byte) *crowd {
	c := &crowd{t: t, r: router.New(router.Config{Rand: func() uint64 { return 1 }})}
	c.r.BeginPass(1)
	for i := range subscribers {
		s, conn := c.join(i)
		c.feed(s, []byte("\x82\x0a\x00\x01\x00\x05bench"+string(rune(qos))))
		c.all, c.got = append(c.all, s), append(c.got, conn)
	}
	c.publisher, _ = c.join(subscribers)
	return c
}

func (c *crowd) join(i int) (*router.Client, *sinkConn) {
	conn := new(sinkConn)
	s := c.r.Attach(conn, router.Peer{})
	c.feed(s, fmt.Appendf(nil, "\x10\x10\x00\x04MQTT\x04\x02\x00\x00\x00\x04%04d", i))
	return s, conn
}

func (c *crowd) feed(to *router.Client, packet []byte) {
	if used, err := to.Data(packet); used != len(packet) || err != nil {
		c.t.Fatalf("% x: took %d bytes, %v", packet, used, err)
	}
}

// TestAllocationsOfAMessage counts what a message allocates from the received
// bytes to the bytes that are sent, acknowledgements included, once the
// router is warm.
func TestAllocationsOfAMessage(t *testing.T) {
	for _, row := range []struct {
		subscribers int
		qos         byte
		payload     int
		want        float64
	}{
		{1, 0, 64, 0},
		{100, 0, 64, 0},
		{1, 1, 64, 0},
		{100, 1, 64, 0},
		{1, 2, 64, 0},
		{100, 2, 64, 0},
		{1, 0, 16 << 10, 0},
		{100, 1, 16 << 10, 0},
	} {
		t.Run(fmt.Sprintf("QoS %d, 1 to %d, %d bytes", row.qos, row.subscribers, row.payload), func(t *testing.T) {
			if invariant.On && row.qos > 0 {
				t.Skip("the checks of invariants allocate")
			}
			c := newCrowd(t, row.subscribers, row.qos)
			publish := publishOf(row.qos, row.payload)
			pubrel := []byte{0x62, 2, 0, 1}
			id := uint16(0)
			answer := []byte{0, 2, 0, 0}
			ack := func(first byte) {
				answer[0], answer[2], answer[3] = first, byte(id>>8), byte(id)
				for _, s := range c.all {
					c.feed(s, answer)
				}
			}
			message := func() {
				c.feed(c.publisher, publish)
				switch id++; row.qos {
				case 1:
					ack(0x40)
				case 2:
					c.feed(c.publisher, pubrel)
					ack(0x50)
					ack(0x70)
				}
			}
			for range 100 {
				message()
			}
			if n := testing.AllocsPerRun(1000, message); n > row.want {
				t.Errorf("%v allocations a message, want %v", n, row.want)
			}
			stats := c.r.Stats()
			if got, want := stats.Delivered[row.qos], uint64(1101*row.subscribers); got != want || stats.Inflight != 0 {
				t.Errorf("%d deliveries, want %d; %d in flight", got, want, stats.Inflight)
			}
		})
	}
}

// publishOf is a PUBLISH to "bench".
func publishOf(qos byte, payload int) []byte {
	head := "\x00\x05bench"
	if qos > 0 {
		head += "\x00\x01"
	}
	n := len(head) + payload
	frame := []byte{0x30 | qos<<1}
	for ; n > 127; n >>= 7 {
		frame = append(frame, byte(n)|0x80)
	}
	return append(append(append(frame, byte(n)), head...), bytes.Repeat([]byte("x"), payload)...)
}

// TestSubscribersKeepTheirOwnPacketIDs publishes to subscribers who are in step
// and share the bytes of a packet, and to one who is not.
func TestSubscribersKeepTheirOwnPacketIDs(t *testing.T) {
	w := newWorld(t, router.Limits{})
	p, a, b := w.connect("p", true), w.connect("a", true), w.connect("b", true)
	late := w.connect("l", true)
	for _, c := range []*fakeConn{a, b} {
		c.send("82 06 00 01 00 01 't' 01")
		c.take()
	}
	late.take()
	p.send("32 06 00 01 't' 00 01 'x'")
	a.expect("32 06 00 01 't' 00 01 'x'")
	b.expect("32 06 00 01 't' 00 01 'x'")
	late.send("82 06 00 01 00 01 't' 01")
	late.expect("90 03 00 01 01")
	p.send("32 06 00 01 't' 00 02 'y' 32 06 00 01 't' 00 03 'z'") // in one pass
	for _, c := range []*fakeConn{a, b} {
		c.expect("32 06 00 01 't' 00 02 'y' 32 06 00 01 't' 00 03 'z'")
	}
	late.expect("32 06 00 01 't' 00 01 'y' 32 06 00 01 't' 00 02 'z'")
}
