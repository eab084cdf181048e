package codec

import (
	"fmt"
	"unicode/utf8"
)

// bad makes the error of a malformed packet.
func bad(statement, format string, args ...any) error {
	return &Error{MalformedPacket, statement, fmt.Sprintf(format, args...)}
}

// Packet is one framed control packet; views into the buffer it was found in.
// The capacity of Raw reaches to the end of the buffer.
type Packet struct {
	Type  Type
	Flags byte
	Body  []byte
	Raw   []byte
}

// Next frames the first packet of view. n == 0 with a nil error means that more
// bytes are needed. max is the largest whole packet in bytes.
//
// hot: no allocation.
func Next(view []byte, max int) (p Packet, n int, err error) {
	if len(view) < 1 {
		return p, 0, nil
	}
	t, flags := Type(view[0]>>4), view[0]&15
	switch t {
	case 0, TypeAuth:
		return p, 0, bad("MQTT-2.2.2-2", "packet type %d", t)
	case TypePublish:
	case TypePubrel, TypeSubscribe, TypeUnsubscribe:
		if flags != 2 {
			return p, 0, bad("MQTT-2.2.2-2", "flags %x", flags)
		}
	default:
		if flags != 0 {
			return p, 0, bad("MQTT-2.2.2-2", "flags %x", flags)
		}
	}
	length, shift := 0, 0
	at := 1
	for {
		if at >= len(view) {
			return p, 0, nil
		}
		b := view[at]
		at++
		length |= int(b&127) << shift
		if b < 128 {
			break
		}
		if at == 5 {
			return p, 0, bad("", "remaining length")
		}
		shift += 7
	}
	if at+length > max {
		return p, 0, &Error{PacketTooLarge, "", fmt.Sprintf("packet of %d bytes", at+length)}
	}
	if at+length > len(view) {
		return p, 0, nil
	}
	return Packet{t, flags, view[at : at+length], view[:at+length]}, at + length, nil
}

// reader is the only place that indexes remote bytes.
type reader struct {
	b    []byte
	fail bool
}

func (r *reader) u8() byte {
	if len(r.b) < 1 {
		r.fail = true
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) u16() uint16 {
	if len(r.b) < 2 {
		r.fail = true
		return 0
	}
	v := uint16(r.b[0])<<8 | uint16(r.b[1])
	r.b = r.b[2:]
	return v
}

func (r *reader) bin() []byte {
	n := int(r.u16())
	if len(r.b) < n {
		r.fail = true
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) str() []byte {
	v := r.bin()
	if !utf8.Valid(v) {
		r.fail = true
	}
	for _, c := range v {
		if c == 0 {
			r.fail = true
		}
	}
	return v
}

// Connect is a CONNECT packet (section 3.1).
type Connect struct {
	Version                Version
	CleanStart             bool
	KeepAliveSeconds       uint16
	ClientID               []byte
	HasWill                bool
	WillQoS                byte
	WillRetain             bool
	WillTopic, WillPayload []byte
	HasUsername            bool
	HasPassword            bool
	Username, Password     []byte
}

// Decode reads a CONNECT.
func (c *Connect) Decode(k *Packet) error {
	*c = Connect{}
	r := reader{b: k.Body}
	name := string(r.str())
	c.Version = Version(r.u8())
	if r.fail || name != "MQTT" && name != "MQIsdp" {
		return bad("MQTT-3.1.2-1", "protocol name %q", name)
	}
	if name == "MQTT" && c.Version != V311 && c.Version != V5 || name == "MQIsdp" && c.Version != V31 {
		return &Error{UnsupportedProtocolVersion, "MQTT-3.1.2-2", "protocol level"}
	}
	f := r.u8()
	if f&1 != 0 {
		return bad("MQTT-3.1.2-3", "reserved flag")
	}
	c.CleanStart = f&2 != 0
	c.HasWill, c.WillQoS, c.WillRetain = f&4 != 0, f>>3&3, f&32 != 0
	c.HasUsername, c.HasPassword = f&128 != 0, f&64 != 0
	if c.WillQoS == 3 || !c.HasWill && (c.WillQoS != 0 || c.WillRetain) || c.HasPassword && !c.HasUsername {
		return bad("MQTT-3.1.2-14", "flags %x", f)
	}
	c.KeepAliveSeconds = r.u16()
	c.ClientID = r.str()
	if c.HasWill {
		c.WillTopic = r.str()
		c.WillPayload = r.bin()
		if len(c.WillTopic) == 0 {
			return bad("", "will topic")
		}
		for _, b := range c.WillTopic {
			if b == '+' || b == '#' {
				return bad("", "will topic")
			}
		}
	}
	if c.HasUsername {
		c.Username = r.str()
	}
	if c.HasPassword {
		c.Password = r.bin()
	}
	if r.fail || len(r.b) > 0 {
		return bad("", "CONNECT")
	}
	return nil
}

// Publish is a PUBLISH packet (section 3.3).
type Publish struct {
	Dup      bool
	QoS      byte
	Retain   bool
	Topic    []byte
	PacketID uint16
	Payload  []byte
}

// Decode reads a PUBLISH into p, overwriting every field.
//
// hot: no allocation.
func (p *Publish) Decode(k *Packet, v Version) error {
	r := reader{b: k.Body}
	p.Dup, p.QoS, p.Retain = k.Flags&8 != 0, k.Flags>>1&3, k.Flags&1 != 0
	if p.QoS == 3 || p.QoS == 0 && p.Dup {
		return bad("MQTT-3.3.1-4", "flags")
	}
	p.Topic = r.str()
	p.PacketID = 0
	if p.QoS > 0 {
		p.PacketID = r.u16()
		if p.PacketID == 0 {
			return bad("MQTT-2.3.1-1", "PacketID 0")
		}
	}
	if r.fail || len(p.Topic) == 0 {
		return bad("", "PUBLISH")
	}
	for _, b := range p.Topic {
		if b == '+' || b == '#' {
			return &Error{TopicNameInvalid, "MQTT-3.3.2-2", "wildcard"}
		}
	}
	p.Payload = r.b
	return nil
}

// AppendPublish encodes p.
//
// hot: no allocation.
func AppendPublish(dst []byte, v Version, p *Publish) []byte {
	return append(AppendPublishHead(dst, v, p, len(p.Payload)), p.Payload...)
}

// AppendPublishHead encodes all of p but its payload, which has payloadLen bytes.
//
// hot: no allocation.
func AppendPublishHead(dst []byte, v Version, p *Publish, payloadLen int) []byte {
	first := byte(0x30) | p.QoS<<1
	if p.Dup {
		first |= 8
	}
	if p.Retain {
		first |= 1
	}
	n := 2 + len(p.Topic) + payloadLen
	if p.QoS > 0 {
		n += 2
	}
	dst = append(dst, first)
	for n >= 128 {
		dst = append(dst, byte(n)|128)
		n >>= 7
	}
	dst = append(dst, byte(n), byte(len(p.Topic)>>8), byte(len(p.Topic)))
	dst = append(dst, p.Topic...)
	if p.QoS > 0 {
		dst = append(dst, byte(p.PacketID>>8), byte(p.PacketID))
	}
	return dst
}

// PublishPacketIDOffset says where the PacketID stands in a PUBLISH with QoS > 0.
func PublishPacketIDOffset(head []byte) int {
	at := 1
	for head[at] >= 128 {
		at++
	}
	at++
	return at + 2 + int(head[at])<<8 + int(head[at+1])
}

// Ack is a PUBACK, PUBREC, PUBREL or PUBCOMP.
type Ack struct{ PacketID uint16 }

// Decode reads an acknowledgement.
//
// hot: no allocation.
func (a *Ack) Decode(k *Packet, v Version) error {
	if len(k.Body) != 2 {
		return bad("", "acknowledgement of %d bytes", len(k.Body))
	}
	a.PacketID = uint16(k.Body[0])<<8 | uint16(k.Body[1])
	if a.PacketID == 0 {
		return bad("MQTT-2.3.1-1", "PacketID 0")
	}
	return nil
}

// AppendAckID encodes an acknowledgement of four bytes.
//
// hot: no allocation.
func AppendAckID(dst []byte, t Type, id uint16) []byte {
	first := byte(t) << 4
	if t == TypePubrel {
		first |= 2
	}
	return append(dst, first, 2, byte(id>>8), byte(id))
}

// Filter is one filter of a SUBSCRIBE.
type Filter struct {
	Name []byte
	QoS  byte
}

// Subscribe is a SUBSCRIBE packet (section 3.8).
type Subscribe struct {
	PacketID uint16
	rest     []byte
}

// Decode reads a SUBSCRIBE and checks all of its filters.
func (s *Subscribe) Decode(k *Packet, v Version) error {
	r := reader{b: k.Body}
	s.PacketID = r.u16()
	s.rest = r.b
	if len(r.b) == 0 || s.PacketID == 0 {
		return bad("MQTT-3.8.3-3", "SUBSCRIBE")
	}
	for len(r.b) > 0 && !r.fail {
		if len(r.str()) == 0 {
			return bad("", "empty filter")
		}
		if r.u8() > 2 {
			return bad("MQTT-3.8.3-4", "QoS")
		}
	}
	if r.fail {
		return bad("", "SUBSCRIBE")
	}
	return nil
}

// Next takes the next filter.
func (s *Subscribe) Next() (f Filter, ok bool) {
	if len(s.rest) == 0 {
		return f, false
	}
	r := reader{b: s.rest}
	f.Name = r.str()
	f.QoS = r.u8()
	s.rest = r.b
	return f, true
}

// Suback is a SUBACK packet (section 3.9).
type Suback struct {
	PacketID uint16
	Codes    []byte
}

// AppendSuback encodes a.
func AppendSuback(dst []byte, v Version, a *Suback) []byte {
	dst = append(dst, 0x90)
	n := 2 + len(a.Codes)
	for n >= 128 {
		dst = append(dst, byte(n)|128)
		n >>= 7
	}
	dst = append(dst, byte(n), byte(a.PacketID>>8), byte(a.PacketID))
	return append(dst, a.Codes...)
}

// Unsubscribe is an UNSUBSCRIBE packet (section 3.10).
type Unsubscribe struct {
	PacketID uint16
	rest     []byte
}

// Decode reads an UNSUBSCRIBE and checks all of its filters.
func (s *Unsubscribe) Decode(k *Packet, v Version) error {
	r := reader{b: k.Body}
	s.PacketID = r.u16()
	s.rest = r.b
	if len(r.b) == 0 || s.PacketID == 0 {
		return bad("MQTT-3.10.3-2", "UNSUBSCRIBE")
	}
	for len(r.b) > 0 && !r.fail {
		r.str()
	}
	if r.fail {
		return bad("", "UNSUBSCRIBE")
	}
	return nil
}

// Next takes the next filter.
func (s *Unsubscribe) Next() (name []byte, ok bool) {
	if len(s.rest) == 0 {
		return nil, false
	}
	r := reader{b: s.rest}
	name = r.str()
	s.rest = r.b
	return name, true
}

// Disconnect is a DISCONNECT packet (section 3.14).
type Disconnect struct{ Reason Reason }

// Decode reads a DISCONNECT.
func (d *Disconnect) Decode(k *Packet, v Version) error {
	if len(k.Body) > 0 {
		return bad("", "DISCONNECT with a body")
	}
	return nil
}
