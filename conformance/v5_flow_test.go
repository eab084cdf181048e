package conformance

import (
	"fmt"
	"testing"
)

const keep5 = quiet + " 11 000000ff" // a session that outlives its connection

func TestReceiveMaximumOfTheClient(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		s := join5(t, tg, "s", quiet+" 21 0002").sub5("t", "02")
		p := join5(t, tg, "p", quiet)
		for i := 1; i <= 5; i++ {
			p.send(fmt.Sprintf("32{<'t'> %04x {} '%d'}", i, i)).expect(fmt.Sprintf("40{%04x}", i))
		}
		p.send("34{<'t'> 0006 {} '6'}").expect("50{0006}").send("62{0006}").expect("70{0006}")
		s.expect("32{<'t'> 0001 {} '1'}", "32{<'t'> 0002 {} '2'}")
		// Everything else goes on: QoS 0 and answers.
		p.send("30{<'t'> {} 'zero'}")
		s.expect("30{<'t'> {} 'zero'}").sub5("u", "00").settle()
		s.send("40{0001}").expect("32{<'t'> 0003 {} '3'}").send("40{0002}", "40{0003}")
		s.expect("32{<'t'> 0004 {} '4'}", "32{<'t'> 0005 {} '5'}").send("40{0004}", "40{0005}")
		// QoS 2 counts until PUBCOMP.
		s.expect("34{<'t'> 0006 {} '6'}")
		p.send("32{<'t'> 0007 {} '7'}", "32{<'t'> 0008 {} '8'}").expect("40{0007}", "40{0008}")
		s.expect("32{<'t'> 0007 {} '7'}").send("50{0006}").expect("62{0006}").settle()
		s.send("70{0006}").expect("32{<'t'> 0008 {} '8'}").send("40{0007}", "40{0008}").settle()
		// A refusal in PUBREC ends the flight at once.
		p.send("34{<'t'> 0009 {} '9'}").expect("50{0009}").send("62{0009}").expect("70{0009}")
		s.expect("34{<'t'> 0009 {} '9'}").send("50{0009 80}").settle()
	})
}

func TestReceiveMaximumOfTheServer(t *testing.T) {
	each(t, options{receiveMaximum: 3}, func(t *testing.T, tg target) {
		p := join5(t, tg, "p", quiet)
		if got := p.property(0x21, 2); len(got) != 2 || got[1] != 3 {
			t.Fatalf("Receive Maximum: % x", got)
		}
		for i := 1; i <= 3; i++ {
			p.send(fmt.Sprintf("34{<'t'> %04x {} 'x'}", i)).expect(fmt.Sprintf("50{%04x 10}", i))
		}
		// QoS 0 and 1 go on, and a released one makes room.
		p.send("30{<'t'> {} 'x'}", "32{<'t'> 0009 {} 'x'}").expect("40{0009 10}")
		p.send("62{0001}").expect("70{0001}").send("34{<'t'> 0004 {} 'x'}").expect("50{0004 10}")
		// Clearly beyond it is an error: twice as many.
		for i := 5; i < 100; i++ {
			p.sendAndGo(fmt.Sprintf("34{<'t'> %04x {} 'x'}", i))
			if got, err := p.next(); err != nil || got[0] != 0x50 {
				if i < 7 || len(got) != 3 || got[0] != 0xe0 || got[2] != 0x93 {
					t.Errorf("with %d open: got %s, %v", i-1, describe(got), err)
				}
				break
			}
		}
		p.expectClosed()
	})
}

func TestQoS2Once5(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		s := join5(t, tg, "s", quiet).sub5("t", "00")
		p := dial(t, tg).accepted5(connect5With("00", "p", keep5, ""), "p", 0)
		p.send("34{<'t'> 0001 {} 'x'}").expect("50{0001}").send("3c{<'t'> 0001 {} 'x'}").expect("50{0001}")
		s.expect("30{<'t'> {} 'x'}").settle()
		// Over a new connection too.
		p.hangUp()
		p = resume5(t, tg, "p", keep5).send("3c{<'t'> 0001 {} 'x'}").expect("50{0001}")
		s.settle()
		p.send("62{0001}").expect("70{0001}").send("62{0001}").expect("70{0001 92}")
		// Released: the same PacketID is a new message.
		p.send("34{<'t'> 0001 {} 'y'}").expect("50{0001}").send("62{0001}").expect("70{0001}")
		s.expect("30{<'t'> {} 'y'}")
		// A refused one is none, and may be sent anew.
		p.send("34{<'$x'> 0002 {} 'z'}").expect("50{0002 87}").send("34{<'t'> 0002 {} 'z'}").expect("50{0002}")
		s.expect("30{<'t'> {} 'z'}")
		p.send("62{0002}").expect("70{0002}")
	})
}

func TestQoS1Again5(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		s := join5(t, tg, "s", quiet).sub5("t", "00")
		p := join5(t, tg, "p", quiet)
		// After PUBACK the same PacketID is a new message, whatever DUP says, and DUP is not passed on.
		p.send("32{<'t'> 0001 {} 'x'}").expect("40{0001}").send("3a{<'t'> 0001 {} 'x'}").expect("40{0001}")
		s.expect("30{<'t'> {} 'x'}", "30{<'t'> {} 'x'}")
	})
}

func TestRedelivery5(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		s := dial(t, tg).accepted5(connect5With("00", "s", keep5, ""), "s", 0).sub5("t", "02")
		p := join5(t, tg, "p", quiet)
		publish := func(i, qos int) {
			p.send(fmt.Sprintf("3%x{<'t'> %04x {26 <'k'> <'v'>} '%d'}", 2*qos, i, i))
			if qos == 1 {
				p.expect(fmt.Sprintf("40{%04x}", i))
			} else {
				p.expect(fmt.Sprintf("50{%04x}", i)).send(fmt.Sprintf("62{%04x}", i)).expect(fmt.Sprintf("70{%04x}", i))
			}
		}
		publish(1, 1)
		publish(2, 2)
		publish(3, 2)
		publish(4, 1)
		s.expect("32{<'t'> 0001 {26 <'k'> <'v'>} '1'}", "34{<'t'> 0002 {26 <'k'> <'v'>} '2'}",
			"34{<'t'> 0003 {26 <'k'> <'v'>} '3'}", "32{<'t'> 0004 {26 <'k'> <'v'>} '4'}")
		s.send("50{0002}").expect("62{0002}")
		// Not before a new connection.
		s.settle().reset()
		publish(5, 1)
		again := func() {
			s = resume5(t, tg, "s", keep5).expect("3a{<'t'> 0001 {26 <'k'> <'v'>} '1'}", "62{0002}",
				"3c{<'t'> 0003 {26 <'k'> <'v'>} '3'}", "3a{<'t'> 0004 {26 <'k'> <'v'>} '4'}")
		}
		again()
		s.expect("32{<'t'> 0005 {26 <'k'> <'v'>} '5'}").reset()
		again()
		s.expect("3a{<'t'> 0005 {26 <'k'> <'v'>} '5'}")
		s.send("40{0001}", "70{0002}", "50{0003}", "40{0004}", "40{0005}").expect("62{0003}").send("70{0003}").settle()
		// Acknowledged, also with a refusal, is done.
		publish(6, 1)
		publish(7, 2)
		s.expect("32{<'t'> 0006 {26 <'k'> <'v'>} '6'}", "34{<'t'> 0007 {26 <'k'> <'v'>} '7'}")
		s.send("40{0006 97}", "50{0007 91}").settle().reset()
		resume5(t, tg, "s", keep5).settle()
	})
}

func TestUnknownPacketIDs5(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		c := join5(t, tg, "c", quiet)
		c.send("50{0007}").expect("62{0007 92}").send("62{0008}").expect("70{0008 92}")
		c.send("40{0009}", "70{000a}", "50{000b 80}").settle()
	})
}

func TestQueue5(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		dial(t, tg).accepted5(connect5With("00", "s", keep5, ""), "s", 0).sub5("t", "02").send("e0{}").expectClosed()
		p := join5(t, tg, "p", quiet)
		p.send("30{<'t'> {} 'zero'}", "32{<'t'> 0001 {} '1'}").expect("40{0001}")
		p.send("34{<'t'> 0002 {} '2'}").expect("50{0002}").send("62{0002}").expect("70{0002}")
		s := resume5(t, tg, "s", quiet).expect("32{<'t'> 0001 {} '1'}", "34{<'t'> 0002 {} '2'}")
		s.send("40{0001}", "50{0002}").expect("62{0002}").send("70{0002}").settle()
	})
}

func TestRequestResponse(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		asker := join5(t, tg, "asker", quiet+" 19 01")
		topic := string(asker.property(0x1a, 0)) + "/x"
		asker.sub5(topic, "00")
		answerer := join5(t, tg, "answerer", quiet).sub5("question", "00")
		asker.send("30{<'question'> {08 <'" + topic + "'> 09 <0102>} '2+2'}")
		answerer.expect("30{<'question'> {08 <'" + topic + "'> 09 <0102>} '2+2'}")
		answerer.send("30{<'" + topic + "'> {09 <0102>} '4'}")
		asker.expect("30{<'" + topic + "'> {09 <0102>} '4'}")
	})
}

func TestDollarTopics5(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		s := join5(t, tg, "s", quiet).sub5("#", "00").sub5("+/x", "00").sub5("$x/#", "00")
		p := join5(t, tg, "p", quiet)
		p.send("30{<'$x/x'> {} 'x'}", "32{<'$x/x'> 0001 {} 'x'}").expect("40{0001 87}")
		s.settle()
	})
}

func TestDisconnect5(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		w := join5(t, tg, "w", quiet).sub5("t", "00")
		for _, end := range []string{"e0{}", "e0{00}", "e0{00 {}}", "e0{04}", "e0{82 {1f <'why'> 26 <'k'> <'v'>}}"} {
			// Nothing counts behind it, and nothing is sent.
			join5(t, tg, "c", quiet).send(end, "30{<'t'> {} 'x'}", pingreq).expectClosed()
		}
		w.settle()
	})
}

func TestPing5(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		join5(t, tg, "c", quiet).send("c0{}", "c0{}").expect("d0{}", "d0{}")
	})
}

func TestDribble5(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		c := dial(t, tg).dribble(connect5("c", quiet)).expectReason(0x20, 3, 0)
		c.dribble("82{0001 {0b 8001} <'t'> 01}").expect("90{0001 {} 01}")
		c.dribble("32{<'t'> 0001 {03 <'c'>} 'x'}").expect("32{<'t'> 0001 {0b 8001 03 <'c'>} 'x'}", "40{0001}")
		c.dribble("40{0001}", "e0{00 {}}").expectClosed()
	})
}

// Everything at once: the standard allows a client not to wait.
func TestPipelining5(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		c := dial(t, tg).send(connect5("c", quiet), "82{0001 {} <'t'> 01}", "32{<'t'> 0001 {} 'x'}", "a2{0002 {} <'t'>}", "c0{}", "e0{}")
		c.expectReason(0x20, 3, 0).expect("90{0001 {} 01}", "32{<'t'> 0001 {} 'x'}", "40{0001}", "b0{0002 {} 00}", "d0{}").expectClosed()
	})
}
