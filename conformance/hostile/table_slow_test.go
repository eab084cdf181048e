package hostile

import (
	"slices"
	"strings"
	"time"
)

// drip is the time between two bytes of somebody slow.
const drip = 50 * time.Millisecond

// slowRows are about peers that take their time. All of them end by a timeout of the broker.
func slowRows() (rows []attack) {
	add := func(name string, at stage, door string, script func(r *row, p *peer)) {
		rows = append(rows, attack{name: "slow: " + name, at: at, door: door, script: script, want: closes, slow: true})
	}
	drips := func(b []byte, send func(*peer, []byte)) func(*row, *peer) {
		return func(_ *row, p *peer) {
			for i := range b {
				send(p, b[i:i+1])
				if p.fill(drip) != nil {
					return
				}
			}
		}
	}
	say := func(p *peer, b []byte) { p.say(b) }
	raws := func(p *peer, b []byte) { p.raws(b) }
	add("silence", bare, "", nil)
	add("silence before HTTP", wire, "ws", nil)
	add("half a CONNECT", bare, "", func(_ *row, p *peer) { p.say(connect("half", 60)[:9]) })
	add("a CONNECT byte by byte", bare, "", drips(connect(strings.Repeat("x", 200), 60), say))
	add("a request byte by byte", wire, "ws", drips([]byte(upgrade), raws))
	add("a header without end", wire, "ws", drips([]byte("GET /mqtt HTTP/1.1\r\nX: "+strings.Repeat("x", 200)), raws))
	add("a frame header byte by byte", bare, "ws", drips(slices.Concat(hx("82 fe 01 00 00 00 00 00"), many(200, []byte{0})), raws))
	add("empty frames for ever", bare, "ws", func(_ *row, p *peer) {
		for range 200 {
			p.raws(frame(0x82, nil))
			if p.fill(drip) != nil {
				return
			}
		}
	})
	add("WebSocket pings in the place of CONNECT", bare, "ws", func(_ *row, p *peer) {
		for range 200 {
			p.raws(frame(0x89, nil))
			if p.fill(drip) != nil {
				return
			}
		}
	})
	add("keep alive of a second, silence", bare, "", func(r *row, p *peer) { p.say(connect(r.id, 1)) })
	add("keep alive of a second, a packet byte by byte", bare, "", func(r *row, p *peer) {
		p.say(connect(r.id, 1))
		drips(message(0x30, 0, "drip", strings.Repeat("x", 100)), say)(r, p)
	})
	add("keep alive of a second, WebSocket pings", bare, "ws", func(r *row, p *peer) {
		p.say(connect(r.id, 1))
		for range 200 {
			p.raws(frame(0x89, nil))
			if p.fill(drip) != nil {
				return
			}
		}
	})
	add("keep alive of a second, 2 MB announced", bare, "", func(r *row, p *peer) {
		p.say(connect(r.id, 1), hx("30 ff ff 79 00 01 61"))
	})
	add("a reader who takes nothing", in4, "", func(_ *row, p *peer) {
		p.say(subscribe(1, "unread", 0))
		p.unread(400, many(40, message(0x30, 0, "unread", strings.Repeat("x", 2000))))
	})
	add("a reader of answers who takes nothing", in4, "", func(_ *row, p *peer) {
		p.unread(5000, many(1000, pingreq))
	})
	add("a subscriber with QoS 1 who takes nothing", in5, "", func(_ *row, p *peer) {
		p.say(subscribe5(1, none, "unread/5", 1))
		p.unread(400, many(40, message5(0x30, 0, "unread/5", none, strings.Repeat("x", 2000))))
	})
	rows = append(rows, attack{name: "our side ends after CONNECT", at: in4, want: closes, script: func(_ *row, p *peer) { p.halfClose() }})
	return rows
}

// unread sends without reading until the broker closes; what it has sent before is read then.
func (p *peer) unread(times int, b []byte) {
	if p.door.frames {
		b = frame(0x82, b)
	}
	for end := time.Now().Add(patience); time.Now().Before(end); times-- {
		_ = p.SetWriteDeadline(time.Now().Add(patience))
		if times <= 0 {
			b = pingreq
			if p.door.frames {
				b = frame(0x82, b)
			}
			time.Sleep(drip)
		}
		if _, err := p.Write(b); err != nil {
			return
		}
	}
}
