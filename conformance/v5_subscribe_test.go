package conformance

import (
	"fmt"
	"strings"
	"testing"
)

func TestSubscribe5(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		c := join5(t, tg, "c", quiet)
		c.send("82{1234 {26 <'k'> <'v'>} <'a'> 00 <'b/+'> 01 <'c/#'> 02 <'#'> 00}").expect("90{1234 {} 00 01 02 00}")
		c.send("a2{4321 {26 <'k'> <'v'>} <'a'> <'none'> <'#'>}").expect("b0{4321 {} 00 11 00}")
		p := join5(t, tg, "p", quiet)
		p.send("30{<'a'> {} 'x'}", "30{<'b/x'> {} 'x'}", "30{<'c'> {} 'x'}")
		c.expect("30{<'b/x'> {} 'x'}", "30{<'c'> {} 'x'}")
	})
}

func TestSubscribeMalformed5(t *testing.T) {
	for name, c := range map[string]struct {
		packet string
		reason byte
	}{
		"PacketID 0":                 {"82{0000 {} <'t'> 00}", 0x82},
		"no filter":                  {"82{0001 {}}", 0x82},
		"no options":                 {"82{0001 {} <'t'>}", 0x81},
		"QoS 3":                      {"82{0001 {} <'t'> 03}", 0x82},
		"Retain Handling 3":          {"82{0001 {} <'t'> 30}", 0x82},
		"reserved option bits":       {"82{0001 {} <'t'> 40}", 0x81},
		"second filter cut":          {"82{0001 {} <'t'> 00 0005 'u'}", 0x81},
		"filter not UTF-8":           {"82{0001 {} <ff> 00}", 0x81},
		"filter with NUL":            {"82{0001 {} <'a' 00> 00}", 0x81},
		"empty filter":               {"82{0001 {} <> 00}", 0x81},
		"# not last":                 {"82{0001 {} <'#/a'> 00}", 0x81},
		"# behind text":              {"82{0001 {} <'a#'> 00}", 0x81},
		"+ behind text":              {"82{0001 {} <'a+/b'> 00}", 0x81},
		"Subscription Identifier 0":  {"82{0001 {0b 00} <'t'> 00}", 0x82},
		"two Identifiers":            {"82{0001 {0b 01 0b 02} <'t'> 00}", 0x82},
		"Identifier of five bytes":   {"82{0001 {0b ffffffff7f} <'t'> 00}", 0x81},
		"No Local and shared":        {"82{0001 {} <'$share/g/t'> 04}", 0x82},
		"share name empty":           {"82{0001 {} <'$share//t'> 00}", 0x81},
		"share name with wildcard":   {"82{0001 {} <'$share/g+/t'> 00}", 0x81},
		"share without filter":       {"82{0001 {} <'$share/g'> 00}", 0x81},
		"share with an empty filter": {"82{0001 {} <'$share/g/'> 00}", 0x81},
		"UNSUBSCRIBE PacketID 0":     {"a2{0000 {} <'t'>}", 0x82},
		"UNSUBSCRIBE without filter": {"a2{0001 {}}", 0x82},
		"UNSUBSCRIBE not UTF-8":      {"a2{0001 {} <eda080>}", 0x81},
		"UNSUBSCRIBE identifier":     {"a2{0001 {0b 01} <'t'>}", 0x81},
	} {
		ended5(t, name, c.packet, c.reason)
	}
}

func TestSubscriptionIdentifier(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		c := join5(t, tg, "c", quiet)
		c.send("82{0001 {0b 05} <'a/+'> 01}", "82{0002 {0b ffffff7f} <'a/#'> 02}", "82{0003 {} <'+/b'> 00}")
		c.expect("90{0001 {} 01}", "90{0002 {} 02}", "90{0003 {} 00}")
		p := join5(t, tg, "p", quiet)
		both := map[string]bool{string(notation("30{<'a/b'> {0b 05 0b ffffff7f} 'x'}")): true, string(notation("30{<'a/b'> {0b ffffff7f 0b 05} 'x'}")): true}
		p.send("30{<'a/b'> {} 'x'}")
		if got := c.packet(); !both[string(got)] {
			t.Errorf("want one message with both identifiers, got %s", describe(got))
		}
		p.send("30{<'a/b/c'> {} 'x'}", "30{<'b/b'> {} 'x'}")
		c.expect("30{<'a/b/c'> {0b ffffff7f} 'x'}", "30{<'b/b'> {} 'x'}")
		// The highest QoS of all.
		p.send("34{<'a/x'> 0001 {} 'x'}").expect("50{0001}").send("62{0001}").expect("70{0001}")
		if got := c.packet(); got[0] != 0x34 || len(got) != len(notation("34{<'a/x'> 0001 {0b 05 0b ffffff7f} 'x'}")) {
			t.Errorf("want QoS 2 and both identifiers, got %s", describe(got))
		}
		c.send("50{0001}").expect("62{0001}").send("70{0001}")
		// Subscribing again replaces it, also by none.
		c.send("82{0004 {0b 06} <'a/+'> 00}", "82{0005 {} <'a/#'> 00}").expect("90{0004 {} 00}", "90{0005 {} 00}")
		p.send("30{<'a/x'> {} 'x'}")
		c.expect("30{<'a/x'> {0b 06} 'x'}")
		// Retained messages have it too.
		p.send("31{<'r'> {} 'x'}").settle()
		c.send("82{0006 {0b 07} <'r'> 00}").expect("90{0006 {} 00}", "31{<'r'> {0b 07} 'x'}")
	})
}

func TestNoLocal(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		a := join5(t, tg, "a", quiet).sub5("t", "04")
		b := join5(t, tg, "b", quiet).sub5("t", "00")
		a.send("30{<'t'> {} 'a'}").settle()
		b.expect("30{<'t'> {} 'a'}").send("30{<'t'> {} 'b'}").expect("30{<'t'> {} 'b'}")
		a.expect("30{<'t'> {} 'b'}")
		// A message of its own comes by another filter.
		a.sub5("+", "00").send("30{<'t'> {} 'c'}").expect("30{<'t'> {} 'c'}")
		b.expect("30{<'t'> {} 'c'}")
	})
}

func TestRetainHandling(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		join5(t, tg, "p", quiet).send("31{<'t'> {} 'x'}").settle()
		c := join5(t, tg, "c", quiet)
		c.sub5("t", "20").settle()                                                     // 2: never
		c.sub5("t", "10").settle()                                                     // 1: only if the subscription is new
		c.sub5("t", "00").expect("31{<'t'> {} 'x'}")                                   // 0: always
		c.sub5("t", "00").expect("31{<'t'> {} 'x'}").settle()                          // again
		c.send("a2{0001 {} <'t'>}").expect("b0{0001 {} 00}")                           // gone
		c.sub5("t", "10").expect("31{<'t'> {} 'x'}").settle()                          // new
		c.sub5("t", "10").settle()                                                     // old
		join(t, tg, "four", clean).subscribed("t", 0).expect(retained(pub0("t", "x"))) // 3.1.1 knows 0 only
	})
}

func TestSubscribeAgain5(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		c := join5(t, tg, "c", quiet).sub5("t", "01").sub5("t", "00").sub5("t", "02").sub5("t", "01")
		p := join5(t, tg, "p", quiet)
		p.send("34{<'t'> 0001 {} 'x'}").expect("50{0001}").send("62{0001}").expect("70{0001}")
		c.expect("32{<'t'> 0001 {} 'x'}").send("40{0001}").settle()
	})
}

func TestUnsubscribe5(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		c := join5(t, tg, "c", quiet+" 21 0001").sub5("t", "01").sub5("t/+", "02")
		p := join5(t, tg, "p", quiet)
		p.send("32{<'t'> 0001 {} '1'}", "32{<'t'> 0002 {} '2'}").expect("40{0001}", "40{0002}")
		c.expect("32{<'t'> 0001 {} '1'}")
		// What is under way or queued is delivered to its end, nothing new comes.
		c.send("a2{0003 {} <'t'>}").expect("b0{0003 {} 00}")
		p.send("32{<'t'> 0003 {} '3'}").expect("40{0003 10}")
		c.send("40{0001}").expect("32{<'t'> 0002 {} '2'}").send("40{0002}").settle()
		c.send("a2{0004 {} <'t'> <'t/+'> <'t/#'>}").expect("b0{0004 {} 11 00 11}")
		// Filters are compared byte by byte.
		c.sub5("/x", "00").send("a2{0005 {} <'x'> <'/X'> <'/x/'>}").expect("b0{0005 {} 11 11 11}")
		p.send("30{<'/x'> {} 'y'}")
		c.expect("30{<'/x'> {} 'y'}")
	})
}

func TestLimitsOfSubscribe5(t *testing.T) {
	each(t, options{subscriptionsMax: 2, topicLevelsMax: 4, topicBytesMax: 20}, func(t *testing.T, tg target) {
		c := join5(t, tg, "c", quiet)
		c.send("82{0001 {} <'a'> 00 <'b'> 00 <'c'> 00}").expect("90{0001 {} 00 00 97}")
		c.send("82{0002 {} <'a/b/c/d/e'> 00 <'" + strings.Repeat("x", 21) + "'> 00 <'a'> 01}")
		if p := c.packet(); len(p) != 8 || p[5] < 0x80 || p[6] < 0x80 || p[7] != 1 {
			t.Errorf("want two refusals and QoS 1, got %s", describe(p))
		}
	})
}

func TestSharedSubscriptions(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		p := join5(t, tg, "p", quiet)
		p.send("31{<'t/r'> {} 'old'}").settle()
		var members []*conn
		for i := range 3 { // of one group; a retained message comes to none
			members = append(members, join5(t, tg, fmt.Sprintf("m%d", i), quiet).sub5("$share/g/t/+", fmt.Sprintf("0%d", i)).settle())
		}
		other := join5(t, tg, "other", quiet).sub5("$share/h/t/+", "00")
		plain := join5(t, tg, "plain", quiet).sub5("t/+", "00").expect("31{<'t/r'> {} 'old'}")
		for i := range 6 {
			p.send(fmt.Sprintf("34{<'t/x'> %04x {} '%d'}", i+1, i)).expect(fmt.Sprintf("50{%04x}", i+1))
			p.send(fmt.Sprintf("62{%04x}", i+1)).expect(fmt.Sprintf("70{%04x}", i+1))
			other.expect(fmt.Sprintf("30{<'t/x'> {} '%d'}", i))
			plain.expect(fmt.Sprintf("30{<'t/x'> {} '%d'}", i))
		}
		got := map[string]int{} // each message at one member, two at each, with the QoS it was granted
		for i, m := range members {
			for range 2 {
				packet := m.packet()
				got[string(packet[len(packet)-1:])]++
				if packet[0] != byte(0x30+2*i) {
					t.Errorf("member %d: want QoS %d, got %s", i, i, describe(packet))
				}
			}
			for n := range 2 {
				switch i {
				case 1:
					m.send(fmt.Sprintf("40{000%d}", n+1))
				case 2:
					m.send(fmt.Sprintf("50{000%d}", n+1)).expect(fmt.Sprintf("62{000%d}", n+1)).send(fmt.Sprintf("70{000%d}", n+1))
				}
			}
		}
		if len(got) != 6 {
			t.Errorf("want each message once, got %v", got)
		}
		// A filter of its own group, not of the topic.
		members[0].send("a2{0009 {} <'t/+'> <'$share/h/t/+'> <'$share/g/t/+'>}").expect("b0{0009 {} 11 11 00}")
	})
}

func TestSharedMemberGoes(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		// The first has the message and does not acknowledge it.
		a := join5(t, tg, "a", quiet).sub5("$share/g/t", "01")
		p := join5(t, tg, "p", quiet)
		p.send("32{<'t'> 0001 {} 'x'}").expect("40{0001}")
		a.expect("32{<'t'> 0001 {} 'x'}")
		b := join5(t, tg, "b", quiet).sub5("$share/g/t", "01").settle()
		// Its session ends: the other one gets it.
		a.hangUp()
		b.expect("32{<'t'> 0001 {} 'x'}").send("40{0001}")
		// QoS 2 that was sent stays with its session: until it is back.
		b.hangUp()
		c := join5(t, tg, "c", quiet+" 11 000000ff").sub5("$share/g/t", "02")
		p.send("34{<'t'> 0002 {} 'y'}").expect("50{0002}").send("62{0002}").expect("70{0002}")
		c.expect("34{<'t'> 0001 {} 'y'}").hangUp()
		d := join5(t, tg, "d", quiet).sub5("$share/g/t", "02").settle()
		c = resume5(t, tg, "c", quiet).expect("3c{<'t'> 0001 {} 'y'}")
		// And is not given to another if it never comes back [MQTT-4.8.2-5].
		c.send("e0{00 {11 00000000}}").expectClosed()
		d.settle()
	})
}

func TestSharedRefusesForGood(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		a := join5(t, tg, "a", quiet+" 11 000000ff").sub5("$share/g/t", "02")
		p := join5(t, tg, "p", quiet)
		p.send("32{<'t'> 0001 {} 'x'}", "34{<'t'> 0002 {} 'y'}").expect("40{0001}", "50{0002}").send("62{0002}").expect("70{0002}")
		a.expect("32{<'t'> 0001 {} 'x'}", "34{<'t'> 0002 {} 'y'}")
		b := join5(t, tg, "b", quiet).sub5("$share/g/t", "02")
		a.send("40{0001 80}", "50{0002 83}").settle() // nobody gets it then, and there is no PUBREL
		b.settle()
		a.hangUp()
		resume5(t, tg, "a", quiet).settle()
		b.settle()
	})
}
