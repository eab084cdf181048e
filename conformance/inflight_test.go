package conformance

import (
	"bytes"
	"fmt"
	"testing"
)

// TestInflightWindow: no more than the limit is open at once; each
// acknowledgement lets one more go; control packets pass.
func TestInflightWindow(t *testing.T) {
	each(t, options{inflightMax: 3}, func(t *testing.T, tg target) {
		s := join(t, tg, "s", clean).subscribed("a", 2)
		p := join(t, tg, "p", clean)
		for i := 1; i <= 9; i++ {
			p.send(pub1(i, "a", fmt.Sprint(i))).expect(puback(i))
		}
		var ids []int
		for i := 1; i <= 3; i++ {
			ids = append(ids, s.expectPublish(0x32, "a", fmt.Sprint(i)))
		}
		s.expectNothing()
		for i := 4; i <= 9; i++ {
			s.send(puback(ids[0]))
			ids = append(ids[1:], s.expectPublish(0x32, "a", fmt.Sprint(i)))
			s.expectNothing()
		}
		s.send(puback(ids[2]), puback(ids[0]), puback(ids[1])) // in any order
	})
}

// TestInflightWindowOfQoS2 opens with PUBCOMP, not before.
func TestInflightWindowOfQoS2(t *testing.T) {
	each(t, options{inflightMax: 1}, func(t *testing.T, tg target) {
		s := join(t, tg, "s", clean).subscribed("a", 2)
		p := join(t, tg, "p", clean)
		for i := 1; i <= 3; i++ {
			p.send(pub2(i, "a", fmt.Sprint(i))).expect(pubrec(i)).send(pubrel(i)).expect(pubcomp(i))
		}
		for i := 1; i <= 3; i++ {
			id := s.expectPublish(0x34, "a", fmt.Sprint(i))
			s.expectNothing()
			s.send(pubrec(id)).expect(pubrel(id)).expectNothing()
			s.send(pubrec(id)).expect(pubrel(id)).expectNothing() // again, harmless
			s.send(pubcomp(id))
		}
	})
}

// TestInflightDoesNotHoldQoS0 back.
func TestInflightDoesNotHoldQoS0(t *testing.T) {
	each(t, options{inflightMax: 1}, func(t *testing.T, tg target) {
		s := join(t, tg, "s", clean).subscribed("a", 1)
		p := join(t, tg, "p", clean)
		p.send(pub1(1, "a", "one")).expect(puback(1))
		p.send(pub1(2, "a", "two")).expect(puback(2))
		id := s.expectPublish(0x32, "a", "one")
		p.send(pub0("a", "zero"))
		s.expect(pub0("a", "zero")).send(puback(id))
		s.receive(0x32, "a", "two")
	})
}

// TestRedelivery repeats, on the next connection of a session, what was not
// acknowledged: in its order, with its PacketIDs, with DUP set.
func TestRedelivery(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		s := join(t, tg, "s").subscribed("a", 2)
		p := join(t, tg, "p", clean)
		var want [][]byte
		for i := 1; i <= 6; i++ {
			if x := fmt.Sprint(i); i%2 == 0 {
				p.send(pub2(i, "a", x)).expect(pubrec(i)).send(pubrel(i)).expect(pubcomp(i))
				want = append(want, dup(pub2(s.expectPublish(0x34, "a", x), "a", x)))
			} else {
				p.send(pub1(i, "a", x)).expect(puback(i))
				want = append(want, dup(pub1(s.expectPublish(0x32, "a", x), "a", x)))
			}
		}
		for _, end := range []func(*conn){(*conn).reset, (*conn).leave, (*conn).hangUp} {
			end(s)
			s = resume(t, tg, "s")
			for _, w := range want {
				s.expect(w)
			}
			s.expectNothing()
		}
		// One in the middle is acknowledged: the others are still owed.
		s.send(puback(packetID(want[2])))
		s.settle().leave()
		s = resume(t, tg, "s")
		for i, w := range want {
			if i != 2 {
				s.expect(w)
			}
		}
		for i, w := range want {
			switch id := packetID(w); {
			case i == 2:
			case i%2 == 0:
				s.send(puback(id))
			default:
				s.send(pubrec(id)).expect(pubrel(id)).send(pubcomp(id))
			}
		}
		s.leave()
		resume(t, tg, "s")
	})
}

// packetID is the PacketID of a PUBLISH on topic "a".
func packetID(p []byte) int { return int(p[5])<<8 | int(p[6]) }

// TestRedeliveryBeforeNew: what is owed comes before what came meanwhile.
func TestRedeliveryBeforeNew(t *testing.T) {
	each(t, options{inflightMax: 2}, func(t *testing.T, tg target) {
		s := join(t, tg, "s").subscribed("a", 1)
		p := join(t, tg, "p", clean)
		for i := 1; i <= 3; i++ {
			p.send(pub1(i, "a", fmt.Sprint(i))).expect(puback(i))
		}
		one, two := s.expectPublish(0x32, "a", "1"), s.expectPublish(0x32, "a", "2")
		s.settle().reset()
		p.send(pub1(4, "a", "4")).expect(puback(4))
		s = resume(t, tg, "s").expect(dup(pub1(one, "a", "1")), dup(pub1(two, "a", "2"))).expectNothing()
		s.send(puback(one), puback(two))
		s.receive(0x32, "a", "3")
		s.receive(0x32, "a", "4")
	})
}

// TestPubrelIsRepeated: once PUBREC has come, the message itself is never sent
// again, PUBREL is, in the order of the PUBRECs.
func TestPubrelIsRepeated(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		s := join(t, tg, "s").subscribed("a", 2)
		p := join(t, tg, "p", clean)
		var ids []int
		for i := 1; i <= 4; i++ {
			x := fmt.Sprint(i)
			p.send(pub2(i, "a", x)).expect(pubrec(i)).send(pubrel(i)).expect(pubcomp(i))
			ids = append(ids, s.expectPublish(0x34, "a", x))
		}
		for _, id := range ids[:3] {
			s.send(pubrec(id)).expect(pubrel(id))
		}
		s.reset()
		for range 2 {
			s = resume(t, tg, "s")
			var rels, pubs []byte // how the two kinds mix is left to the broker
			for range 4 {
				if p := s.packet(); p[0] == 0x62 {
					rels = append(rels, p...)
				} else {
					pubs = append(pubs, p...)
				}
			}
			if want := bytesOf([]any{pubrel(ids[0]), pubrel(ids[1]), pubrel(ids[2])}); !bytes.Equal(rels, want) {
				t.Fatalf("PUBRELs repeated:\nwant %s\n got %s", describe(want), describe(rels))
			}
			if want := dup(pub2(ids[3], "a", "4")); !bytes.Equal(pubs, want) {
				t.Fatalf("PUBLISH repeated:\nwant %s\n got %s", describe(want), describe(pubs))
			}
			s.expectNothing().leave()
		}
		s = resume(t, tg, "s")
		for range 4 {
			s.packet()
		}
		s.send(pubcomp(ids[0]), pubcomp(ids[1]), pubcomp(ids[2]), pubrec(ids[3])).expect(pubrel(ids[3]))
		s.send(pubcomp(ids[3])).leave()
		resume(t, tg, "s")
	})
}

// TestNoRepeatOnOneConnection: 3.1.1 repeats after a reconnect only, so a
// client that takes its time gets nothing twice.
func TestNoRepeatOnOneConnection(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		s := join(t, tg, "s", clean).subscribed("a", 1)
		p := join(t, tg, "p", clean).send(pub1(1, "a", "x")).expect(puback(1))
		id := s.expectPublish(0x32, "a", "x")
		for range 100 {
			s.expectNothing()
		}
		s.send(puback(id))
		p.leave()
	})
}

// TestPacketIDsGoRound: all 65535 are used before one comes again, none is 0
// and none is given twice while it is open.
func TestPacketIDsGoRound(t *testing.T) {
	t.Parallel()
	each(t, options{inflightMax: 20}, func(t *testing.T, tg target) {
		s := join(t, tg, "s", clean).subscribed("a", 1)
		p := join(t, tg, "p", clean)
		held := -1
		open := map[int]bool{}
		const batch = 10
		for sent := 0; sent < 70_000; sent += batch {
			var out, acks []byte
			for i := range batch {
				out = append(out, pub1(i+1, "a", "x")...)
				acks = append(acks, puback(i+1)...)
			}
			p.send(out).expect(acks)
			var back []byte
			for range batch {
				id := s.expectPublish(0x32, "a", "x")
				if open[id] {
					t.Fatalf("PacketID %d is open and given again after %d messages", id, sent)
				}
				if held < 0 {
					held, open[id] = id, true // this one stays open
					continue
				}
				back = append(back, puback(id)...)
			}
			s.send(back)
		}
		s.send(puback(held))
	})
}
