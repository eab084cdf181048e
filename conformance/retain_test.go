package conformance

import (
	"fmt"
	"testing"
)

// keep publishes with RETAIN set and goes through the acknowledging.
func (c *conn) keep(qos byte, topic, payload string) {
	c.t.Helper()
	c.send(publish(0x31|qos<<1, 77, topic, payload))
	switch qos {
	case 0:
		c.settle()
	case 1:
		c.expect(puback(77))
	case 2:
		c.expect(pubrec(77)).send(pubrel(77)).expect(pubcomp(77))
	}
}

// TestRetained: each QoS of the message meets each of the subscription. RETAIN
// is set for who subscribes later and not for who is subscribed.
func TestRetained(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		p := join(t, tg, "p", clean)
		live := join(t, tg, "live", clean).subscribed("a/b", 2)
		for qos := range byte(3) {
			text := fmt.Sprint("QoS ", qos)
			p.keep(qos, "a/b", text)
			live.receive(0x30|qos<<1, "a/b", text)
			for granted := range byte(3) {
				for _, filter := range []string{"a/b", "a/+", "#", "a/b/#"} {
					s := join(t, tg, "s", clean).subscribed(filter, granted)
					s.receive(0x31|min(qos, granted)<<1, "a/b", text)
					s.expectNothing().leave()
				}
			}
		}
	})
}

// TestRetainedIsReplaced by the last message with RETAIN, whatever its QoS, and
// neither replaced nor removed by one without.
func TestRetainedIsReplaced(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		p := join(t, tg, "p", clean)
		for i, qos := range []byte{2, 0, 1, 2, 1, 0} {
			text := fmt.Sprint("message ", i)
			p.keep(qos, "a", text)
			p.send(pub0("a", "passes"), pub1(1, "a", "passes"), pub1(2, "a", ""), pub0("a", ""))
			p.expect(puback(1), puback(2))
			s := join(t, tg, "s", clean).subscribed("a", 2)
			s.receive(0x31|qos<<1, "a", text)
			s.expectNothing().leave()
		}
	})
}

// TestRetainedIsRemoved by a message with RETAIN and without payload, of any
// QoS, which is delivered and not kept.
func TestRetainedIsRemoved(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		p := join(t, tg, "p", clean)
		live := join(t, tg, "live", clean).subscribed("a", 2)
		for qos := range byte(3) {
			p.keep(1, "a", "kept")
			live.receive(0x32, "a", "kept")
			p.keep(qos, "a", "")
			live.receive(0x30|qos<<1, "a", "")
			join(t, tg, "late", clean).subscribed("a", 2).expectNothing().leave()
			p.keep(qos, "a", "") // nothing there to remove
			live.receive(0x30|qos<<1, "a", "")
		}
	})
}

// TestRetainedByTopic: each topic has its own, and a wildcard finds them all.
func TestRetainedByTopic(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		p := join(t, tg, "p", clean)
		topics := map[string]bool{"a": true, "a/": true, "a/b": true, "/": true, "A": true, "a/b/c": true, "b": true}
		for topic := range topics {
			p.keep(0, topic, "of "+topic)
		}
		for filter, want := range map[string][]string{
			"#":     {"a", "a/", "a/b", "/", "A", "a/b/c", "b"},
			"+":     {"a", "A", "b"},
			"a/#":   {"a", "a/", "a/b", "a/b/c"},
			"a/+":   {"a/", "a/b"},
			"+/+/c": {"a/b/c"},
			"none":  {},
		} {
			s := join(t, tg, "s", clean).subscribed(filter, 0)
			got := map[string]int{}
			for range want {
				got[string(s.packet())]++
			}
			for _, topic := range want {
				if n := got[string(retained(pub0(topic, "of "+topic)))]; n != 1 {
					t.Errorf("filter %s: want the retained message of %q once, got it %d times in %v", filter, topic, n, got)
				}
			}
			s.expectNothing().leave()
		}
	})
}

// TestRetainedOutlivesItsSession, and comes to a session that subscribes again,
// not to one that only returns.
func TestRetainedOutlivesItsSession(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		p := join(t, tg, "p", clean)
		p.keep(1, "a", "kept")
		p.leave()
		s := join(t, tg, "s").subscribed("a", 1)
		s.receive(0x33, "a", "kept")
		s.settle().leave()
		s = resume(t, tg, "s").expectNothing().subscribed("a", 1)
		s.receive(0x33, "a", "kept")
		s.settle().leave()
		join(t, tg, "s", clean).leave()
		join(t, tg, "other", clean).subscribed("a", 0).expect(retained(pub0("a", "kept"))).leave()
	})
}

// TestRetainedForAbsent: to a session that is subscribed and away it is a
// message like any other, RETAIN not set.
func TestRetainedForAbsent(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		join(t, tg, "away").subscribed("a", 1).leave()
		join(t, tg, "p", clean).keep(2, "a", "x")
		resume(t, tg, "away").receive(0x32, "a", "x")
	})
}

// TestRetainedIsRepeated after a reconnect with RETAIN still set.
func TestRetainedIsRepeated(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		join(t, tg, "p", clean).keep(1, "a", "kept")
		s := join(t, tg, "s").subscribed("a", 1)
		id := s.expectPublish(0x33, "a", "kept")
		s.settle().reset()
		resume(t, tg, "s").expect(dup(retained(pub1(id, "a", "kept")))).send(puback(id))
	})
}
