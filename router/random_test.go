package router_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/router"
)

// TestRandomConversations lets clients do random legal and illegal things,
// checks all state after every step, and expects nothing to be left when all
// have gone. A failure names its seed.
func TestRandomConversations(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			w := newWorldOf(t, router.Config{QueueFull: router.QueueFull(seed % 3), ResponsePrefix: "resp/", Limits: router.Limits{
				InflightMax: 1 + r.IntN(4), QueuedMessagesMax: 1 + r.IntN(6), QueuedBytesMax: 20 + r.IntN(200),
				SubscriptionsMax: 3, SessionsMax: 2 + r.IntN(3), RetainedMessagesMax: 3, RetainedBytesMax: 100,
				RetainedPassMax: 1 + r.IntN(3), TopicLevelsMax: 4, SessionExpiry: time.Hour,
				ReceiveMaximum: 1 + r.IntN(3), TopicAliasMax: 3, TopicAliasOutMax: 2,
			}})
			v := &visitors{w: w, r: r}
			for range 150 {
				v.step()
			}
			for _, c := range w.conns {
				c.reset()
			}
			w.settle()
			w.sleep(3601)
			s := w.r.Stats()
			if s.Sessions+s.Subscriptions+s.Queued+s.Inflight+s.Clients != 0 || s.QueuedBytes != 0 {
				t.Errorf("left behind: %d sessions, %d subscriptions, %d queued, %d in flight, %d clients",
					s.Sessions, s.Subscriptions, s.Queued, s.Inflight, s.Clients)
			}
		})
	}
}

// visitors are clients that act at random.
type visitors struct {
	w *world
	r *rand.Rand
}

func (v *visitors) pick(from ...string) string { return from[v.r.IntN(len(from))] }

func (v *visitors) topic() string {
	return v.pick("a", "a/b", "a/b/c", "b", "/", "$x", "a/b/c/d/e")
}

func (v *visitors) filter() string {
	return v.pick("#", "a/#", "+", "a/+", "a/b", "a/b/c", "+/+/c", "$x", "a/b/c/d/e/f", "$share/g/#", "$share/g/a/b", "$share/h/+")
}

// props is a property block, mostly empty in 3.x and always there in 5.0.
func (v *visitors) props(c *fakeConn, from ...string) string {
	if !c.five {
		return ""
	}
	var p strings.Builder
	for _, prop := range from {
		if v.r.IntN(3) == 0 {
			p.WriteString(prop)
		}
	}
	return string([]byte{byte(len(p.String()))}) + p.String()
}

// packet appends a control packet with one-byte remaining length.
func packet(first byte, parts ...string) []byte {
	out := []byte{first, 0}
	for _, p := range parts {
		out = append(out, p...)
	}
	out[1] = byte(len(out) - 2)
	return out
}

// str is an MQTT string.
func str(s string) string { return string([]byte{0, byte(len(s))}) + s }

func (v *visitors) step() {
	if len(v.w.conns) == 0 || v.r.IntN(6) == 0 {
		c := v.w.dial()
		c.limit = v.r.IntN(2) * (20 + v.r.IntN(100))
		if v.r.IntN(10) > 0 {
			c.five = v.r.IntN(2) == 0
			c.feed(v.connect(c))
		}
		return
	}
	c := v.w.conns[v.r.IntN(len(v.w.conns))]
	qos := byte(v.r.IntN(3))
	id := string([]byte{0, byte(1 + v.r.IntN(6))})
	switch v.r.IntN(12) {
	case 0, 1:
		options := byte(0)
		if c.five {
			options = byte(v.r.IntN(3)<<4 | v.r.IntN(2)<<3)
		}
		c.feed(packet(0x82, id, v.props(c, "\x0b\x07"), str(v.filter()), string([]byte{qos | options}), str(v.filter()), string([]byte{byte(v.r.IntN(3))})))
	case 2:
		c.feed(packet(0xa2, id, v.props(c), str(v.filter())))
	case 3, 4, 5, 6:
		if qos == 0 {
			id = ""
		}
		retain := byte(v.r.IntN(2))
		props := v.props(c, "\x02\x00\x00\x00\x64", "\x23\x00"+string([]byte{byte(1 + v.r.IntN(3))}), "\x03\x00\x01c", "\x26\x00\x01k\x00\x01v")
		c.feed(packet(0x30|qos<<1|retain, str(v.topic()), id, props, v.pick("", "x", "payload", "a longer payload")))
	case 7, 8, 9:
		c.acknowledge(v.r)
	case 10:
		v.leave(c)
	default:
		v.w.sleep(v.r.Float64() * 1000)
	}
}

func (v *visitors) connect(c *fakeConn) []byte {
	flags, will := byte(v.r.IntN(2)<<1), ""
	if v.r.IntN(2) == 0 {
		flags |= 4 | byte(v.r.IntN(3))<<3 | byte(v.r.IntN(2))<<5
		will = v.props(c, "\x18\x00\x00\x00\x64", "\x02\x00\x00\x00\x64") + str(v.topic()) + str(v.pick("", "gone"))
	}
	level := "\x04"
	if c.five {
		level = "\x05"
	}
	props := v.props(c, "\x11\x00\x00\x01\x00", "\x21\x00\x02", "\x22\x00\x02", "\x27\x00\x00\x00\x18", "\x17\x00")
	return packet(0x10, str("MQTT"), level, string([]byte{flags}), "\x00\x00", props, str(v.pick("A", "B", "C", "D", "E")), will)
}

func (v *visitors) leave(c *fakeConn) {
	switch v.r.IntN(3) {
	case 0:
		c.reset()
	case 1:
		c.feed([]byte{0xe0, 0})
	default:
		junk := make([]byte, 1+v.r.IntN(20))
		for i := range junk {
			junk[i] = byte(v.r.Uint32())
		}
		c.feed(junk)
	}
}

// acknowledge answers what the router sent, mostly as it should be.
func (c *fakeConn) acknowledge(r *rand.Rand) {
	out := c.take()
	for len(out) > 1 {
		n := 2 + int(out[1])
		if out[1] >= 0x80 {
			n = 3 + int(out[1]&0x7f) + int(out[2])<<7
		}
		p := out[:min(n, len(out))]
		out = out[len(p):]
		if r.IntN(5) == 0 {
			continue
		}
		switch p[0] >> 4 {
		case 3:
			at := 4 + int(p[3])
			switch p[0] >> 1 & 3 {
			case 1:
				c.feed([]byte{0x40, 2, p[at], p[at+1]})
			case 2:
				c.feed([]byte{0x50, 2, p[at], p[at+1]})
			}
		case 5:
			c.feed([]byte{0x62, 2, p[2], p[3]})
		case 6:
			c.feed([]byte{0x70, 2, p[2], p[3]})
		}
	}
}
