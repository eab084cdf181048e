package router_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// TestQueuesOfAllTogether: when as many messages wait as may for all sessions, who gets one more loses one of his own,
// as the policy says; who has none waiting does not get it, and is not disconnected for what others have.
func TestQueuesOfAllTogether(t *testing.T) {
	for _, row := range []struct {
		policy router.QueueFull
		want   string
	}{
		{router.QueueDropOldest, "[1 3 4 5] [1]"},
		{router.QueueDropNewest, "[1 2 3 4] [1]"},
		{router.QueueDisconnect, "[1 3 4 5] [1]"},
	} {
		cfg := router.Config{QueueFull: row.policy, Limits: router.Limits{QueuedTotalMax: 3, InflightMax: 1}}
		d := startDurable(t, cfg, store.NewMem(), 1_700_000_000e9)
		for _, w := range []*world{newWorldOf(t, cfg), d.world} {
			flush := func() {
				if w == d.world {
					d.flush()
				}
				w.settle()
			}
			var got []string
			all := []*fakeConn{w.connect("a", false), w.connect("b", false), w.connect("p", true)}
			for i, c := range all {
				flush()
				c.expect("20 02 00 00")
				c.send(fmt.Sprintf("82 06 0001 0001 '%c' 01", 'a'+i))
				flush()
				c.expect("90 03 0001 01")
			}
			for _, m := range []string{"a1", "a2", "a3", "a4", "b1", "b2", "a5"} { // of each the first is in flight
				all[2].feed(packet(0x32, str(m[:1]), "\x00\x01", m[1:]))
				flush()
				all[2].expect("40 02 0001")
			}
			st := w.r.Stats()
			if st.Queued != 3 || st.Dropped[router.DropQueueFull] != 2 || st.LimitHits[router.LimitQueuedTotal] < 2 {
				t.Errorf("policy %d: %d wait, %d dropped, the limit counts %d", row.policy, st.Queued, st.Dropped[router.DropQueueFull], st.LimitHits[router.LimitQueuedTotal])
			}
			if all[0].closing || all[1].closing {
				t.Errorf("policy %d: closing %v, %v", row.policy, all[0].closing, all[1].closing)
			}
			for i, id := range []string{"a", "b"} {
				c := all[i]
				if c.closing {
					c.take()
					c = w.connect(id, false)
				}
				var here []string
				for range 10 {
					flush()
					here = append(here, c.received()...)
				}
				got = append(got, fmt.Sprint(here))
			}
			if text := strings.Join(got, " "); text != row.want {
				t.Errorf("policy %d: %s, want %s", row.policy, text, row.want)
			}
		}
	}
}

// TestFewerInAllQueues: a limit that is lowered is for what comes then: a session that gets something loses what is
// too much.
func TestFewerInAllQueues(t *testing.T) {
	w := newWorld(t, router.Limits{QueuedMessagesMax: 1000})
	for _, id := range []string{"a", "b"} {
		c := w.connect(id, false)
		c.take()
		c.send("82 06 0001 0001 '" + id + "' 01")
		c.reset()
	}
	p := w.join("p")
	for range 50 {
		p.send("32 06 0001 'a' 0001 'x' 32 06 0001 'b' 0001 'x'")
	}
	w.pass(func() { w.r.Change(router.Config{Limits: router.Limits{QueuedTotalMax: 60}}) })
	p.send("32 06 0001 'a' 0001 'x'")
	w.settle()
	if n := w.r.Stats().Queued; n != 60 {
		t.Errorf("%d wait", n)
	}
	w.pass(func() { w.r.Change(router.Config{Limits: router.Limits{QueuedTotalMax: 20}}) })
	p.send("32 06 0001 'a' 0001 'x'")
	w.settle()
	if n := w.r.Stats().Queued; n != 50 {
		t.Errorf("%d wait", n)
	}
	p.send("32 06 0001 'b' 0001 'x'")
	w.settle()
	if n := w.r.Stats().Queued; n != 20 {
		t.Errorf("%d wait", n)
	}
}
