package router_test

import (
	"fmt"
	"testing"

	"github.com/loopmq/loopmq/router"
)

func TestQoS0ReachesItsSubscribersOnly(t *testing.T) {
	w := newWorld(t, router.Limits{})
	a, b := w.connect("a", true), w.connect("b", true)
	a.expect("20 02 00 00")
	b.expect("20 02 00 00")
	a.send("82 08 00 01 00 03 'x/+' 00")
	a.expect("90 03 00 01 00")
	b.send("30 08 00 03 'x/y' 'one' 30 07 00 03 'z/y' 'no'")
	a.expect("30 08 00 03 'x/y' 'one'")
	b.expect("")
}

func TestTakeoverSendsTheWillAndKeepsTheSession(t *testing.T) {
	w := newWorld(t, router.Limits{})
	watch := w.connect("w", true)
	watch.send("82 06 00 01 00 01 '#' 00")
	watch.take()
	old := w.dial()
	old.send("10 17 00 04 'MQTT' 04 04 00 00 00 01 'a' 00 02 'wi' 00 04 'gone'")
	old.expect("20 02 00 00")
	again := w.connect("a", false)
	again.expect("20 02 01 00")
	old.expectClosed()
	watch.expect("30 08 00 02 'wi' 'gone'")
}

func TestUnacknowledgedMessagesComeAgainInOrder(t *testing.T) {
	w := newWorld(t, router.Limits{InflightMax: 2})
	s, p := w.connect("s", false), w.connect("p", true)
	s.send("82 06 00 01 00 01 't' 02")
	s.take()
	p.take()
	p.send("32 06 00 01 't' 00 01 '1' 34 06 00 01 't' 00 02 '2' 32 06 00 01 't' 00 03 '3'")
	p.expect("40 02 00 01 50 02 00 02 40 02 00 03")
	s.expect("32 06 00 01 't' 00 01 '1' 34 06 00 01 't' 00 02 '2'")
	s.reset()
	s = w.connect("s", false)
	s.expect("20 02 01 00 3a 06 00 01 't' 00 01 '1' 3c 06 00 01 't' 00 02 '2'")
	s.send("50 02 00 02")
	s.expect("62 02 00 02")
	s.reset()
	s = w.connect("s", false)
	s.expect("20 02 01 00 3a 06 00 01 't' 00 01 '1' 62 02 00 02")
	s.send("70 02 00 02 40 02 00 01")
	s.expect("32 06 00 01 't' 00 03 '3'")
	s.send("40 02 00 03")
	if n := w.r.Stats().Inflight; n != 0 {
		t.Errorf("%d messages still in flight", n)
	}
}

func TestQueueDropsTheOldest(t *testing.T) {
	w := newWorld(t, router.Limits{QueuedMessagesMax: 2, InflightMax: 1})
	s, p := w.connect("s", false), w.connect("p", true)
	s.send("82 06 00 01 00 01 't' 01")
	s.reset()
	for i := range 4 {
		p.send(fmt.Sprintf("32 06 00 01 't' 00 01 '%d'", i))
	}
	s = w.connect("s", false)
	s.expect("20 02 01 00 32 06 00 01 't' 00 01 '2'")
	s.send("40 02 00 01")
	s.expect("32 06 00 01 't' 00 02 '3'")
	if d := w.r.Stats().Dropped[router.DropQueueFull]; d != 2 {
		t.Errorf("%d drops counted, want 2", d)
	}
	if h := w.r.Stats().LimitHits[router.LimitQueuedMessages]; h != 2 {
		t.Errorf("%d limit hits counted, want 2", h)
	}
}

func TestKeepAliveAndConnectTimeout(t *testing.T) {
	w := newWorld(t, router.Limits{})
	mute := w.dial()
	c := w.dial()
	c.send("10 0d 00 04 'MQTT' 04 02 00 0a 00 01 'k'")
	c.take()
	w.sleep(9)
	c.send("c0 00")
	c.expect("d0 00")
	w.sleep(1.5)
	mute.expectClosed()
	w.sleep(13)
	if c.closing {
		t.Fatal("closed before 1.5 times the keep alive")
	}
	w.sleep(0.6)
	c.expectClosed()
}

func TestRetainedGoesOutAtTheReadersPace(t *testing.T) {
	const n = 1000
	w := newWorld(t, router.Limits{RetainedPassMax: 10})
	p := w.connect("p", true)
	for i := range n {
		p.send(fmt.Sprintf("33 0a 00 05 't%04d' 00 01 'v'", i))
	}
	p.take()
	for qos, size := range []int{10, 12} {
		s := w.connect("s", true)
		s.take()
		s.limit = 100
		s.send(fmt.Sprintf("82 06 00 01 00 01 '#' %02x", qos))
		out := s.take()
		if len(out) <= 5 {
			t.Errorf("QoS %d: nothing retained came with the SUBACK", qos)
		}
		got := 0
		for out = out[5:]; len(out) > 0; out = s.take() {
			got += len(out) / size
			for i := 0; qos > 0 && i < len(out); i += size { // acknowledge each
				s.send(fmt.Sprintf("40 02 %02x %02x", out[i+9], out[i+10]))
			}
			w.settle()
		}
		if got != n {
			t.Errorf("QoS %d: %d messages, want %d", qos, got, n)
		}
		s.reset()
	}
}

func TestSessionsExpireAndAreBounded(t *testing.T) {
	w := newWorld(t, router.Limits{SessionsMax: 3})
	for _, id := range "abcde" {
		c := w.connect(string(id), false)
		c.send("82 06 00 01 00 01 't' 01")
		c.reset()
	}
	if n := w.r.Stats().Sessions; n != 3 {
		t.Fatalf("%d sessions, want 3", n)
	}
	if e := w.lastEvent(router.EventEvict); e.ClientID != "b" || e.Detail != "a" || e.Count != 2 {
		t.Errorf("event %+v", e)
	}
	w.connect("a", false).expect("20 02 00 00") // dropped
	w.connect("e", false).expect("20 02 01 00")
	w.sleep(15 * 24 * 3600)
	if n := w.r.Stats().Sessions; n != 2 {
		t.Errorf("%d sessions after the expiry, want the 2 connected", n)
	}
}

// A reload that lowers the limit takes effect at once, in turns: those go that are away
// longest.
func TestFewerSessionsAfterAReload(t *testing.T) {
	const sessions, left = 200, 3
	w := newWorld(t, router.Limits{})
	for i := range sessions {
		w.connect(fmt.Sprint("c", i), false).reset()
	}
	w.pass(func() { w.r.Change(router.Config{Limits: router.Limits{SessionsMax: left}}) })
	if n := w.r.Stats().Sessions; n == sessions || n == left {
		t.Errorf("%d sessions after one pass", n)
	}
	w.settle()
	if n := w.r.Stats().Sessions; n != left {
		t.Errorf("%d sessions are left", n)
	}
	w.connect(fmt.Sprint("c", sessions-left), false).expect("20 02 01 00")
	w.connect(fmt.Sprint("c", sessions-left-1), false).expect("20 02 00 00")
}

// TestRandomClientIDs: of sessions that had to make room some are told, with what
// their identifiers have in common.
func TestRandomClientIDs(t *testing.T) {
	w := newWorld(t, router.Limits{SessionsMax: 2})
	come := func(n int) (told []string) {
		w.events = nil
		for i := range n {
			id := fmt.Sprintf("rand-%x", 99_991*i)
			if i%5 == 0 {
				id = fmt.Sprintf("meter%d", i)
			}
			w.connect(id, false).reset()
		}
		for _, e := range w.events {
			if e.Kind == router.EventEvict {
				told = append(told, fmt.Sprint(e.Count, " ", e.Detail))
			}
		}
		return told
	}
	told := come(202)
	if len(told) != 20 || told[0] != "1 meter*" || told[19] != "200 rand-*" {
		t.Errorf("told %q", told)
	}
	w.sleep(3601)
	if told := come(1); len(told) != 1 || told[0] != "1 meter*" {
		t.Errorf("an hour later told %q", told)
	}
}
