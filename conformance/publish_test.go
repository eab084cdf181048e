package conformance

import (
	"fmt"
	"strings"
	"testing"
)

// TestQoSIsTheLowerOfTwo: of what is published and what is granted.
func TestQoSIsTheLowerOfTwo(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		p := join(t, tg, "p", clean)
		for granted := range byte(3) {
			s := join(t, tg, fmt.Sprint("s", granted), clean).subscribed("a/b", granted)
			p.send(pub0("a/b", "zero"))
			s.receive(0x30, "a/b", "zero")
			p.send(pub1(1, "a/b", "one")).expect(puback(1))
			s.receive(0x30|min(1, granted)<<1, "a/b", "one")
			p.send(pub2(1, "a/b", "two")).expect(pubrec(1)).send(pubrel(1)).expect(pubcomp(1))
			s.receive(0x30|min(2, granted)<<1, "a/b", "two")
			s.leave()
		}
	})
}

// TestPublishToNobody is acknowledged like any other.
func TestPublishToNobody(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		p := join(t, tg, "p", clean)
		p.send(pub0("a", "x")).expectNothing()
		p.send(pub1(65535, "a", "x")).expect("40 02 ff ff")
		p.send(pub2(65535, "a", "x")).expect("50 02 ff ff").send("62 02 ff ff").expect("70 02 ff ff")
	})
}

// TestPublishToOneself: a publisher that subscribes gets its own messages.
func TestPublishToOneself(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		c := join(t, tg, "c", clean).subscribed("a", 0)
		c.send(pub0("a", "mine")).expect(pub0("a", "mine"))
	})
}

// TestDupIsNotPassedOn: it says something about one connection only.
func TestDupIsNotPassedOn(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		s := join(t, tg, "s", clean).subscribed("a", 2)
		p := join(t, tg, "p", clean)
		p.send(dup(pub1(1, "a", "one"))).expect(puback(1))
		s.receive(0x32, "a", "one")
		p.send(dup(pub2(1, "a", "two"))).expect(pubrec(1)).send(pubrel(1)).expect(pubcomp(1))
		s.receive(0x34, "a", "two")
	})
}

// TestQoS1RepeatIsANewMessage: the receiver keeps no memory of PacketIDs.
func TestQoS1RepeatIsANewMessage(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		s := join(t, tg, "s", clean).subscribed("a", 1)
		p := join(t, tg, "p", clean)
		p.send(pub1(5, "a", "x")).expect(puback(5))
		p.send(dup(pub1(5, "a", "x"))).expect(puback(5))
		s.receive(0x32, "a", "x")
		s.receive(0x32, "a", "x")
	})
}

// TestQoS2RepeatIsDeliveredOnce: until PUBREL a PacketID stands for one
// message, also over a reconnect; after PUBCOMP it is free.
func TestQoS2RepeatIsDeliveredOnce(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		s := join(t, tg, "s", clean).subscribed("a", 2)
		p := join(t, tg, "p")
		p.send(pub2(5, "a", "x")).expect(pubrec(5))
		p.send(dup(pub2(5, "a", "x"))).expect(pubrec(5))
		p.leave()
		p = resume(t, tg, "p")
		p.send(dup(pub2(5, "a", "x"))).expect(pubrec(5))
		p.send(pubrel(5)).expect(pubcomp(5))
		s.receive(0x34, "a", "x")
		p.send(pubrel(5)).expect(pubcomp(5)) // the client may not have seen the first PUBCOMP
		s.expectNothing()
		p.send(pub2(5, "a", "y")).expect(pubrec(5)).send(pubrel(5)).expect(pubcomp(5))
		s.receive(0x34, "a", "y")
	})
}

// TestQoS2RepeatInOneSegment: all in a row, each is answered, one delivered.
func TestQoS2RepeatInOneSegment(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		s := join(t, tg, "s", clean).subscribed("a", 2)
		p := join(t, tg, "p", clean)
		x := pub2(5, "a", "x")
		p.send(x, dup(x), dup(x), pubrel(5), pubrel(5), pub2(5, "a", "y"), pubrel(5))
		p.expect(pubrec(5), pubrec(5), pubrec(5), pubcomp(5), pubcomp(5), pubrec(5), pubcomp(5))
		idX := s.expectPublish(0x34, "a", "x") // both may be on their way before either is answered
		idY := s.expectPublish(0x34, "a", "y")
		s.send(pubrec(idX)).expect(pubrel(idX)).send(pubcomp(idX))
		s.send(pubrec(idY)).expect(pubrel(idY)).send(pubcomp(idY))
	})
}

// TestQoS2ManyOpen: PacketIDs are released in any order.
func TestQoS2ManyOpen(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		p := join(t, tg, "p", clean)
		for _, id := range []int{1, 65535, 255, 256, 32768} {
			p.send(pub2(id, "a", fmt.Sprint(id))).expect(pubrec(id))
		}
		for _, id := range []int{256, 1, 32768, 65535, 255} {
			p.send(pubrel(id)).expect(pubcomp(id))
		}
	})
}

// TestPacketIDsOfBothSidesAreApart: the same PacketID is in use in both
// directions at once.
func TestPacketIDsOfBothSidesAreApart(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		c := join(t, tg, "c", clean).subscribed("in", 1)
		p := join(t, tg, "p", clean).send(pub1(9, "in", "x")).expect(puback(9))
		id := c.expectPublish(0x32, "in", "x")
		c.send(pub1(id, "out", "y")).expect(puback(id))
		c.send(pub2(id, "out", "y")).expect(pubrec(id)).send(pubrel(id)).expect(pubcomp(id))
		c.send(subscribe(id, "more", 0)).expect(suback(id, 0))
		c.send(puback(id))
		p.leave()
	})
}

// TestStrayAcknowledgements do no harm: they may answer what was repeated.
func TestStrayAcknowledgements(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		c := join(t, tg, "c", clean).subscribed("a", 1)
		c.send(puback(77), pubcomp(78)).expectNothing()
		c.send(pub0("a", "still here")).expect(pub0("a", "still here"))
	})
}

// TestPubrelUnknown is answered, or the client would repeat it for ever.
func TestPubrelUnknown(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		join(t, tg, "c", clean).send(pubrel(1234)).expect(pubcomp(1234))
	})
}

// TestPubrecUnknown is answered, so that the receiver can finish.
func TestPubrecUnknown(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		join(t, tg, "c", clean).send(pubrec(1234)).expect(pubrel(1234))
	})
}

// TestPayloads come as they were, of any size and any bytes.
func TestPayloads(t *testing.T) {
	each(t, options{packetBytesMax: 5 << 20, queuedBytesMax: 64 << 20}, func(t *testing.T, tg target) {
		s := join(t, tg, "s", clean).subscribed("#", 1)
		p := join(t, tg, "p", clean)
		var all strings.Builder
		for b := range 256 {
			all.WriteByte(byte(b))
		}
		payloads := []string{"", "\x00", "\x00\x00", all.String()}
		head := len(str("t"))
		for _, edge := range []int{128, 4096, 16384, 65536, 2097152} { // where the Remaining Length or a buffer gets longer
			for d := -3; d <= 1; d++ {
				payloads = append(payloads, strings.Repeat("x", edge-head+d))
			}
		}
		for i, x := range payloads {
			p.send(pub0("t", x))
			s.receive(0x30, "t", x)
			p.send(pub1(i+1, "t", x)).expect(puback(i + 1))
			s.receive(0x32, "t", x)
		}
	})
}

// TestTopicNames come as they were.
func TestTopicNames(t *testing.T) {
	each(t, options{topicLevelsMax: 128}, func(t *testing.T, tg target) {
		s := join(t, tg, "s", clean).subscribed("#", 0)
		p := join(t, tg, "p", clean)
		for _, name := range []string{
			"a", "/", "//", "/a", "a/", "a//b", "a b", " ", "A", "ä/ö", "日本/語", "\ufeffa", "a/$b", "\U0010fffd",
			"\ufffd", "a\u0301", strings.Repeat("l/", 127) + "l", strings.Repeat("n", 4096),
		} {
			p.send(pub0(name, "x"))
			s.expect(pub0(name, "x"))
			one := join(t, tg, "one", clean).subscribed(name, 0) // and match themselves
			p.send(pub0(name, "y"))
			one.expect(pub0(name, "y"))
			s.expect(pub0(name, "y"))
			one.leave()
		}
	})
}

// TestTopicsWithControlCharacters, and with code points that Unicode keeps for
// itself, pass: a receiver may close at them, and does
// its users no favour.
func TestTopicsWithControlCharacters(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		c := join(t, tg, "c", clean).subscribed("#", 0)
		for _, name := range []string{"\x01", "\x1f/\x7f", "a\nb", "\u0080", "\uffff", "\U0010ffff"} {
			c.send(pub0(name, "x")).expect(pub0(name, "x"))
		}
	})
}

// TestDollarTopics: what clients publish to topics that begin with $ is
// acknowledged and goes nowhere.
func TestDollarTopics(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		s := join(t, tg, "s", clean).send(subscribe(1, "$SYS/x", 2, "$other/#", 2, "#", 2)).expect(suback(1, 2, 2, 2))
		p := join(t, tg, "p", clean, will(0, "$SYS/x", "w"))
		for _, name := range []string{"$SYS/x", "$other/x", "$", "$/x"} {
			p.send(retained(pub0(name, "x")))
			p.send(pub1(1, name, "x")).expect(puback(1))
			p.send(pub2(1, name, "x")).expect(pubrec(1)).send(pubrel(1)).expect(pubcomp(1))
		}
		p.reset()
		s.expectNothing()
		join(t, tg, "late", clean).send(subscribe(1, "$SYS/x", 2, "$other/#", 2)).expect(suback(1, 2, 2))
	})
}

// TestOrderOfOnePublisher is kept, by QoS and over many segments.
func TestOrderOfOnePublisher(t *testing.T) {
	each(t, options{inflightMax: 100}, func(t *testing.T, tg target) {
		s := join(t, tg, "s", clean).subscribed("a", 2)
		p := join(t, tg, "p", clean)
		for qos := range byte(3) {
			var out, acks []byte
			for i := 1; i <= 100; i++ {
				out = append(out, publish(0x30|qos<<1, i, "a", fmt.Sprint(i))...)
				switch qos {
				case 1:
					acks = append(acks, puback(i)...)
				case 2:
					out = append(out, pubrel(i)...)
					acks = append(acks, append(pubrec(i), pubcomp(i)...)...)
				}
			}
			p.send(out).expect(acks)
			var ids []int
			for i := 1; i <= 100; i++ {
				ids = append(ids, s.expectPublish(0x30|qos<<1, "a", fmt.Sprint(i)))
			}
			for _, id := range ids {
				switch qos {
				case 1:
					s.send(puback(id))
				case 2:
					s.send(pubrec(id)).expect(pubrel(id)).send(pubcomp(id))
				}
			}
		}
	})
}
