package router_test

import (
	"errors"
	"testing"
	"time"

	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// TestEstateIsNobodyElses: a session that is made while an estate is still being
// cleared away does not inherit it, however often the power goes.
func TestEstateIsNobodyElses(t *testing.T) {
	d := newDurable(t, router.Limits{QueuedWindowMax: 1})
	d.away("s", "$share/g/t")
	d.fill("t", 1, 1, 5)
	d.connect("s", true) // ends the session; the disk never gets to its messages
	for d.commit() {
		d.pass(func() {})
	}
	d = d.crash(store.FlightLost, 1)
	if d.r.Stats().Queued == 0 {
		t.Fatal("nothing is left of the session")
	}
	d.session("n")
	for d.commit() {
		d.pass(func() {})
	}
	d = d.crash(store.FlightLost, 1)
	if got := d.drain(d.connect("n", false)); got != "" {
		t.Errorf("a new session got %s", got)
	}
}

// TestEndIsDurableBeforeItIsTold: who is told that there is no session does not
// find the old one after a power cut.
func TestEndIsDurableBeforeItIsTold(t *testing.T) {
	d := newDurable(t, router.Limits{})
	connect := func(id, clean, expiry string) *fakeConn {
		c := d.dial()
		c.feed(packet(0x10, str("MQTT"), "\x05"+clean+"\x00\x00\x05\x11"+expiry, str(id)))
		return c
	}
	s := connect("s", "\x00", "\x00\x00\x00\x64")
	d.flush()
	s.take()
	s.send("e0 07 00 05 11 00 00 00 00") // ends with its connection after all
	s.reset()
	s = connect("s", "\x00", "\x00\x00\x00\x00")
	if out := s.take(); len(out) > 0 {
		t.Errorf("told % x while the end of the session is on its way to the disk", out)
	}
	d = d.crash(store.FlightLost, 1)
	s = connect("s", "\x00", "\x00\x00\x00\x64")
	d.flush()
	if out := s.take(); len(out) < 4 || out[2] != 1 {
		t.Errorf("after the cut: % x", out)
	}
	s.reset()
	d.flush()
	d.session("o")
	for range 2 { // an end that is durable keeps nobody waiting
		c := connect("c", "\x02", "\x00\x00\x00\x00")
		if out := c.take(); len(out) < 4 || out[0] != 0x20 {
			t.Errorf("a clean session waits for others: % x", out)
		}
	}
}

// TestEstateOfFailedStore: what a disk that has failed still has goes to nobody
// before the restart, which has all of it.
func TestEstateOfFailedStore(t *testing.T) {
	for _, ended := range []bool{false, true} {
		d := newDurable(t, router.Limits{QueuedWindowMax: 2, SessionExpiry: time.Hour})
		f := d.session("f")
		d.away("a", "$share/g/t")
		d.fill("t", 2, 1, 7)
		d.sleep(2400)
		d.away("b", "$share/g/t")
		c := d.connect("c", true)
		c.feed(packet(0x82, "\x00\x01", str("$share/g/t"), "\x02"))
		c.take()
		if ended {
			d.connect("a", true)
			c.take() // the window, which is in memory
		} else {
			f.send("82 06 00 01 00 01 'u' 01")
		}
		d.pass(func() { d.mem.Complete(errors.New("input/output error")) })
		for d.answer() {
		}
		d.sleep(2400) // the time of the first session is over
		for d.answer() {
		}
		c.expect("")
		if d.wake == d.now {
			t.Error("it wants to go on at once")
		}
		d = d.crash(store.FlightLost, 1)
		if d.r.Stats().Queued != 7 {
			t.Errorf("a start finds %d messages", d.r.Stats().Queued)
		}
		for range 4 {
			d.sleep(1.1)
			d.flush()
		}
		if got, want := d.drain(d.connect("b", false)), "2:1:1 2:2:2 2:3:3 2:4:4 2:5:5 2:6:6 2:7:7"; got != want {
			t.Errorf("ended %v: got %s, want %s", ended, got, want)
		}
	}
}
