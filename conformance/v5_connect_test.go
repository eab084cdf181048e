package conformance

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestConnect5(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		c := dial(t, tg).send(connect5("a", ""))
		c.expect("20{00 00 {21 0100 22 0020 25 01 27 001e8480 28 01 29 01 2a 01}}")
		c.send(pingreq).expect(pingresp).send("e0{}").expectClosed()
		// Everything that a CONNECT may carry.
		all := "11 00000010 21 0005 27 00000100 22 000a 19 01 17 01 26 <'k'> <'v'> 26 <'k'> <'w'>"
		more := "{18 00000000 01 01 02 00000010 03 <'c'> 08 <'r'> 09 <00ff> 26 <'k'> <'v'>} <'will'> <'x'> <'user'> <'pw'>"
		dial(t, tg).accepted5(connect5With("ee", "b", all, more), "b", 0)
		// And nothing but what it must.
		dial(t, tg).accepted5("10{<'MQTT'> 05 02 0000 {} <'c'>}", "c", 0)
		// A password alone is new in 5.0.
		dial(t, tg).accepted5(connect5With("42", "d", "", "<'pw'>"), "d", 0)
	})
}

func TestConnectMalformed5(t *testing.T) {
	for name, packet := range map[string]string{
		"reserved flag":                "10{<'MQTT'> 05 03 0000 {} <'c'>}",
		"will QoS 3":                   "10{<'MQTT'> 05 1e 0000 {} <'c'> {} <'w'> <>}",
		"will QoS without will":        "10{<'MQTT'> 05 0a 0000 {} <'c'>}",
		"will retain without will":     "10{<'MQTT'> 05 22 0000 {} <'c'>}",
		"no will after its flag":       "10{<'MQTT'> 05 06 0000 {} <'c'>}",
		"no will payload":              "10{<'MQTT'> 05 06 0000 {} <'c'> {} <'w'>}",
		"no user name after its flag":  "10{<'MQTT'> 05 82 0000 {} <'c'>}",
		"no password after its flag":   "10{<'MQTT'> 05 42 0000 {} <'c'>}",
		"something behind the payload": "10{<'MQTT'> 05 02 0000 {} <'c'> 00}",
		"user name without its flag":   "10{<'MQTT'> 05 02 0000 {} <'c'> <'u'>}",
		"no client identifier":         "10{<'MQTT'> 05 02 0000 {}}",
		"no properties":                "10{<'MQTT'> 05 02 0000}",
		"properties cut short":         "10{<'MQTT'> 05 02 0000 05 11 0000}",
		"long property length":         "10{<'MQTT'> 05 02 0000 80 00 <'c'>}",
		"unknown property":             "10{<'MQTT'> 05 02 0000 {7f 00} <'c'>}",
		"property of CONNACK":          "10{<'MQTT'> 05 02 0000 {24 01} <'c'>}",
		"client identifier not UTF-8":  "10{<'MQTT'> 05 02 0000 {} <ff>}",
		"surrogate":                    "10{<'MQTT'> 05 02 0000 {} <eda080>}",
		"NUL":                          "10{<'MQTT'> 05 02 0000 {} <'a' 00>}",
		"user name not UTF-8":          "10{<'MQTT'> 05 82 0000 {} <'c'> <c080>}",
		"will topic not UTF-8":         "10{<'MQTT'> 05 06 0000 {} <'c'> {} <ff> <>}",
		"user property key not UTF-8":  "10{<'MQTT'> 05 02 0000 {26 <ff> <>} <'c'>}",
		"user property value NUL":      "10{<'MQTT'> 05 02 0000 {26 <'k'> <00>} <'c'>}",
		"will content type not UTF-8":  "10{<'MQTT'> 05 06 0000 {} <'c'> {03 <ff>} <'w'> <>}",
	} {
		refusedConnect5(t, name, packet, 0x81)
	}
	for name, packet := range map[string]string{
		"property twice":                 "10{<'MQTT'> 05 02 0000 {21 0001 21 0001} <'c'>}",
		"Receive Maximum 0":              "10{<'MQTT'> 05 02 0000 {21 0000} <'c'>}",
		"Maximum Packet Size 0":          "10{<'MQTT'> 05 02 0000 {27 00000000} <'c'>}",
		"Request Response Information 2": "10{<'MQTT'> 05 02 0000 {19 02} <'c'>}",
		"Request Problem Information 2":  "10{<'MQTT'> 05 02 0000 {17 02} <'c'>}",
		"Authentication Data alone":      "10{<'MQTT'> 05 02 0000 {16 <'x'>} <'c'>}",
		"Payload Format 2 of the will":   "10{<'MQTT'> 05 06 0000 {} <'c'> {01 02} <'w'> <>}",
	} {
		refusedConnect5(t, name, packet, 0x82)
	}
}

// refusedConnect5 sends CONNECTs that are refused with a reason, or, as the
// standard allows, without any words.
func refusedConnect5(t *testing.T, name, packet string, reason byte) {
	t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
		each(t, options{}, func(t *testing.T, tg target) {
			c := dial(t, tg).sendAndGo(packet, pingreq)
			p, err := c.next()
			if err == nil && (p[0] != 0x20 || p[2] != 0 || p[3] != reason) {
				t.Errorf("want CONNACK with %#x or nothing, got %s", reason, describe(p))
			}
			c.expectClosed()
		})
	})
}

func TestConnectVersion5(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		for _, packet := range []string{
			"10{<'MQTT'> 06 02 0000 {} <'c'>}", "10{<'mqtt'> 05 02 0000 {} <'c'>}", "10{<'MQIsdp'> 05 02 0000 {} <'c'>}",
		} {
			c := dial(t, tg).send(packet)
			if p, err := c.next(); err == nil && p[0] != 0x20 {
				t.Errorf("%s: got %s", packet, describe(p))
			}
			c.expectClosed()
		}
	})
}

func TestConnectTwice5(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		join5(t, tg, "a", quiet).send(connect5("a", quiet)).expect("e0{82}").expectClosed()
	})
}

func TestConnectIsFirst5(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		for _, packet := range []string{"30{<'t'> {}}", "f0{18 {15 <'X'>}}", "82{0001 {} <'t'> 00}", "e0{}", pingreq} {
			dial(t, tg).send(packet).expectClosed()
		}
	})
}

func TestAssignedClientIdentifier(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		a := join5(t, tg, "", "11 00000010")
		b := join5(t, tg, "", quiet)
		ida, idb := a.property(0x12, 0), b.property(0x12, 0)
		if len(ida) == 0 || bytes.Equal(ida, idb) {
			t.Fatalf("want two different identifiers, got %q and %q", ida, idb)
		}
		a.sub5("t", "01").send("e0{}").expectClosed()
		resume5(t, tg, string(ida), "")
		if got := join5(t, tg, "own", quiet).property(0x12, 0); got != nil {
			t.Errorf("a client with an identifier of its own is given %q", got)
		}
		// Without Clean Start and without an identifier there is a new session.
		dial(t, tg).accepted5(connect5With("00", "", quiet, ""), "", 0)
	})
}

func TestClientIdentifiers5(t *testing.T) {
	each(t, options{clientIDBytesMax: 30}, func(t *testing.T, tg target) {
		join5(t, tg, "0123456789abcdefghijklm", quiet)
		join5(t, tg, "nopqrstuvwxyzABCDEFGHIJ", quiet)
		join5(t, tg, "KLMNOPQRSTUVWXYZ", quiet)
		dial(t, tg).send(connect5(strings.Repeat("x", 31), quiet)).expectRefused(0x85)
	})
}

func TestCleanStart(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		const keep = "11 000000ff"
		dial(t, tg).accepted5(connect5With("00", "a", keep, ""), "a", 0).sub5("t", "01").send("e0{}").expectClosed()
		p := join5(t, tg, "p", quiet).send("32{<'t'> 0001 {} '1'}").expect("40{0001}")
		resume5(t, tg, "a", keep).expect("32{<'t'> 0001 {} '1'}").send("40{0001}").send("e0{}").expectClosed()
		a := join5(t, tg, "a", keep)
		p.send("32{<'t'> 0002 {} '2'}").expect("40{0002 10}")
		a.settle().send("e0{}").expectClosed()
		resume5(t, tg, "a", keep)
	})
}

func TestSessionExpiry(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		// 0, and absent: ends with the connection.
		join5(t, tg, "zero", "11 00000000").hangUp()
		join5(t, tg, "none", "").hangUp()
		// A second.
		join5(t, tg, "short", "11 00000001").hangUp()
		// Changed by DISCONNECT: from 1 s to 255, and from 255 to 0.
		join5(t, tg, "longer", "11 00000001").send("e0{00 {11 000000ff}}").expectClosed()
		join5(t, tg, "ended", "11 000000ff").send("e0{00 {11 00000000}}").expectClosed()
		// While it is connected a session stays.
		held := join5(t, tg, "held", "11 00000001").sub5("t", "00")
		clock(t, tg, 3)
		join5(t, tg, "p", quiet).send("30{<'t'> {} 'x'}")
		held.expect("30{<'t'> {} 'x'}")
		resume5(t, tg, "longer", "11 00000001")
		for _, id := range []string{"zero", "none", "short", "ended"} {
			dial(t, tg).accepted5(connect5With("00", id, "", ""), id, 0)
		}
		// From none to some is not allowed.
		c := join5(t, tg, "rise", quiet).send("e0{00 {11 00000001}}")
		c.expectEnded(0x82)
	})
}

func TestKeepAlive5(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		// 1 s: after a second and a half it is cut off, with a reason, and its will goes out.
		w := join5(t, tg, "w", quiet).sub5("will", "00")
		c := dial(t, tg).accepted5("10{<'MQTT'> 05 06 0001 {17 00} <'c'> {} <'will'> <'x'>}", "c", 0)
		c.expect("e0{8d}").expectClosed()
		w.expect("30{<'will'> {} 'x'}")
		// 0 is none; so is 18 h, which is beyond what is served: the client is told what is.
		if got := dial(t, tg).accepted5("10{<'MQTT'> 05 02 ffff {} <'d'>}", "d", 0).property(0x13, 2); !bytes.Equal(got, []byte{0x04, 0xb0}) {
			t.Errorf("Server Keep Alive: want 1200 s, got % x", got)
		}
		if got := dial(t, tg).accepted5("10{<'MQTT'> 05 02 04b0 {} <'e'>}", "e", 0).property(0x13, 2); got != nil {
			t.Errorf("Server Keep Alive: want none, got % x", got)
		}
	})
}

func TestTakeover5(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		a := join5(t, tg, "a", quiet+" 11 000000ff").sub5("t", "01")
		b := resume5(t, tg, "a", quiet)
		a.expect("e0{8e}").expectClosed()
		join5(t, tg, "p", quiet).send("32{<'t'> 0001 {} 'x'}").expect("40{0001}")
		b.expect("32{<'t'> 0001 {} 'x'}").send("40{0001}")
		// By an older client, and of one.
		c := join(t, tg, "a", clean)
		b.expect("e0{8e}").expectClosed()
		join5(t, tg, "a", quiet)
		c.expectClosed()
	})
}

func TestWill5(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		const props = "01 01 03 <'c'> 08 <'r'> 09 <00ff> 26 <'k'> <'2'> 26 <'a'> <> 26 <'k'> <'1'>"
		w := join5(t, tg, "w", quiet).sub5("will", "0a")
		dial(t, tg).accepted5(connect5With("0e", "a", quiet, "{"+props+"} <'will'> <'x'>"), "a", 0).reset()
		w.expect("32{<'will'> 0001 {" + props + "} 'x'}").send("40{0001}")
		// Retained.
		dial(t, tg).accepted5(connect5With("26", "a", quiet, "{} <'will'> <'y'>"), "a", 0).hangUp()
		w.expect("31{<'will'> {} 'y'}")
		join5(t, tg, "n", quiet).sub5("will", "00").expect("31{<'will'> {} 'y'}").hangUp()
		// Not after a DISCONNECT in good order, but after 0x04 and after every failure.
		with := func() *conn {
			return dial(t, tg).accepted5(connect5With("06", "a", quiet, "{} <'will'> <'z'>"), "a", 0)
		}
		with().send("e0{}").expectClosed()
		with().send("e0{00 {}}").expectClosed()
		w.settle()
		with().send("e0{04}").expectClosed()
		w.expect("30{<'will'> {} 'z'}")
		with().send("c1 00").expectEnded(0x81)
		w.expect("30{<'will'> {} 'z'}")
		// Not without its flag.
		join5(t, tg, "b", quiet).reset()
		w.settle()
	})
}

func TestWillDelay(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		w := join5(t, tg, "w", quiet).sub5("will/+", "00")
		with := func(id string, expiry, delay int) *conn {
			return dial(t, tg).accepted5(connect5With("06", id, fmt.Sprintf("%s 11 %08x", quiet, expiry),
				fmt.Sprintf("{18 %08x} <'will/%s'> <>", delay, id)), id, 0)
		}
		with("back", 255, 2).reset()
		with("gone", 255, 1).reset()
		with("ends", 1, 255).reset() // with its session
		with("none", 0, 255).reset() // the same, at once
		w.expect("30{<'will/none'> {}}")
		resume5(t, tg, "back", quiet) // in time
		got := map[string]bool{string(w.packet()): true, string(w.packet()): true}
		for _, id := range []string{"gone", "ends"} {
			if !got[string(notation("30{<'will/"+id+"'> {}}"))] {
				t.Errorf("no will of %s", id)
			}
		}
		clock(t, tg, 3)
		w.settle()
		// A new session ends the old one, and with it the wait.
		with("again", 255, 255).reset()
		join5(t, tg, "again", quiet)
		w.expect("30{<'will/again'> {}}")
	})
}

func TestNothingBehindARefusedConnect5(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		w := join5(t, tg, "w", quiet).sub5("t", "00")
		dial(t, tg).sendAndGo(connect5With("03", "a", "", ""), "30{<'t'> {} 'x'}").reset()
		w.settle()
		// Behind an accepted one it counts, without waiting for CONNACK.
		dial(t, tg).send(connect5("a", quiet), "30{<'t'> {} 'y'}", "e0{}").expectReason(0x20, 3, 0).expectClosed()
		w.expect("30{<'t'> {} 'y'}")
	})
}

func TestResponseInformation(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		for props, want := range map[string]string{"17 00 19 01": "response/a", "19 00": "", "": ""} {
			c := join5(t, tg, "a", props)
			if got := string(c.property(0x1a, 0)); got != want {
				t.Errorf("%q: want %q, got %q", props, want, got)
			}
			c.hangUp()
		}
		// It is left out where CONNACK would become too large.
		long := strings.Repeat("x", 200)
		c := join5(t, tg, long, "19 01 27 00000080")
		if got := c.property(0x1a, 0); got != nil || len(c.connack) > 128 {
			t.Errorf("%d bytes of CONNACK, Response Information %q", len(c.connack), got)
		}
	})
}

func TestMixedVersions(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		five := join5(t, tg, "five", quiet).sub5("t", "02")
		four := join(t, tg, "four", clean).subscribed("t", 2)
		three := join(t, tg, "three", clean, v31).subscribed("t", 2)
		five.send("30{<'t'> {26 <'k'> <'v'>} 'a'}").expect("30{<'t'> {26 <'k'> <'v'>} 'a'}")
		four.expect(pub0("t", "a")).send(pub0("t", "b")).expect(pub0("t", "b"))
		three.expect(pub0("t", "a"), pub0("t", "b"))
		join(t, tg, "p", clean, v31).send(pub1(7, "t", "c")).expect(puback(7))
		five.expect("30{<'t'> {} 'b'}", "32{<'t'> 0001 {} 'c'}").send("40{0001}")
		four.expect(pub1(1, "t", "c")).send(puback(1))
		three.expect(pub1(1, "t", "c")).send(puback(1))
	})
}
