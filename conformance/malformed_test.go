package conformance

import (
	"fmt"
	"strings"
	"testing"
)

// TestPublishMalformed ends the connection, and nobody gets such a message.
func TestPublishMalformed(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		rows := map[string][]byte{
			"QoS 3":                   publish(0x36, 1, "a", "x"),
			"QoS 3, DUP":              publish(0x3e, 1, "a", "x"),
			"QoS 3, RETAIN":           publish(0x37, 1, "a", "x"),
			"DUP with QoS 0":          dup(pub0("a", "x")),
			"PacketID 0 with QoS 1":   pub1(0, "a", "x"),
			"PacketID 0 with QoS 2":   pub2(0, "a", "x"),
			"no PacketID":             packet(0x32, str("a")),
			"half a PacketID":         packet(0x32, append(str("a"), 0)),
			"nothing":                 packet(0x30, nil),
			"half a length":           packet(0x30, []byte{0}),
			"topic behind the packet": packet(0x30, []byte{0, 5, 'a'}),
			"empty topic":             pub0("", "x"),
			"topic #":                 pub0("#", "x"),
			"topic with #":            pub0("a/#", "x"),
			"topic with + in it":      pub0("a+b", "x"),
			"topic with +":            pub0("a/+/b", "x"),
			"NUL":                     pub0("a\x00", "x"),
			"not UTF-8":               pub0("a\xff", "x"),
			"overlong UTF-8":          pub0("\xc0\xaf", "x"),
			"surrogate":               pub0("a\xed\xbf\xbf", "x"),
			"beyond Unicode":          pub0("\xf4\x90\x80\x80", "x"),
			"UTF-8 cut short":         pub0("a\xe2\x82", "x"),
		}
		watch := join(t, tg, "watch", clean).subscribed("#", 2)
		for name, bad := range rows {
			cases(t, name, func(t *testing.T) {
				join(t, tg, "c", clean).send(bad).expectClosed()
				watch.expectNothing()
			})
		}
	})
}

// TestReservedFlags: those of the fixed header are not to be touched.
func TestReservedFlags(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		for _, good := range [][]byte{puback(1), pubrec(1), pubrel(1), pubcomp(1), {0xc0, 0}, {0xe0, 0}} {
			cases(t, typeNames[good[0]>>4], func(t *testing.T) {
				for flags := range byte(16) {
					if bad := append([]byte{good[0]&0xf0 | flags}, good[1:]...); bad[0] != good[0] {
						refused(t, tg, bad)
					}
				}
			})
		}
	})
}

// refused sends bad and expects the connection to be closed for it.
func refused(t *testing.T, tg target, bad []byte) {
	t.Helper()
	c := join(t, tg, "c", clean)
	c.name = "after " + describe(bad)
	c.sendAndGo(bad).expectClosed()
}

// TestWrongLength: packets whose content has a fixed length.
func TestWrongLength(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		for first, bodies := range map[byte][]string{
			0x40: {"", "00", "00 01 00", "00 01 00 00"},
			0x50: {"", "00", "00 01 00", "00 01 00 00"},
			0x62: {"", "00", "00 01 00", "00 01 00 00"},
			0x70: {"", "00", "00 01 00", "00 01 00 00"},
			0xc0: {"00", "00 01"},
			0xe0: {"00", "00 01"},
		} {
			cases(t, typeNames[first>>4], func(t *testing.T) {
				for _, body := range bodies {
					refused(t, tg, packet(first, bytesOf([]any{body})))
				}
			})
		}
	})
}

// TestAcknowledgementOfPacketID0: there is no such PacketID.
func TestAcknowledgementOfPacketID0(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		for _, bad := range [][]byte{puback(0), pubrec(0), pubrel(0), pubcomp(0)} {
			cases(t, typeNames[bad[0]>>4], func(t *testing.T) { refused(t, tg, bad) })
		}
	})
}

// TestPacketsOfTheServer are not for a client to send.
func TestPacketsOfTheServer(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		for _, bad := range [][]byte{{0x20, 2, 0, 0}, suback(1, 0), unsuback(1), {0xd0, 0}, {0x00, 0}, {0xf0, 0}} {
			cases(t, typeNames[bad[0]>>4], func(t *testing.T) { refused(t, tg, bad) })
		}
	})
}

// TestRemainingLength has at most four bytes, and is taken with more bytes than
// it needs, which 3.1.1 does not forbid.
func TestRemainingLength(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		for _, bad := range []string{"c0 80 80 80 80 00", "c0 ff ff ff ff 7f", "30 ff ff ff ff", "32 80 80 80 80 01"} {
			cases(t, bad, func(t *testing.T) { join(t, tg, "c", clean).sendAndGo(bad).expectClosed() })
		}
		c := join(t, tg, "long", clean).subscribed("a", 0)
		c.send("30 84 80 00 00 01 61 78").expect(pub0("a", "x"))
	})
}

// TestPacketTooLarge ends the connection before the packet is there as a whole.
func TestPacketTooLarge(t *testing.T) {
	each(t, options{packetBytesMax: 1000}, func(t *testing.T, tg target) {
		s := join(t, tg, "s", clean).subscribed("a", 0)
		fits := pub0("a", strings.Repeat("x", 1000-3-len(str("a"))))
		if len(fits) != 1000 {
			t.Fatalf("the packet at the limit: want 1000 bytes, got %d", len(fits))
		}
		s.send(fits).expect(fits)
		join(t, tg, "c", clean).sendAndGo(publish(0x30, 0, "a", strings.Repeat("x", 2000))[:100]).expectClosed()
	})
}

// TestDribble sends a whole conversation byte by byte.
func TestDribble(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		c := dial(t, tg).dribble(connect("c", clean, will(1, "w", "gone"), user("u"), password("p"))).expect("20 02 00 00")
		c.dribble(subscribe(1, "a/#", 1, "b", 0)).expect(suback(1, 1, 0))
		c.dribble(pub0("a/b", "zero")).expect(pub0("a/b", "zero"))
		c.dribble(pub2(5, "x", "two")).expect(pubrec(5)).dribble(pubrel(5)).expect(pubcomp(5))
		c.dribble(unsubscribe(2, "b")).expect(unsuback(2)).dribble(disconnect).expectClosed()
	})
}

// TestNothingIsDoneAfterDisconnect: what follows it in the segment is ignored.
func TestNothingIsDoneAfterDisconnect(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		watch := join(t, tg, "watch", clean).subscribed("#", 0)
		join(t, tg, "c", clean).sendAndGo(disconnect, pub0("a", "not this"), pingreq).expectClosed()
		watch.expectNothing()
	})
}

// TestPingreq is answered each time, in its place among other answers.
func TestPingreq(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		c := join(t, tg, "c", clean)
		c.send(pingreq, pub1(1, "a", "x"), pingreq, pingreq).expect(pingresp, puback(1), pingresp, pingresp)
	})
}

// TestTopicsUpTo64K: the longest string there is, as topic and as filter.
func TestTopicsUpTo64K(t *testing.T) {
	each(t, options{topicBytesMax: 65535}, func(t *testing.T, tg target) {
		for _, n := range []int{65534, 65535} {
			name := strings.Repeat("t", n)
			c := join(t, tg, fmt.Sprint("c", n), clean).subscribed(name, 0)
			c.send(pub0(name, "x")).expect(pub0(name, "x"))
		}
	})
}
