package sim_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/loopmq/loopmq/internal/sim"
	"github.com/loopmq/loopmq/router"
)

// A broken router must be caught. Each case damages one thing that the router
// sends or receives, as a mistake in it would.

// count lets every n-th of something be damaged.
type count struct{ n, every int }

func (c *count) due() bool {
	c.n++
	return c.n%c.every == 0
}

func isPublish(b []byte, qos byte) bool { return b[0]>>4 == 3 && b[0]>>1&3 == qos }

// body is where the variable header of a packet starts.
func body(b []byte) int {
	i := 1
	for b[i] >= 0x80 {
		i++
	}
	return i + 1
}

// send damages every so-manieth of the packets that are sent.
func send(every int, which func(b []byte) bool, damage func(b *[]byte) int) func() sim.Break {
	return func() sim.Break {
		c := &count{every: every}
		return sim.Break{Send: func(_ uint64, b *[]byte) int {
			if which(*b) && c.due() {
				return damage(b)
			}
			return 1
		}}
	}
}

func breaks() map[string]func() sim.Break {
	drop := func(*[]byte) int { return 0 }
	twice := func(*[]byte) int { return 2 }
	kind := func(k byte) func(b []byte) bool { return func(b []byte) bool { return b[0]>>4 == k } }
	qos := func(q byte) func(b []byte) bool { return func(b []byte) bool { return isPublish(b, q) } }
	retained := func(b []byte) bool { return b[0]>>4 == 3 && b[0]&1 == 1 }
	flip := func(at int, bit byte) func(b *[]byte) int {
		return func(b *[]byte) int {
			c := append([]byte(nil), *b...)
			c[at] ^= bit
			*b = c
			return 1
		}
	}
	return map[string]func() sim.Break{
		"drops every 1000th PUBACK":            send(1000, kind(4), drop),
		"drops every 500th QoS 1 delivery":     send(500, qos(1), drop),
		"drops every 500th QoS 0 delivery":     send(500, qos(0), drop),
		"sends every 200th QoS 2 twice":        send(200, qos(2), twice),
		"sends every 500th QoS 0 twice":        send(500, qos(0), twice),
		"loses every 200th retained delivery":  send(200, retained, drop),
		"clears RETAIN of every 200th":         send(200, retained, flip(0, 1)),
		"alters the last byte of every 500th":  send(500, qos(1), func(b *[]byte) int { return flip(len(*b)-1, 0x55)(b) }),
		"drops every 100th PUBREL":             send(100, kind(6), drop),
		"drops every 100th PUBCOMP":            send(100, kind(7), drop),
		"drops every 100th SUBACK":             send(100, kind(9), drop),
		"reports the wrong session":            send(50, kind(2), func(b *[]byte) int { return flip(body(*b), 1)(b) }),
		"swaps two deliveries":                 swap,
		"loses every 50th retained update":     loseRetained,
		"forgets every third UNSUBSCRIBE":      loseUnsubscribe,
		"mistakes every 100th PUBREL":          mistakePubrel,
		"reads on during a long packet":        readOn,
		"overlooks a bad filter in a long one": overlook,
		"alters the last of many codes":        alterLastCode,
		"closes nobody at SlowTimeout":         limits(func(l *router.Limits) { l.SlowTimeout = 1e6 * time.Hour }),
		"closes at half of SlowTimeout":        limits(func(l *router.Limits) { l.SlowTimeout /= 2 }),
		"tells nobody at AckTimeout":           limits(func(l *router.Limits) { l.AckTimeout = 1e6 * time.Hour }),
		"tells at half of AckTimeout":          limits(func(l *router.Limits) { l.AckTimeout /= 2 }),
		"lets duels go on":                     limits(func(l *router.Limits) { l.TakeoversMax = 1 << 30 }),
		"damps duels too early":                limits(func(l *router.Limits) { l.TakeoversMax = max(1, l.TakeoversMax-1) }),
	}
}

func limits(change func(l *router.Limits)) func() sim.Break {
	return func() sim.Break { return sim.Break{Limits: change} }
}

// swap holds one delivery back and sends it behind the next one on the same
// connection, with the PacketIDs left where they were.
func swap() sim.Break {
	held := map[uint64][]byte{}
	c := &count{every: 50}
	return sim.Break{Send: func(conn uint64, b *[]byte) int {
		if !isPublish(*b, 1) || (*b)[0]&8 != 0 {
			return 1
		}
		if old := held[conn]; old != nil {
			delete(held, conn)
			*b = append(append([]byte(nil), *b...), old...)
			return 1
		}
		if c.due() {
			held[conn] = append([]byte(nil), *b...)
			return 0
		}
		return 1
	}}
}

func receive(every int, which func(b []byte) bool, damage func(b []byte)) sim.Break {
	c := &count{every: every}
	return sim.Break{Receive: func(b []byte) {
		if len(b) >= 4 && which(b) && c.due() {
			damage(b)
		}
	}}
}

func loseRetained() sim.Break {
	return receive(50, func(b []byte) bool { return b[0]>>4 == 3 && b[0]&1 == 1 }, func(b []byte) { b[0] &^= 1 })
}

func loseUnsubscribe() sim.Break {
	return receive(3, func(b []byte) bool { return b[0]>>4 == 10 }, func(b []byte) { b[len(b)-1] ^= 1 })
}

func mistakePubrel() sim.Break {
	return receive(100, func(b []byte) bool { return b[0]>>4 == 6 }, func(b []byte) { b[3] ^= 0x40 })
}

// readOn has the client of a packet that is done in pieces read from.
func readOn() sim.Break { return sim.Break{Pause: func() bool { return false }} }

// overlook has a long packet pass whose filters are not all checked.
func overlook() sim.Break {
	bad, good := []byte("a/#/b"), []byte("a/+/b")
	long := func(b []byte) bool { return len(b) > 2048 && (b[0] == 0x82 || b[0] == 0xa2) }
	return receive(1, long, func(b []byte) {
		if i := bytes.Index(b, bad); i >= 0 {
			copy(b[i:], good)
		}
	})
}

// alterLastCode has each long SUBACK say something else of its last filter.
func alterLastCode() sim.Break {
	return sim.Break{Send: func(_ uint64, b *[]byte) int {
		if n := len(*b); n > 130 && (*b)[0] == 0x90 {
			*b = bytes.Clone(*b)
			(*b)[n-1] ^= 1
		}
		return 1
	}}
}

func TestBrokenRoutersAreCaught(t *testing.T) {
	for name, make := range breaks() {
		t.Run(name, func(t *testing.T) {
			damage := make()
			for seed := uint64(1); seed <= 3000; seed++ {
				p := sim.Draw(seed)
				p.Break = damage
				if r := sim.Run(p, nil); r.Err != nil {
					t.Logf("caught by seed %d: %.120v", seed, r.Err)
					return
				}
			}
			t.Error("was not caught in 3000 runs")
		})
	}
}

// TestShrink: a failing run comes down to the few operations that it needs.
func TestShrink(t *testing.T) {
	lost := func() sim.Break {
		return sim.Break{Send: func(_ uint64, b *[]byte) int {
			if isPublish(*b, 1) {
				return 0
			}
			return 1
		}}
	}
	for seed := uint64(1); ; seed++ {
		p := sim.Draw(seed)
		p.Break = lost()
		if sim.Run(p, nil).Err == nil {
			continue
		}
		small := sim.Shrink(p)
		if sim.Run(small, nil).Err == nil || len(small.Ops) > 10 {
			t.Fatalf("seed %d: shrunk to %d of %d operations", seed, len(small.Ops), len(p.Ops))
		}
		return
	}
}
