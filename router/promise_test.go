package router_test

import (
	"testing"
	"time"

	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// session connects a client with a session that outlives its connection.
func (d *durable) session(id string) *fakeConn {
	d.t.Helper()
	c := d.connect(id, false)
	d.flush()
	return c
}

// each runs a test with the commit in flight lost and kept.
func eachFlight(t *testing.T, run func(t *testing.T, flight store.Flight)) {
	t.Run("lost", func(t *testing.T) { run(t, store.FlightLost) })
	t.Run("kept", func(t *testing.T) { run(t, store.FlightKept) })
}

func TestConnackOfANewSessionWaits(t *testing.T) {
	d := newDurable(t, router.Limits{})
	s := d.dial()
	s.send("10 0d 00 04 'MQTT' 04 00 00 00 00 01 's' c0 00 82 06 00 01 00 01 't' 01")
	s.expect("") // not even PINGRESP comes before CONNACK
	d.commit()
	s.expect("20 02 00 00 d0 00 90 03 00 01 01")
	d = d.crash(store.FlightLost, 1)
	s = d.session("s")
	s.expect("20 02 01 00")
	p := d.connect("p", true)
	p.expect("20 02 00 00") // nothing of a clean session is written
	p.send("32 06 00 01 't' 00 01 'a'")
	s.expect("32 06 00 01 't' 00 01 'a'")
}

func TestNothingIsSentBeforeConnack(t *testing.T) {
	d := newDurable(t, router.Limits{})
	s, p := d.session("s"), d.connect("p", true)
	s.send("82 0a 00 01 00 01 't' 01 00 01 'z' 00")
	d.flush()
	s.reset()
	d.flush()
	p.take()
	s = d.connect("s", false)
	p.send("30 04 00 01 'z' '0' 32 06 00 01 't' 00 01 '1'")
	s.expect("")
	d.commit()
	s.expect("20 02 01 00 32 06 00 01 't' 00 01 '1' 30 04 00 01 'z' '0'")
}

func TestPubackWaitsForTheCommit(t *testing.T) {
	d := newDurable(t, router.Limits{})
	s, p := d.session("s"), d.connect("p", true)
	p.take()
	s.send("82 06 00 01 00 01 't' 01")
	d.flush()
	s.take()
	p.send("32 06 00 01 't' 00 01 'a' 32 06 00 01 'x' 00 02 'b'")
	s.expect("32 06 00 01 't' 00 01 'a'") // QoS 1 may leave at once
	p.expect("")                          // the second waits behind the first [MQTT-4.6.0-2]
	d.mem.Complete(store.ErrFull)
	p.send("c0 00 32 06 00 01 't' 00 03 'c'")
	p.expect("d0 00") // PINGRESP promises nothing
	d.sleep(1.1)
	d.commit()
	p.expect("40 02 00 01 40 02 00 02 40 02 00 03")
}

func TestUnacknowledgedCrash(t *testing.T) {
	eachFlight(t, func(t *testing.T, flight store.Flight) {
		d := newDurable(t, router.Limits{})
		s, p := d.session("s"), d.connect("p", true)
		s.send("82 06 00 01 00 01 't' 02")
		d.flush()
		p.take()
		s.take()
		p.send("34 06 00 01 't' 00 07 'a' 33 06 00 01 't' 00 08 'b'")
		p.expect("")
		s.expect("") // QoS 2 waits, and what is behind it
		d = d.crash(flight, 1)
		s = d.session("s")
		if flight == store.FlightLost {
			s.expect("20 02 01 00")
			return
		}
		s.expect("20 02 01 00 3c 06 00 01 't' 00 01 'a' 3a 06 00 01 't' 00 02 'b'")
	})
}

// TestExactlyOnceAtEveryCommit takes the power at every commit of a QoS 2
// message from one durable session to another.
func TestExactlyOnceAtEveryCommit(t *testing.T) {
	eachFlight(t, func(t *testing.T, flight store.Flight) {
		for cut := range 8 {
			exactlyOnce(t, cut, flight)
		}
	})
}

func exactlyOnce(t *testing.T, cut int, flight store.Flight) {
	d := newDurable(t, router.Limits{})
	s, p := d.session("s"), d.session("p")
	s.send("82 06 00 01 00 01 't' 02")
	d.flush()
	x := &exchange{d: d, p: p, s: s, cut: cut, flight: flight}
	s.take()
	p.take()
	x.publish(false)
	for range 50 {
		if x.released && len(x.got) > 0 && !x.open {
			break
		}
		x.step()
	}
	if len(x.got) != 1 || !x.released {
		t.Errorf("power cut at commit %d: %d deliveries, released %v", cut, len(x.got), x.released)
	}
}

// exchange are two clients that do all that QoS 2 asks of them.
type exchange struct {
	d        *durable
	p, s     *fakeConn
	cut      int // commits until the power goes
	flight   store.Flight
	received bool     // PUBREC came
	released bool     // PUBCOMP came
	open     bool     // the subscriber waits for PUBREL
	got      []string // what it was given
}

func (x *exchange) publish(dup bool) {
	first := "34"
	if dup {
		first = "3c"
	}
	x.p.send(first + " 06 00 01 't' 00 07 'a'")
}

// step completes one commit, or cuts the power, and has the clients answer.
func (x *exchange) step() {
	if x.cut == 0 {
		x.d = x.d.crash(x.flight, 1)
		x.s, x.p = x.d.session("s"), x.d.session("p")
		x.cut = -1
		for _, c := range []*fakeConn{x.s, x.p} {
			if got := c.out[:4]; string(got) != "\x20\x02\x01\x00" {
				x.d.t.Fatalf("connection %d: % x, want CONNACK with a session", c.id, got)
			}
			c.out = c.out[4:]
		}
		switch {
		case x.released:
		case x.received:
			x.p.send("62 02 00 07")
		default:
			x.publish(true)
		}
	} else {
		x.cut--
		x.d.commit()
		x.d.sleep(0.3)
	}
	for _, f := range frames(x.p.take()) {
		switch f {
		case "\x50\x02\x00\x07":
			x.received = true
			x.p.send("62 02 00 07")
		case "\x70\x02\x00\x07":
			x.released = true
		default:
			x.d.t.Fatalf("publisher got % x", f)
		}
	}
	for _, f := range frames(x.s.take()) {
		switch f {
		case "\x34\x06\x00\x01t\x00\x01a", "\x3c\x06\x00\x01t\x00\x01a":
			if !x.open {
				x.got = append(x.got, f)
			}
			x.open = true
			x.s.send("50 02 00 01")
		case "\x62\x02\x00\x01":
			x.open = false
			x.s.send("70 02 00 01")
		default:
			x.d.t.Fatalf("subscriber got % x", f)
		}
	}
}

// frames parts output into packets of less than 128 bytes.
func frames(out []byte) (list []string) {
	for len(out) > 0 {
		n := 2 + int(out[1])
		list = append(list, string(out[:n]))
		out = out[n:]
	}
	return list
}

func TestRetainedSurvives(t *testing.T) {
	d := newDurable(t, router.Limits{})
	p := d.connect("p", true)
	p.take()
	p.send("33 06 00 01 'a' 00 01 '1' 33 06 00 01 'b' 00 02 '1' 31 04 00 01 'c' '1' 31 04 00 01 'c' '2'")
	p.expect("")
	d.commit()
	p.expect("40 02 00 01 40 02 00 02")
	p.send("33 05 00 01 'b' 00 03") // is taken away
	d.flush()
	p.expect("40 02 00 03")
	p.send("33 06 00 01 'a' 00 04 '2'")
	d = d.crash(store.FlightLost, 1) // which was not acknowledged
	s := d.connect("s", true)
	s.send("82 06 00 01 00 01 '+' 00")
	s.expect("20 02 00 00 90 03 00 01 00 31 04 00 01 'c' '2' 31 04 00 01 'a' '1'")
}

func TestExpiryCountsThroughARestart(t *testing.T) {
	for _, row := range []struct {
		before, down float64
		present      string
	}{{10, 100, "01"}, {10, 3591, "00"}, {3000, 599, "01"}, {3000, 601, "00"}} {
		d := newDurable(t, router.Limits{SessionExpiry: time.Hour})
		d.session("s").reset()
		d.flush()
		d.sleep(row.before)
		d = d.crash(store.FlightLost, row.down)
		d.flush()
		d = d.crash(store.FlightLost, 0) // a second start gives no more time
		d.session("s").expect("20 02 " + row.present + " 00")
	}
}

func TestConnectedSessionsExpireAfterARestart(t *testing.T) {
	d := newDurable(t, router.Limits{SessionExpiry: time.Hour})
	d.session("s")
	d.sleep(500)
	d.sleep(500)
	d.flush()
	d.session("x")
	d = d.crash(store.FlightLost, 3600)
	d.session("s").expect("20 02 01 00") // it was connected up to ten minutes after the last beat
	d = d.crash(store.FlightLost, 3600+661)
	d.session("s").expect("20 02 00 00")
}

func TestWillsSurvive(t *testing.T) {
	start := func() *durable {
		d := newDurable(t, router.Limits{})
		w := d.session("w")
		w.send("82 06 00 01 00 01 '#' 01")
		d.flush()
		c := d.dial()
		// 5.0, session expiry 1000 s, will delay 100 s, QoS 1
		c.send("10 22 00 04 'MQTT' 05 0c 00 00 05 11 00 00 03 e8 00 01 'c' 05 18 00 00 00 64 00 01 'x' 00 04 'gone'")
		d.flush()
		return d
	}
	t.Run("of a client that was there", func(t *testing.T) {
		d := start().crash(store.FlightLost, 50)
		d.flush()
		d = d.crash(store.FlightLost, 40) // half way
		w := d.session("w")
		w.expect("20 02 01 00")
		d.sleep(30)
		w.expect("")
		d.sleep(31)
		w.expect("32 09 00 01 'x' 00 01 'gone'")
		d.flush()
		d = d.crash(store.FlightLost, 1)
		d.session("w").expect("20 02 01 00 3a 09 00 01 'x' 00 01 'gone'") // once
	})
	t.Run("of a client that had left", func(t *testing.T) {
		d := start()
		d.conns[1].reset()
		d.flush()
		d = d.crash(store.FlightLost, 101)
		d.flush()
		d.session("w").expect("20 02 01 00 32 09 00 01 'x' 00 01 'gone'")
	})
	t.Run("of a client that said goodbye", func(t *testing.T) {
		d := start()
		d.conns[1].send("e0 00")
		d.flush()
		d = d.crash(store.FlightLost, 101)
		d.flush()
		d.session("w").expect("20 02 01 00")
	})
}

func TestMessageExpiryCountsThroughARestart(t *testing.T) {
	d := newDurable(t, router.Limits{})
	s := d.session("s")
	s.send("82 06 00 01 00 01 't' 01")
	d.flush()
	s.reset()
	p := d.dial()
	p.send("10 0e 00 04 'MQTT' 05 02 00 00 00 00 01 'p'")
	p.take()
	p.send("32 0c 00 01 't' 00 01 05 02 00 00 00 0a 'a' 32 0c 00 01 't' 00 02 05 02 00 00 00 64 'b'")
	d.flush()
	p.expect("40 02 00 01 40 02 00 02")
	d = d.crash(store.FlightLost, 20)
	d.session("s").expect("20 02 01 00 32 06 00 01 't' 00 01 'b'")
}

func TestWhatIsAcknowledgedInTimeIsNotWritten(t *testing.T) {
	d := newDurable(t, router.Limits{})
	s, p := d.session("s"), d.connect("p", true)
	s.send("82 06 00 01 00 01 't' 01")
	d.flush()
	d.sleep(2)
	d.flush()
	s.take()
	p.take()
	before := d.mem.Stats().LiveRecords
	p.send("32 06 00 01 't' 00 01 'a'") // is on its way to the disk
	p.send("32 06 00 01 't' 00 02 'b'")
	s.send("40 02 00 01 40 02 00 02")
	p.expect("40 02 00 01 40 02 00 02") // nobody needs them on the disk any more
	d.flush()
	d.sleep(1.1) // the removal of the first
	d.flush()
	if after := d.mem.Stats().LiveRecords; after != before {
		t.Errorf("%d records, before there were %d", after, before)
	}
}
