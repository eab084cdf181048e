package hostile

import (
	"bytes"
	"slices"
	"strings"
)

// connectRows are about CONNECT.
func connectRows() (rows []attack) {
	body := func(parts ...[]byte) []byte { return packet(0x10, parts...) }
	add := func(name string, want outcome, send []byte) {
		rows = append(rows, attack{name: "CONNECT: " + name, at: bare, send: send, want: want})
	}
	long := strings.Repeat("x", 65535)
	add("protocol name MQTX", closes, body(str("MQTX"), hx("04 02 00 3c"), str("c")))
	add("protocol name empty", closes, body(str(""), hx("04 02 00 3c"), str("c")))
	add("protocol name of 65535 bytes", closes, body(str(long), hx("04 02 00 3c"), str("c")))
	add("protocol name in small letters", closes, body(str("mqtt"), hx("04 02 00 3c"), str("c")))
	add("level 0", closesWith(1), body(str("MQTT"), hx("00 02 00 3c"), str("c")))
	add("level 6", closesWith(1), body(str("MQTT"), hx("06 02 00 3c 00"), str("c")))
	add("level 255", closesWith(1), body(str("MQTT"), hx("ff 02 00 3c"), str("c")))
	add("level 0x84, a bridge of Mosquitto", whatever, body(str("MQTT"), hx("84 02 00 3c"), str("")))
	add("reserved flag", closes, body(str("MQTT"), hx("04 03 00 3c"), str("c")))
	add("will QoS 3", closes, body(str("MQTT"), hx("04 1e 00 3c"), str("c"), str("w"), str("x")))
	add("will QoS without will", closes, body(str("MQTT"), hx("04 0a 00 3c"), str("c")))
	add("will RETAIN without will", closes, body(str("MQTT"), hx("04 22 00 3c"), str("c")))
	add("password without user", closes, body(str("MQTT"), hx("04 42 00 3c"), str("c"), str("p")))
	add("user announced, not there", closes, body(str("MQTT"), hx("04 82 00 3c"), str("c")))
	add("will announced, not there", closes, body(str("MQTT"), hx("04 06 00 3c"), str("c")))
	add("empty identifier, persistent session", closesWith(2), body(str("MQTT"), hx("04 00 00 3c"), str("")))
	add("identifier of 65535 bytes", closes, connect(long, 60))
	add("identifier of 257 bytes, 5.0", closesWith(0x85), connect5(long[:257], 60))
	add("identifier with NUL", closes, connect("a\x00b", 60))
	add("identifier that is not UTF-8", closes, connect("a\xff", 60))
	add("identifier with a surrogate", closes, connect("a\xed\xa0\x80", 60))
	add("identifier with lines and escapes for the log", survives, connect("a\nINFO all is well\x1b[2J\r", 60))
	add("will topic with wildcard", closes, body(str("MQTT"), hx("04 06 00 3c"), str("c"), str("w/#"), str("x")))
	add("will topic empty", closes, body(str("MQTT"), hx("04 06 00 3c"), str("c"), str(""), str("x")))
	add("will topic with NUL", closes, body(str("MQTT"), hx("04 06 00 3c"), str("c"), str("a\x00"), str("x")))
	add("will topic of 65535 levels", closes, body(str("MQTT"), hx("04 06 00 3c"), str("c"), str(strings.Repeat("/", 65535)), str("x")))
	add("user name that is not UTF-8", closes, body(str("MQTT"), hx("04 82 00 3c"), str("c"), str("\xff")))
	add("user name and password of 65535 bytes", survives, body(str("MQTT"), hx("04 c2 00 3c"), str(""), str(long), str(long)))
	add("256 kB announced, nothing more", closes, hx("10 81 80 10"))
	add("two, one behind the other", closes, slices.Concat(connect("twins", 60), connect("twins", 60)))
	add("two, of 5.0", closesWith(0x82), slices.Concat(connect5("twins5", 60), connect5("twins5", 60)))
	add("PUBLISH before it", closes, message(0x30, 0, "a", "x"))
	add("SUBSCRIBE before it", closes, subscribe(1, "#", 0))
	add("PINGREQ before it", closes, pingreq)
	add("DISCONNECT before it", closes, disconnect)
	add("nothing but zeros", closes, many(100, []byte{0}))
	add("HTTP", closes, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	add("TLS", closes, hx("16 03 01 02 00 01 00 01 fc 03 03"))
	add("SSH", closes, []byte("SSH-2.0-OpenSSH_9.2\r\n"))
	add("a PROXY header where none is due", closes, []byte("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"))

	for name, p := range badProperties() {
		add("5.0 with "+name, closes, connect5("c", 60, p))
		add("5.0, will with "+name, closes, body(str("MQTT"), hx("05 06 00 3c"), none, str("c"), properties(p), str("w"), str("x")))
	}
	for name, p := range map[string][]byte{
		"Receive Maximum 0": hx("21 00 00"), "Maximum Packet Size 0": hx("27 00 00 00 00"),
		"Request Problem Information 2": prop(0x17, 2), "Request Response Information 2": prop(0x19, 2),
		"Session Expiry twice": hx("11 00 00 00 00 11 00 00 00 00"), "Receive Maximum twice": hx("21 00 05 21 00 05"),
		"Authentication Data without Method": append([]byte{0x16}, str("x")...),
	} {
		add("5.0 with "+name, closes, connect5("c", 60, p))
	}
	add("5.0 with an Authentication Method that is not served", closesWith(0x8c), connect5("c", 60, append([]byte{0x15}, str("PLAIN")...)))
	add("5.0 with 10 000 User Properties", whatever, connect5("", 60, many(10_000, userProperty("", ""))))
	add("5.0, will with 10 000 User Properties", whatever,
		body(str("MQTT"), hx("05 06 00 3c"), none, str(""), properties(many(10_000, userProperty("n", "v"))), str("w"), str("x")))
	add("5.0 with 600 kB of User Properties", closes, connect5("", 60, many(10, userProperty("", long[:60_000]))))
	add("5.0, will with payload that is not UTF-8 and says it is", whatever,
		body(str("MQTT"), hx("05 06 00 3c"), none, str(""), properties(prop(1, 1)), str("w"), str("\xff")))
	add("5.0, will delay beyond the session's life", survives,
		body(str("MQTT"), hx("05 06 00 3c"), properties(hx("11 00 00 00 01")), str("longwill"), properties(hx("18 ff ff ff ff")), str("w"), str("x")))
	return rows
}

// badProperties are wrong in any packet.
func badProperties() map[string][]byte {
	return map[string][]byte{
		"property 0":                          prop(0),
		"property 5, which does not exist":    prop(5, 0),
		"property 0x7f":                       prop(0x7f),
		"a property identifier of five bytes": hx("80 80 80 80 01"),
		"a property identifier of two bytes that does not exist": hx("81 01 00"),
		"a server's property":              hx("24 01"),
		"a User Property without value":    append([]byte{0x26}, str("n")...),
		"a User Property that is too long": hx("26 ff ff 61"),
		"a User Property with NUL":         userProperty("a\x00", "b"),
		"a User Property not UTF-8":        userProperty("a", "\xc0\x80"),
		"half an integer":                  hx("11 00"),
		"a string cut short":               hx("26 00 05 61"),
	}
}

// rows4 are about a client of 3.1.1 that is connected.
func rows4() (rows []attack) {
	add := func(name string, want outcome, send []byte) {
		rows = append(rows, attack{name: "3.1.1: " + name, at: in4, send: send, want: want})
	}
	add("QoS 3", closes, packet(0x36, str("a"), u16(1)))
	add("QoS 3 with DUP and RETAIN", closes, packet(0x3f, str("a"), u16(1)))
	add("DUP with QoS 0", closes, message(0x38, 0, "a", "x"))
	add("PacketID 0, QoS 1", closes, message(0x32, 0, "a", "x"))
	add("PacketID 0, QoS 2", closes, message(0x34, 0, "a", "x"))
	add("SUBSCRIBE with PacketID 0", closes, subscribe(0, "a", 0))
	add("UNSUBSCRIBE with PacketID 0", closes, packet(0xa2, u16(0), str("a")))
	add("PUBREL with PacketID 0", closes, ack(0x62, 0))
	add("SUBSCRIBE without a filter", closes, packet(0x82, u16(1)))
	add("UNSUBSCRIBE without a filter", closes, packet(0xa2, u16(1)))
	add("SUBSCRIBE with QoS 3", closes, subscribe(1, "a", 3))
	add("SUBSCRIBE with reserved bits", closes, subscribe(1, "a", 0x40))
	add("SUBSCRIBE with No Local, which is 5.0", closes, subscribe(1, "a", 4))
	add("AUTH, which is 5.0", closes, packet(0xf0, nil))
	add("acknowledgements that nobody asked for", survives, slices.Concat(ack(0x40, 1), ack(0x50, 2), ack(0x70, 3), ack(0x40, 65535)))
	add("PUBREL that nobody asked for", answers("70 02 00 09"), ack(0x62, 9))
	add("PUBREC for what is QoS 0", survives, bytes.Join([][]byte{subscribe(1, "rec", 0), message(0x30, 0, "rec", "x"), ack(0x50, 1)}, nil))
	add("a PacketID of QoS 2 used again and again", survives, many(1000, message(0x34, 5, "again", "x")))
	add("QoS 2, then QoS 1 with its PacketID", survives, slices.Concat(message(0x34, 5, "x", "x"), message(0x32, 5, "x", "x"), ack(0x62, 5)))
	add("65 535 QoS 2 messages never released", whatever, neverReleased(4))
	add("empty payload to everywhere", survives, message(0x30, 0, "empty", ""))
	add("a million bytes of payload to nobody", survives, message(0x30, 0, "large", strings.Repeat("x", 1_000_000)))
	add("a packet of more than the limit", closes, hx("30 81 80 80 01 00 01 61"))
	add("100 000 bytes of zeros", closes, many(100_000, []byte{0}))
	add("DISCONNECT and then PUBLISH", closes, slices.Concat(disconnect, message(0x31, 0, "after/disconnect", "x")))
	add("DISCONNECT with a body", closes, hx("e0 01 00"))
	add("PINGREQ with a body", closes, hx("c0 01 00"))
	add("second CONNECT", closes, connect("again", 60))
	return rows
}

// neverReleased are 65 535 QoS 2 messages, without a PUBREL.
func neverReleased(version int) (b []byte) {
	for id := 1; id <= 65535; id++ {
		if version == 5 {
			b = append(b, message5(0x34, id, "never", none, "x")...)
		} else {
			b = append(b, message(0x34, id, "never", "x")...)
		}
	}
	return b
}
