package router_test

import (
	"testing"

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
