package conformance

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestPublish5(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		s := join5(t, tg, "s", quiet).sub5("t", "02")
		p := join5(t, tg, "p", quiet)
		// Each QoS, with the shortest form of each acknowledgement.
		p.send("30{<'t'> {} 'a'}", "32{<'t'> 1234 {} 'b'}").expect("40{1234}")
		p.send("34{<'t'> 1234 {} 'c'}").expect("50{1234}").send("62{1234}").expect("70{1234}")
		s.expect("30{<'t'> {} 'a'}", "32{<'t'> 0001 {} 'b'}", "34{<'t'> 0002 {} 'c'}")
		s.send("40{0001}", "50{0002}").expect("62{0002}").send("70{0002}")
		// The longer forms mean the same.
		p.send("32{<'t'> 0001 {} 'd'}").expect("40{0001}")
		s.expect("32{<'t'> 0003 {} 'd'}").send("40{0003 00}")
		p.send("34{<'t'> 0001 {} 'e'}").expect("50{0001}").send("62{0001 00 {}}").expect("70{0001}")
		s.expect("34{<'t'> 0004 {} 'e'}").send("50{0004 00 {1f <'fine'>}}").expect("62{0004}").send("70{0004 00 {26 <'k'> <'v'>}}")
		// To nobody.
		p.send("32{<'u'> 0001 {} 'x'}").expect("40{0001 10}")
		p.send("34{<'u'> 0001 {} 'x'}").expect("50{0001 10}").send("62{0001}").expect("70{0001}")
	})
}

func TestPublishMalformed5(t *testing.T) {
	for name, c := range map[string]struct {
		packet string
		reason byte
	}{
		"QoS 3":                        {"36{<'t'> 0001 {} 'x'}", 0x81},
		"DUP with QoS 0":               {"38{<'t'> {} 'x'}", 0x81},
		"no topic":                     {"30{<> {} 'x'}", 0x82},
		"wildcard +":                   {"30{<'a/+'> {} 'x'}", 0x90},
		"wildcard #":                   {"30{<'#'> {} 'x'}", 0x90},
		"topic not UTF-8":              {"30{<c328> {} 'x'}", 0x81},
		"topic with surrogate":         {"30{<eda080> {} 'x'}", 0x81},
		"topic with NUL":               {"30{<'a' 00> {} 'x'}", 0x81},
		"PacketID 0":                   {"32{<'t'> 0000 {} 'x'}", 0x82},
		"no property length":           {"30{<'t'>}", 0x81},
		"property length too long":     {"30{<'t'> 05 'x'}", 0x81},
		"unknown property":             {"30{<'t'> {7e 00} 'x'}", 0x81},
		"property of CONNECT":          {"30{<'t'> {17 00} 'x'}", 0x81},
		"Subscription Identifier":      {"30{<'t'> {0b 01} 'x'}", 0x82},
		"Message Expiry twice":         {"30{<'t'> {02 00000001 02 00000001} 'x'}", 0x82},
		"Payload Format 2":             {"30{<'t'> {01 02} 'x'}", 0x82},
		"Topic Alias 0":                {"30{<'t'> {23 0000} 'x'}", 0x94},
		"Topic Alias beyond":           {"30{<'t'> {23 0021} 'x'}", 0x94},
		"Topic Alias not set":          {"30{<> {23 0001} 'x'}", 0x82},
		"Response Topic with wildcard": {"30{<'t'> {08 <'a/#'>} 'x'}", 0x82},
		"Response Topic not UTF-8":     {"30{<'t'> {08 <ff>} 'x'}", 0x81},
		"Content Type not UTF-8":       {"30{<'t'> {03 <'a' 00>} 'x'}", 0x81},
		"User Property not UTF-8":      {"30{<'t'> {26 <'k'> <eda080>} 'x'}", 0x81},
	} {
		ended5(t, name, c.packet, c.reason)
	}
}

// ended5 sends a packet that ends the connection, with a reason, and shows
// that a will goes out and nobody gets a message.
func ended5(t *testing.T, name, packet string, reason byte) {
	t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
		each(t, options{}, func(t *testing.T, tg target) {
			w := join5(t, tg, "w", quiet).sub5("#", "00")
			c := dial(t, tg).accepted5(connect5With("06", "c", quiet, "{} <'will'> <>"), "c", 0)
			c.send(packet, pingreq).expect(fmt.Sprintf("e0{%02x}", reason)).expectClosed()
			w.expect("30{<'will'> {}}")
		})
	})
}

func TestReservedFlags5(t *testing.T) {
	for name, packet := range map[string]string{
		"PUBACK": "41{0001}", "PUBREC": "52{0001}", "PUBREL": "60{0001}", "PUBCOMP": "74{0001}",
		"SUBSCRIBE": "80{0001 {} <'t'> 00}", "UNSUBSCRIBE": "a0{0001 {} <'t'>}",
		"PINGREQ": "c8{}", "DISCONNECT": "e1{}", "AUTH": "f1{18 {15 <'X'>}}", "type 0": "00{}",
	} {
		ended5(t, name, packet, 0x81)
	}
}

func TestPacketsMalformed5(t *testing.T) {
	for name, c := range map[string]struct {
		packet string
		reason byte
	}{
		"PUBACK cut":                     {"40{00}", 0x81},
		"PUBACK unknown reason":          {"40{0001 7f}", 0x82},
		"PUBREC unknown reason":          {"50{0001 01}", 0x82},
		"PUBREL unknown reason":          {"62{0001 10}", 0x82},
		"PUBCOMP unknown reason":         {"70{0001 80}", 0x82},
		"PUBACK something behind":        {"40{0001 00 {} 00}", 0x81},
		"PUBREC Reason String not UTF-8": {"50{0001 00 {1f <ff>}}", 0x81},
		"PUBREL Reason String twice":     {"62{0001 00 {1f <'a'> 1f <'a'>}}", 0x82},
		"PINGREQ with a body":            {"c0{00}", 0x81},
		"DISCONNECT unknown reason":      {"e0{01}", 0x82},
		"long remaining length":          {"c0 80 00", 0x81},
		"CONNACK":                        {"20{00 00 {}}", 0x82},
		"SUBACK":                         {"90{0001 {} 00}", 0x82},
		"UNSUBACK":                       {"b0{0001 {} 00}", 0x82},
		"PINGRESP":                       {"d0{}", 0x82},
		"AUTH without a method":          {"f0{}", 0x82},
		"AUTH uninvited":                 {"f0{18 {15 <'X'>}}", 0x82},
		"AUTH of the server":             {"f0{00 {15 <'X'>}}", 0x82},
	} {
		ended5(t, name, c.packet, c.reason)
	}
}

func TestPropertiesOfPublish(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		const props = "01 01 03 <'type'> 08 <'answer/here'> 09 <00ff00> 26 <'k'> <'2'> 26 <'a'> <> 26 <'k'> <'1'>"
		s := join5(t, tg, "s", quiet).sub5("t", "02")
		old := join(t, tg, "old", clean).subscribed("t", 2)
		p := join5(t, tg, "p", quiet)
		for qos, end := range []string{"", "40{0001}", "50{0001}"} {
			id := "0001"
			if qos == 0 {
				id = ""
			}
			p.send(fmt.Sprintf("3%x{<'t'> %s {%s} 'x'}", 2*qos, id, props)).expect(end)
		}
		s.expect("30{<'t'> {"+props+"} 'x'}", "32{<'t'> 0001 {"+props+"} 'x'}", "34{<'t'> 0002 {"+props+"} 'x'}")
		s.send("40{0001}", "50{0002}").expect("62{0002}").send("70{0002}")
		old.expect(pub0("t", "x"), pub1(1, "t", "x"), pub2(2, "t", "x"))
		old.send(puback(1), pubrec(2)).expect(pubrel(2)).send(pubcomp(2))
		p.send("62{0001}").expect("70{0001}")
		old.hangUp()
		// Kept with a retained message, and in a queue.
		s.send("e0{}").expectClosed()
		dial(t, tg).accepted5(connect5With("00", "s", quiet+" 11 000000ff", ""), "s", 0).sub5("r", "01").send("e0{}").expectClosed()
		p.send("33{<'r'> 0001 {" + props + "} 'x'}").expect("40{0001}")
		resume5(t, tg, "s", quiet).expect("32{<'r'> 0001 {" + props + "} 'x'}").send("40{0001}")
		join5(t, tg, "n", quiet).sub5("r", "00").expect("31{<'r'> {" + props + "} 'x'}")
		// A byte order mark is part of the text.
		p.sub5("t", "00").send("30{<'t'> {26 <efbbbf> <efbbbf 'x'>}}").expect("30{<'t'> {26 <efbbbf> <efbbbf 'x'>}}")
	})
}

func TestPropertiesAreBig(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		// Property lengths of one byte up to three.
		c := join5(t, tg, "c", quiet).sub5("t", "00")
		for _, n := range []int{1, 122, 123, 16378, 16379, 65000} {
			packet := notation(fmt.Sprintf("30{<'t'> {26 <'k'> <'%s'>} 'x'}", strings.Repeat("v", n)))
			c.send(packet).expect(packet)
		}
	})
}

func TestMessageExpiry(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		const keep = quiet + " 11 000000ff"
		dial(t, tg).accepted5(connect5With("00", "s", keep, ""), "s", 0).sub5("#", "01").send("e0{}").expectClosed()
		p := join5(t, tg, "p", quiet)
		p.send("32{<'q'> 0001 {02 00000001} 'soon'}").expect("40{0001}")
		p.send("32{<'q'> 0001 {02 00000064} 'later'}").expect("40{0001}")
		p.send("33{<'r'> 0001 {02 00000001} 'soon'}").expect("40{0001}")
		p.send("33{<'r2'> 0001 {02 00000064} 'later'}").expect("40{0001}")
		clock(t, tg, 3)
		counted := func(c *conn, first, topic, id string) {
			t.Helper()
			got := c.packet()
			for left := 0x5f; left <= 0x61; left++ { // 3 s of 100 are over, and perhaps another, on a busy machine two
				if bytes.Equal(got, notation(fmt.Sprintf("%s{<'%s'> %s {02 %08x} 'later'}", first, topic, id, left))) {
					return
				}
			}
			t.Errorf("want Message Expiry Interval 0x5f to 0x61, got %s", describe(got))
		}
		s := resume5(t, tg, "s", keep)
		counted(s, "32", "q", "0001")
		counted(s, "32", "r2", "0002")
		s.send("40{0001}", "40{0002}").settle()
		n := join5(t, tg, "n", quiet).sub5("+", "00")
		counted(n, "31", "r2", "")
		n.settle()
	})
}

// What was sent once is repeated whatever its age: its handshake must end.
func TestMessageExpiryAfterSending(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		const keep = quiet + " 11 000000ff"
		s := dial(t, tg).accepted5(connect5With("00", "s", keep, ""), "s", 0).sub5("t", "02")
		p := join5(t, tg, "p", quiet)
		p.send("34{<'t'> 0001 {02 00000001} 'a'}", "34{<'t'> 0002 {02 00000001} 'b'}").expect("50{0001}", "50{0002}")
		p.send("62{0001}", "62{0002}").expect("70{0001}", "70{0002}")
		a, b := s.packet(), s.packet()
		for i, got := range [][]byte{a, b} {
			if !bytes.HasPrefix(got, notation(fmt.Sprintf("34 0c <'t'> 000%d", i+1))) {
				t.Fatalf("got %s", describe(got))
			}
		}
		s.send("50{0001}").expect("62{0001}").reset()
		clock(t, tg, 3)
		s = resume5(t, tg, "s", keep)
		s.expect("62{0001}")
		if got := s.packet(); got[0] != 0x3c || !bytes.HasSuffix(got, []byte("b")) {
			t.Fatalf("want PUBLISH b again, got %s", describe(got))
		}
		s.send("70{0001}", "50{0002}").expect("62{0002}").send("70{0002}").settle()
	})
}

func TestTopicAlias(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		s := join5(t, tg, "s", quiet).sub5("#", "00")
		p := join5(t, tg, "p", quiet)
		if got := p.property(0x22, 2); !bytes.Equal(got, []byte{0, 32}) {
			t.Fatalf("Topic Alias Maximum: % x", got)
		}
		p.send("30{<'first'> {23 0001} '1'}", "30{<'second'> {23 0020} '2'}")
		p.send("30{<> {23 0001} '3'}", "30{<> {23 0020} '4'}")
		p.send("30{<'third'> {23 0001} '5'}", "30{<> {23 0001} '6'}") // set anew
		for i, topic := range []string{"first", "second", "first", "second", "third", "third"} {
			s.expect(fmt.Sprintf("30{<'%s'> {} '%d'}", topic, i+1))
		}
		// It ends with the connection.
		p.send("e0{}").expectClosed()
		join5(t, tg, "p", quiet).send("30{<> {23 0001} 'x'}").expect("e0{82}").expectClosed()
	})
}

func TestTopicAliasOfTheServer(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		p := join5(t, tg, "p", quiet)
		none := join5(t, tg, "none", quiet).sub5("#", "00")
		some := join5(t, tg, "some", quiet+" 22 0002").sub5("#", "00")
		names := map[byte]string{}
		for i := range 40 {
			topic := fmt.Sprintf("long/topic/name/%c", "ababc"[i%5])
			p.send(fmt.Sprintf("30{<'%s'> {} 'x'}", topic))
			none.expect(fmt.Sprintf("30{<'%s'> {} 'x'}", topic))
			full := notation(fmt.Sprintf("<'%s'>", topic))
			got := some.packet()[2:]
			name, named := bytes.CutPrefix(got, full)
			if !named {
				name = got[2:]
			}
			switch {
			case named && bytes.Equal(name, notation("{} 'x'")):
			case len(name) != 5 || !bytes.HasPrefix(name, []byte{3, 0x23, 0}) || name[3] == 0 || name[3] > 2:
				t.Fatalf("alias: got % x", got)
			case named:
				names[name[3]] = topic
			case names[name[3]] != topic || got[0] != 0 || got[1] != 0:
				t.Fatalf("alias %d stands for %q, and %q was published", name[3], names[name[3]], topic)
			}
		}
		if len(names) == 0 {
			t.Error("no alias was used")
		}
	})
}

func TestMaximumPacketSize(t *testing.T) {
	each(t, options{packetBytesMax: 5000}, func(t *testing.T, tg target) {
		p := join5(t, tg, "p", quiet)
		if got := p.property(0x27, 4); !bytes.Equal(got, []byte{0, 0, 0x13, 0x88}) {
			t.Fatalf("Maximum Packet Size of the broker: % x", got)
		}
		small := join5(t, tg, "small", quiet+" 27 00000020").sub5("t", "01")
		large := join5(t, tg, "large", quiet).sub5("t", "01")
		// 32 bytes fit, 33 do not; to the broker it counts as sent.
		fits, over := strings.Repeat("x", 24), strings.Repeat("x", 25)
		p.send("32{<'t'> 0001 {} '" + over + "'}").expect("40{0001}")
		p.send("32{<'t'> 0001 {} '" + fits + "'}").expect("40{0001}")
		large.expect("32{<'t'> 0001 {} '"+over+"'}", "32{<'t'> 0002 {} '"+fits+"'}").send("40{0001}", "40{0002}")
		small.expect("32{<'t'> 0001 {} '" + fits + "'}").send("40{0001}")
		small.settle()
		// Ours is told, and held.
		p.send("30{<'t'> {} '" + strings.Repeat("x", 5000) + "'}").expect("e0{95}").expectClosed()
	})
}

func TestAnswersFitThePacketSize(t *testing.T) {
	each(t, options{subscriptionsMax: 1}, func(t *testing.T, tg target) {
		// A Reason String would make each of these longer than 24 bytes.
		c := join5(t, tg, "c", "27 00000018").sub5("t", "00")
		c.send("82{0002 {} <'u'> 00}").expect("90{0002 {} 97}")
		c.send("a2{0003 {} <'none'>}").expect("b0{0003 {} 11}")
		c.send("32{<'$x'> 0004 {} 'x'}").expectReason(0x40, 4, 0x87)
		c.send("34{<'$x'> 0005 {} 'x'}").expectReason(0x50, 4, 0x87)
		c.send("62{0006}").expect("70{0006 92}").send("50{0007}").expect("62{0007 92}")
		c.send("30{<'+'> {} 'x'}").expect("e0{90}").expectClosed()
		dial(t, tg).send(connect5(strings.Repeat("x", 300), "27 00000018")).expect("20{00 85 {}}").expectClosed()
	})
}

func TestProblemInformation(t *testing.T) {
	each(t, options{subscriptionsMax: 1}, func(t *testing.T, tg target) {
		// Wanted, by default.
		c := join5(t, tg, "c", "").sub5("t", "00").send("82{0002 {} <'u'> 00}")
		if p := c.packet(); p[4] == 0 || p[5] != 0x1f || p[len(p)-1] != 0x97 {
			t.Errorf("want a Reason String, got %s", describe(p))
		}
		// Not wanted.
		c = join5(t, tg, "d", quiet).sub5("t", "00").send("82{0002 {} <'u'> 00}").expect("90{0002 {} 97}")
		c.send("62{0005}").expect("70{0005 92}")
		c.send("30{<'+'> {} 'x'}").expect("e0{90}").expectClosed()
	})
}

func TestRetain5(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		p := join5(t, tg, "p", quiet)
		before := join5(t, tg, "before", quiet).sub5("r/+", "00")
		p.send("31{<'r/a'> {} '1'}", "31{<'r/a'> {} '2'}", "30{<'r/a'> {} '3'}", "31{<'r/b'> {} 'x'}", "31{<'r/b'> {}}")
		before.expect("30{<'r/a'> {} '1'}", "30{<'r/a'> {} '2'}", "30{<'r/a'> {} '3'}", "30{<'r/b'> {} 'x'}", "30{<'r/b'> {}}")
		join5(t, tg, "after", quiet).sub5("r/+", "00").expect("31{<'r/a'> {} '2'}").hangUp()
		// As published, if asked for.
		as := join5(t, tg, "as", quiet).sub5("r/+", "08").expect("31{<'r/a'> {} '2'}")
		p.send("31{<'r/a'> {} '4'}", "30{<'r/a'> {} '5'}")
		as.expect("31{<'r/a'> {} '4'}", "30{<'r/a'> {} '5'}")
		before.expect("30{<'r/a'> {} '4'}", "30{<'r/a'> {} '5'}")
	})
}

func TestOrder5(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		s := join5(t, tg, "s", quiet).sub5("t/+", "02")
		p := join5(t, tg, "p", quiet)
		for i := range 60 {
			switch i % 3 {
			case 0:
				p.send(fmt.Sprintf("30{<'t/%d'> {} '%d'}", i%2, i))
			case 1:
				p.send(fmt.Sprintf("32{<'t/%d'> %04x {} '%d'}", i%2, i, i)).expect(fmt.Sprintf("40{%04x}", i))
			case 2:
				p.send(fmt.Sprintf("34{<'t/%d'> %04x {} '%d'}", i%2, i, i)).expect(fmt.Sprintf("50{%04x}", i))
				p.send(fmt.Sprintf("62{%04x}", i)).expect(fmt.Sprintf("70{%04x}", i))
			}
		}
		var ids []byte
		for i := range 60 {
			got := s.packet()
			if !bytes.HasSuffix(got, fmt.Appendf(nil, "%d", i)) || int(got[0]>>1&3) != i%3 {
				t.Fatalf("message %d: got %s", i, describe(got))
			}
			if i%3 > 0 {
				ids = append(ids, got[8])
			}
		}
		for i, id := range ids {
			if int(id) != i+1 {
				t.Fatalf("PacketIDs are not in order: % x", ids)
			}
			if i%2 == 0 {
				s.send(fmt.Sprintf("40{00%02x}", id))
			} else {
				s.send(fmt.Sprintf("50{00%02x}", id)).expect(fmt.Sprintf("62{00%02x}", id)).send(fmt.Sprintf("70{00%02x}", id))
			}
		}
	})
}
