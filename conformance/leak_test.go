package conformance

import (
	"fmt"
	"testing"
)

// step is one step of a conversation: bytes out, then packets in.
type step struct {
	// out says what to send, given the PacketID of the last PUBLISH that came.
	out func(id int) []byte
	// in is how many packets are awaited then.
	in int
}

// says is a step whose bytes are always the same.
func says(in int, parts ...any) step {
	b := bytesOf(parts)
	return step{func(int) []byte { return b }, in}
}

// conversations, each without its CONNECT, are broken off at every byte.
var conversations = map[string][]step{
	"subscribe": {
		says(1, subscribe(1, "leak/a", 1, "leak/+/b/#", 2)),
		says(1, unsubscribe(2, "leak/a")),
		says(1, pingreq),
		says(0, disconnect),
	},
	"send": {
		says(0, pub0("leak/out", "zero")),
		says(1, pub1(7, "leak/out", "one")),
		says(1, pub2(8, "leak/out", "two")),
		says(1, pubrel(8)),
		says(1, pub2(9, "leak/out", "never released")),
	},
	"receive QoS 1": {
		says(1, subscribe(1, "leak/in", 1)),
		says(2, pub1(7, "leak/in", "one")), // PUBACK and the message itself
		{puback, 0},
		says(4, pub1(8, "leak/in", "not acknowledged"), pub1(9, "leak/in", "nor this")),
		says(0, pingreq),
	},
	"receive QoS 2": {
		says(1, subscribe(1, "leak/in", 2)),
		says(1, pub2(7, "leak/in", "two")),
		says(2, pubrel(7)), // PUBCOMP and, here or one step earlier, the message
		{pubrec, 1},
		{pubcomp, 0},
		says(0, pingreq),
	},
}

// breaks are the ways to break a connection off.
var breaks = map[string]func(*conn){"reset": (*conn).reset, "close": (*conn).hangUp}

// TestNothingLeaks: however and wherever connections break off, the broker is
// in the end as it was before.
func TestNothingLeaks(t *testing.T) {
	inTurn(t, options{}, func(t *testing.T, tg target) {
		join(t, tg, "first", clean).leave() // what is made once is made now
		before := holdings(t, tg)
		n := 0
		for name, steps := range conversations {
			for how, end := range breaks {
				for kind, opts := range map[string][]connectOption{
					"clean":      {clean},
					"will":       {clean, will(2, "leak/will", "gone"), user("user"), password("word")},
					"persistent": {will(1, "leak/will", "gone")},
				} {
					what := fmt.Sprintf("%s, %s, %s", name, how, kind)
					for at, more := 0, true; more; at++ {
						n++
						id := fmt.Sprint("leak", n)
						more = breakOff(t, tg, what, at, end, id, opts, steps)
						if kind == "persistent" {
							allGone(t, tg)
							join(t, tg, id, clean).leave() // which ends its session
						}
					}
				}
			}
		}
		t.Logf("%d conversations broken off", n)
		if after := until(func() string { return holdings(t, tg) }, before); after != before {
			t.Errorf("after %d connections:\nwant %s\n got %s", n, before, after)
		}
	})
}

// holdings shows all that the broker holds.
func holdings(t testing.TB, tg target) string {
	t.Helper()
	var g map[string]int
	if l, ok := tg.(*loopmq); ok {
		g = l.gauges(t)
	}
	return fmt.Sprintf("%d descriptors, %v", tg.descriptors(t), g)
}

// allGone waits until the broker has noticed that nobody is connected, where it
// can be asked.
func allGone(t testing.TB, tg target) {
	t.Helper()
	if l, ok := tg.(*loopmq); ok {
		if got := until(func() int { return l.gauges(t)["clients"] }, 0); got != 0 {
			t.Fatalf("clients: want 0 after the end of their connections, got %d", got)
		}
	}
}

// breakOff holds a conversation up to its byte at, and reports whether it has
// so many.
func breakOff(t *testing.T, tg target, what string, at int, end func(*conn), id string, opts []connectOption, steps []step) bool {
	t.Helper()
	c := dial(t, tg)
	defer end(c)
	last := 0
	for i, s := range append([]step{says(1, connect(id, opts...))}, steps...) {
		c.name = fmt.Sprintf("%s, step %d, broken off at byte %d", what, i, at)
		b := s.out(last)
		if at < len(b) {
			c.send(b[:at])
			return true
		}
		at -= len(b)
		c.send(b)
		for range s.in {
			if p := c.packet(); p[0]>>4 == 3 {
				last = int(p[4+p[3]])<<8 | int(p[5+p[3]])
			}
		}
	}
	return false
}
