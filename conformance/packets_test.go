package conformance

import (
	"fmt"
	"strconv"
	"strings"
)

// Packets without content.
const (
	pingreq    = "c0 00"
	pingresp   = "d0 00"
	disconnect = "e0 00"
)

// connectPacket is what a CONNECT says.
type connectPacket struct {
	protocol  string
	level     byte
	flags     byte
	keepAlive int
	fields    []string // behind the client identifier
}

type connectOption func(*connectPacket)

// connect is a CONNECT of MQTT 3.1.1 with a keep alive of 60 s; without the
// option clean its session persists.
func connect(id string, opts ...connectOption) []byte {
	p := connectPacket{protocol: "MQTT", level: 4, keepAlive: 60}
	for _, o := range opts {
		o(&p)
	}
	body := str(p.protocol)
	body = append(body, p.level, p.flags, byte(p.keepAlive>>8), byte(p.keepAlive))
	body = append(body, str(id)...)
	for _, f := range p.fields {
		body = append(body, str(f)...)
	}
	return packet(0x10, body)
}

func clean(p *connectPacket) { p.flags |= 0x02 }

// v31 makes it a CONNECT of MQTT 3.1.
func v31(p *connectPacket) { p.protocol, p.level = "MQIsdp", 3 }

// keepAlive is in seconds.
func keepAlive(s int) connectOption { return func(p *connectPacket) { p.keepAlive = s } }

// will must come before user.
func will(qos byte, topic, payload string) connectOption {
	return func(p *connectPacket) {
		p.flags |= 0x04 | qos<<3
		p.fields = append(p.fields, topic, payload)
	}
}

func retainWill(p *connectPacket) { p.flags |= 0x20 }

func user(name string) connectOption {
	return func(p *connectPacket) {
		p.flags |= 0x80
		p.fields = append(p.fields, name)
	}
}

// password must come after user.
func password(word string) connectOption {
	return func(p *connectPacket) {
		p.flags |= 0x40
		p.fields = append(p.fields, word)
	}
}

// publish is a PUBLISH with this first byte; the PacketID counts with QoS > 0.
func publish(first byte, id int, topic, payload string) []byte {
	body := str(topic)
	if first&0x06 != 0 {
		body = append(body, byte(id>>8), byte(id))
	}
	return packet(first, append(body, payload...))
}

func pub0(topic, payload string) []byte         { return publish(0x30, 0, topic, payload) }
func pub1(id int, topic, payload string) []byte { return publish(0x32, id, topic, payload) }
func pub2(id int, topic, payload string) []byte { return publish(0x34, id, topic, payload) }

// retained sets RETAIN in a PUBLISH.
func retained(p []byte) []byte { p[0] |= 0x01; return p }

// dup sets DUP in a PUBLISH.
func dup(p []byte) []byte { p[0] |= 0x08; return p }

func puback(id int) []byte   { return ack(0x40, id) }
func pubrec(id int) []byte   { return ack(0x50, id) }
func pubrel(id int) []byte   { return ack(0x62, id) }
func pubcomp(id int) []byte  { return ack(0x70, id) }
func unsuback(id int) []byte { return ack(0xb0, id) }

func ack(first byte, id int) []byte { return []byte{first, 2, byte(id >> 8), byte(id)} }

// subscribe takes filters and QoS in turn.
func subscribe(id int, filters ...any) []byte {
	body := []byte{byte(id >> 8), byte(id)}
	for _, f := range filters {
		switch f := f.(type) {
		case string:
			body = append(body, str(f)...)
		case int:
			body = append(body, byte(f))
		case byte:
			body = append(body, f)
		}
	}
	return packet(0x82, body)
}

func suback(id int, codes ...byte) []byte {
	return packet(0x90, append([]byte{byte(id >> 8), byte(id)}, codes...))
}

func unsubscribe(id int, filters ...string) []byte {
	body := []byte{byte(id >> 8), byte(id)}
	for _, f := range filters {
		body = append(body, str(f)...)
	}
	return packet(0xa2, body)
}

// packet puts the fixed header before body.
func packet(first byte, body []byte) []byte {
	p := []byte{first}
	n := len(body)
	for ; n >= 0x80; n >>= 7 {
		p = append(p, byte(n)|0x80)
	}
	return append(append(p, byte(n)), body...)
}

// str is a string with its length before it (1.5.3).
func str(s string) []byte {
	return append([]byte{byte(len(s) >> 8), byte(len(s))}, s...)
}

// notation is the way these tests write bytes: hex digits, 'text' as it is,
// <…> behind its length in two bytes as the standard has strings and binary
// data, {…} behind its length in as few bytes as it takes, as it has properties
// and whole packets. Spaces mean nothing outside of text.
func notation(s string) []byte {
	b, rest := notationUntil(s, 0)
	if rest != "" {
		panic(fmt.Sprintf("%q: nothing is opened that %q closes", s, rest))
	}
	return b
}

func notationUntil(s string, end byte) (b []byte, rest string) {
	for s != "" && s[0] != end {
		switch s[0] {
		case ' ':
			s = s[1:]
		case '\'':
			text, after, closed := strings.Cut(s[1:], "'")
			if !closed {
				panic(fmt.Sprintf("%q: text without end", s))
			}
			b, s = append(b, text...), after
		case '<':
			var inner []byte
			inner, s = notationUntil(s[1:], '>')
			b, s = append(b, str(string(inner))...), s[1:]
		case '{':
			var inner []byte
			inner, s = notationUntil(s[1:], '}')
			b, s = append(b, packet(0, inner)[1:]...), s[1:]
		default:
			n, err := strconv.ParseUint(s[:2], 16, 8)
			if err != nil {
				panic(fmt.Sprintf("%q: want hex: %v", s, err))
			}
			b, s = append(b, byte(n)), s[2:]
		}
	}
	return b, s
}
