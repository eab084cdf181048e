package hostile

import (
	"bytes"
	"fmt"
	"slices"
)

// valid is a packet that is taken as it is, and what becomes of its parts.
type valid struct {
	name  string
	at    stage
	first byte
	body  []byte
	// whole are the lengths of the body that make a valid packet, besides its own; from, if not 0, that all from there
	// on do.
	whole []int
	from  int
	ends  bool // the connection ends with the packet in any case
}

func validPackets() []valid {
	will5 := properties(hx("18 00 00 00 05"), prop(1, 1), hx("02 00 00 00 09"), append([]byte{3}, str("a/b")...),
		append([]byte{8}, str("re")...), append([]byte{9}, str("corr")...), userProperty("n", "v"))
	connect5Body := bytes.Join([][]byte{
		str("MQTT"),
		{5, 0xc6},
		u16(60),
		properties(hx("11 00 00 00 00"), hx("21 00 10"), hx("27 00 00 ff ff"), hx("22 00 05"), prop(0x19, 1), prop(0x17, 1), userProperty("a", "b")),
		str(""), will5, str("will/t"), str("bye"), str("user"), str("word"),
	}, nil)
	pubProps := properties(prop(1, 1), hx("02 00 00 00 3c"), append([]byte{3}, str("t/p")...), append([]byte{8}, str("re")...),
		append([]byte{9}, str("co")...), userProperty("n", "v"))
	pub5 := bytes.Join([][]byte{str("cut/5"), u16(7), pubProps, []byte("abc")}, nil)
	sub5 := bytes.Join([][]byte{u16(3), properties(hx("0b 05"), userProperty("n", "v")), str("cut/+"), {1}, str("cut/#"), {0x2d}}, nil)
	unsub5 := bytes.Join([][]byte{u16(3), properties(userProperty("n", "v")), str("cut/+"), str("cut/#")}, nil)
	ack5 := bytes.Join([][]byte{u16(9), {0x10}, properties(append([]byte{0x1f}, str("why")...), userProperty("n", "v"))}, nil)
	full4 := bytes.Join([][]byte{str("MQTT"), {4, 0xc6}, u16(60), str(""), str("will/t"), str("bye"), str("user"), str("word")}, nil)
	full3 := bytes.Join([][]byte{str("MQIsdp"), {3, 0xc6}, u16(60), str("three"), str("will/t"), str("bye"), str("user"), str("word")}, nil)
	return []valid{
		{name: "CONNECT of 3.1", at: bare, first: 0x10, body: full3},
		{name: "CONNECT of 3.1.1", at: bare, first: 0x10, body: full4},
		{name: "CONNECT of 5.0", at: bare, first: 0x10, body: connect5Body},
		{name: "PUBLISH QoS 0", at: in4, first: 0x30, body: slices.Concat(str("cut/0"), []byte("abc")), from: 7},
		{name: "PUBLISH QoS 1", at: in4, first: 0x32, body: slices.Concat(str("cut/1"), u16(7), []byte("abc")), from: 9},
		{name: "PUBLISH QoS 2", at: in4, first: 0x34, body: slices.Concat(str("cut/2"), u16(7), []byte("abc")), from: 9},
		{name: "PUBACK", at: in4, first: 0x40, body: u16(9)},
		{name: "PUBREC", at: in4, first: 0x50, body: u16(9)},
		{name: "PUBREL", at: in4, first: 0x62, body: u16(9)},
		{name: "PUBCOMP", at: in4, first: 0x70, body: u16(9)},
		{name: "SUBSCRIBE", at: in4, first: 0x82, body: slices.Concat(u16(3), str("cut/+"), []byte{1}, str("c/#"), []byte{2}), whole: []int{10}},
		{name: "UNSUBSCRIBE", at: in4, first: 0xa2, body: slices.Concat(u16(3), str("cut/+"), str("c/#")), whole: []int{9}},
		{name: "PUBLISH of 5.0", at: in5, first: 0x32, body: pub5, from: len(pub5) - 3},
		{name: "PUBACK of 5.0", at: in5, first: 0x40, body: ack5, whole: []int{2, 3}},
		{name: "PUBREC of 5.0", at: in5, first: 0x50, body: ack5, whole: []int{2, 3}},
		{name: "PUBREL of 5.0", at: in5, first: 0x62, body: slices.Concat(u16(9), []byte{0x92}, properties(userProperty("n", "v"))), whole: []int{2, 3}},
		{name: "PUBCOMP of 5.0", at: in5, first: 0x70, body: slices.Concat(u16(9), []byte{0x92}, properties(userProperty("n", "v"))), whole: []int{2, 3}},
		{name: "SUBSCRIBE of 5.0", at: in5, first: 0x82, body: sub5, whole: []int{len(sub5) - 8}},
		{name: "UNSUBSCRIBE of 5.0", at: in5, first: 0xa2, body: unsub5, whole: []int{len(unsub5) - 7}},
		{name: "DISCONNECT of 5.0", at: in5, first: 0xe0, body: slices.Concat([]byte{4}, properties(hx("11 00 00 00 00"), userProperty("n", "v"))), ends: true},
		{name: "AUTH of 5.0", at: in5, first: 0xf0, body: slices.Concat([]byte{0x18}, properties(append([]byte{0x15}, str("m")...))), ends: true},
	}
}

// cutRows break each packet off at each byte: once with a Remaining Length that still speaks of the whole, and the
// peer ends its side; once with one that fits.
func cutRows() (rows []attack) {
	for _, v := range validPackets() {
		p := packet(v.first, v.body)
		for i := range len(p) {
			rows = append(rows, attack{
				name: fmt.Sprintf("%s broken off at byte %d", v.name, i), at: v.at, send: p[:i], want: closes,
				script: func(_ *row, p *peer) { p.halfClose() },
			})
		}
		for i := range len(v.body) {
			want := closes
			if !v.ends && (v.from > 0 && i >= v.from || slices.Contains(v.whole, i)) {
				want = survives
			}
			rows = append(rows, attack{
				name: fmt.Sprintf("%s of %d bytes less", v.name, len(v.body)-i), at: v.at, send: packet(v.first, v.body[:i]), want: want,
			})
		}
		want := closes
		if v.at != bare && !v.ends {
			want = survives
		}
		if v.at == bare {
			rows = append(rows, attack{name: v.name + " whole", at: v.at, send: p, want: survives})
		} else {
			rows = append(rows, attack{name: v.name + " whole", at: v.at, send: p, want: want})
		}
		if v.from == 0 { // what has a payload has no end
			rows = append(rows, attack{name: v.name + " with a byte behind it", at: v.at, send: packet(v.first, v.body, []byte{0}), want: closes})
		}
	}
	return rows
}

// headerRows are about the fixed header.
func headerRows() (rows []attack) {
	for kind := range byte(16) {
		for _, at := range []stage{bare, in4, in5} {
			name := fmt.Sprintf("type %d, stage %d", kind, at)
			first := kind<<4 | map[byte]byte{6: 2, 8: 2, 10: 2}[kind]
			rows = append(rows,
				attack{name: name + ": Remaining Length of five bytes", at: at, send: append([]byte{first}, hx("80 80 80 80 01")...), want: closes},
				attack{name: name + ": endless Remaining Length", at: at, send: append([]byte{first}, many(300, []byte{0xff})...), want: closes},
				attack{name: name + ": 256 MB announced, few bytes sent", at: at, send: append([]byte{first}, hx("ff ff ff 7f 00 04 4d 51 54 54")...), want: closes},
			)
			if at == bare || kind == 0 || kind == 1 || kind == 2 || kind == 9 || kind == 11 || kind == 13 || kind == 15 {
				rows = append(rows, attack{name: name + ": has no business here", at: at, send: packet(first, hx("00 01")), want: closes})
			}
			if kind != 3 {
				for _, flags := range []byte{1, 4, 8, 15} {
					rows = append(rows, attack{
						name: fmt.Sprintf("%s: reserved flags %x", name, first&15^flags), at: at,
						send: packet(first^flags, hx("00 01")), want: closes,
					})
				}
			}
		}
	}
	return rows
}
