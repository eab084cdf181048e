package conformance

import (
	"fmt"
	"strings"
	"testing"
)

// TestQueueLimitDropsTheOldest for an absent client.
func TestQueueLimitDropsTheOldest(t *testing.T) {
	each(t, options{queuedMessagesMax: 3}, func(t *testing.T, tg target) {
		join(t, tg, "s").subscribed("a", 1).leave()
		p := join(t, tg, "p", clean)
		for i := 1; i <= 8; i++ {
			p.send(pub1(i, "a", fmt.Sprint(i))).expect(puback(i))
		}
		s := resume(t, tg, "s")
		for i := 6; i <= 8; i++ {
			s.receive(0x32, "a", fmt.Sprint(i))
		}
	})
}

// TestQueueLimitBehindTheWindow: what is in flight is never dropped.
func TestQueueLimitBehindTheWindow(t *testing.T) {
	each(t, options{queuedMessagesMax: 2, inflightMax: 1}, func(t *testing.T, tg target) {
		s := join(t, tg, "s", clean).subscribed("a", 1)
		p := join(t, tg, "p", clean)
		for i := 1; i <= 6; i++ {
			p.send(pub1(i, "a", fmt.Sprint(i))).expect(puback(i))
		}
		s.receive(0x32, "a", "1")
		s.receive(0x32, "a", "5")
		s.receive(0x32, "a", "6")
	})
}

func TestQueueLimitInBytes(t *testing.T) {
	each(t, options{queuedBytesMax: 1000}, func(t *testing.T, tg target) {
		join(t, tg, "s").subscribed("a", 1).leave()
		p := join(t, tg, "p", clean)
		for i := 1; i <= 8; i++ {
			p.send(pub1(i, "a", fmt.Sprint(i, strings.Repeat("x", 298)))).expect(puback(i)) // 300 bytes with the topic
		}
		p.send(pub1(9, "a", strings.Repeat("y", 2000))).expect(puback(9)) // could never fit: changes nothing
		s := resume(t, tg, "s")
		for i := 6; i <= 8; i++ {
			s.receive(0x32, "a", fmt.Sprint(i, strings.Repeat("x", 298)))
		}
	})
}

// TestQueueLimitIsPerSession: one that is full takes nothing from the others.
func TestQueueLimitIsPerSession(t *testing.T) {
	each(t, options{queuedMessagesMax: 5}, func(t *testing.T, tg target) {
		join(t, tg, "full").subscribed("#", 1).leave()
		join(t, tg, "other").subscribed("b", 1).leave()
		p := join(t, tg, "p", clean)
		for i := 1; i <= 50; i++ {
			p.send(pub1(i, "a", fmt.Sprint(i))).expect(puback(i))
		}
		p.send(pub1(1, "b", "x")).expect(puback(1))
		resume(t, tg, "other").receive(0x32, "b", "x")
	})
}

// TestAcknowledgementsPassAFullQueue: SUBACK, UNSUBACK and PINGRESP are no
// messages.
func TestAcknowledgementsPassAFullQueue(t *testing.T) {
	each(t, options{queuedMessagesMax: 1, inflightMax: 1}, func(t *testing.T, tg target) {
		s := join(t, tg, "s", clean).subscribed("a", 1)
		p := join(t, tg, "p", clean)
		p.send(pub1(1, "a", "1")).expect(puback(1))
		id := s.expectPublish(0x32, "a", "1")
		p.send(pub1(2, "a", "2")).expect(puback(2))
		s.send(subscribe(2, "b", 1), unsubscribe(3, "b"), pub1(4, "c", ""), pingreq)
		s.expect(suback(2, 1), unsuback(3), puback(4), pingresp)
		s.send(puback(id))
		s.receive(0x32, "a", "2")
	})
}

// TestUnreadConnection: a client that does not read holds up nobody, and gets
// every QoS 1 message, in order, once it reads.
func TestUnreadConnection(t *testing.T) {
	each(t, options{queuedMessagesMax: 5000, queuedBytesMax: 256 << 20}, func(t *testing.T, tg target) {
		frozen := join(t, tg, "frozen", clean).subscribed("a", 1)
		s := join(t, tg, "s", clean).subscribed("a", 1)
		p := join(t, tg, "p", clean)
		const n, size = 400, 50_000 // 20 MB, more than the sockets between them hold
		filler := strings.Repeat("x", size)
		for i := 1; i <= n; i++ {
			x := fmt.Sprint(i, filler)
			p.send(pub1(i, "a", x)).expect(puback(i))
			s.receive(0x32, "a", x)
		}
		for i := 1; i <= n; i++ {
			frozen.receive(0x32, "a", fmt.Sprint(i, filler))
		}
	})
}
