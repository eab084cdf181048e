package conformance

import (
	"fmt"
	"testing"
)

// TestMatching publishes every topic to every filter, each filter with a
// subscriber of its own.
func TestMatching(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		topics := []string{
			"a", "/", "/a", "a/", "//", "a/b", "A/b", "a/b/c", "/a/b", "a//b", "a/b/", "ab", "a b", "a/B", "b", "b/a",
			"$x", "$x/a", "$/a", "x$/a", "sport/tennis/player1/ranking", "ä", "a\u0308", "\ufeffa",
		}
		matches := map[string][]string{
			"#":                     {"a", "/", "/a", "a/", "//", "a/b", "A/b", "a/b/c", "/a/b", "a//b", "a/b/", "ab", "a b", "a/B", "b", "b/a", "x$/a", "sport/tennis/player1/ranking", "ä", "a\u0308", "\ufeffa"},
			"+":                     {"a", "ab", "a b", "b", "ä", "a\u0308", "\ufeffa"},
			"/#":                    {"/", "/a", "//", "/a/b"},
			"/+":                    {"/", "/a"},
			"+/":                    {"/", "a/"},
			"+/+":                   {"/", "/a", "a/", "a/b", "A/b", "a/B", "b/a", "x$/a"},
			"+/#":                   {"a", "/", "/a", "a/", "//", "a/b", "A/b", "a/b/c", "/a/b", "a//b", "a/b/", "ab", "a b", "a/B", "b", "b/a", "x$/a", "sport/tennis/player1/ranking", "ä", "a\u0308", "\ufeffa"},
			"a/#":                   {"a", "a/", "a/b", "a/b/c", "a//b", "a/b/", "a/B"},
			"a/+":                   {"a/", "a/b", "a/B"},
			"a/+/c":                 {"a/b/c"},
			"a/+/#":                 {"a/", "a/b", "a/b/c", "a//b", "a/b/", "a/B"},
			"+/b/#":                 {"a/b", "A/b", "a/b/c", "a/b/"},
			"+/+/+":                 {"//", "a/b/c", "/a/b", "a//b", "a/b/"},
			"a/b":                   {"a/b"},
			"a/b/":                  {"a/b/"},
			"a//b":                  {"a//b"},
			"//":                    {"//"},
			"sport/+/player1/#":     {"sport/tennis/player1/ranking"},
			"sport/tennis/player1":  {},
			"sport/tennis/player/#": {},
			"ä":                     {"ä"}, // not what looks the same
			"a":                     {"a"},
			"\ufeffa":               {"\ufeffa"},
		}
		subs := map[string]*conn{}
		for filter := range matches {
			subs[filter] = join(t, tg, "sub "+filter, clean).subscribed(filter, 0)
		}
		p := join(t, tg, "p", clean)
		for _, topic := range topics {
			p.send(pub0(topic, "x"))
		}
		p.settle()
		for filter, names := range matches {
			for _, name := range names {
				subs[filter].expect(pub0(name, "x"))
			}
			subs[filter].expectNothing()
		}
	})
}

// TestSubscribeMalformed ends the connection.
func TestSubscribeMalformed(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		rows := map[string][]byte{
			"no filter":               subscribe(1),
			"no PacketID":             packet(0x82, nil),
			"PacketID 0":              subscribe(0, "a", 0),
			"filter without QoS":      subscribe(1, "a"),
			"second without QoS":      subscribe(1, "a", 0, "b"),
			"filter cut short":        packet(0x82, []byte{0, 1, 0, 5, 'a', 0}),
			"QoS 3":                   subscribe(1, "a", 3),
			"reserved bit of the QoS": subscribe(1, "a", 0x81),
			"bit 2 of the QoS":        subscribe(1, "a", 0x04),
			"empty filter":            subscribe(1, "", 0),
			"NUL":                     subscribe(1, "a\x00b", 0),
			"not UTF-8":               subscribe(1, "a\xff", 0),
			"a surrogate":             subscribe(1, "\xed\xa0\x80", 0),
			"second filter is bad":    subscribe(1, "a", 0, "b/#/c", 0),
		}
		for _, filter := range []string{"#/", "#/a", "a#", "a/#/b", "##", "a/b#", "/#a", "a+", "+a", "a/+b", "a/b+/c", "++", "+#", "#+"} {
			rows["filter "+filter] = subscribe(1, filter, 0)
		}
		for flags := range byte(16) {
			if flags != 2 {
				bad := subscribe(1, "a", 0)
				bad[0] = 0x80 | flags
				rows[fmt.Sprintf("fixed header flags %x", flags)] = bad
			}
		}
		for name, bad := range rows {
			cases(t, name, func(t *testing.T) { join(t, tg, "c", clean).send(bad).expectClosed() })
		}
	})
}

// TestSubscribeManyFilters: one SUBACK, a code for each in its order.
func TestSubscribeManyFilters(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		s := join(t, tg, "s", clean)
		s.send(subscribe(0xabcd, "a", 2, "b", 0, "c", 1, "d/#", 2, "e/+", 0)).expect("90 07 ab cd 02 00 01 02 00")
		s.send(subscribe(65535, "f", 1)).expect("90 03 ff ff 01")
		p := join(t, tg, "p", clean)
		for i, topic := range []string{"a", "b", "c", "d/x", "e/x", "f"} {
			p.send(pub1(i+1, topic, "x")).expect(puback(i + 1))
			s.receive([]byte{0x32, 0x30, 0x32, 0x32, 0x30, 0x32}[i], topic, "x")
		}
	})
}

// TestSubscribeAgain replaces the QoS, sends what is retained once more and
// leaves one subscription, in packets of their own and in one.
func TestSubscribeAgain(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		p := join(t, tg, "p", clean).send(retained(pub1(1, "a", "kept"))).expect(puback(1))
		s := join(t, tg, "s", clean)
		for _, qos := range []byte{0, 2, 1, 1, 0} {
			s.subscribed("a", qos)
			s.receive(0x31|min(1, qos)<<1, "a", "kept")
			p.send(pub1(2, "a", "live")).expect(puback(2))
			s.receive(0x30|min(1, qos)<<1, "a", "live")
			s.expectNothing()
		}
		s.send(subscribe(9, "b", 2, "b", 0, "b", 1)).expect(suback(9, 2, 0, 1))
		p.send(pub2(3, "b", "x")).expect(pubrec(3)).send(pubrel(3)).expect(pubcomp(3))
		s.receive(0x32, "b", "x")
		s.send(unsubscribe(10, "b")).expect(unsuback(10))
		p.send(pub0("b", "no longer"))
		p.settle()
	})
}

// TestOverlappingSubscriptions: the message comes with the highest QoS granted.
func TestOverlappingSubscriptions(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		p := join(t, tg, "p", clean)
		for i, filters := range [][]any{
			{"a/#", 2, "a/+", 1, "a/b", 0},
			{"a/b", 0, "a/+", 1, "a/#", 2},
			{"#", 0, "+/b", 2, "a/b", 1},
		} {
			s := join(t, tg, fmt.Sprint("s", i), clean).send(subscribe(1, filters...))
			s.packet()
			p.send(pub2(3, "a/b", "x")).expect(pubrec(3)).send(pubrel(3)).expect(pubcomp(3))
			s.receive(0x34, "a/b", "x")
			p.send(pub1(3, "a/b", "y")).expect(puback(3))
			s.receive(0x32, "a/b", "y")
			s.leave()
		}
	})
}

// TestUnsubscribe takes away exactly the filter it names, byte for byte, and is
// answered whether there was one or not.
func TestUnsubscribe(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		s := join(t, tg, "s", clean).send(subscribe(1, "a/b", 0, "a/+", 0, "#", 0, "c", 0)).expect(suback(1, 0, 0, 0, 0))
		s.send(unsubscribe(0xfffe, "a/B", "a/b ", "+/b", "a/#", "nothing")).expect("b0 02 ff fe")
		s.send(pub0("c", "still")).expect(pub0("c", "still"))
		s.send(unsubscribe(2, "#", "c")).expect(unsuback(2))
		s.send(pub0("c", "no longer"), pub0("d", "no longer")).expectNothing()
		s.send(pub0("a/b", "by two")).expect(pub0("a/b", "by two"))
		s.send(unsubscribe(3, "a/+")).expect(unsuback(3))
		s.send(pub0("a/x", "no longer"), pub0("a/b", "by one")).expect(pub0("a/b", "by one"))
		s.send(unsubscribe(4, "a/b"), pub0("a/b", "too late")).expect(unsuback(4))
		s.send(unsubscribe(5, "a/b")).expect(unsuback(5))
	})
}

// TestUnsubscribeCompletes what has been sent: it can be acknowledged, and is
// repeated after a reconnect.
func TestUnsubscribeCompletes(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		s := join(t, tg, "s").subscribed("a", 2)
		p := join(t, tg, "p", clean)
		p.send(pub1(1, "a", "one")).expect(puback(1))
		p.send(pub2(2, "a", "two")).expect(pubrec(2)).send(pubrel(2)).expect(pubcomp(2))
		one, two := s.expectPublish(0x32, "a", "one"), s.expectPublish(0x34, "a", "two")
		s.send(unsubscribe(9, "a")).expect(unsuback(9)).leave()
		p.send(pub1(3, "a", "no longer")).expect(puback(3))
		s = resume(t, tg, "s").expect(dup(pub1(one, "a", "one")), dup(pub2(two, "a", "two")))
		s.send(puback(one), pubrec(two)).expect(pubrel(two)).send(pubcomp(two))
	})
}

// TestUnsubscribeMalformed ends the connection.
func TestUnsubscribeMalformed(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		rows := map[string][]byte{
			"no filter":         unsubscribe(1),
			"no PacketID":       packet(0xa2, nil),
			"PacketID 0":        unsubscribe(0, "a"),
			"filter cut short":  packet(0xa2, []byte{0, 1, 0, 5, 'a'}),
			"one byte too many": packet(0xa2, []byte{0, 1, 0, 1, 'a', 0}),
			"empty filter":      unsubscribe(1, ""),
			"NUL":               unsubscribe(1, "a\x00"),
			"not UTF-8":         unsubscribe(1, "\xff"),
		}
		for flags := range byte(16) {
			if flags != 2 {
				bad := unsubscribe(1, "a")
				bad[0] = 0xa0 | flags
				rows[fmt.Sprintf("fixed header flags %x", flags)] = bad
			}
		}
		for name, bad := range rows {
			cases(t, name, func(t *testing.T) { join(t, tg, "c", clean).send(bad).expectClosed() })
		}
	})
}
