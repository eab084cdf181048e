package router_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// sent has messages 1 to n be in flight to a session when the power goes.
func sent(t *testing.T, n int, limits router.Limits) *durable {
	d := newDurable(t, limits)
	s := d.session("s")
	s.feed(packet(0x82, "\x00\x01", str("t"), "\x02"))
	d.flush()
	p := d.connect("p", true)
	for i := 1; i <= n; i++ {
		qos := byte(1 + i%2)
		p.feed(packet(0x30|qos<<1, str("t"), "\x00\x01", fmt.Sprint(i)))
		if qos == 2 {
			p.feed([]byte{0x62, 2, 0, 1})
		}
		d.flush()
	}
	d.sleep(1.1)
	d.flush()
	if st := d.r.Stats(); st.Inflight != min(n, limits.InflightMax) {
		t.Fatalf("%d in flight", st.Inflight)
	}
	return d.crash(store.FlightLost, 1)
}

// repeated is what a client gets until it says something, with DUP.
func repeated(c *fakeConn) string {
	var got []string
	for _, f := range frames(c.take()) {
		at := 4 + int(f[3])
		if f[0] == 0x62 {
			got = append(got, fmt.Sprintf("rel:%d", f[3]))
		}
		if f[0]>>4 == 3 {
			got = append(got, fmt.Sprintf("%d%s:%d:%s", f[0]>>1&3, strings.Repeat("d", int(f[0]>>3&1)), f[at+1], f[at+2:]))
		}
	}
	return strings.Join(got, " ")
}

// TestStartReadsNothingInFlight: what was in flight is read when its client comes,
// and goes before everything else, in its order and with its PacketIDs.
func TestStartReadsNothingInFlight(t *testing.T) {
	limits := router.Limits{InflightMax: 5}
	again := "2d:1:1 1d:2:2 2d:3:3 1d:4:4 2d:5:5"
	t.Run("in order", func(t *testing.T) {
		d := sent(t, 7, limits)
		if n := d.mem.Stats().Reads; n != 0 || d.r.Stats().Inflight != 5 {
			t.Errorf("%d reads, %d in flight", n, d.r.Stats().Inflight)
		}
		d.fill("t", 1, 8, 8)
		s := d.connect("s", false)
		for d.commit() {
		}
		s.expect("20 02 01 00")
		d.fill("t", 1, 9, 9)
		if got := repeated(s); got != again {
			t.Errorf("got %s", got)
		}
		s.reset()
		reads := d.mem.Stats().Reads
		s = d.connect("s", false)
		if got, want := d.drain(s), "2:1:1 1:2:2 2:3:3 1:4:4 2:5:5 1:6:6 2:7:7 1:8:8 1:9:9"; got != want {
			t.Errorf("got %s", got)
		}
		if n := d.mem.Stats().Reads - reads; n > 4 {
			t.Errorf("%d reads more", n) // those that wait, and nothing twice
		}
	})
	t.Run("the disk fails for a while", func(t *testing.T) {
		d := sent(t, 5, limits)
		d.spoils = func(k store.Key) bool { return k == store.KeyOf(0x80, 3) }
		s := d.connect("s", false)
		d.flush()
		if got := repeated(s); got != "2d:1:1 1d:2:2" {
			t.Errorf("got %s", got)
		}
		d.spoils = nil
		d.sleep(1.1)
		d.flush()
		if got := repeated(s); got != "2d:3:3 1d:4:4 2d:5:5" {
			t.Errorf("then %s", got)
		}
	})
	t.Run("lost", func(t *testing.T) {
		d := sent(t, 5, limits)
		d.mem.Delete(store.KeyOf(0x80, 3))
		d.fill("u", 1, 1, 1)
		d.flush()
		s := d.connect("s", false)
		d.flush()
		if got := repeated(s); got != "2d:1:1 1d:2:2 rel:3 1d:4:4 2d:5:5" { // or s takes the next 3 for a repeat
			t.Errorf("got %s", got)
		}
		s.send("70 02 0003")
		if e := d.lastEvent(router.EventUnreadable); e.ClientID != "s" || d.r.Stats().Inflight != 4 {
			t.Errorf("event %+v, %d in flight", e, d.r.Stats().Inflight)
		}
	})
	t.Run("the session ends meanwhile", func(t *testing.T) {
		d := sent(t, 5, limits)
		d.connect("s", false)
		d.commit()
		d.connect("s", true)
		d.flush()
		d.drain(d.connect("o", true))
		if n := d.mem.Stats().LiveRecords; n != 1 { // the beat
			t.Errorf("%d records are left", n)
		}
	})
	t.Run("the client goes, and comes", func(t *testing.T) {
		d := sent(t, 5, limits)
		s := d.connect("s", false)
		d.commit()
		s.reset()
		s = d.connect("s", false)
		d.flush()
		if got := repeated(s); got != again {
			t.Errorf("got %s", got)
		}
	})
}

// TestStartReleasesWhatIsLost: of a QoS 2 message in flight that a start does not find
// any more the PacketID is released, or its client took the next one for a repeat.
func TestStartReleasesWhatIsLost(t *testing.T) {
	d := sent(t, 4, router.Limits{InflightMax: 5})
	d.mem.Delete(store.KeyOf(0x80, 3))
	d.mem.Delete(store.KeyOf(0x80, 4))
	d.fill("u", 1, 1, 1)
	d.flush()
	for range 2 {
		d = d.crash(store.FlightLost, 1)
		s := d.connect("s", false)
		d.flush()
		if got := repeated(s); got != "2d:1:1 1d:2:2 rel:3" {
			t.Errorf("got %s", got)
		}
	}
	s := d.connect("s", false)
	d.flush()
	s.send("70 02 0003")
	d.sleep(1.1)
	d.flush()
	s.reset()
	d = d.crash(store.FlightLost, 1)
	s = d.connect("s", false)
	d.flush()
	if got := repeated(s); got != "2d:1:1 1d:2:2" {
		t.Errorf("in the end %s", got)
	}
}
