package router_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/router"
)

// welcome is the CONNACK of a 5.0 client that asked for nothing.
const welcome = "20 16 00 00 13 21 0100 22 0020 25 01 27 001e8480 28 01 29 01 2a 01"

// hex5 is a property block with its length.
func hex5(t *testing.T, props string) string {
	b := bytesOf(t, props)
	return fmt.Sprintf("%02x", len(b)) + fmt.Sprintf("%x", b)
}

// frame5 gives body its length.
func frame5(t *testing.T, first, body string) string {
	b := bytesOf(t, body)
	return first + fmt.Sprintf("%02x%x", len(b), b)
}

// connect5 connects with MQTT 5.0; what comes back is for the test.
func (w *world) connect5(id string, clean bool, props string) *fakeConn {
	w.t.Helper()
	c := w.dial()
	flags := "00"
	if clean {
		flags = "02"
	}
	c.send(frame5(w.t, "10", fmt.Sprintf("0004 'MQTT' 05 %s 0000 %s %04x '%s'", flags, hex5(w.t, props), len(id), id)))
	return c
}

// join5 connects and takes the CONNACK.
func (w *world) join5(id string, props string) *fakeConn {
	w.t.Helper()
	c := w.connect5(id, true, props)
	if out := c.take(); len(out) < 4 || out[0] != 0x20 || out[3] != 0 {
		w.t.Fatalf("CONNECT of %s: %x", id, out)
	}
	return c
}

func (w *world) join(id string) *fakeConn {
	w.t.Helper()
	c := w.connect(id, true)
	c.expect("20 02 00 00")
	return c
}

// sub5 subscribes with an options byte, 5.0 form, and takes the SUBACK.
func (c *fakeConn) sub5(filter, options, props string) *fakeConn {
	c.w.t.Helper()
	c.send(frame5(c.w.t, "82", fmt.Sprintf("0001 %s %04x '%s' %s", hex5(c.w.t, props), len(filter), filter, options)))
	out := c.take()
	if len(out) < 6 || out[0] != 0x90 || out[5] > 2 {
		c.w.t.Fatalf("SUBSCRIBE to %s: %x", filter, out)
	}
	c.out = out[6:]
	return c
}

// pub5 publishes with QoS 0.
func (c *fakeConn) pub5(first, topic, props, payload string) {
	c.w.t.Helper()
	c.send(frame5(c.w.t, first, fmt.Sprintf("%04x '%s' %s '%s'", len(topic), topic, hex5(c.w.t, props), payload)))
}

func TestConnack5(t *testing.T) {
	w := newWorld(t, router.Limits{KeepAliveMax: 60e9})
	a := w.connect5("a", true, "") // no keep alive is a longer one than ours
	a.expect("20 19 00 00 16 13 003c 21 0100 22 0020 25 01 27 001e8480 28 01 29 01 2a 01")
	three := w.join("b")
	// Session Expiry beyond the cap of 14 days, and an identifier to be made.
	c := w.connect5("", false, "11 ffffffff")
	out := string(c.take())
	for _, want := range []string{"\x11\x00\x12\x75\x00", "\x12\x00", "auto-"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in CONNACK %x", want, out)
		}
	}
	// Keep alive beyond ours, and response information.
	c = w.dial()
	c.send(frame5(t, "10", "0004 'MQTT' 05 02 ffff 02 1901 0001 'k'"))
	if out := string(c.take()); !strings.Contains(out, "\x13\x00\x3c") || !strings.Contains(out, "\x1a\x00\x06resp/k") {
		t.Errorf("Server Keep Alive or Response Information is missing in %x", out)
	}
	w.sleep(91)
	for _, c := range []*fakeConn{a, c} {
		c.expect(frame5(t, "e0", "8d"+hex5(t, "1f 003d 'nothing received for 1.5 times the keep alive [MQTT-3.1.2-24]'")))
		c.expectClosed()
	}
	three.send("c0 00")
	three.expect("d0 00") // 3.x cannot be told
	newWorld(t, router.Limits{KeepAliveMax: 24 * time.Hour}).connect5("a", true, "").expect(welcome)
	short := newWorld(t, router.Limits{KeepAliveMax: time.Second / 2}).connect5("a", true, "") // a second is the shortest
	short.expect("20 19 00 00 16 13 0001 21 0100 22 0020 25 01 27 001e8480 28 01 29 01 2a 01")
}

func TestConnectRefused5(t *testing.T) {
	w := newWorld(t, router.Limits{ClientIDBytesMax: 3})
	c := w.connect5("long", true, "17 00") // no problem information
	c.expect("20 03 00 85 00")
	c.expectClosed()
	c = w.connect5("a", true, "21 0000")
	c.expect(frame5(t, "20", "00 82"+hex5(t, "1f 001a 'CONNECT: Receive Maximum 0'")))
	c.expectClosed()
	c = w.connect5("a", true, "21 0000 27 00000010") // the reason string does not fit
	if out := c.take(); len(out) > 16 && out[3] != 0x82 {
		t.Errorf("got %x", out)
	}
	c = w.dial()
	c.send("10 0c 0004 'MQTT' 06 02 0000 0000")
	c.expect("20 02 00 01")
	c.expectClosed()
	c = w.connect5("a", true, "15 0001 'X'")
	c.expect(frame5(t, "20", "00 8c"+hex5(t, "1f 0023 'authentication method is not served'")))
	c.expectClosed()
}

func TestPropertiesTravel(t *testing.T) {
	w := newWorld(t, router.Limits{})
	s5, s3 := w.join5("s5", "").sub5("t", "00", ""), w.join("s3")
	s3.send("82 06 0001 0001 't' 00")
	s3.take()
	p := w.join5("p", "")
	const props = "01 01 03 0001 'c' 08 0001 'r' 09 0002 00ff 26 0001 'k' 0001 '1' 26 0001 'a' 0001 '2' 26 0001 'k' 0000"
	p.pub5("30", "t", props, "hi")
	s5.expect(frame5(t, "30", "0001 't' "+hex5(t, props)+" 'hi'"))
	s3.expect("30 05 0001 't' 'hi'")
	// With QoS 1 they are encoded again.
	s5.sub5("t", "01", "")
	p.send(frame5(t, "32", "0001 't' 0007 "+hex5(t, props)+" 'hi'"))
	p.expect("40 02 0007")
	s5.expect(frame5(t, "32", "0001 't' 0001 "+hex5(t, props)+" 'hi'"))
	// And from 3.1.1 to 5.0.
	w.join("q").send("30 05 0001 't' 'yo'")
	s5.expect("30 06 0001 't' 00 'yo'")
}

func TestMessageExpiry(t *testing.T) {
	w := newWorld(t, router.Limits{})
	s := w.connect5("s", true, "11 00000e10")
	s.take()
	s.sub5("#", "01", "")
	s.reset()
	p := w.join5("p", "")
	pub := func(topic string, secs int) {
		p.send(frame5(t, "33", fmt.Sprintf("0001 '%s' 0001 05 02 %08x 'x'", topic, secs)))
		p.take()
	}
	pub("a", 10)
	pub("b", 100)
	w.sleep(30)
	s = w.connect5("s", false, "11 00000e10")
	s.expect(strings.Replace(welcome, "20 16 00", "20 16 01", 1) + "32 0c 0001 'b' 0001 05 02 00000046 'x'")
	if n := w.r.Stats().Dropped[router.DropExpired]; n != 2 { // queued, and retained
		t.Errorf("%d expired drops, want 2", n)
	}
	if n := w.r.Stats().Retained; n != 1 {
		t.Errorf("%d retained messages, want 1", n)
	}
	w.join5("l", "").sub5("#", "00", "").expect("31 0a 0001 'b' 05 02 00000046 'x'")
	w.sleep(70)
	if n := w.r.Stats().Retained; n != 0 {
		t.Errorf("%d retained messages after their expiry, want 0", n)
	}
}

func TestSubscriptionOptions(t *testing.T) {
	w := newWorld(t, router.Limits{})
	w.join("p").send("31 05 0001 't' 'rr'")
	c := w.join5("c", "")
	c.sub5("t", "04", "").expect("31 06 0001 't' 00 'rr'") // No Local
	c.pub5("30", "t", "", "own")
	c.expect("")
	c.sub5("t", "10", "").expect("") // Retain Handling 1: the subscription is not new
	c.pub5("30", "t", "", "own")
	c.expect("30 07 0001 't' 00 'own'")
	c.sub5("t", "08", "").expect("31 06 0001 't' 00 'rr'") // Retain As Published
	c.pub5("31", "t", "", "keep")
	c.expect("31 08 0001 't' 00 'keep'")
	w.join5("d", "").sub5("t", "20", "").expect("")                         // Retain Handling 2
	w.join5("e", "").sub5("t", "10", "").expect("31 08 0001 't' 00 'keep'") // 1, new
}

func TestSubscriptionIdentifiers(t *testing.T) {
	w := newWorld(t, router.Limits{})
	w.join("p").send("31 04 0001 'a' 'r'")
	c := w.join5("c", "")
	c.sub5("a", "01", "0b 07").expect("31 07 0001 'a' 02 0b07 'r'")
	c.sub5("#", "20", "0b 8001")
	c.sub5("+", "20", "")
	p := w.join("q")
	p.send("30 04 0001 'a' 'x' 32 06 0001 'a' 0001 'y' 30 04 0001 'b' 'z'")
	p.take()
	c.expect("30 0a 0001 'a' 05 0b8001 0b07 'x'" + "32 0c 0001 'a' 0001 05 0b8001 0b07 'y'" + "30 08 0001 'b' 03 0b8001 'z'")
	p.send("30 04 0001 'c' '1'")
	c.expect("30 08 0001 'c' 03 0b8001 '1'")
	c.send("82 0a 0001 02 0b00 0003 '$x/' 00")
	if out := c.take(); out[0] != 0xe0 || out[2] != 0x82 {
		t.Errorf("identifier 0: got %x", out)
	}
	d := w.join5("d", "17 00")
	d.pub5("30", "a", "0b 01", "x")
	d.expect("e0 01 82")
	d.expectClosed()
}

func TestTopicAliasIn(t *testing.T) {
	w := newWorld(t, router.Limits{TopicAliasMax: 2})
	s := w.join("s")
	s.send("82 06 0001 0001 '#' 00")
	s.take()
	p := w.join5("p", "17 00")
	p.pub5("30", "one", "23 0001", "x")
	p.pub5("30", "", "23 0001", "y")
	p.pub5("30", "two", "23 0001", "x")
	p.pub5("30", "", "23 0001", "y")
	s.expect("30 06 0003 'one' 'x' 30 06 0003 'one' 'y' 30 06 0003 'two' 'x' 30 06 0003 'two' 'y'")
	p.pub5("30", "", "23 0002", "y")
	p.expect("e0 01 82")
	p.expectClosed()
	p = w.join5("p", "17 00")
	p.pub5("30", "a", "23 0003", "y")
	p.expect("e0 01 94")
	p.expectClosed()
}

func TestTopicAliasOut(t *testing.T) {
	w := newWorld(t, router.Limits{})
	s := w.join5("s", "22 0001").sub5("#", "00", "")
	p := w.join("p")
	for range 3 {
		p.send("30 0c 0009 'long/name' 'x'")
	}
	p.send("30 0d 000a 'other/name' 'x'")
	s.expect("30 0d 0009 'long/name' 00 'x'" + "30 10 0009 'long/name' 03 23 0001 'x'" + "30 07 0000 03 23 0001 'x'" + "30 0e 000a 'other/name' 00 'x'")
	if n := w.r.Stats().AliasBytesSaved; n != 6 {
		t.Errorf("%d bytes saved, want 6", n)
	}
	for range 8 { // the other topic comes more often now and takes the alias over
		p.send("30 0d 000a 'other/name' 'x'")
	}
	if out := string(s.take()); !strings.HasSuffix(out, "\x30\x07\x00\x00\x03\x23\x00\x01x") || !strings.Contains(out, "other/name\x03\x23\x00\x01") {
		t.Errorf("got %x", out)
	}
}

func TestMaximumPacketSize(t *testing.T) {
	w := newWorld(t, router.Limits{})
	small, big := w.connect5("s", true, "27 00000019"), w.join5("b", "")
	small.take()
	small.sub5("#", "01", "")
	big.sub5("#", "00", "")
	p := w.join("p")
	p.send("32 1b 0001 't' 0001 'twenty-two bytes of it'") // 29 on the wire
	p.take()
	p.send("30 04 0001 't' 'x'")
	small.expect("30 05 0001 't' 00 'x'")
	big.expect("30 1a 0001 't' 00 'twenty-two bytes of it' 30 05 0001 't' 00 'x'")
	if n := w.r.Stats().Dropped[router.DropPacketTooLarge]; n != 1 {
		t.Errorf("%d drops, want 1", n)
	}
	small.pub5("30", "", "23 0009", "x") // what went wrong is told without its reason string
	small.expect("e0 01 82")
}

func TestReasonsOfAcknowledgements(t *testing.T) {
	w := newWorld(t, router.Limits{TopicLevelsMax: 2, SubscriptionsMax: 1})
	c := w.join5("c", "17 00")
	c.send("32 06 0001 't' 0001 00 34 06 0001 't' 0002 00")
	c.expect("40 03 0001 10 50 03 0002 10")
	c.send("62 02 0002 62 02 0002 50 02 0009 40 02 0009")
	c.expect("70 02 0002 70 03 0002 92 62 03 0009 92")
	c.send("32 0a 0005 'a/b/c' 0003 00 32 07 0002 '$a' 0004 00")
	c.expect("40 03 0003 90 40 03 0004 87")
	c.send("82 0d 0001 00 0005 'a/b/c' 00 0000")
	c.expect("e0 01 81")
	c = w.join5("c", "17 00")
	c.send("82 13 0001 00 0005 'a/b/c' 00 0001 'a' 02 0001 'b' 00")
	c.expect("90 06 0001 00 8f 02 97")
	c.send("a2 09 0001 00 0001 'a' 0001 'b'")
	c.expect("b0 05 0001 00 00 11")
	d := w.join5("d", "")
	d.send("32 0a 0005 'a/b/c' 0003 00")
	d.expect(frame5(t, "40", "0003 90"+hex5(t, "1f 0028 'topic of 3 levels; topic-levels-max is 2'")))
}

func TestReceiveMaximumOfTheClient(t *testing.T) {
	w := newWorld(t, router.Limits{})
	s := w.join5("s", "21 0002").sub5("t", "02", "")
	p := w.join("p")
	p.send("32 05 0001 't' 0001 34 05 0001 't' 0002 32 05 0001 't' 0003 30 03 0001 't'")
	p.take()
	s.expect("32 06 0001 't' 0001 00 34 06 0001 't' 0002 00 30 04 0001 't' 00")
	s.send("50 03 0002 80") // will not have it: that ends it
	s.expect("32 06 0001 't' 0003 00")
	s.send("40 03 0001 97 40 02 0003")
	if n := w.r.Stats().Inflight; n != 0 {
		t.Errorf("%d in flight", n)
	}
	if n := w.r.Stats().NegativeAcks; n != 2 {
		t.Errorf("%d negative acknowledgements, want 2", n)
	}
}

func TestReceiveMaximumOfTheBroker(t *testing.T) {
	w := newWorld(t, router.Limits{ReceiveMaximum: 2})
	c := w.join5("c", "17 00")
	for i := range 4 {
		c.send(fmt.Sprintf("34 06 0001 't' %04x 00", i+1))
	}
	c.expect("50 03 0001 10 50 03 0002 10 50 03 0003 10 50 03 0004 10")
	c.send("34 06 0001 't' 0005 00")
	c.expect("e0 01 93")
	c.expectClosed()
	crowded := 0
	for _, e := range w.events {
		if e.Kind == router.EventCrowded {
			crowded++
		}
	}
	if crowded != 1 {
		t.Errorf("told %d times, want once", crowded)
	}
}

func TestSessionExpiry5(t *testing.T) {
	w := newWorld(t, router.Limits{})
	again := strings.Replace(welcome, "20 16 00", "20 16 01", 1)
	c := w.connect5("c", false, "11 0000000a")
	c.expect(welcome)
	c.reset()
	w.sleep(9)
	c = w.connect5("c", false, "11 0000000a")
	c.expect(again)
	c.send("e0 07 00 05 11 00000064") // longer from now on
	w.sleep(99)
	c = w.connect5("c", false, "")
	c.expect(again)
	c.send("e0 07 00 05 11 00000064") // had none: not allowed
	if out := c.take(); len(out) < 3 || out[2] != 0x82 {
		t.Errorf("got %x", out)
	}
	c = w.connect5("c", false, "")
	c.expect(welcome) // it ended with its connection
}

func TestWillDelay(t *testing.T) {
	w := newWorld(t, router.Limits{})
	s := w.join5("s", "").sub5("w", "00", "")
	dial := func(expiry, flags string) *fakeConn {
		c := w.dial()
		c.send(frame5(t, "10", "0004 'MQTT' 05 "+flags+" 0000 "+hex5(t, "11 "+expiry)+" 0001 'c' "+hex5(t, "18 0000000a 02 00000005 03 0001 'c'")+" 0001 'w' 0004 'gone'"))
		c.take()
		return c
	}
	const will = "30 11 0001 'w' 09 02 00000005 03 0001 'c' 'gone'"
	dial("00000e10", "06").reset()
	w.sleep(9)
	s.expect("")
	c := dial("00000e10", "04") // back in time
	w.sleep(20)
	s.expect("")
	c.reset()
	w.sleep(11)
	s.expect(will)
	dial("00000003", "04").reset() // the session ends sooner than the delay
	w.sleep(4)
	s.expect(will)
	dial("00000e10", "04").reset()
	dial("00000e10", "06") // Clean Start ends the session, and with it the wait
	s.expect(will)
	c = dial("00000e10", "04") // takeover: the session goes on
	s.expect("")
	c.send("e0 01 04") // disconnect with will
	w.sleep(11)
	s.expect(will)
	c = dial("00000e10", "04")
	c.send("e0 00")
	w.sleep(11)
	s.expect("")
	dial("00000000", "04").reset() // no session to wait with
	s.expect(will)
}

func TestTakeover5(t *testing.T) {
	w := newWorld(t, router.Limits{})
	a := w.join5("a", "17 00")
	w.connect("a", false).expect("20 02 00 00")
	a.expect("e0 01 8e")
	a.expectClosed()
}

func TestShutdown5(t *testing.T) {
	for reason, cfg := range map[string]router.Config{
		"8b": {}, "9c": {ServerReference: "b:1"}, "9d": {ServerReference: "b:1", ServerMoved: true},
	} {
		w := newWorldOf(t, cfg)
		a := w.join5("a", "")
		w.pass(w.r.Stopping)
		out := a.take()
		if len(out) < 3 || fmt.Sprintf("%x", out[2]) != reason || (reason != "8b") != strings.Contains(string(out), "\x1c\x00\x03b:1") {
			t.Errorf("want reason %s, got %x", reason, out)
		}
		a.expectClosed()
	}
}

func TestPayloadFormat(t *testing.T) {
	w := newWorldOf(t, router.Config{ValidatePayloads: true})
	c := w.join5("c", "17 00")
	c.send("32 09 0001 't' 0001 02 0101 ff")
	c.expect("40 03 0001 99")
	c.send("30 07 0001 't' 02 0101 ff")
	c.expect("e0 01 99")
}

// riddle is an authentication that asks a question.
type riddle struct{ asked bool }

func (r *riddle) Step(data []byte) ([]byte, bool, error) {
	if !r.asked {
		r.asked = true
		return []byte("2+2?"), false, nil
	}
	if string(data) != "4" {
		return nil, false, errors.New("wrong answer")
	}
	return []byte("ok"), true, nil
}
func (r *riddle) Identity() string { return "someone" }

func TestEnhancedAuthentication(t *testing.T) {
	w := newWorldOf(t, router.Config{AuthMethods: map[string]func() router.Exchange{"R": func() router.Exchange { return new(riddle) }}})
	const props = "15 0001 'R' 17 00"
	ask := frame5(t, "f0", "18"+hex5(t, "15 0001 'R' 16 0004 '2+2?'"))
	reply := func(reason, data string) string {
		return frame5(t, "f0", reason+hex5(t, fmt.Sprintf("15 0001 'R' 16 %04x '%s'", len(data), data)))
	}
	c := w.connect5("c", true, props)
	c.expect(ask)
	c.send(reply("18", "4"))
	c.expect("20 1f 00 00 1c 15 0001 'R' 16 0002 'ok' 21 0100 22 0020 25 01 27 001e8480 28 01 29 01 2a 01")
	c.send(reply("19", "")) // again, on a connection that is up
	c.expect(ask)
	c.pub5("30", "t", "", "meanwhile it works")
	c.send(reply("18", "4"))
	c.expect(reply("00", "ok"))
	c.send(reply("18", "4"))
	c.expect("e0 01 82")
	c = w.connect5("c", true, props)
	c.expect(ask)
	c.send(reply("18", "5"))
	c.expect("20 03 00 87 00")
	c.expectClosed()
	c = w.connect5("c", true, props)
	c.expect(ask)
	c.send("c0 00") // nothing but AUTH and DISCONNECT before its end
	c.expectClosed()
	c = w.join5("d", "17 00")
	c.send(reply("19", ""))
	c.expect("e0 01 82")
	if n := w.r.Stats().AuthFailures; n != 1 {
		t.Errorf("%d failures counted, want 1", n)
	}
	w.endAll()
}

// A client's PUBLISH may be full of Subscription Identifiers, which are none of its business: the first ends the
// connection, and what is behind it is not looked at. Here that is a property that does not exist.
func TestSubscriptionIdentifierOfAClient(t *testing.T) {
	w := newWorld(t, router.Limits{})
	p := w.join5("p", "17 00")
	p.pub5("30", "a", "0b 01 0b 02 7f", "y")
	p.expect("e0 01 82")
	p.expectClosed()
}
