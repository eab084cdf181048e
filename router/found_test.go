package router_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// Tests of this file show what the simulation (internal/sim) has found.

// TestNoDisconnectBeforeConnack: a CONNACK that is larger than the client takes
// cannot be sent, and then nothing can [MQTT-3.14.0-1].
func TestNoDisconnectBeforeConnack(t *testing.T) {
	w := newWorld(t, router.Limits{})
	c := w.connect5("a", true, "27 00000014") // Maximum Packet Size 20; CONNACK has 24 bytes
	c.expect("")
	c.expectClosed()
	if n := w.r.Stats().Clients; n != 0 {
		t.Fatalf("%d clients, want 0", n)
	}
}

// TestReceiveMaximumAfterReconnect: a client that takes fewer messages at once
// than before is repeated no more of them [MQTT-3.3.4-9]; the rest follows its
// acknowledgements, in order.
func TestReceiveMaximumAfterReconnect(t *testing.T) {
	w := newWorld(t, router.Limits{})
	const keep = "11 00000064 "
	s := w.join5("s", keep)
	s.sub5("a", "01", "")
	p := w.join("p")
	p.send("32 06 0001 'a' 0001 '1' 32 06 0001 'a' 0002 '2' 32 06 0001 'a' 0003 '3' 32 06 0001 'a' 0004 '4'")
	s.expect("32 07 0001 'a' 0001 00 '1' 32 07 0001 'a' 0002 00 '2' 32 07 0001 'a' 0003 00 '3' 32 07 0001 'a' 0004 00 '4'")
	s.reset()
	s = w.connect5("s", false, keep+"21 0002")
	s.expect("20 16 01 00 13 21 0100 22 0020 25 01 27 001e8480 28 01 29 01 2a 01" +
		"3a 07 0001 'a' 0001 00 '1' 3a 07 0001 'a' 0002 00 '2'")
	p.send("32 06 0001 'a' 0005 '5'")
	s.expect("")
	s.send("40 02 0001")
	s.expect("3a 07 0001 'a' 0003 00 '3'")
	s.send("40 02 0002 40 02 0003")
	s.expect("3a 07 0001 'a' 0004 00 '4' 32 07 0001 'a' 0005 00 '5'")
}

// TestNoLocalHoldsForWills: a will is published for the client, so that its own
// subscription with No Local does not get it [MQTT-3.8.3-3], whether it waits
// for its delay or not.
func TestNoLocalHoldsForWills(t *testing.T) {
	for _, delay := range []string{"00000000", "00000001"} {
		w := newWorld(t, router.Limits{})
		other := w.join("o")
		other.send("82 06 0001 0001 'w' 01")
		other.expect("90 03 0001 01")
		c := w.dial() // Clean Start 0, Session Expiry 100, will on w with QoS 1
		c.send(frame5(t, "10", "0004 'MQTT' 05 0c 0000 05 11 00000064 0001 'c' 05 18 "+delay+" 0001 'w' 0004 'gone'"))
		c.take()
		c.sub5("w", "05", "")
		c.reset()
		w.sleep(2)
		other.expect("32 09 0001 'w' 0001 'gone'")
		if n := w.r.Stats().Queued; n != 0 {
			t.Errorf("delay %s: %d messages queued for the will's own client, want 0", delay, n)
		}
	}
}

// TestExpiredIsNotPassedOn: what a session leaves to the other members of its
// group is not sent after its Message Expiry, with QoS 0 as little as with
// QoS 1 [MQTT-3.3.2-5].
func TestExpiredIsNotPassedOn(t *testing.T) {
	for _, qos := range []string{"00", "01"} {
		w := newWorld(t, router.Limits{})
		away := w.connect5("away", true, "11 00000064")
		away.take()
		away.sub5("$share/g/t", "01", "")
		away.reset()
		p := w.join5("p", "")
		p.send("32 0c 0001 't' 0001 05 02 00000001 'x'") // expires in a second
		b := w.join5("b", "").sub5("$share/g/t", qos, "")
		w.sleep(2)
		w.connect5("away", true, "") // Clean Start ends the session
		b.expect("")
		if n := w.r.Stats().Dropped[router.DropExpired]; n != 1 {
			t.Errorf("QoS %s: %d messages counted as expired, want 1", qos, n)
		}
	}
}

// TestSubscribeAgainStartsAtOnce: a subscription that replaces one whose
// retained messages still wait is served at once, like a first one.
func TestSubscribeAgainStartsAtOnce(t *testing.T) {
	w := newWorld(t, router.Limits{})
	p := w.join("p")
	p.send("33 06 0001 'a' 0001 '1' 33 06 0001 'b' 0002 '2'")
	s := w.join5("s", "21 0001") // takes one message at once
	s.send("82 07 0001 00 0001 '+' 01")
	s.expect("90 04 0001 00 01" + "33 07 0001 'b' 0001 00 '2'") // the other waits
	s.send("82 07 0002 00 0001 '+' 00")
	s.expect("90 04 0002 00 00" + "31 05 0001 'b' 00 '2' 31 05 0001 'a' 00 '1'")
}

// TestRepeatedWithDup: 3.1 sets DUP in a PUBREL, SUBSCRIBE or UNSUBSCRIBE that
// is sent again; later versions reserve the bit [MQTT-2.2.2-2].
func TestRepeatedWithDup(t *testing.T) {
	w := newWorld(t, router.Limits{})
	c := w.dial()
	c.send("10 0f 0006 'MQIsdp' 03 02 0000 0001 'a'")
	c.expect("20 02 00 00")
	c.send("8a 06 0001 0001 'x' 00")
	c.expect("90 03 0001 00")
	c.send("34 06 0001 'x' 0002 '1' 6a 02 0002")
	c.expect("30 04 0001 'x' '1' 50 02 0002 70 02 0002")
	c.send("aa 05 0003 0001 'x'")
	c.expect("b0 02 0003")
	later := w.join("b")
	later.send("6a 02 0002")
	later.expectClosed()
}

// TestClearedTwice: what is retained was taken away already, but that is not on
// the disk: who takes it away once more is not told that it is gone either.
func TestClearedTwice(t *testing.T) {
	d := newDurable(t, router.Limits{})
	p, q := d.connect("p", true), d.connect("q", true)
	p.send("33 06 00 01 'a' 00 01 '1'")
	d.flush()
	p.expect("20 02 00 00 40 02 00 01")
	p.send("33 05 00 01 'a' 00 02")
	q.send("33 05 00 01 'a' 00 01")
	p.expect("")
	q.expect("20 02 00 00")
	d.commit()
	p.expect("40 02 00 02")
	q.expect("40 02 00 01")
}

// TestTakenOverWhileFull: a session that lasts is not begun by taking over one
// that does not, nor is one resumed that is not on the disk itself: CONNACK would
// promise what a start does not find.
func TestTakenOverWhileFull(t *testing.T) {
	for name, trouble := range map[string]error{"full": store.ErrFull, "failed": errors.New("input/output error")} {
		t.Run(name, func(t *testing.T) {
			d := newDurable(t, router.Limits{})
			old, brief := d.session("o"), d.connect("b", true)
			d.connect("n", false) // its CONNACK waits
			d.pass(func() { d.mem.Complete(trouble) })
			old.expect("20 02 00 00")
			brief.expect("20 02 00 00")
			d.connect("b", false).expect("20 02 00 03")
			d.connect("n", false).expect("20 02 00 03")
			d.connect("o", false).expect("20 02 01 00")
		})
	}
}

// TestStoppingPublishesNoWillOfAStranger: a client that waits to be let in has no
// will yet [MQTT-3.1.2-8].
func TestStoppingPublishesNoWillOfAStranger(t *testing.T) {
	w := newWorld(t, router.Limits{TakeoversMax: 1})
	s := w.join("s")
	s.send("82 06 0001 0001 'w' 00")
	s.expect("90 03 0001 00")
	w.join("c")
	w.join("c")
	c := w.dial() // has to wait
	c.send("10 16 0004 'MQTT' 04 06 0000 0001 'c' 0001 'w' 0004 'gone'")
	c.expect("")
	w.pass(w.r.Stopping)
	s.expect("")
}

// TestUnacknowledgedBacklogIsReported: a client that comes for what has waited
// and acknowledges nothing is reported, though nothing new comes for it.
func TestUnacknowledgedBacklogIsReported(t *testing.T) {
	w := newWorld(t, router.Limits{AckTimeout: 4 * time.Second, InflightMax: 1})
	s := w.connect("s", false)
	s.send("82 06 0001 0001 't' 01")
	s.reset()
	p := w.join("p")
	p.send("32 06 0001 't' 0001 '1' 32 06 0001 't' 0002 '2'")
	s = w.connect("s", false)
	s.expect("20 02 01 00 32 06 0001 't' 0001 '1'")
	for range 6 {
		w.sleep(1)
	}
	reported := func(e router.Event) bool { return e.Kind == router.EventUnacked && e.ClientID == "s" }
	if !slices.ContainsFunc(w.events, reported) {
		t.Error("nobody was told")
	}
}

// TestWhatHasNotLeftIsNotUnacknowledged: a client is not reported for a window of
// messages that the disk holds back, nor before it has had the time once they are sent.
func TestWhatHasNotLeftIsNotUnacknowledged(t *testing.T) {
	d := newDurable(t, router.Limits{AckTimeout: 4 * time.Second, InflightMax: 1})
	s, p := d.session("s"), d.connect("p", true)
	s.send("82 06 0001 0001 't' 02")
	d.flush()
	s.expect("20 02 00 00 90 03 00 01 02")
	p.send("34 06 0001 't' 0001 '1' 34 06 0001 't' 0002 '2'")
	told := func(seconds int) bool {
		for range seconds {
			d.sleep(1)
		}
		return slices.ContainsFunc(d.events, func(e router.Event) bool { return e.Kind == router.EventUnacked })
	}
	if s.expect(""); told(8) {
		t.Error("reported for what was not sent")
	}
	d.flush()
	if s.expect("34 06 0001 't' 0001 '1'"); told(3) {
		t.Error("reported before its time")
	}
	if !told(3) {
		t.Error("nobody was told")
	}
}

// TestHeldMessageIsPassedOn: a message with QoS 2 of a shared subscription, which
// has not left because its PacketID was not on the disk, goes to another member
// when the session ends: nobody has got it.
func TestHeldMessageIsPassedOn(t *testing.T) {
	d := newDurable(t, router.Limits{})
	s, o, p := d.session("s"), d.session("o"), d.connect("p", true)
	s.send("82 0f 0001 000a '$share/g/t' 02")
	d.flush()
	s.expect("20 02 00 00 90 03 00 01 02")
	p.send("34 06 0001 't' 0001 '1'")
	s.expect("") // waits for the disk
	o.send("82 0f 0001 000a '$share/g/t' 02")
	d.connect("s", true)
	d.flush()
	d.flush()
	o.expect("20 02 00 00 90 03 00 01 02 34 06 0001 't' 0001 '1'")
}

// TestSlowReaderThatIsAnswered: a client whose output is filled up again as it
// reads, and that is sent answers meanwhile, is not one that takes nothing.
func TestSlowReaderThatIsAnswered(t *testing.T) {
	w := newWorld(t, router.Limits{SlowTimeout: 4 * time.Second})
	s, p := w.subscribed("s", "t", "01"), w.join("p")
	s.limit = 40
	for range 3 {
		p.send("32 0a 0001 't' 0001 '12345'")
	}
	p.send("30 05 0001 't' 'xx'") // finds no room
	for range 6 {
		s.out = s.out[13:]
		p.send("32 0a 0001 't' 0001 '12345'")
		s.send("c0 00")
		w.sleep(1)
		if s.closing {
			t.Fatalf("closed: %v", s.why)
		}
	}
}

// TestReleaseOfWhatIsSentNoMore: a QoS 2 message that a client may have, and that is
// too large for its next connection, has its PacketID released: else, after a start,
// the client would take the next message for a repeat of it.
func TestReleaseOfWhatIsSentNoMore(t *testing.T) {
	d := newDurable(t, router.Limits{})
	s := d.session("s")
	s.send("82 06 0001 0001 't' 02")
	d.flush()
	s.expect("20 02 00 00 90 03 00 01 02")
	p := d.connect("p", true)
	p.send("34 1e 0001 't' 0001 '1234567890123456789012345'")
	d.flush()
	s.expect("34 1e 0001 't' 0001 '1234567890123456789012345'")
	s.reset()
	s = d.connect5("s", false, "11 00000064 27 0000001e") // Maximum Packet Size 30
	d.flush()
	s.expect("20 16 01 00 13 21 0100 22 0020 25 01 27 001e8480 28 01 29 01 2a 01 62 02 0001")
	d = d.crash(store.FlightLost, 1)
	s = d.connect("s", false)
	d.flush()
	s.expect("20 02 01 00 62 02 0001")
	d.connect("p", true).send("34 06 0001 't' 0001 '2'")
	d.flush()
	s.expect("34 06 0001 't' 0002 '2'")
}

// TestBackAfterAStartIntoAFullDisk: what a start has found is on the disk, and its
// clients come back though nothing new finds room.
func TestBackAfterAStartIntoAFullDisk(t *testing.T) {
	d := newDurable(t, router.Limits{})
	d.session("s")
	d = d.crash(store.FlightLost, 1)
	d.pass(func() {})
	d.pass(func() { d.mem.Complete(store.ErrFull) })
	d.connect("s", false).expect("20 02 01 00")
	d.connect("n", false).expect("20 02 00 03")
}
