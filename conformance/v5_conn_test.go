package conformance

import (
	"bytes"
	"fmt"
	"testing"
)

// This file is how the tests of MQTT 5.0 connect. The packets themselves stand
// in the tests, in notation.

// connect5 is a CONNECT of MQTT 5.0 with Clean Start, a keep alive of 60 s and
// these properties. Most tests begin with quiet ones: without Reason Strings
// every answer is the same whatever words a broker finds.
func connect5(id, props string) string { return connect5With("02", id, props, "") }

// quiet is Request Problem Information 0.
const quiet = "17 00"

// connect5With has other flags, and more behind the client identifier.
func connect5With(flags, id, props, more string) string {
	return fmt.Sprintf("10{<'MQTT'> 05 %s 003c {%s} <'%s'> %s}", flags, props, id, more)
}

// join5 connects with Clean Start.
func join5(t testing.TB, tg target, id, props string) *conn {
	t.Helper()
	return dial(t, tg).accepted5(connect5(id, props), id, 0)
}

// resume5 connects without Clean Start to a session that is there.
func resume5(t testing.TB, tg target, id, props string) *conn {
	t.Helper()
	return dial(t, tg).accepted5(connect5With("00", id, props, ""), id, 1)
}

// accepted5 sends a CONNECT and takes the CONNACK, which stays in c.connack.
func (c *conn) accepted5(packet, id string, present byte) *conn {
	c.t.Helper()
	c.name = id
	c.connack = c.send(packet).packet()
	if len(c.connack) < 5 || c.connack[0] != 0x20 || c.connack[2] != present || c.connack[3] != 0 {
		c.t.Fatalf("%s:\nwant CONNACK of success, session present %d\n got %s", id, present, describe(c.connack))
	}
	c.up = true
	return c
}

// property is the value of a property of the CONNACK that has this identifier
// and a value of size bytes; size 0 stands for a string. It is nil where there
// is none.
func (c *conn) property(id byte, size int) []byte {
	c.t.Helper()
	for b := c.connack[5:]; len(b) > 1; {
		n := 0
		at := 1
		switch b[0] {
		case 0x11, 0x27:
			n = 4
		case 0x13, 0x21, 0x22:
			n = 2
		case 0x24, 0x25, 0x28, 0x29, 0x2a:
			n = 1
		case 0x12, 0x15, 0x16, 0x1a, 0x1c, 0x1f:
			n, at = int(b[1])<<8|int(b[2]), 3
		default:
			c.t.Fatalf("%s: property %#x in CONNACK [% x]", c.name, b[0], c.connack)
		}
		if b[0] == id {
			if size > 0 && size != n {
				c.t.Fatalf("%s: property %#x has %d bytes", c.name, id, n)
			}
			return b[at : at+n]
		}
		b = b[at+n:]
	}
	return nil
}

// sub5 subscribes with these options, in hex, and expects the QoS that they
// ask for.
func (c *conn) sub5(filter, options string) *conn {
	c.t.Helper()
	return c.send(fmt.Sprintf("82{0001 {} <'%s'> %s}", filter, options)).expect(fmt.Sprintf("90{0001 {} 0%c}", "0120"[notation(options)[0]&3]))
}

// expectReason reads one packet with this first byte and reason code, whatever
// else is in it.
func (c *conn) expectReason(first byte, at int, reason byte) *conn {
	c.t.Helper()
	if p := c.packet(); len(p) <= at || p[0] != first || p[at] != reason {
		c.t.Fatalf("%s:\nwant %s with reason %#x\n got %s", c.name, typeNames[first>>4], reason, describe(p))
	}
	return c
}

// expectRefused reads a CONNACK with this reason code and the end.
func (c *conn) expectRefused(reason byte) {
	c.t.Helper()
	c.expectReason(0x20, 3, reason).expectClosed()
}

// expectEnded reads a DISCONNECT with this reason code and the end.
func (c *conn) expectEnded(reason byte) {
	c.t.Helper()
	c.expectReason(0xe0, 2, reason).expectClosed()
}

// clock waits for this many seconds of the broker's own clock: for a will that
// is delayed by them.
func clock(t testing.TB, tg target, seconds int) {
	t.Helper()
	w := join5(t, tg, "clock-witness", quiet).sub5("clock", "00")
	dial(t, tg).accepted5(connect5With("06", "clock", "11 000000ff", fmt.Sprintf("{18 %08x} <'clock'> <>", seconds)), "clock", 0).reset()
	w.expect("30{<'clock'> {}}").hangUp()
}

func TestNotation(t *testing.T) {
	want := []byte{0x30, 8, 0, 1, 't', 3, 0x26, 0, 0, 0xff}
	if got := notation("30{<'t'> {26 <>} ff}"); !bytes.Equal(got, want) {
		t.Errorf("want % x, got % x", want, got)
	}
}
