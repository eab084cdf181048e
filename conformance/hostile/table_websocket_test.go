package hostile

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// tlsRows are about TLS.
func tlsRows() (rows []attack) {
	hello := hx("16 03 01 00 05 01 00 00 01 03")
	for name, send := range map[string][]byte{
		"MQTT without TLS": connect("plain", 60), "HTTP without TLS": []byte(upgrade), "zeros": many(1000, []byte{0}),
		"a record of 65 535 bytes": append(hx("16 03 01 ff ff"), many(65_535, []byte{1})...), "a broken ClientHello": hello,
		"a ClientHello of 16 MB, announced": hx("16 03 01 40 00 01 ff ff ff 03 03"), "application data first": hx("17 03 03 00 05 00 00 00 00 00"),
		"an alert first": hx("15 03 01 00 02 02 28"), "SSL 2.0": hx("80 2e 01 00 02 00 15 00 00 00 10"),
		"10 000 empty records": many(10_000, hx("16 03 01 00 00")), "change cipher spec again and again": many(10_000, hx("14 03 03 00 01 01")),
	} {
		rows = append(rows, attack{
			name: "TLS: " + name, at: wire, door: "tls wss", send: send, want: closes, script: func(_ *row, p *peer) { p.halfClose() },
		})
	}
	return append(rows, attack{name: "slow: silence before TLS", at: wire, door: "tls wss", want: closes, slow: true},
		attack{name: "slow: half a ClientHello", at: wire, door: "tls wss", send: hello[:7], want: closes, slow: true})
}

// webSocketRows are about HTTP and frames; tidy:long because it is a table.
func webSocketRows() (rows []attack) {
	http := func(name, request string) {
		rows = append(rows, attack{name: "HTTP: " + name, at: wire, door: "ws", send: []byte(request), want: closes})
	}
	with := func(old, replacement string) string { return strings.Replace(upgrade, old, replacement, 1) }
	http("another path", with("/mqtt", "/other"))
	http("a path with dots", with("/mqtt", "/../../etc/passwd"))
	http("POST", with("GET", "POST"))
	http("a method of 7000 bytes", with("GET", strings.Repeat("G", 7000)))
	http("version 1.0", with("HTTP/1.1", "HTTP/1.0"))
	http("version 2.0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	http("version 9.9", with("HTTP/1.1", "HTTP/9.9"))
	http("no Host", with("Host: localhost\r\n", ""))
	http("no Upgrade", with("Upgrade: websocket\r\n", ""))
	http("no Connection", with("Connection: Upgrade\r\n", ""))
	http("no key", with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""))
	http("a short key", with("dGhlIHNhbXBsZSBub25jZQ==", "AAAA"))
	http("version 8 of WebSocket", with("Version: 13", "Version: 8"))
	http("another subprotocol", with("Protocol: mqtt", "Protocol: wamp"))
	http("a header without colon", with("Host: localhost", "Host: localhost\r\nnonsense"))
	http("a header with NUL", with("Host: localhost", "Host: localhost\r\nX: a\x00b"))
	http("a giant header", with("Host: localhost", "Host: localhost\r\nX: "+strings.Repeat("x", 1<<20)))
	http("ten thousand headers", with("Host: localhost", "Host: localhost"+strings.Repeat("\r\nX: y", 10_000)))
	http("a giant path", with("/mqtt", "/"+strings.Repeat("x", 1<<20)))
	http("no line at all", strings.Repeat("x", 1<<20))
	http("bare line feeds", strings.Repeat("\n", 100_000))
	http("MQTT", string(connect("x", 60)))
	http("TLS", string(hx("16 03 01 02 00 01 00 01 fc 03 03"))+"\r\n\r\n")
	http("a PROXY header", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"+upgrade)

	ping := frame(0x82, pingreq)
	bad := func(name string, send []byte) {
		rows = append(rows, attack{name: "frame: " + name, at: framed, door: "ws", send: send, want: closes})
	}
	good := func(name string, send []byte) {
		rows = append(rows, attack{name: "frame: " + name, at: framed, door: "ws", send: send, want: survives})
	}
	for _, rsv := range []byte{0x10, 0x20, 0x40, 0x70} {
		bad(fmt.Sprintf("RSV bits %02x", rsv), frame(0x82|rsv, pingreq))
		bad(fmt.Sprintf("RSV bits %02x in a ping", rsv), frame(0x89|rsv, nil))
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		bad(fmt.Sprintf("opcode %d", op), frame(0x80|op, pingreq))
	}
	bad("text", frame(0x81, pingreq))
	bad("no mask", hx("82 02 c0 00"))
	bad("ping without mask", hx("89 00"))
	bad("close without mask", hx("88 00"))
	bad("continuation of nothing", frame(0x80, pingreq))
	bad("a new message inside of another", slices.Concat(frame(0x02, pingreq), frame(0x02, pingreq)))
	bad("a ping in fragments", frame(0x09, []byte("x")))
	bad("a close in fragments", frame(0x08, []byte("x")))
	bad("a ping of 126 bytes", frame(0x89, many(126, []byte("x"))))
	bad("a close of 126 bytes", frame(0x88, many(126, []byte("x"))))
	bad("a pong of 65 536 bytes", frame(0x8a, many(65536, []byte("x"))))
	bad("a close of one byte", frame(0x88, []byte{3}))
	bad("a close with code 999", frame(0x88, u16(999)))
	bad("a close with code 1005", frame(0x88, u16(1005)))
	bad("a close with code 5000", frame(0x88, u16(5000)))
	bad("a close whose words are not UTF-8", frame(0x88, hx("03 e8 ff fe")))
	bad("a close and then more", slices.Concat(frame(0x88, u16(1000)), ping))
	bad("a length with the top bit", append(hx("82 ff"), many(12, []byte{0xff})...))
	bad("a length of 2^63-1", hx("82 ff 7f ff ff ff ff ff ff ff 00 00 00 00"))
	bad("a length of 3 GB", append(append(hx("82 ff"), binary.BigEndian.AppendUint64(nil, 3<<30)...), 0, 0, 0, 0))
	bad("a length longer than it need be", hx("82 fe 00 02 00 00 00 00 c0 00"))
	bad("a length of eight bytes that fits in two", hx("82 ff 00 00 00 00 00 00 00 02 00 00 00 00 c0 00"))
	good("10 000 empty fragments", slices.Concat(frame(0x02, nil), many(10_000, frame(0x00, nil)), frame(0x80, pingreq)))
	good("a packet in fragments of one byte", slices.Concat(frame(0x02, pingreq[:1]), frame(0x00, nil), frame(0x80, pingreq[1:])))
	good("pings between fragments", slices.Concat(frame(0x02, pingreq[:1]), frame(0x89, []byte("x")), frame(0x80, pingreq[1:])))
	good("10 000 empty messages", many(10_000, frame(0x82, nil)))
	good("10 000 pongs", many(10_000, frame(0x8a, []byte("unasked"))))
	good("10 000 packets in one frame", frame(0x82, many(10_000, message(0x30, 0, "many", "x"))))
	good("a frame of more than the largest packet, of many packets", frame(0x82, many(20, message(0x30, 0, "big", strings.Repeat("x", 100_000)))))
	rows = append(rows, attack{
		name: "frame: 100 000 pings", at: framed, door: "ws", want: survives,
		script: func(_ *row, p *peer) {
			p.floodRaw(1000, many(100, frame(0x89, many(100, []byte("x")))))
		},
	}, attack{
		name: "frame: endless fragments of a packet that never ends", at: framed, door: "ws", want: closes, slow: true,
		script: func(_ *row, p *peer) {
			p.raws(frame(0x02, hx("30 ff ff 7f 00 01 61")))
			p.floodRaw(4000, many(1000, frame(0x00, []byte("x"))))
		},
	})
	return rows
}
