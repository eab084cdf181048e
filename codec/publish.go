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

	FromClient bool // has Decode refuse what only a server sends
}

const (
	publishRetain   = 1 << 0
	publishQoSShift = 1
	publishDup      = 1 << 3
)

// Decode reads a PUBLISH into p, overwriting every field but FromClient; all
// slices are views.
//
// hot: no allocation, but for a second Subscription Identifier and for user
// properties that do not stand together.
func (p *Publish) Decode(k *Packet, v Version) error {
	b := k.Body
	p.Dup, p.QoS, p.Retain = k.Flags&publishDup != 0, k.Flags>>publishQoSShift&3, k.Flags&publishRetain != 0
	if p.QoS == 3 {
		return malformed("MQTT-3.3.1-4", "PUBLISH with QoS 3")
	}
	if p.Dup && p.QoS == 0 {
		return malformed("MQTT-3.3.1-2", "PUBLISH with DUP and QoS 0")
	}
	if len(b) < 2 {
		return cut(TypePublish)
	}
	n := 2 + int(b[0])<<8 + int(b[1])
	if n > len(b) {
		return cut(TypePublish)
	}
	p.Topic, b = b[2:n], b[n:]
	p.PacketID = 0
	if p.QoS > 0 {
		if len(b) < 2 {
			return cut(TypePublish)
		}
		if p.PacketID, b = uint16(b[0])<<8|uint16(b[1]), b[2:]; p.PacketID == 0 {
			return zeroPacketID(v, TypePublish)
		}
	}
	if p.Props.Has != 0 || p.Props.Raw != nil {
		p.Props.reset()
	}
	if v == V5 {
		if len(b) > 0 && b[0] == 0 { // an empty block
			b = b[1:]
		} else {
			r := reader{b: b}
			at := in(TypePublish)
			if p.FromClient {
				at |= placeFromClient
			}
			if err := p.Props.decode(&r, at, TypePublish); err != nil {
				return err
			}
			b = r.b
		}
	}
	p.Payload = b
	if plainTopic(p.Topic) || len(p.Topic) == 0 && p.Props.Has.Has(PropTopicAlias) {
		return nil
	}
	if len(p.Topic) == 0 && v == V5 {
		return protocol("", "PUBLISH with neither topic nor Topic Alias") // section 3.3.2.3.4
	}
	if err := ValidUTF8(p.Topic); err != nil {
		return err
	}
	return checkTopicName(p.Topic, "PUBLISH topic")
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
