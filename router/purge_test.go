package router_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/router"
)

// TestMadeUpClientsKeepNobodyOut: sessions of identifiers that are made up anew each
// time fill no memory for good. The smaller ones of others stay.
func TestMadeUpClientsKeepNobodyOut(t *testing.T) {
	w := newWorld(t, million)
	device := w.connect("device", false)
	device.take()
	device.send("82 06 0001 0001 'd' 01")
	device.reset()
	var filters strings.Builder
	for i := range 40 {
		fmt.Fprintf(&filters, "0003 '%03d' 00 ", i)
	}
	for i := range 400 {
		c := w.connect(fmt.Sprintf("made-up-%03d", i), false)
		c.expect("20 02 00 00")
		c.feed(longPacket(0x82, bytesOf(t, "0001"+filters.String())))
		c.take()
		c.reset()
		w.sleep(0.2)
	}
	w.settle()
	st := w.r.Stats()
	if st.Purged == 0 || w.r.MemoryUsed() > 810_000 {
		t.Errorf("%d sessions dropped, %d bytes are in use", st.Purged, w.r.MemoryUsed())
	}
	if e := w.lastEvent(router.EventEvict); e.Detail != "made-*" || e.Option != "memory-limit" {
		t.Errorf("told %+v", e)
	}
	w.connect("device", false).expect("20 02 01 00")
	if st.LimitHits[router.LimitSessions] != 0 {
		t.Error("sessions-max counts them, too")
	}
}

// TestFlightsOfTheAbsentKeepNobodyOut: neither do messages in flight, which are not
// cut; and who holds less than it is worth is let be.
func TestFlightsOfTheAbsentKeepNobodyOut(t *testing.T) {
	for _, size := range []int{10_000, 1_000} {
		w := newWorld(t, router.Limits{MemoryBytesMax: 1_000_000, InflightMax: 100})
		c := w.connect("forgets", false)
		c.take()
		c.send("82 06 0001 0001 't' 01")
		p := w.join("p")
		for w.r.MemoryUsed() < 600_000*int64(size)/10_000 {
			p.feed(longPacket(0x32, bytesOf(t, "0001 't' 0001"), make([]byte, size)))
		}
		c.reset()
		w.sleep(0.2)
		w.pass(func() { w.r.SetMemoryElsewhere(850_000 - w.r.MemoryUsed()) })
		w.sleep(0.2)
		w.settle()
		if n := w.r.Stats().Purged; (n == 1) != (size == 10_000) {
			t.Errorf("%d sessions dropped with messages of %d bytes", n, size)
		}
	}
}

// TestRetainedMessagesKeepNobodyOut: retained messages have a part of the memory, and
// leave the rest to others; what is there may change, and grow a little.
func TestRetainedMessagesKeepNobodyOut(t *testing.T) {
	w := newWorld(t, router.Limits{MemoryBytesMax: 200_000})
	c, five := w.join("c"), w.connect5("five", true, "")
	five.take()
	c.send("31 06 0003 'old' '1'")
	for i := range 1000 {
		c.send(fmt.Sprintf("31 0a 0006 '%06d' 'xx'", i))
	}
	c.expect("")
	if n := w.r.MemoryUsed(); n < 60_000 || n > 85_000 {
		t.Errorf("%d bytes are in use", n)
	}
	five.send("33 09 0003 'new' 0001 00 'x'")
	out := five.take()
	if len(out) < 5 || out[0] != 0x40 || out[4] != 0x97 {
		t.Errorf("PUBACK % x, want 97", out)
	}
	c.send("31 07 0003 'old' '22'")
	for i := range 600 {
		c.feed(longPacket(0x31, fmt.Appendf(nil, "\x00\x06%06d", i), make([]byte, 500)))
	}
	if n := w.r.MemoryUsed(); n > 100_000 {
		t.Errorf("%d bytes are in use when they have grown", n)
	}
	s := w.join("s")
	s.send("82 08 0001 0003 'old' 00")
	s.expect("90 03 0001 00 31 07 0003 'old' '22'")
	w.pass(func() { w.r.Change(router.Config{Limits: router.Limits{RetainedMessagesMax: 10_000}}) }) // no memory limit
	c.send("31 07 0003 'any' 'xx'")
	s.send("82 08 0002 0003 'any' 00")
	s.expect("90 03 0002 00 31 07 0003 'any' 'xx'")
}

// TestOneSessionDoesNotFillTheMemoryWithFilters: once there is little memory who has
// many gets no more, and others do.
func TestOneSessionDoesNotFillTheMemoryWithFilters(t *testing.T) {
	w := newWorld(t, router.Limits{MemoryBytesMax: 200_000})
	c := w.join("bomb")
	for i := range 800 {
		c.send(fmt.Sprintf("82 45 0001 0040 '%064d' 00", i))
	}
	if n := w.r.MemoryUsed(); n > 142_000 {
		t.Errorf("%d bytes are in use", n)
	}
	w.subscribed("s", "t", "00")
}

// TestDuelsAreToldMoreAndMoreRarely: not anew every ten seconds.
func TestDuelsAreToldMoreAndMoreRarely(t *testing.T) {
	w := newWorld(t, router.Limits{})
	w.connect("twin", true).take()
	told := func() (n int) {
		for _, e := range w.events {
			if e.Kind == router.EventDuel {
				n++
			}
		}
		return n
	}
	fight := func(seconds int) {
		for range seconds {
			w.connect("twin", true)
			w.sleep(1)
		}
	}
	fight(200)
	if n := told(); n < 2 || n > 12 {
		t.Errorf("told %d times", n)
	}
	if e := w.lastEvent(router.EventDuel); e.Count < 100 {
		t.Errorf("%d takeovers", e.Count)
	}
	w.now += (2 * time.Minute).Nanoseconds()
	before := told()
	fight(8)
	if n := told() - before; n != 1 {
		t.Errorf("another duel is told %d times", n)
	}
}
