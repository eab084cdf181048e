package hostile

import (
	"fmt"
	"slices"
	"strings"
)

// rows5 are about a client of 5.0 that is connected.
func rows5() (rows []attack) {
	add := func(name string, want outcome, send []byte) {
		rows = append(rows, attack{name: "5.0: " + name, at: in5, send: send, want: want})
	}
	alias := func(n int) []byte { return properties(append([]byte{0x23}, u16(n)...)) }
	for name, p := range badProperties() {
		add("PUBLISH with "+name, closes, message5(0x30, 0, "a", properties(p), "x"))
		add("SUBSCRIBE with "+name, closes, subscribe5(1, properties(p), "a", 0))
		add("UNSUBSCRIBE with "+name, closes, packet(0xa2, u16(1), properties(p), str("a")))
		add("PUBACK with "+name, closes, packet(0x40, u16(1), []byte{0}, properties(p)))
		add("DISCONNECT with "+name, closes, packet(0xe0, []byte{0}, properties(p)))
	}
	add("properties longer than the packet", closesWith(0x81), message5(0x30, 0, "a", hx("7f 01"), "x"))
	add("a property length of five bytes", closesWith(0x81), message5(0x30, 0, "a", hx("80 80 80 80 01"), "x"))
	add("a property length that is longer than it need be", closes, message5(0x30, 0, "a", hx("80 00"), "x"))
	add("a Remaining Length that is longer than it need be", closes, hx("c0 80 00"))
	add("Topic Alias 0", closesWith(0x94), message5(0x30, 0, "a", alias(0), "x"))
	add("Topic Alias beyond the maximum", closesWith(0x94), message5(0x30, 0, "a", alias(33), "x"))
	add("Topic Alias 65535", closesWith(0x94), message5(0x30, 0, "a", alias(65535), "x"))
	add("Topic Alias that was never set", closesWith(0x82), message5(0x30, 0, "", alias(5), "x"))
	add("Topic Alias twice in a packet", closesWith(0x82), message5(0x30, 0, "a", properties(hx("23 00 01 23 00 01")), "x"))
	add("no topic and no alias", closes, message5(0x30, 0, "", none, "x"))
	add("an alias set anew ten thousand times", survives, aliases(10_000))
	add("Subscription Identifier in PUBLISH", closesWith(0x82), message5(0x30, 0, "a", properties(hx("0b 01")), "x"))
	add("Subscription Identifier 0", closesWith(0x82), subscribe5(1, properties(hx("0b 00")), "a", 0))
	add("Subscription Identifier of five bytes", closesWith(0x81), subscribe5(1, properties(hx("0b 80 80 80 80 01")), "a", 0))
	add("Subscription Identifier twice", closesWith(0x82), subscribe5(1, properties(hx("0b 01 0b 02")), "a", 0))
	add("Payload Format Indicator 2", closes, message5(0x30, 0, "a", properties(prop(1, 2)), "x"))
	add("Payload Format Indicator twice", closesWith(0x82), message5(0x30, 0, "a", properties(hx("01 00 01 00")), "x"))
	add("Response Topic with a wildcard", closes, message5(0x30, 0, "a", properties(append([]byte{8}, str("a/#")...)), "x"))
	add("Message Expiry 0", survives, message5(0x31, 0, "expired", properties(hx("02 00 00 00 00")), ""))
	add("100 000 User Properties", whatever, message5(0x32, 1, "a", properties(many(100_000, userProperty("", ""))), "x"))
	add("1.9 MB of User Properties in SUBSCRIBE", whatever, subscribe5(1, properties(many(30, userProperty("", strings.Repeat("x", 60_000)))), "a", 0))
	add("SUBSCRIBE with Retain Handling 3", closes, subscribe5(1, none, "a", 0x30))
	add("SUBSCRIBE with QoS 3", closes, subscribe5(1, none, "a", 3))
	add("SUBSCRIBE with reserved bits", closes, subscribe5(1, none, "a", 0xc0))
	add("No Local on a shared subscription", closesWith(0x82), subscribe5(1, none, "$share/g/a", 4))
	add("PUBACK with a reason that does not exist", closes, packet(0x40, u16(1), []byte{0x77}))
	add("DISCONNECT with a reason that does not exist", closes, hx("e0 01 77"))
	add("DISCONNECT that is a server's", closes, hx("e0 01 8b"))
	add("DISCONNECT with a Session Expiry where there was none", closesWith(0x82), packet(0xe0, []byte{0}, properties(hx("11 00 00 00 05"))))
	add("AUTH out of the blue", closesWith(0x82), packet(0xf0, nil))
	add("AUTH with a reason that does not exist", closes, packet(0xf0, []byte{0x55}, none))
	add("65 535 QoS 2 messages never released", closesWith(0x93), neverReleased(5))
	add("QoS 1 up to and beyond the Receive Maximum", whatever, manyQoS1(5000))
	add("a packet of more than the limit", closesWith(0x95), hx("30 81 80 80 01 00 01 61"))
	add("CONNACK from a client", closesWith(0x82), hx("20 03 00 00 00"))
	add("PINGRESP from a client", closesWith(0x82), hx("d0 00"))
	add("acknowledgements that nobody asked for", survives, slices.Concat(ack(0x40, 1), ack(0x50, 2), ack(0x70, 3)))
	add("PUBREL that nobody asked for", answers("70"), ack(0x62, 9))
	add("a QoS 1 message to $SYS", whatever, message5(0x32, 1, "$SYS/broker/uptime", none, "x"))
	return rows
}

// aliases set one alias to ever other topics.
func aliases(n int) (b []byte) {
	for i := range n {
		b = append(b, message5(0x30, 0, fmt.Sprint("alias/", i), properties(hx("23 00 01")), "x")...)
	}
	return b
}

func manyQoS1(n int) (b []byte) {
	for i := range n {
		b = append(b, message5(0x32, i+1, "q1", none, "x")...)
	}
	return b
}

// topicRows are about topic names and filters, of both versions.
func topicRows() (rows []attack) {
	deep := strings.Repeat("/", 65535)
	names := map[string]string{
		"empty": "", "#": "#", "a/#": "a/#", "+": "+", "a/+/b": "a/+/b", "a+b": "a+b", "with NUL": "a\x00", "not UTF-8": "a\xff",
		"overlong UTF-8": "\xc0\xaf", "a surrogate": "\xed\xa0\x80", "beyond Unicode": "\xf4\x90\x80\x80", "cut UTF-8": "a\xe2\x82",
	}
	for name, topic := range names {
		rows = append(rows,
			attack{name: "topic " + name, at: in4, send: message(0x32, 1, topic, "x"), want: closes},
			attack{name: "topic, 5.0, " + name, at: in5, send: message5(0x32, 1, topic, none, "x"), want: closes})
	}
	for name, topic := range map[string]string{
		"of 65 535 levels": deep, "of 129 levels": strings.Repeat("/", 128), "of 65 535 bytes": strings.Repeat("x", 65535), "of 4097 bytes": strings.Repeat("x", 4097),
	} {
		rows = append(rows,
			attack{name: "topic " + name, at: in4, send: message(0x32, 1, topic, "x"), want: whatever},
			attack{name: "topic, 5.0, " + name, at: in5, send: message5(0x32, 1, topic, none, "x"), want: whatever},
			attack{name: "filter " + name, at: in4, send: subscribe(1, topic, 0), want: answers("90 03 00 01 80")},
			attack{name: "filter, 5.0, " + name, at: in5, send: subscribe5(1, none, topic, 0), want: answers("90")},
			attack{name: "filter never subscribed to, " + name, at: in4, send: packet(0xa2, u16(1), str(topic)), want: answers("b0 02 00 01")})
	}
	for name, filter := range map[string]string{
		"empty": "", "a/#/b": "a/#/b", "##": "##", "a#": "a#", "a+": "a+", "+a/b": "+a/b", "with NUL": "a\x00", "not UTF-8": "\xff",
	} {
		rows = append(rows,
			attack{name: "filter " + name, at: in4, send: subscribe(1, filter, 0), want: closes},
			attack{name: "filter, 5.0, " + name, at: in5, send: subscribe5(1, none, filter, 0), want: closes},
			attack{name: "unsubscribe from " + name, at: in4, send: packet(0xa2, u16(1), str(filter)), want: closes})
	}
	for _, filter := range []string{
		"$share", "$share/", "$share/g", "$share/g/", "$share//a", "$share/a+/b", "$share/#/b", "$share/+/b", "$share/g/#/x", "$share/g/a#",
		"$share/g/$share/h/a", "$share/g//", "$share/g/#", "$SHARE/g/a", "$share/" + strings.Repeat("g", 60_000) + "/a",
	} {
		name := filter[:min(len(filter), 20)]
		rows = append(rows,
			attack{name: "shared: " + name, at: in4, send: subscribe(1, filter, 0), want: shared(filter)},
			attack{name: "shared, 5.0: " + name, at: in5, send: subscribe5(1, none, filter, 0), want: shared(filter)},
			attack{name: "shared, never subscribed to: " + name, at: in4, send: packet(0xa2, u16(1), str(filter)), want: whatever})
	}
	return rows
}

// shared is what a filter that begins like a shared subscription is answered with.
func shared(filter string) outcome {
	switch filter {
	case "$share", "$share/g/$share/h/a", "$share/g//", "$SHARE/g/a":
		return answers("90")
	case "$share/g/#":
		return survives // and others' messages may come
	}
	if len(filter) > 4096 {
		return answers("90")
	}
	return closes
}
