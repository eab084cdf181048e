package sim

import (
	"errors"
	"unicode/utf8"
)

// The control packets (section 2.1.2).
const (
	connect     = 1
	connack     = 2
	publish     = 3
	puback      = 4
	pubrec      = 5
	pubrel      = 6
	pubcomp     = 7
	subscribe   = 8
	suback      = 9
	unsubscribe = 10
	unsuback    = 11
	pingreq     = 12
	pingresp    = 13
	disconnect  = 14
	auth        = 15
)

// packet is one control packet of any kind, to be encoded or decoded. Slices of
// a decoded one are views.
type packet struct {
	kind   byte
	flags  byte
	id     uint16
	code   byte // return or reason code
	length int  // bytes on the wire, of a decoded one

	dup, retain bool // PUBLISH
	qos         byte
	topic       []byte
	payload     []byte

	level     byte // CONNECT
	clean     bool
	keepAlive uint16
	clientID  []byte
	will      *packet // a PUBLISH
	present   bool    // CONNACK

	filters []filter // SUBSCRIBE, UNSUBSCRIBE
	codes   []byte   // SUBACK, UNSUBACK
	props   props
}

// filter is one filter of a SUBSCRIBE.
type filter struct {
	name     []byte
	qos      byte
	noLocal  bool
	rap      bool
	handling byte
}

func (f *filter) options() byte {
	o := f.qos | f.handling<<4
	if f.noLocal {
		o |= 4
	}
	if f.rap {
		o |= 8
	}
	return o
}

// frame finds the first packet of b. n is its length, 0 when more is needed, -1
// when no length can be read.
func frame(b []byte) (n int) {
	v, shift := 0, 0
	for i := 1; i < len(b); i++ {
		v |= int(b[i]&0x7f) << shift
		if b[i] < 0x80 {
			return 1 + i + v
		}
		if shift += 7; shift > 21 {
			return -1
		}
	}
	return 0
}

func bit(on bool, b byte) byte {
	if on {
		return b
	}
	return 0
}

// encode appends p in the form of a protocol level.
func encode(dst []byte, p *packet, level byte) []byte {
	five := level == 5
	var room [256]byte
	body := room[:0]
	flags := byte(0)
	switch p.kind {
	case connect:
		body = encodeConnect(body, p)
	case connack:
		body = append(body, bit(p.present, 1), p.code)
		if five {
			body = p.props.encode(body)
		}
	case publish:
		flags = bit(p.dup, 8) | p.qos<<1 | bit(p.retain, 1)
		body = text(body, p.topic)
		if p.qos > 0 {
			body = u16(body, p.id)
		}
		if five {
			body = p.props.encode(body)
		}
		body = append(body, p.payload...)
	case puback, pubrec, pubrel, pubcomp:
		flags = bit(p.kind == pubrel, 2|bit(p.dup && level == 3, 8))
		body = u16(body, p.id)
		if five && (p.code != 0 || p.props.has != 0) {
			body = append(body, p.code)
			if p.props.has != 0 {
				body = p.props.encode(body)
			}
		}
	case subscribe, unsubscribe:
		flags = 2 | bit(p.dup && level == 3, 8)
		body = u16(body, p.id)
		if five {
			body = p.props.encode(body)
		}
		for i := range p.filters {
			body = text(body, p.filters[i].name)
			if p.kind == subscribe {
				body = append(body, p.filters[i].options())
			}
		}
	case suback, unsuback:
		body = u16(body, p.id)
		if five {
			body = p.props.encode(body)
		}
		if five || p.kind == suback {
			body = append(body, p.codes...)
		}
	case disconnect, auth:
		if five && (p.code != 0 || p.props.has != 0) {
			body = append(body, p.code)
			if p.props.has != 0 {
				body = p.props.encode(body)
			}
		}
	}
	dst = append(dst, p.kind<<4|flags)
	return append(varint(dst, len(body)), body...)
}

func encodeConnect(body []byte, p *packet) []byte {
	name := "MQTT"
	if p.level == 3 {
		name = "MQIsdp"
	}
	body = append(text(body, []byte(name)), p.level)
	f := bit(p.clean, 2)
	if w := p.will; w != nil {
		f |= 4 | w.qos<<3 | bit(w.retain, 0x20)
	}
	body = u16(append(body, f), p.keepAlive)
	if p.level == 5 {
		body = p.props.encode(body)
	}
	body = text(body, p.clientID)
	if w := p.will; w != nil {
		if p.level == 5 {
			body = w.props.encode(body)
		}
		body = text(text(body, w.topic), w.payload)
	}
	return body
}

func u16(dst []byte, v uint16) []byte { return append(dst, byte(v>>8), byte(v)) }

func u32(dst []byte, v uint32) []byte {
	return append(dst, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

func text(dst, s []byte) []byte { return append(u16(dst, uint16(len(s))), s...) }

func varint(dst []byte, v int) []byte {
	for ; v >= 0x80; v >>= 7 {
		dst = append(dst, byte(v)|0x80)
	}
	return append(dst, byte(v))
}

// Why a packet cannot be read.
var (
	errShort   = errors.New("ends in the middle of a field")
	errLeft    = errors.New("has bytes behind its last field")
	errText    = errors.New("has a string that is not UTF-8, or holds NUL")
	errValue   = errors.New("has a value that is not allowed")
	errUnknown = errors.New("has a property that is unknown or does not belong there")
)

// input takes fields off a packet; the first error stays.
type input struct {
	b   []byte
	err error
}

func (in *input) take(n int) []byte {
	if n > len(in.b) || in.err != nil {
		if in.err == nil {
			in.err = errShort
		}
		in.b = nil
		return nil
	}
	v := in.b[:n:n]
	in.b = in.b[n:]
	return v
}

func (in *input) number(bytes int) (v uint32) {
	for _, c := range in.take(bytes) {
		v = v<<8 | uint32(c)
	}
	return v
}

func (in *input) varint() (v uint32) {
	for shift := 0; shift < 28; shift += 7 {
		c := in.number(1)
		v |= c & 0x7f << shift
		if c < 0x80 {
			return v
		}
	}
	in.fail(errValue)
	return 0
}

func (in *input) binary() []byte { return in.take(int(in.number(2))) }

func (in *input) text() []byte {
	b := in.binary()
	for _, c := range b {
		if c == 0 {
			in.fail(errText)
		}
	}
	if !utf8.Valid(b) {
		in.fail(errText)
	}
	return b
}

func (in *input) fail(err error) {
	if in.err == nil {
		in.err = err
	}
}

func (in *input) require(ok bool) {
	if !ok {
		in.fail(errValue)
	}
}
