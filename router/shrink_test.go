package router_test

import (
	"testing"
	"time"

	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// TestLimitLoweredBelowWhatWaits: what is over a limit that was lowered, by a
// reload or before a restart, goes in pieces; meanwhile no queue grows.
func TestLimitLoweredBelowWhatWaits(t *testing.T) {
	const messages, most = 20_000, 100
	low := router.Limits{QueuedMessagesMax: most, QueuedWindowMax: 50}
	for _, how := range []string{"reload", "restart", "reload, in memory", "reload, bytes", "reload, class none"} {
		t.Run(how, func(t *testing.T) {
			d := newDurable(t, router.Limits{QueuedMessagesMax: messages, QueuedWindowMax: 50})
			low := low
			switch how {
			case "reload, in memory":
				d.world = newWorld(t, router.Limits{QueuedMessagesMax: messages})
				s := d.connect("s", false)
				s.send("82 06 00 01 00 01 't' 01")
				s.reset()
			case "reload, class none":
				d = startDurable(t, router.Config{
					Limits: router.Limits{QueuedMessagesMax: messages, QueuedWindowMax: 50}, LazyInterval: time.Hour,
					Durability: []router.DurabilityRule{{Filter: "#", Class: router.DurabilityNone}},
				}, store.NewMem(), 1_700_000_000e9)
				d.away("s", "t")
			case "reload, bytes":
				low.QueuedMessagesMax, low.QueuedBytesMax = messages, most*len("tx")
				fallthrough
			default:
				d.away("s", "t")
			}
			p := d.burst(messages)
			switch how {
			case "restart":
				d.cfg.Limits = low
				d = d.crash(store.FlightLost, 1)
				p = d.connect("p", true)
			default:
				d.cfg.Limits, d.cfg.LazyInterval = low, time.Hour
				d.r.Change(d.cfg)
			}
			p.take()
			at := *d.r.Stats()
			step := func(f func()) {
				t.Helper()
				before := *d.r.Stats()
				f()
				now := d.r.Stats()
				if now.Queued > before.Queued {
					t.Errorf("the queue has grown from %d to %d", before.Queued, now.Queued)
				}
				if n := now.Dropped[router.DropQueueFull] - before.Dropped[router.DropQueueFull]; n > 5000 {
					t.Errorf("%d messages are dropped at one go", n)
				}
			}
			for i := 0; d.r.Stats().Queued > most && i < 100; i++ {
				step(func() { p.send("32 06 00 01 't' 00 01 'x'") })
				step(func() { d.mem.Complete(nil) })
			}
			for range 3 {
				step(func() { p.send("32 06 00 01 't' 00 01 'x'") })
				d.flush()
			}
			now := d.r.Stats()
			if now.Queued != most || now.Dropped[router.DropQueueFull]-at.Dropped[router.DropQueueFull] < messages-most {
				t.Errorf("%d wait, %d dropped, %d before", now.Queued, now.Dropped[router.DropQueueFull], at.Dropped[router.DropQueueFull])
			}
			if how == "reload, in memory" || how == "reload, class none" {
				return
			}
			d.sleep(3601)
			d.flush()
			if d = d.crash(store.FlightLost, 1); d.r.Stats().Queued != most {
				t.Errorf("a start finds %d", d.r.Stats().Queued)
			}
		})
	}
}
