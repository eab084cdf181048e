package router_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// five connects a 5.0 client with a clean session.
func (d *durable) five(id string) *fakeConn {
	d.t.Helper()
	c := d.dial()
	c.feed(packet(0x10, str("MQTT"), "\x05\x02\x00\x00\x00", str(id)))
	c.take()
	return c
}

func (d *durable) storeEvents() (list []router.Event) {
	for _, e := range d.events {
		if e.Kind == router.EventStore {
			list = append(list, e)
		}
	}
	return list
}

// TestFullStore: nothing that was to last is acknowledged until there is room.
func TestFullStore(t *testing.T) {
	d := newDurable(t, router.Limits{})
	s, p, q := d.session("s"), d.connect("p", true), d.five("q")
	s.send("82 06 00 01 00 01 't' 01")
	d.flush()
	s.take()
	p.take()
	p.send("32 06 00 01 't' 00 01 'a'")
	d.pass(func() { d.mem.Complete(store.ErrFull) })
	p.expect("")
	s.expect("32 06 00 01 't' 00 01 'a'")
	q.send("32 07 00 01 't' 00 01 00 'b'")
	q.feed(nil)
	if out := q.take(); len(out) < 5 || out[0] != 0x40 || out[4] != 0x97 {
		t.Errorf("5.0 publisher got % x, want PUBACK 0x97", out)
	}
	q.send("32 07 00 01 'x' 00 02 00 'b' 30 05 00 01 't' 00 'c'") // nobody durable, QoS 0
	q.expect("40 03 00 02 10")
	s.expect("30 04 00 01 't' 'c'")
	n := d.dial()
	n.send("10 0d 00 04 'MQTT' 04 00 00 00 00 01 'n'")
	n.expect("20 02 00 03")
	s.send("82 06 00 02 00 01 'u' 01")
	s.expect("90 03 00 02 80")
	p.send("32 06 00 01 't' 00 02 'd'") // is read no further
	d.sleep(1.1)
	d.pass(func() { d.mem.Complete(store.ErrFull) })
	p.expect("")
	d.sleep(1.1)
	d.flush()
	p.expect("40 02 00 01 40 02 00 02")
	s.expect("32 06 00 01 't' 00 02 'd'")
	// It is full again and again: one line says so, and one that it is over.
	for id := range 3 {
		p.feed(packet(0x32, str("t"), "\x00", string(rune(id+3)), "f"))
		d.pass(func() { d.mem.Complete(store.ErrFull) })
		d.sleep(1.1)
		d.flush()
		d.sleep(1.1)
	}
	p.take()
	s.take()
	if e := d.storeEvents(); len(e) != 1 || e[0].Err == nil {
		t.Errorf("events %v, want full", e)
	}
	d.sleep(61)
	if e := d.storeEvents(); len(e) != 2 || e[1].Err != nil || e[1].Count != 4 {
		t.Errorf("events %v, want full and room again, four times", e)
	}
	q.send("32 07 00 01 't' 00 03 00 'e'")
	d.flush()
	q.expect("40 02 00 03")
}

// TestFullForLong: to try again costs no memory, and connections that have ended
// leave the lists.
func TestFullForLong(t *testing.T) {
	d := newDurable(t, router.Limits{})
	s, p := d.session("s"), d.connect("p", true)
	s.send("82 06 00 01 00 01 't' 01")
	d.flush()
	p.send("32 06 00 01 't' 00 01 'a'")
	full := func() { d.pass(func() { d.mem.Complete(store.ErrFull) }) }
	full()
	for range 300 {
		d.sleep(1.1)
		full()
	}
	if n := d.r.Lists(); n.Lots > 5 {
		t.Errorf("%d lots after 300 attempts", n.Lots)
	}
	for range 2000 {
		c := d.connect("c", true)
		c.send("32 06 00 01 't' 00 01 'b'")
		c.reset()
	}
	if n := d.r.Lists(); n.Waiting > 200 || n.Held > 200 {
		t.Errorf("%d connections wait for lots, %d for room", n.Waiting, n.Held)
	}
	p.take()
	d.sleep(1.1)
	d.flush()
	p.expect("40 02 00 01")
}

// TestFullForLongWithSomethingToWrite: a session that lasts goes and comes at each
// attempt. What is last in the row is answered by the commit behind the one that
// finds room.
func TestFullForLongWithSomethingToWrite(t *testing.T) {
	d := newDurable(t, router.Limits{})
	s := d.session("s")
	s.send("82 06 00 01 00 01 't' 01")
	for range 150 {
		d.pass(func() { d.mem.Complete(store.ErrFull) })
		s.reset()
		s = d.connect("s", false)
		s.expect("20 02 01 00")
		s.send("62 02 00 01") // of nothing: PUBCOMP waits for what came before
		d.sleep(1.1)
	}
	if n := d.r.Lists(); n.Lots > 70 || n.Waiting > 200 {
		t.Errorf("%d lots after 150 attempts, for which %d connections wait", n.Lots, n.Waiting)
	}
	s.expect("")
	d.commit()
	s.expect("")
	d.commit()
	s.expect("70 02 00 01")
	if n := d.r.Lists(); n.Lots > 2 {
		t.Errorf("%d lots where there is room", n.Lots)
	}
	p := d.connect("p", true)
	p.send("32 06 00 01 't' 00 01 '1'")
	d.flush()
	p.expect("20 02 00 00 40 02 00 01")
	s.expect("32 06 00 01 't' 00 01 '1'")
}

// TestRetainedForAMoment: what is retained with QoS 0 and taken away again leaves
// nothing behind, however long the disk takes, nor when it has failed.
func TestRetainedForAMoment(t *testing.T) {
	for name, trouble := range map[string]error{"takes long": nil, "is full": store.ErrFull, "has failed": errors.New("input/output error")} {
		d := narrow(t, router.Limits{})
		p, q := d.connect("p", true), d.connect("q", true)
		q.send("33 06 00 01 'r' 00 01 '1'")
		if trouble != nil {
			d.pass(func() { d.mem.Complete(trouble) })
		}
		for range 1000 {
			p.send("31 04 00 01 't' '1' 31 03 00 01 't' 31 07 00 04 'lazy' '1' 31 06 00 04 'lazy'")
		}
		if n := d.r.Lists(); n.Dirty > 200 {
			t.Errorf("the disk %s: %d messages are to be written", name, n.Dirty)
		}
		p.send("31 04 00 01 't' '2'")
		if trouble == nil || errors.Is(trouble, store.ErrFull) {
			d.sleep(1.1)
			d.flush()
			d.flush()
			s := d.crash(store.FlightLost, 1).connect("s", true)
			s.send("82 06 00 01 00 01 't' 00")
			s.expect("20 02 00 00 90 03 00 01 00 31 04 00 01 't' '2'")
		}
	}
}

// TestManyRetainedWhileFull: those that wait for room are not gone through in each
// pass.
func TestManyRetainedWhileFull(t *testing.T) {
	d := newDurable(t, router.Limits{})
	p := d.connect("p", true)
	p.send("33 06 00 01 'r' 00 01 '1'")
	d.pass(func() { d.mem.Complete(store.ErrFull) })
	for i := range 1000 {
		p.feed(packet(0x31, str(fmt.Sprint(i)), "x"))
	}
	d.asked = 0
	d.pass(func() {})
	if d.asked > 10 {
		t.Errorf("asked for room %d times in a pass", d.asked)
	}
	d.sleep(1.1)
	d.flush()
	d = d.crash(store.FlightLost, 1)
	if n := d.r.Stats().Retained; n != 1001 {
		t.Errorf("%d messages are retained", n)
	}
}

// TestShelvesThatCameAndWent: what is kept in memory only goes on while nothing
// can be committed, and what was behind a window leaves nothing behind.
func TestShelvesThatCameAndWent(t *testing.T) {
	for name, trouble := range map[string]error{"takes long": nil, "is full": store.ErrFull, "has failed": errors.New("input/output error")} {
		d := narrow(t, router.Limits{QueuedWindowMax: 2, InflightMax: 2})
		s, p, q := d.session("s"), d.connect("p", true), d.connect("q", true)
		s.send("82 09 00 01 00 04 'none' 01")
		d.flush()
		s.take()
		q.send("33 06 00 01 'r' 00 01 '1'")
		if trouble != nil {
			d.pass(func() { d.mem.Complete(trouble) })
		}
		for range 300 {
			for range 5 {
				p.send("32 09 00 04 'none' 00 01 'a'")
			}
			for range 5 {
				for _, f := range frames(s.take()) {
					s.feed([]byte{0x40, 2, f[8], f[9]})
				}
			}
		}
		if st, n := d.r.Stats(), d.r.Lists(); n.Shelves > 200 || st.Queued+st.Inflight > 0 {
			t.Errorf("the disk %s: %d shelves wait, %d messages", name, n.Shelves, st.Queued+st.Inflight)
		}
	}
}

// TestHeldBackForLong: a 3.x publisher that is not read from is not silent, and to
// know so does not take a pass every nanosecond.
func TestHeldBackForLong(t *testing.T) {
	d := newDurable(t, router.Limits{})
	p := d.dial()
	p.send("10 0d 00 04 'MQTT' 04 02 00 0a 00 01 'p'") // keep alive 10 s
	p.expect("20 02 00 00")
	p.send("33 06 00 01 't' 00 01 'a'")
	d.pass(func() { d.mem.Complete(store.ErrFull) })
	p.send("33 06 00 01 't' 00 02 'b'") // is read no further
	for range 16 {
		d.sleep(1)
		d.pass(func() { d.mem.Complete(store.ErrFull) })
		if d.wake != 0 && d.wake < d.now+1e6 {
			t.Fatalf("after %d ns the router wants to be called %d ns later", d.now, d.wake-d.now)
		}
	}
	p.expect("")
	d.sleep(1.1)
	d.flush()
	p.expect("40 02 00 01 40 02 00 02")
	d.sleep(14.9)
	if p.closing {
		t.Fatal("closed 14.9 seconds after it could be heard again")
	}
	d.sleep(0.2)
	if !p.closing {
		t.Error("not closed after 15.1 seconds of silence")
	}
}

// TestPacketsFitIntoRecords: the longest packet of all would, with what else is
// written of it, be too long for the store.
func TestPacketsFitIntoRecords(t *testing.T) {
	d := newDurable(t, router.Limits{PacketBytesMax: 268_435_460})
	c := d.dial()
	c.feed(packet(0x10, str("MQTT"), "\x05\x02\x00\x00\x00", str("c")))
	if got := c.take(); !bytes.Contains(got, []byte{0x27, 0x0f, 0xf0, 0x00, 0x04}) {
		t.Errorf("CONNACK % x, want Maximum Packet Size 267,386,884", got)
	}
}

// TestFailedStore: what was to last is refused until a restart, the rest goes on.
func TestFailedStore(t *testing.T) {
	d := newDurable(t, router.Limits{})
	s, p, q := d.session("s"), d.connect("p", true), d.five("q")
	s.send("82 0a 00 01 00 01 't' 02 00 01 'z' 00")
	d.flush()
	s.take()
	p.take()
	p.send("34 06 00 01 't' 00 01 'a'")
	d.pass(func() { d.mem.Complete(errors.New("input/output error")) })
	p.expect("")
	p.expectClosed()
	s.expect("")
	q.send("34 07 00 01 't' 00 01 00 'b' 30 05 00 01 'z' 00 'c'")
	if out := q.take(); len(out) < 5 || out[0] != 0x50 || out[4] != 0x83 {
		t.Errorf("5.0 publisher got % x, want PUBREC 0x83", out)
	}
	n := d.dial()
	n.send("10 0d 00 04 'MQTT' 04 00 00 00 00 01 'n'")
	n.expect("20 02 00 03")
	if e := d.storeEvents(); len(e) != 1 || e[0].Err == nil {
		t.Errorf("events %v, want one failure", e)
	}
}

// TestUnsubscribeFromFailedStore: UNSUBACK would promise what the next start
// undoes.
func TestUnsubscribeFromFailedStore(t *testing.T) {
	d := newDurable(t, router.Limits{})
	old, now := d.session("s"), d.dial()
	now.feed(packet(0x10, str("MQTT"), "\x05\x00\x00\x00\x05\x11\x00\x00\x00\x09", str("q")))
	old.send("82 06 00 01 00 01 't' 00")
	now.send("82 07 00 01 00 00 01 't' 00")
	d.flush()
	old.take()
	now.take()
	old.send("82 06 00 02 00 01 'u' 00")
	d.pass(func() { d.mem.Complete(errors.New("input/output error")) })
	old = d.connect("s", false)
	old.expect("20 02 01 00")
	old.send("a2 05 00 01 00 01 't'")
	old.expectClosed()
	now.send("a2 09 00 01 00 00 01 't' 00 01 'x'")
	now.expect("b0 05 00 01 00 83 83")
}

// TestUnsubscribeAgain: who asks again on another connection hears that there
// is no subscription when that is durable, not before.
func TestUnsubscribeAgain(t *testing.T) {
	d := newDurable(t, router.Limits{})
	s := d.session("s")
	s.send("82 06 00 01 00 01 't' 00")
	d.flush()
	s.send("a2 05 00 02 00 01 't'")
	d.pass(func() { d.mem.Complete(store.ErrFull) })
	s = d.connect("s", false)
	s.expect("20 02 01 00")
	s.send("a2 05 00 03 00 01 't'")
	s.expect("")
	d.sleep(1.1)
	d.flush()
	s.expect("b0 02 00 03")
}

// TestRepeatedToFailedStore: what was not acknowledged when the store failed is
// not acknowledged when it is repeated, nor is a PacketID given up.
func TestRepeatedToFailedStore(t *testing.T) {
	d := newDurable(t, router.Limits{})
	s, p := d.session("s"), d.connect("p", false)
	s.send("82 06 00 01 00 01 't' 02")
	d.flush()
	s.take()
	p.take()
	p.send("34 06 00 01 't' 00 01 'a'")
	d.flush()
	p.expect("50 02 00 01")
	p.send("34 06 00 01 't' 00 02 'b'")
	d.pass(func() { d.mem.Complete(errors.New("input/output error")) })
	p.expect("")
	p.expectClosed()
	for range 2 {
		p = d.connect("p", false)
		p.expect("20 02 01 00")
		p.send("62 02 00 01 3c 06 00 01 't' 00 02 'b'")
		p.expect("")
		p.reset()
	}
}

// TestExpiredWhileHeld: what waited for the disk until it was over is not sent.
func TestExpiredWhileHeld(t *testing.T) {
	d := newDurable(t, router.Limits{})
	s, p := d.session("s"), d.five("q")
	s.send("82 06 00 01 00 01 't' 02")
	d.flush()
	s.take()
	p.send("34 0c 00 01 't' 00 01 05 02 00 00 00 02 'a' 34 07 00 01 't' 00 02 00 'b'")
	d.pass(func() { d.mem.Complete(store.ErrFull) })
	d.sleep(2.5)
	d.flush()
	s.expect("34 06 00 01 't' 00 02 'b'")
	if n := d.r.Stats().Dropped[router.DropExpired]; n != 1 {
		t.Errorf("%d messages are counted as expired, want 1", n)
	}
}

// TestEndToldByFullStore: nobody is told of the end of his session before that is
// durable, full or not; who has nothing to do with it does not wait.
func TestEndToldByFullStore(t *testing.T) {
	for _, taken := range []bool{false, true} {
		d := newDurable(t, router.Limits{})
		s := d.session("s")
		d.session("o")
		s.send("82 06 00 01 00 01 't' 01")
		d.pass(func() { d.mem.Complete(store.ErrFull) })
		if !taken {
			s.reset()
		}
		c := d.connect("s", true)
		c.expect("")
		d.connect("n", true).expect("20 02 00 00")
		d.connect("o", false).expect("20 02 01 00")
		d.sleep(1.1)
		d.pass(func() { d.mem.Complete(store.ErrFull) })
		c.expect("")
		cut := d.crash(store.FlightLost, 1)
		s = cut.connect("s", false)
		cut.flush()
		s.expect("20 02 01 00")
		d.sleep(1.1)
		d.flush()
		c.expect("20 02 00 00")
		cut = d.crash(store.FlightLost, 1)
		s = cut.connect("s", false)
		cut.flush()
		s.expect("20 02 00 00")
	}
}

// TestEndToldByFailedStore: a start would find the session again.
func TestEndToldByFailedStore(t *testing.T) {
	for _, taken := range []bool{false, true} {
		d := newDurable(t, router.Limits{})
		s, e := d.session("s"), d.dial()
		d.connect("n", true)
		e.feed(packet(0x10, str("MQTT"), "\x05\x00\x00\x00\x05\x11\x00\x00\x00\x09", str("e")))
		d.flush()
		e.send("e0 07 00 05 11 00 00 00 00")
		s.send("82 06 00 01 00 01 't' 01")
		d.pass(func() { d.mem.Complete(errors.New("input/output error")) })
		s.expectClosed()
		if taken {
			s = d.connect("s", false)
			s.expect("20 02 01 00")
		}
		d.connect("s", true).expect("20 02 00 03")
		d.connect("e", true).expect("20 02 00 03")
		d.connect("n", true).expect("20 02 00 00")
		d.connect("s", false).expect("20 02 01 00")
	}
}
