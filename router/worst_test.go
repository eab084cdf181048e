//go:build linux

package router_test

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// worst times what a peer can make the router do at one go: each call of Data,
// Closed and EndPass by itself.
type worst struct {
	tb     testing.TB
	r      *router.Router
	mem    *store.Mem // nil: there is none
	now    int64
	most   time.Duration
	calls  int
	joined int
}

func newWorst(tb testing.TB, l router.Limits) *worst {
	w := &worst{tb: tb, now: 1, r: router.New(router.Config{Rand: func() uint64 { return 1 }, Limits: l})}
	w.r.BeginPass(w.now)
	return w
}

// keep has w start anew with a disk, which works at once and takes no time.
func (w *worst) keep(l router.Limits) {
	w.mem = store.NewMem()
	w.r = router.New(router.Config{
		Rand: func() uint64 { return 1 }, Limits: l, Store: memStore{Mem: w.mem}, Wall: func() int64 { return w.now },
	})
	w.r.BeginPass(w.now)
}

// queue has n messages wait for a session that is away.
func (w *worst) queue(n int) (publisher *router.Client) {
	s := w.join(0)
	w.data(s, []byte("\x82\x06\x00\x01\x00\x01t\x01"))
	w.time(func() { s.Closed(nil) })
	p := w.join(2)
	some := bytes.Repeat([]byte("\x32\x06\x00\x01t\x00\x01x"), 1000)
	for range n / 1000 {
		w.data(p, some)
	}
	w.pass()
	w.unmeasured()
	return p
}

// time runs f, which is one turn that nobody else gets.
func (w *worst) time(f func()) {
	from := processorTime(w.tb)
	f()
	w.most = max(w.most, processorTime(w.tb)-from)
	w.calls++
}

// processorTime is that of this thread, which the test is locked to: what others
// do on the machine does not count, nor does the collector on other threads.
func processorTime(tb testing.TB) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(t.Nano())
}

// data hands over bytes as a loop would, again and again until all are taken.
func (w *worst) data(c *router.Client, b []byte) {
	for len(b) > 0 {
		n, err := 0, error(nil)
		w.time(func() { n, err = c.Data(b) })
		b = b[n:]
		if err != nil {
			w.tb.Fatal(err)
		}
		w.pass()
	}
}

// pass ends the pass and those that follow at once.
func (w *worst) pass() {
	for wake := w.now; wake == w.now; w.r.BeginPass(w.now) {
		w.time(func() { wake = w.r.EndPass() })
		for w.mem != nil && w.mem.Complete(nil) {
			wake = w.now
		}
	}
}

// later moves the clock.
func (w *worst) later(d time.Duration) {
	w.now += d.Nanoseconds()
	w.r.BeginPass(w.now)
	w.pass()
}

func (w *worst) join(flags byte, more ...byte) *router.Client {
	w.joined++
	id := fmt.Sprintf("%07d", w.joined)
	c := w.r.Attach(new(sinkConn), router.Peer{})
	w.data(c, longPacket(0x10, append([]byte("\x00\x04MQTT\x04"), flags, 0, 0), []byte("\x00\x07"+id), more))
	return c
}

// subscribe fills the session with n filters, a thousand at a time.
func (w *worst) subscribe(c *router.Client, n int) {
	for i := 0; i < n; i += 1000 {
		w.data(c, longPacket(0x82, []byte{0, 1}, filters(i, min(1000, n-i), "\x01")))
	}
}

// unmeasured forgets what was seen so far.
func (w *worst) unmeasured() { w.most, w.calls = 0, 0 }

// BenchmarkWorst is the longest turn that a peer can take from the others, for
// each handler whose work grows with what it is sent or with what it holds;
// tidy:long because it is a table.
func BenchmarkWorst(b *testing.B) {
	many := router.Limits{SubscriptionsMax: 1_000_000}
	rows := []struct {
		name   string
		limits router.Limits
		do     func(w *worst)
	}{
		{"SUBSCRIBE of 220,000 filters", many, func(w *worst) {
			w.data(w.join(2), longPacket(0x82, []byte{0, 1}, filters(0, 220_000, "\x01")))
		}},
		{"SUBSCRIBE of 220,000 filters, 10,000 allowed", router.Limits{}, func(w *worst) {
			w.data(w.join(2), longPacket(0x82, []byte{0, 1}, filters(0, 220_000, "\x01")))
		}},
		{"SUBSCRIBE of 10,000 filters again, something retained", router.Limits{}, func(w *worst) {
			c := w.join(2)
			w.data(c, []byte("\x31\x04\x00\x01t!"))
			w.data(c, longPacket(0x82, []byte{0, 1}, filters(0, 10_000, "\x01")))
			w.data(c, longPacket(0x82, []byte{0, 1}, filters(0, 10_000, "\x01")))
		}},
		{"UNSUBSCRIBE of 220,000 filters", many, func(w *worst) {
			c := w.join(2)
			w.subscribe(c, 220_000)
			w.unmeasured()
			w.data(c, longPacket(0xa2, []byte{0, 1}, filters(0, 220_000, "")))
		}},
		{"end of a session with 1,000,000 filters", many, func(w *worst) {
			c := w.join(2)
			w.subscribe(c, 1_000_000)
			w.unmeasured()
			w.time(func() { c.Closed(nil) })
			w.pass()
		}},
		{"CONNECT with Clean Session over 1,000,000 filters", many, func(w *worst) {
			c := w.join(0)
			w.subscribe(c, 1_000_000)
			w.time(func() { c.Closed(nil) })
			w.unmeasured()
			w.joined--
			w.join(2)
			w.pass()
		}},
		{"expiry of 1,000 sessions with 1,000 filters each", router.Limits{SessionExpiry: time.Hour}, func(w *worst) {
			for range 1000 {
				c := w.join(0)
				w.subscribe(c, 1000)
				w.time(func() { c.Closed(nil) })
			}
			w.unmeasured()
			w.later(2 * time.Hour)
		}},
		{"keep alive of 1,000 clients with wills for 1,000 subscribers", router.Limits{}, func(w *worst) {
			for range 1000 {
				w.data(w.join(2), []byte("\x82\x06\x00\x01\x00\x01w\x00"))
			}
			var all []*router.Client
			for range 1000 {
				all = append(all, w.join(6, []byte("\x00\x01w\x00\x01x")...))
			}
			w.unmeasured()
			for _, c := range all {
				w.time(func() { c.Closed(fmt.Errorf("gone")) })
			}
			w.pass()
		}},
		{"# on 1,000,000 retained messages", router.Limits{}, func(w *worst) {
			c := w.join(2)
			for i := range 1_000_000 {
				w.data(c, longPacket(0x31, filters(i, 1, "x")))
			}
			w.unmeasured()
			w.data(w.join(2), []byte("\x82\x06\x00\x01\x00\x01#\x00"))
		}},
		{"1,000,000 queued messages, 1,000 allowed", router.Limits{QueuedMessagesMax: 1_000_000}, func(w *worst) {
			p := w.queue(1_000_000)
			w.r.Change(router.Config{})
			w.data(p, []byte("\x32\x06\x00\x01t\x00\x01x"))
		}},
		{"1,000,000 queued messages on disk, 1,000 allowed", router.Limits{QueuedMessagesMax: 1_000_000}, func(w *worst) {
			w.keep(router.Limits{QueuedMessagesMax: 1_000_000})
			p := w.queue(1_000_000)
			w.r.Change(router.Config{})
			w.data(p, []byte("\x32\x06\x00\x01t\x00\x01x"))
			w.later(2 * time.Second)
			if n := w.r.Stats().Queued; n != 1000 {
				w.tb.Errorf("%d wait", n)
			}
		}},
		{"end of a session with 1,000,000 queued messages", router.Limits{
			QueuedMessagesMax: 1_000_000, SessionExpiry: time.Hour,
		}, func(w *worst) {
			w.queue(1_000_000)
			w.later(2 * time.Hour)
			if n := w.r.Stats().Queued; n != 0 {
				w.tb.Errorf("%d wait", n)
			}
		}},
		{"CONNECT that takes half of 60,000 messages in flight", router.Limits{
			QueuedMessagesMax: 60_000, QueuedBytesMax: 64 << 20, InflightMax: 60_000, SessionExpiry: time.Hour,
		}, func(w *worst) {
			p := w.queue(30_000)
			long := longPacket(0x32, []byte("\x00\x01t\x00\x01"), bytes.Repeat([]byte("x"), 200))
			for range 30_000 {
				w.data(p, long)
			}
			join := func(most byte) *router.Client {
				c := w.r.Attach(new(sinkConn), router.Peer{})
				w.data(c, longPacket(0x10, []byte("\x00\x04MQTT\x05\x00\x00\x00\x0a\x11\xff\xff\xff\xff\x27\x00\x00"), []byte{most, 100}, []byte("\x00\x070000001")))
				return c
			}
			c := join(1)
			w.time(func() { c.Closed(nil) })
			w.unmeasured()
			join(0)
			if n := w.r.Stats().Inflight; n != 30_000 {
				w.tb.Errorf("%d are in flight", n)
			}
		}},
		{"end of a session with 60,000 messages in flight on disk", router.Limits{}, func(w *worst) {
			w.keep(router.Limits{
				QueuedMessagesMax: 60_000, QueuedBytesMax: 64 << 20, InflightMax: 60_000, SessionExpiry: time.Hour,
			})
			c := w.r.Attach(new(sinkConn), router.Peer{})
			w.data(c, []byte("\x10\x1a\x00\x04MQTT\x05\x00\x00\x00\x08\x11\xff\xff\xff\xff\x21\xff\xff\x00\x05taker"))
			w.data(c, []byte("\x82\x07\x00\x01\x00\x00\x01t\x01"))
			w.queue(60_000)
			if n := w.r.Stats().Inflight; n != 60_000 {
				w.tb.Errorf("%d are in flight", n)
			}
			w.time(func() { c.Closed(nil) })
			w.pass()
			w.unmeasured()
			w.data(w.r.Attach(new(sinkConn), router.Peer{}), []byte("\x10\x11\x00\x04MQTT\x04\x02\x00\x00\x00\x05taker"))
			w.later(time.Second)
			if n := w.r.Stats().Inflight; n != 0 {
				w.tb.Errorf("%d are in flight", n)
			}
		}},
		{"64 KiB of PINGREQ", router.Limits{}, func(w *worst) {
			ping := make([]byte, 64<<10)
			for i := 0; i < len(ping); i += 2 {
				ping[i] = 0xc0
			}
			w.data(w.join(2), ping)
		}},
		{"64 KiB of PUBLISH for 10,000 subscribers", router.Limits{}, func(w *worst) {
			for range 10_000 {
				w.data(w.join(2), []byte("\x82\x06\x00\x01\x00\x01t\x00"))
			}
			p := w.join(2)
			var all []byte
			for len(all) < 64<<10 {
				all = append(all, "\x30\x03\x00\x01t"...)
			}
			w.unmeasured()
			w.data(p, all)
		}},
		{"memory pressure with 100,000 sessions", router.Limits{MemoryBytesMax: 1 << 30, SessionExpiry: time.Hour}, func(w *worst) {
			for i := range 100_000 {
				c := w.join(0)
				w.data(c, []byte("\x82\x06\x00\x01\x00\x01t\x01"))
				if i%2 == 0 {
					w.time(func() { c.Closed(nil) })
				}
			}
			w.data(w.join(2), []byte("\x32\x06\x00\x01t\x00\x01!"))
			w.unmeasured()
			w.r.SetMemoryElsewhere(900 << 20)
			w.later(time.Second)
			w.later(time.Second)
		}},
		{"memory pressure with 2 backlogs of 1,000,000 messages", router.Limits{
			MemoryBytesMax: 1 << 30, SessionExpiry: time.Hour, QueuedMessagesMax: 1_000_000, QueuedBytesMax: 1 << 30,
		}, func(w *worst) {
			for range 2 {
				c := w.join(0)
				w.data(c, []byte("\x82\x06\x00\x01\x00\x01t\x01"))
				w.time(func() { c.Closed(nil) })
			}
			p := w.join(2)
			all := bytes.Repeat([]byte("\x32\x06\x00\x01t\x00\x01!"), 1000)
			for range 1000 {
				w.data(p, all)
			}
			w.unmeasured()
			w.r.SetMemoryElsewhere(900 << 20)
			w.later(time.Second)
			w.later(time.Second)
		}},
	}
	for _, row := range rows {
		b.Run(row.name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			most := time.Duration(0)
			calls := 0
			for b.Loop() {
				w := newWorst(b, row.limits)
				row.do(w)
				most, calls = max(most, w.most), w.calls
			}
			b.ReportMetric(float64(most.Microseconds())/1000, "ms/longest")
			b.ReportMetric(float64(calls), "turns")
		})
	}
}
