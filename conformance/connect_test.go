package conformance

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestConnectIsAccepted(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		c := dial(t, tg)
		c.send("10 0d 00 04 4d 51 54 54 04 02 00 3c 00 01 61")
		c.expect("20 02 00 00")
		c.send("c0 00").expect("d0 00")
	})
}

// TestConnectFlags tries every value of the flags with the fields that they
// announce: those that the standard allows are accepted, all others closed
// without an answer.
func TestConnectFlags(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		for flags := range 256 {
			p := connectPacket{flags: byte(flags)}
			if flags&0x04 != 0 {
				p.fields = append(p.fields, "will/topic", "will payload")
			}
			if flags&0x80 != 0 {
				p.fields = append(p.fields, "user")
			}
			if flags&0x40 != 0 {
				p.fields = append(p.fields, "password")
			}
			c := dial(t, tg)
			c.name = fmt.Sprintf("flags %02x", flags)
			c.send(connect("flags", func(to *connectPacket) { to.flags, to.fields = p.flags, p.fields }))
			hasWill, qos, keep := flags&0x04 != 0, flags>>3&3, flags&0x20 != 0
			switch {
			case flags&0x01 != 0, // reserved
				qos == 3,
				!hasWill && (qos != 0 || keep),
				flags&0x80 == 0 && flags&0x40 != 0: // password without user
				c.expectClosed()
			default:
				present := c.expectConnack()
				if clean := flags&0x02 != 0; clean && present {
					t.Errorf("flags %02x: session present with clean session", flags)
				}
				c.leave()
			}
		}
	})
}

// expectConnack reads a CONNACK with return code 0 and returns session present.
func (c *conn) expectConnack() (present bool) {
	c.t.Helper()
	p := c.packet()
	if len(p) != 4 || p[0] != 0x20 || p[2] > 1 || p[3] != 0 {
		c.t.Fatalf("%s:\nwant CONNACK with return code 0\n got %s", c.name, describe(p))
	}
	c.up = true
	return p[2] == 1
}

// TestConnectProtocolLevel: 0x01 for every level that is not served. Level 5
// has tests of its own.
func TestConnectProtocolLevel(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		for _, p := range []struct {
			name  string
			level byte
		}{{"MQTT", 0}, {"MQTT", 2}, {"MQTT", 3}, {"MQTT", 6}, {"MQTT", 0x7f}, {"MQTT", 0xff}, {"MQIsdp", 4}, {"MQIsdp", 2}} {
			c := dial(t, tg)
			c.name = fmt.Sprintf("%s level %d", p.name, p.level)
			c.send(connect("a", clean, func(to *connectPacket) { to.protocol, to.level = p.name, p.level }))
			c.expect("20 02 00 01").expectClosed()
		}
	})
}

// TestConnectBridgeLevel: bit 7 of the level is a private agreement between
// some brokers, not a level that 3.1.1 knows.
func TestConnectBridgeLevel(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		c := dial(t, tg).send(connect("a", clean, func(to *connectPacket) { to.level = 0x84 }))
		c.expect("20 02 00 01").expectClosed()
	})
}

func TestConnectProtocolName(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		for _, name := range []string{"", "MQT", "mqtt", "MQTt", "MQTTT", "MQIsdq", "AMQP", "\x00\x00\x00\x00"} {
			c := dial(t, tg)
			c.name = fmt.Sprintf("protocol %q", name)
			c.sendAndGo(connect("a", clean, func(to *connectPacket) { to.protocol = name })).expectClosed()
		}
	})
}

func TestConnectOfMQTT31(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		c := dial(t, tg)
		c.send("10 0f 00 06 4d 51 49 73 64 70 03 02 00 3c 00 01 61")
		c.expect("20 02 00 00")
		c.subscribed("x", 2)
		p := join(t, tg, "p", v31, clean)
		p.send(pub2(1, "x", "hello")).expect(pubrec(1)).send(pubrel(1)).expect(pubcomp(1))
		id := c.expectPublish(0x34, "x", "hello")
		c.send(pubrec(id)).expect(pubrel(id)).send(pubcomp(id)).leave()
	})
}

// TestConnectOfMQTT31HasNoSessionPresent: the byte is reserved in 3.1.
func TestConnectOfMQTT31HasNoSessionPresent(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		join(t, tg, "old", v31).subscribed("x", 1).leave()
		join(t, tg, "p", clean).send(pub1(1, "x", "kept")).expect(puback(1))
		c := join(t, tg, "old", v31)
		c.send(puback(c.expectPublish(0x32, "x", "kept")))
	})
}

func TestConnectOfMQTT31NeedsClientID(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		dial(t, tg).send(connect("", v31)).expect("20 02 00 02").expectClosed()
		dial(t, tg).send(connect("", v31, clean)).expect("20 02 00 02").expectClosed()
	})
}

// TestConnectCutShort ends the packet after each byte of its content.
func TestConnectCutShort(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		whole := connect("id", clean, will(1, "w", "gone"), user("u"), password("p"))
		body := whole[2:]
		for n := range body {
			c := dial(t, tg)
			c.name = fmt.Sprintf("CONNECT of %d bytes instead of %d", n, len(body))
			c.send(packet(0x10, body[:n])).expectClosed()
		}
		dial(t, tg).send(whole).expect("20 02 00 00").leave()
	})
}

func TestConnectMalformed(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		rows := []struct {
			name string
			in   []byte
		}{
			{"bytes behind the payload", packet(0x10, append(connect("a", clean)[2:], 0))},
			{"client identifier with NUL", connect("a\x00b", clean)},
			{"client identifier not UTF-8", connect("a\xffb", clean)},
			{"client identifier with a surrogate", connect("\xed\xa0\x80", clean)},
			{"user name with NUL", connect("a", clean, user("u\x00"))},
			{"user name not UTF-8", connect("a", clean, user("\xc0\xaf"))},
			{"will topic not UTF-8", connect("a", clean, will(0, "\xfe", "x"))},
			{"will topic with NUL", connect("a", clean, will(0, "a\x00", "x"))},
			{"will topic empty", connect("a", clean, will(0, "", "x"))},
			{"will topic with #", connect("a", clean, will(0, "a/#", "x"))},
			{"will topic with +", connect("a", clean, will(0, "+/a", "x"))},
		}
		for flags := byte(1); flags < 16; flags++ {
			p := connect("a", clean)
			p[0] |= flags
			rows = append(rows, struct {
				name string
				in   []byte
			}{fmt.Sprintf("fixed header flags %x", flags), p})
		}
		for _, r := range rows {
			cases(t, r.name, func(t *testing.T) { dial(t, tg).send(r.in).expectClosed() })
		}
	})
}

// TestPasswordIsBinary: unlike the user name it may hold any bytes.
func TestPasswordIsBinary(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		join(t, tg, "a", clean, user("u"), password("\x00\xff\xed\xa0\x80"))
		join(t, tg, "b", clean, user(""), password(""))
	})
}

func TestSecondConnect(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		watch := join(t, tg, "watch", clean).subscribed("will", 0)
		c := join(t, tg, "a", clean, will(0, "will", "second CONNECT"))
		c.send(connect("a", clean)).expectClosed()
		watch.expect(pub0("will", "second CONNECT"))
	})
}

// TestFirstPacketIsNotConnect sends every other packet type first.
func TestFirstPacketIsNotConnect(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		watch := join(t, tg, "watch", clean).subscribed("#", 0)
		for _, p := range [][]byte{
			{0x00, 0},
			{0x20, 2, 0, 0},
			pub0("a", "x"), pub1(1, "a", "x"), pub2(1, "a", "x"),
			puback(1), pubrec(1), pubrel(1), pubcomp(1), subscribe(1, "a", 0), suback(1, 0),
			unsubscribe(1, "a"), unsuback(1),
			{0xc0, 0},
			{0xd0, 0},
			{0xe0, 0},
			{0xf0, 0},
		} {
			c := dial(t, tg)
			c.name = describe(p)
			c.send(p).expectClosed()
		}
		watch.expectNothing()
	})
}

// TestConnectTimeout: neither silence nor half a CONNECT keeps a connection.
func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	each(t, options{connectTimeout: 400 * time.Millisecond}, func(t *testing.T, tg target) {
		start := time.Now()
		up := join(t, tg, "up", clean)
		silent := dial(t, tg)
		half := dial(t, tg).send("10 0d 00 04 4d 51")
		silent.expectClosedWithin(5 * time.Second)
		half.expectClosedWithin(5 * time.Second)
		if d := time.Since(start); d < 400*time.Millisecond {
			t.Errorf("closed after %v, connect timeout is 400 ms", d)
		}
		up.expectNothing()
	})
}

// TestClientIDs that a server must allow, and some that ours allows besides.
func TestClientIDs(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		all := "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		for n := 1; n <= 23; n++ {
			join(t, tg, all[len(all)-n:], clean)
		}
		for i := 0; i+20 < len(all); i += 20 {
			join(t, tg, all[i:i+20], clean)
		}
		for _, id := range []string{strings.Repeat("x", 24), strings.Repeat("y", 256), "a b", "grün/+#", "\ufeff", "日本"} {
			join(t, tg, id, clean)
		}
	})
}

// TestClientIDsAreComparedByteForByte: nothing is trimmed, folded or stripped.
func TestClientIDsAreComparedByteForByte(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		for _, id := range []string{"a", "A", "a ", " a", "\ufeffa", "a\u0301", "á"} {
			join(t, tg, id) // each has a session of its own
		}
	})
}

func TestEmptyClientID(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		one := join(t, tg, "", clean).subscribed("x", 0)
		two := join(t, tg, "", clean).subscribed("x", 0)
		two.send(pub0("x", "both")).expect(pub0("x", "both"))
		one.expect(pub0("x", "both"))
		dial(t, tg).send("10 0c 00 04 4d 51 54 54 04 00 00 3c 00 00").expect("20 02 00 02").expectClosed()
	})
}

func TestClientIDTooLong(t *testing.T) {
	each(t, options{clientIDBytesMax: 10}, func(t *testing.T, tg target) {
		join(t, tg, "0123456789", clean)
		dial(t, tg).send(connect("0123456789a", clean)).expect("20 02 00 02").expectClosed()
	})
}

// TestRejectedConnectEndsThere: what follows in the same segment is not done.
func TestRejectedConnectEndsThere(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		watch := join(t, tg, "watch", clean).subscribed("#", 0)
		dial(t, tg).sendAndGo(connect(""), pub0("a", "not this")).expect("20 02 00 02").expectClosed()
		watch.expectNothing()
	})
}

// TestPacketsBehindConnect: a client need not wait for CONNACK.
func TestPacketsBehindConnect(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		c := dial(t, tg)
		c.send(connect("a", clean), subscribe(7, "a", 0), pub0("a", "x"), pingreq)
		c.expect("20 02 00 00", suback(7, 0), pub0("a", "x"), pingresp)
	})
}

// TestConnackIsFirst: what a resumed session is owed comes behind it.
func TestConnackIsFirst(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		join(t, tg, "away").subscribed("a", 1).leave()
		join(t, tg, "p", clean).send(pub1(1, "a", "x")).expect(puback(1))
		c := resume(t, tg, "away")
		c.expectPublish(0x32, "a", "x")
	})
}
