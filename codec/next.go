package codec

import "strconv"

// Packet is one framed control packet: views into the buffer it was found in.
type Packet struct {
	Type  Type
	Flags byte   // low nibble of the first byte
	Body  []byte // behind the fixed header
	Raw   []byte // whole, fixed header included; its capacity reaches to the end of the buffer
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
	length, k := varint(view[1:])
	if k <= 0 {
		if k < 0 {
			return p, 0, malformed("", t.String()+": remaining length of more than four bytes")
		}
		return p, 0, nil
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

// checkFlags checks the flags of all packets but PUBLISH [MQTT-2.2.2-2].
func checkFlags(t Type, flags byte) error {
	want := byte(0)
	switch t {
	case 0:
		return malformed("", "packet type 0 is reserved")
	case TypePubrel, TypeSubscribe, TypeUnsubscribe:
		want = 2
	}
	if flags != want {
		return malformed("MQTT-2.2.2-2", t.String()+" with flags 0x"+strconv.FormatUint(uint64(flags), 16))
	}
	return nil
}

// appendFixed appends a fixed header.
func appendFixed(dst []byte, first byte, remaining int) []byte {
	return appendVarint(append(dst, first), uint32(remaining))
}
