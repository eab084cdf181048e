package hostile

import (
	"fmt"
	"strings"
)

// bombRows are about what one client can make the broker hold or do; tidy:long because it is a table.
func bombRows() (rows []attack) {
	add := func(name string, slow bool, at stage, want outcome, script func(r *row, p *peer)) {
		rows = append(rows, attack{name: "bomb: " + name, at: at, script: script, want: want, slow: slow})
	}
	add("30 000 retained topics", true, in4, survives, func(r *row, p *peer) {
		for _, payload := range []string{"x", ""} {
			var b []byte
			for i := range 30_000 {
				b = append(b, message(0x31, 0, fmt.Sprintf("%s/%d", r.id, i), payload)...)
			}
			p.flood(1, b)
			if payload != "" {
				p.say(subscribe(1, r.id+"/#", 0))
				p.alive()
			}
		}
	})
	add("60 MB retained", true, in4, survives, func(r *row, p *peer) {
		for _, payload := range []string{strings.Repeat("x", 1_000_000), ""} {
			for i := range 60 {
				p.flood(1, message(0x31, 0, fmt.Sprintf("%s/%d", r.id, i), payload))
			}
		}
	})
	add("20 000 filters", true, in4, survives, func(r *row, p *peer) {
		for i := range 200 {
			var filters []byte
			for j := range 100 {
				filters = append(append(filters, str(fmt.Sprintf("%s/%d/+/%d/#", r.id, i, j))...), 0)
			}
			p.flood(1, packet(0x82, u16(i+1), filters))
		}
	})
	add("200 000 filters in one packet", true, in4, whatever, func(_ *row, p *peer) {
		p.flood(1, packet(0x82, u16(1), many(200_000, append(str("same"), 0))))
	})
	add("every filter of twelve levels, then messages to all of them", true, in4, survives, func(_ *row, p *peer) {
		p.everyFilter(12, 500)
	})
	add("filters of 128 levels of +", true, in4, survives, func(_ *row, p *peer) {
		p.say(subscribe(1, strings.Repeat("+/", 127)+"+", 0), subscribe(2, strings.Repeat("+/", 127)+"#", 0))
		p.flood(2000, message(0x30, 0, strings.Repeat("a/", 127)+"a", "x"))
	})
	add("the same filter 100 000 times", true, in4, survives, func(_ *row, p *peer) {
		p.flood(1000, many(100, subscribe(1, "the/same", 1)))
	})
	add("subscribe and unsubscribe 50 000 times", true, in4, survives, func(_ *row, p *peer) {
		p.flood(500, many(100, append(subscribe(1, "on/off", 1), packet(0xa2, u16(2), str("on/off"))...)))
	})
	add("500 000 PINGREQs", true, in4, survives, func(_ *row, p *peer) { p.flood(500, many(1000, pingreq)) })
	add("100 000 QoS 1 messages to nobody", true, in4, survives, func(_ *row, p *peer) {
		p.flood(1000, many(100, message(0x32, 1, "nobody", "x")))
	})
	add("20 000 QoS 2 messages to somebody who acknowledges none", false, in4, survives, func(r *row, p *peer) {
		p.say(subscribe(1, r.id, 2))
		p.flood(200, many(100, append(message(0x34, 1, r.id, "x"), ack(0x62, 1)...)))
	})
	add("40 MB to oneself over 100 filters", true, in4, survives, func(r *row, p *peer) {
		for i := range 100 {
			p.say(subscribe(i+1, r.id+strings.Repeat("/+", i%10)+"/#", 0))
		}
		p.flood(400, message(0x30, 0, r.id, strings.Repeat("x", 100_000)))
	})
	add("1000 User Properties, 500 times", true, in5, survives, func(_ *row, p *peer) {
		p.say(subscribe5(1, none, "props", 0))
		p.flood(500, message5(0x30, 0, "props", properties(many(1000, userProperty("n", "v"))), "x"))
	})
	add("retained and deleted 100 000 times", true, in4, survives, func(r *row, p *peer) {
		p.flood(1000, many(100, append(message(0x31, 0, r.id, "x"), message(0x31, 0, r.id, "")...)))
	})
	add("100 000 topics once each", true, in4, survives, func(r *row, p *peer) {
		p.say(subscribe(1, r.id+"/#", 0))
		for i := range 100 {
			var b []byte
			for j := range 1000 {
				b = append(b, message(0x30, 0, fmt.Sprintf("%s/%d/%d", r.id, i, j), "x")...)
			}
			p.flood(1, b)
		}
	})
	return rows
}

// everyFilter subscribes to each way of writing a/a/…/a with a and +, and publishes to all of them.
func (p *peer) everyFilter(levels, messages int) {
	words := make([]string, levels)
	for n := range 1 << levels {
		for i := range words {
			words[i] = "a"
			if n>>i&1 == 1 {
				words[i] = "+"
			}
		}
		p.say(subscribe(1, strings.Join(words, "/"), 0))
		if n%256 == 255 {
			p.alive()
		}
	}
	p.flood(messages, many(10, message(0x30, 0, strings.TrimSuffix(strings.Repeat("a/", levels), "/"), "x")))
}
