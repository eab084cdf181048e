package conformance

import (
	"fmt"
	"testing"
)

func TestSessionPresent(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		join(t, tg, "a").leave()
		resume(t, tg, "a").leave()
		resume(t, tg, "a").leave()
		join(t, tg, "a", clean).leave()
		join(t, tg, "a").leave() // the clean one left nothing behind
		resume(t, tg, "a").leave()
	})
}

// TestSessionHoldsSubscriptions, and gives them back after any kind of end.
func TestSessionHoldsSubscriptions(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		p := join(t, tg, "p", clean)
		c := join(t, tg, "a").send(subscribe(1, "x/+", 0, "y/#", 2)).expect(suback(1, 0, 2))
		for _, end := range []func(*conn){(*conn).leave, func(c *conn) { c.send("00 00").expectClosed() }} {
			end(c)
			c = resume(t, tg, "a")
			p.send(pub0("x/1", "zero"))
			c.expect(pub0("x/1", "zero"))
			p.send(pub1(1, "y/1", "one")).expect(puback(1))
			c.send(puback(c.expectPublish(0x32, "y/1", "one")))
		}
	})
}

// TestSessionQueues what comes with QoS 1 and 2 for an absent client, in its
// order, and not what comes with QoS 0.
func TestSessionQueues(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		join(t, tg, "a").send(subscribe(1, "x", 2, "low", 0)).expect(suback(1, 2, 0)).leave()
		p := join(t, tg, "p", clean)
		p.send(pub0("x", "zero"), pub1(1, "low", "lowered to 0")).expect(puback(1))
		for i := 1; i <= 10; i++ {
			p.send(pub1(i, "x", fmt.Sprint("one ", i))).expect(puback(i))
			p.send(pub2(i, "x", fmt.Sprint("two ", i))).expect(pubrec(i)).send(pubrel(i)).expect(pubcomp(i))
		}
		c := resume(t, tg, "a")
		var ids []int
		used := map[int]bool{}
		for i := 1; i <= 10; i++ {
			ids = append(ids, c.expectPublish(0x32, "x", fmt.Sprint("one ", i)), c.expectPublish(0x34, "x", fmt.Sprint("two ", i)))
		}
		for i, id := range ids {
			if used[id] {
				t.Fatalf("PacketID %d is used twice in %v", id, ids)
			}
			used[id] = true
			if i%2 == 0 {
				c.send(puback(id))
			} else {
				c.send(pubrec(id)).expect(pubrel(id)).send(pubcomp(id))
			}
		}
		c.leave()
		resume(t, tg, "a") // and nothing is left
	})
}

func TestCleanSessionKeepsNothing(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		p := join(t, tg, "p", clean)
		join(t, tg, "a", clean).subscribed("x", 1).leave()
		p.send(pub1(1, "x", "for nobody")).expect(puback(1))
		c := join(t, tg, "a")
		p.send(pub1(2, "x", "for nobody")).expect(puback(2))
		c.leave()
	})
}

// TestCleanSessionDiscardsTheOld: subscriptions, queue and what is in flight.
func TestCleanSessionDiscardsTheOld(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		p := join(t, tg, "p", clean)
		c := join(t, tg, "a").subscribed("x", 2)
		p.send(pub1(1, "x", "in flight")).expect(puback(1))
		c.expectPublish(0x32, "x", "in flight")
		c.send(pub2(9, "half", "waits for PUBREL")).expect(pubrec(9)).leave()
		p.send(pub1(2, "x", "queued")).expect(puback(2))
		join(t, tg, "a", clean).leave()
		c = join(t, tg, "a")
		p.send(pub1(3, "x", "no longer subscribed")).expect(puback(3))
		p.subscribed("half", 0)
		c.send(pub1(9, "half", "PacketID 9 is free")).expect(puback(9)).leave()
		p.expect(pub0("half", "PacketID 9 is free"))
	})
}

func TestTakeover(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		watch := join(t, tg, "watch", clean).subscribed("will", 0)
		old := join(t, tg, "a", will(0, "will", "of the old")).subscribed("x", 1)
		c := resume(t, tg, "a")
		old.expectClosed()
		watch.expect(pub0("will", "of the old"))
		watch.send(pub1(1, "x", "to the new")).expect(puback(1))
		c.send(puback(c.expectPublish(0x32, "x", "to the new")))
	})
}

func TestTakeoverOfACleanSession(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		p := join(t, tg, "p", clean)
		old := join(t, tg, "a", clean).subscribed("x", 1)
		c := join(t, tg, "a")
		old.expectClosed()
		p.send(pub1(1, "x", "no longer subscribed")).expect(puback(1))
		c.subscribed("x", 1)
		last := join(t, tg, "a", clean)
		c.expectClosed()
		p.send(pub1(2, "x", "no longer subscribed")).expect(puback(2))
		last.leave()
	})
}

// TestTakeoverRepeatsWhatIsInFlight on the new connection.
func TestTakeoverRepeatsWhatIsInFlight(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		p := join(t, tg, "p", clean)
		old := join(t, tg, "a").subscribed("x", 2)
		p.send(pub1(1, "x", "one")).expect(puback(1))
		p.send(pub2(2, "x", "two")).expect(pubrec(2)).send(pubrel(2)).expect(pubcomp(2))
		one := old.expectPublish(0x32, "x", "one")
		two := old.expectPublish(0x34, "x", "two")
		c := resume(t, tg, "a").expect(dup(pub1(one, "x", "one")), dup(pub2(two, "x", "two")))
		old.expectClosed()
		c.send(puback(one), pubrec(two)).expect(pubrel(two)).send(pubcomp(two))
	})
}

// TestTakeoverStorm: of many with one client identifier, one is left.
func TestTakeoverStorm(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		conns := []*conn{join(t, tg, "a").subscribed("x", 1)}
		for range 30 {
			conns = append(conns, resume(t, tg, "a"))
		}
		last := conns[len(conns)-1]
		for _, c := range conns[:len(conns)-1] {
			c.expectClosed()
		}
		p := join(t, tg, "p", clean).send(pub1(1, "x", "once")).expect(puback(1))
		last.send(puback(last.expectPublish(0x32, "x", "once")))
		p.leave()
	})
}

// TestSessionsAreApart: PacketIDs, queues and subscriptions of one client do
// not show at another.
func TestSessionsAreApart(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		a := join(t, tg, "a").subscribed("x", 1)
		b := join(t, tg, "b").subscribed("x", 1)
		p := join(t, tg, "p", clean).send(pub1(1, "x", "m")).expect(puback(1))
		ida, idb := a.expectPublish(0x32, "x", "m"), b.expectPublish(0x32, "x", "m")
		a.send(puback(ida))
		b.leave()
		a.leave()
		resume(t, tg, "a")
		b = resume(t, tg, "b").expect(dup(pub1(idb, "x", "m"))).send(puback(idb))
		b.send(pub1(1, "other", "same PacketID as p")).expect(puback(1))
		p.leave()
	})
}
