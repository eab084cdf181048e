package router_test

import (
	"strings"
	"testing"

	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// TestSessionWithManyMessagesEndsInPieces: whatever ends a session, what was under
// way for it goes little by little, while its client identifier begins anew.
func TestSessionWithManyMessagesEndsInPieces(t *testing.T) {
	const messages = 20_000
	ends := map[string]func(w *world, s *fakeConn){
		"expiry":        func(w *world, _ *fakeConn) { w.sleep(15 * 24 * 3600) },
		"sessions-max":  func(w *world, _ *fakeConn) { w.connect("o", false).reset() },
		"clean session": func(w *world, _ *fakeConn) { w.connect("s", true) },
		"in flight": func(w *world, _ *fakeConn) {
			s := w.connect("s", false)
			if n := len(s.take()); n < messages*8 {
				w.t.Fatalf("%d bytes are in flight", n)
			}
			s.reset()
			w.connect("s", true)
		},
	}
	for how, end := range ends {
		for _, disk := range []bool{false, true} {
			if how == "in flight" && disk {
				continue // goes at once: a start knows nobody for it
			}
			name := how
			if disk {
				name += ", a window on disk"
			}
			t.Run(name, func(t *testing.T) {
				l := router.Limits{QueuedMessagesMax: messages, QueuedWindowMax: messages, InflightMax: messages, SessionsMax: 1}
				d := newDurable(t, l)
				if !disk {
					d.world = newWorld(t, l)
				}
				s := d.connect("s", false)
				s.send("82 06 00 01 00 01 't' 01")
				s.reset()
				p := d.burst(messages)
				p.take()
				most, left := 0, messages
				step := func(f func()) {
					f()
					now := d.r.Stats()
					n := now.Queued + now.Inflight
					most, left = max(most, left-n), n
				}
				step(func() { end(d.world, s) })
				for i := 0; left > 0 && i < messages; i++ {
					step(func() { d.sleep(0) })
					if disk {
						d.mem.Complete(nil)
					}
				}
				if n := d.r.Stats().Dropped[router.DropSession]; left != 0 || n != messages && how != "in flight" {
					t.Errorf("%d wait still, %d were dropped", left, n)
				}
				if most > 6000 {
					t.Errorf("%d of %d messages were let go at one go", most, messages)
				}
			})
		}
	}
}

// TestManyMessagesOfASharedSubscriptionArePassedOn: also when they go in pieces, in
// their order and each once, even with a power cut on the way.
func TestManyMessagesOfASharedSubscriptionArePassedOn(t *testing.T) {
	const messages = 10_000
	for _, how := range []string{"in memory", "a window on disk", "a power cut"} {
		t.Run(how, func(t *testing.T) {
			l := router.Limits{QueuedMessagesMax: messages, QueuedWindowMax: messages}
			d := newDurable(t, l)
			if how == "in memory" {
				d.world = newWorld(t, l)
			}
			s := d.connect("s", false)
			s.send("82 0f 00 01 00 0a '$share/g/t' 01")
			s.reset()
			p := d.burst(messages)
			p.reset()
			d.away("o", "$share/g/t")
			d.connect("s", true)
			if how == "a power cut" {
				for d.r.Stats().Dropped[router.DropSession] < messages/2 {
					d.pass(func() { d.mem.Complete(nil) })
				}
				d = d.crash(store.FlightLost, 1)
			}
			d.settle()
			if how != "in memory" {
				d.flush()
			}
			if n := d.r.Stats().Queued; n != messages {
				t.Errorf("%d messages wait", n)
			}
			if how == "a power cut" {
				return // to read them one by one takes long here
			}
			var got []byte
			d.r.Waiting("o", func(_, _, payload []byte, _ byte) { got = append(got, payload...) })
			var want strings.Builder
			for i := range messages {
				want.WriteByte(byte(i))
			}
			if string(got) != want.String() {
				t.Errorf("%d messages, or in another order", len(got))
			}
		})
	}
}
