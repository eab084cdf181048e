package hostile

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
)

// packet puts the fixed header before its parts.
func packet(first byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	return append(append([]byte{first}, varint(len(body))...), body...)
}

// varint is a Variable Byte Integer of as few bytes as it takes.
func varint(n int) (b []byte) {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// str is a string with its length before it.
func str(s string) []byte { return append(u16(len(s)), s...) }

func u16(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

// hx reads hex digits; spaces mean nothing.
func hx(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// many repeats b.
func many(n int, b []byte) []byte { return bytes.Repeat(b, n) }

// connect is a CONNECT of MQTT 3.1.1 with a clean session.
func connect(id string, keepAlive int) []byte {
	return packet(0x10, str("MQTT"), []byte{4, 2}, u16(keepAlive), str(id))
}

// connect5 is a CONNECT of MQTT 5.0 with a clean start and these properties.
func connect5(id string, keepAlive int, props ...[]byte) []byte {
	return packet(0x10, str("MQTT"), []byte{5, 2}, u16(keepAlive), properties(props...), str(id))
}

// properties puts their length before them.
func properties(parts ...[]byte) []byte {
	b := bytes.Join(parts, nil)
	return append(varint(len(b)), b...)
}

// prop is one property.
func prop(id byte, value ...byte) []byte { return append([]byte{id}, value...) }

// userProperty is name=value.
func userProperty(name, value string) []byte {
	return append(append([]byte{0x26}, str(name)...), str(value)...)
}

// message is a PUBLISH of 3.x; the PacketID counts with QoS > 0.
func message(first byte, id int, topic, payload string) []byte {
	if first&6 == 0 {
		return packet(first, str(topic), []byte(payload))
	}
	return packet(first, str(topic), u16(id), []byte(payload))
}

// message5 is a PUBLISH of 5.0.
func message5(first byte, id int, topic string, props []byte, payload string) []byte {
	if first&6 == 0 {
		return packet(first, str(topic), props, []byte(payload))
	}
	return packet(first, str(topic), u16(id), props, []byte(payload))
}

// none are no properties.
var none = []byte{0}

func ack(first byte, id int) []byte { return packet(first, u16(id)) }

func subscribe(id int, filter string, options byte) []byte {
	return packet(0x82, u16(id), str(filter), []byte{options})
}

func subscribe5(id int, props []byte, filter string, options byte) []byte {
	return packet(0x82, u16(id), props, str(filter), []byte{options})
}

var (
	pingreq    = hx("c0 00")
	disconnect = hx("e0 00")
)

// frame is a WebSocket frame of a client: first byte, payload under a mask.
func frame(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = append(append(b, 0x80|126), u16(n)...)
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := []byte{0x12, 0x34, 0x56, 0x78}
	b = append(b, mask...)
	for i, x := range payload {
		b = append(b, x^mask[i%4])
	}
	return b
}
