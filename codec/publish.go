package codec

// Publish is a PUBLISH packet (section 3.3).
type Publish struct {
	Dup      bool
	QoS      byte
	Retain   bool
	Topic    []byte // empty only in 5.0, with a Topic Alias
	PacketID uint16 // with QoS > 0
	Payload  []byte
	Props    Properties
}

const (
	publishRetain   = 1 << 0
	publishQoSShift = 1
	publishDup      = 1 << 3
)

// Decode reads a PUBLISH into p, overwriting every field; all slices are views.
//
// hot: no allocation, but for a second Subscription Identifier and for user
// properties that do not stand together.
func (p *Publish) Decode(k *Packet, v Version) error {
	r := reader{b: k.Body}
	p.Dup, p.QoS, p.Retain = k.Flags&publishDup != 0, k.Flags>>publishQoSShift&3, k.Flags&publishRetain != 0
	if p.QoS == 3 {
		return malformed("MQTT-3.3.1-4", "PUBLISH with QoS 3")
	}
	if p.Dup && p.QoS == 0 {
		return malformed("MQTT-3.3.1-2", "PUBLISH with DUP and QoS 0")
	}
	p.Topic = r.str()
	p.PacketID = 0
	if p.QoS > 0 {
		p.PacketID = r.u16()
	}
	if err := r.err(TypePublish); err != nil {
		return err
	}
	if p.QoS > 0 && p.PacketID == 0 {
		return zeroPacketID(v, TypePublish)
	}
	if p.Props.Has != 0 || p.Props.Raw != nil || p.Props.Encoded != nil {
		p.Props.reset()
	}
	if v == V5 {
		if err := p.decodeProps(&r); err != nil {
			return err
		}
	}
	p.Payload = r.b
	if len(p.Topic) == 0 && p.Props.Has.Has(PropTopicAlias) {
		return nil
	}
	return checkTopicName(p.Topic, "PUBLISH topic")
}

// decodeProps is a short way around an empty block.
func (p *Publish) decodeProps(r *reader) error {
	if len(r.b) > 0 && r.b[0] == 0 {
		r.b = r.b[1:]
		return nil
	}
	return p.Props.decode(r, in(TypePublish), TypePublish)
}

func zeroPacketID(v Version, t Type) error {
	return protocol(by(v, "MQTT-2.3.1-1", "MQTT-2.2.1-3"), t.String()+" with PacketID 0")
}

// AppendPublish encodes p.
//
// hot: no allocation but what dst needs.
func AppendPublish(dst []byte, v Version, p *Publish) []byte {
	return append(AppendPublishHead(dst, v, p, len(p.Payload)), p.Payload...)
}

// AppendPublishHead encodes all of p but its payload, which has payloadBytes.
//
// hot: no allocation but what dst needs.
func AppendPublishHead(dst []byte, v Version, p *Publish, payloadBytes int) []byte {
	first := byte(TypePublish)<<4 | p.QoS<<publishQoSShift
	if p.Dup {
		first |= publishDup
	}
	if p.Retain {
		first |= publishRetain
	}
	n := 2 + len(p.Topic) + payloadBytes
	if p.QoS > 0 {
		n += 2
	}
	props := 0
	if v == V5 {
		props = p.Props.size()
		n += varintBytes(uint32(props)) + props
	}
	dst = appendString(appendFixed(dst, first, n), p.Topic)
	if p.QoS > 0 {
		dst = appendU16(dst, p.PacketID)
	}
	if v == V5 {
		dst = appendVarint(dst, uint32(props))
		if props > 0 {
			dst = p.Props.appendTo(dst)
		}
	}
	return dst
}

// PublishBytes is how many bytes AppendPublish appends.
func PublishBytes(v Version, p *Publish) int {
	n := 2 + len(p.Topic) + len(p.Payload)
	if p.QoS > 0 {
		n += 2
	}
	if v == V5 {
		n += p.Props.blockBytes()
	}
	return 1 + varintBytes(uint32(n)) + n
}

// PublishPacketIDOffset says where the two bytes of the PacketID stand in an
// encoded PUBLISH with QoS > 0, so that one encoding serves many sessions. head
// is what AppendPublishHead made, alone or with the payload behind it.
//
// hot: no allocation.
func PublishPacketIDOffset(head []byte) int {
	at := 1
	for head[at] >= 0x80 {
		at++
	}
	at++
	return at + 2 + int(head[at])<<8 + int(head[at+1])
}
