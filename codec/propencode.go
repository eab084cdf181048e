package codec

import "strconv"

func itoa(n int) string { return strconv.Itoa(n) }

// single reports whether a property is encoded from a field of its own.
func single(id PropertyID) bool { return id != PropUser && id != PropSubscriptionID }

// size is how many bytes the block has without its length.
func (p *Properties) size() int {
	if p.Has == 0 {
		return len(p.Encoded)
	}
	n := len(p.Encoded)
	if p.Has.Has(PropUser) {
		n += len(p.User)
	}
	if p.Has.Has(PropSubscriptionID) {
		for _, id := range p.SubscriptionIDs {
			n += 1 + varintBytes(id)
		}
	}
	for id := PropertyID(1); id < propertyCount; id++ {
		if !p.Has.Has(id) || !single(id) {
			continue
		}
		switch rules[id].form {
		case formByte:
			n += 2
		case formU16:
			n += 3
		case formU32:
			n += 5
		default:
			n += 3 + len(*p.data(id))
		}
	}
	return n
}

// blockBytes is size with the length in front.
func (p *Properties) blockBytes() int {
	n := p.size()
	return varintBytes(uint32(n)) + n
}

// appendBlock encodes the block with its length.
//
// hot: no allocation.
func (p *Properties) appendBlock(dst []byte) []byte {
	return p.appendTo(appendVarint(dst, uint32(p.size())))
}

// appendTo encodes the block without its length.
func (p *Properties) appendTo(dst []byte) []byte {
	if p.Has != 0 {
		for id := PropertyID(1); id < propertyCount; id++ {
			if p.Has.Has(id) && single(id) {
				dst = p.appendOne(dst, id)
			}
		}
		if p.Has.Has(PropSubscriptionID) {
			for _, id := range p.SubscriptionIDs {
				dst = appendVarint(append(dst, byte(PropSubscriptionID)), id)
			}
		}
		if p.Has.Has(PropUser) {
			dst = append(dst, p.User...)
		}
	}
	return append(dst, p.Encoded...)
}

func (p *Properties) appendOne(dst []byte, id PropertyID) []byte {
	dst = append(dst, byte(id))
	switch rules[id].form {
	case formByte:
		return append(dst, byte(p.number(id)))
	case formU16:
		return appendU16(dst, uint16(p.number(id)))
	case formU32:
		v := p.number(id)
		return append(dst, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	}
	return appendString(dst, *p.data(id))
}

// forwarded are the properties of a PUBLISH that travel unaltered from the
// publisher to every subscriber [MQTT-3.3.2-4, -15, -16, -17, -20]; of a will
// likewise. Message Expiry travels too, less the time that went by.
const forwarded = 1<<PropPayloadFormat | 1<<PropContentType | 1<<PropResponseTopic |
	1<<PropCorrelationData | 1<<PropUser

// AppendForwarded encodes the properties that a server passes on unaltered,
// without a length, for Encoded of other packets.
//
// hot: no allocation but what dst needs.
func (p *Properties) AppendForwarded(dst []byte) []byte {
	f := *p
	f.Has &= forwarded
	f.Encoded = nil
	if f.Has == 0 {
		return dst
	}
	return f.appendTo(dst)
}

// ForwardedBytes is how many bytes AppendForwarded appends.
func (p *Properties) ForwardedBytes() int {
	f := *p
	f.Has &= forwarded
	f.Encoded = nil
	return f.size()
}

// AppendUser appends an encoded user property to dst, for User. Name and value
// have at most 65535 bytes each.
func AppendUser(dst []byte, name, value string) []byte {
	dst = append(dst, byte(PropUser), byte(len(name)>>8), byte(len(name)))
	dst = append(dst, name...)
	dst = append(dst, byte(len(value)>>8), byte(len(value)))
	return append(dst, value...)
}

// EachUser calls f for every user property, in order.
func (p *Properties) EachUser(f func(name, value []byte)) {
	if !p.Has.Has(PropUser) {
		return
	}
	for r := (reader{b: p.User}); len(r.b) > 0; {
		r.u8()
		name := r.bin()
		value := r.bin()
		if r.short {
			return
		}
		f(name, value)
	}
}
