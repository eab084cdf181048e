package codec

import "strconv"

// Packet is one framed control packet: views into the buffer it was found in.
type Packet struct {
	Type  Type
	Flags byte   // low nibble of the first byte
	Body  []byte // behind the fixed header
	Raw   []byte // whole, fixed header included; its capacity reaches to the end of the buffer
}

// Minimal reports whether the packet's length is encoded in as few bytes as it
// can be, which 5.0 wants [MQTT-1.5.5-1] and 3.1.1 does not say.
//
// hot: no allocation.
func (k *Packet) Minimal() bool {
	n := len(k.Raw) - len(k.Body)
	return n == 2 || n == 1+varintBytes(uint32(len(k.Body)))
}

// Next frames the first packet of view. n is how many bytes it has; n == 0 with
// a nil error means that more bytes are needed. max is the largest whole packet
// in bytes. An error is an *Error; nothing behind it can be framed.
//
// hot: no allocation but for errors.
func Next(view []byte, max int) (p Packet, n int, err error) {
	if len(view) == 0 {
		return p, 0, nil
	}
	t, flags := Type(view[0]>>4), view[0]&0x0f
	if t != TypePublish {
		if err := checkFlags(t, flags); err != nil {
			return p, 0, err
		}
	}
	length, k := uint32(0), 1
	if len(view) > 1 && view[1] < 0x80 {
		length = uint32(view[1])
	} else if length, k = varint(view[1:]); k <= 0 {
		if k < 0 {
			return p, 0, malformed("", t.String()+": remaining length of more than four bytes")
		}
		return p, 0, nil
	}
	if length != 0 && (t == TypePingreq || t == TypePingresp) {
		return p, 0, malformed("", t.String()+" with a body")
	}
	head := 1 + k
	if n = head + int(length); n > max {
		return p, 0, &Error{PacketTooLarge, "", t.String() + " of " + strconv.Itoa(n) + " bytes; the limit is " + strconv.Itoa(max)}
	}
	if n > len(view) {
		return p, 0, nil
	}
	return Packet{Type: t, Flags: flags, Body: view[head:n], Raw: view[:n]}, n, nil
}

// checkFlags checks the flags of all packets but PUBLISH [MQTT-2.2.2-2]. DUP of
// those that 3.1 repeats is left to checkRepeat, which knows the version.
func checkFlags(t Type, flags byte) error {
	want := byte(0)
	switch t {
	case 0:
		return malformed("", "packet type 0 is reserved")
	case TypePubrel, TypeSubscribe, TypeUnsubscribe:
		want = 2
		flags &^= publishDup
	}
	if flags != want {
		return wrongFlags(t, flags)
	}
	return nil
}

func wrongFlags(t Type, flags byte) error {
	return malformed("MQTT-2.2.2-2", t.String()+" with flags 0x"+strconv.FormatUint(uint64(flags), 16))
}

// checkRepeat refuses DUP where only 3.1 has it: a client of that version sets
// it in a PUBREL, SUBSCRIBE or UNSUBSCRIBE that it sends again (3.1, section
// 2.1).
//
// hot: no allocation but for errors.
func (k *Packet) checkRepeat(v Version) error {
	if k.Flags&publishDup != 0 && v != V31 {
		return wrongFlags(k.Type, k.Flags)
	}
	return nil
}

// appendFixed appends a fixed header.
func appendFixed(dst []byte, first byte, remaining int) []byte {
	return appendVarint(append(dst, first), uint32(remaining))
}
