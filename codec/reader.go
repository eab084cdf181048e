package codec

import (
	"encoding/binary"
	"slices"
	"unicode/utf8"
)

// reader takes values off the front of a packet. It is the only place that
// indexes remote bytes. The first value that is not there sets short, and
// everything behind it reads as zero.
type reader struct {
	b     []byte
	short bool
	text  error // the first string that is not valid
}

func (r *reader) u8() byte {
	if len(r.b) < 1 {
		r.short, r.b = true, nil
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) u16() uint16 {
	if len(r.b) < 2 {
		r.short, r.b = true, nil
		return 0
	}
	v := binary.BigEndian.Uint16(r.b)
	r.b = r.b[2:]
	return v
}

func (r *reader) u32() uint32 {
	if len(r.b) < 4 {
		r.short, r.b = true, nil
		return 0
	}
	v := binary.BigEndian.Uint32(r.b)
	r.b = r.b[4:]
	return v
}

// take returns the next n bytes.
func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.short, r.b = true, nil
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

// bin returns binary data behind its two-byte length (section 1.5.6).
func (r *reader) bin() []byte { return r.take(int(r.u16())) }

// str returns a string behind its two-byte length (section 1.5.4).
func (r *reader) str() []byte {
	v := r.bin()
	if r.text == nil {
		r.text = ValidUTF8(v)
	}
	return v
}

// varint returns a variable byte integer (section 1.5.5). One that is longer
// than it need be is refused [MQTT-1.5.5-1].
func (r *reader) varint() uint32 {
	v, n := varint(r.b)
	if n <= 0 {
		r.short, r.b = true, nil
		return 0
	}
	if n > 1 && r.b[n-1] == 0 {
		r.text = malformed("MQTT-1.5.5-1", "variable byte integer is longer than it need be")
	}
	r.b = r.b[n:]
	return v
}

// err is what went wrong so far; what names the packet.
func (r *reader) err(t Type) error {
	if r.short {
		return malformed("", t.String()+" ends in the middle of a field")
	}
	return r.text
}

// end is err, and nothing may be left.
func (r *reader) end(t Type) error {
	if err := r.err(t); err != nil {
		return err
	}
	if len(r.b) > 0 {
		return malformed("", t.String()+" has bytes behind its last field")
	}
	return nil
}

// varint decodes a variable byte integer at the front of b. n is 0 when more
// bytes are needed and -1 when it has more than four.
//
// hot: no allocation.
func varint(b []byte) (v uint32, n int) {
	for i, c := range b {
		if i == 4 {
			return 0, -1
		}
		v |= uint32(c&0x7f) << (7 * i)
		if c < 0x80 {
			return v, i + 1
		}
	}
	if len(b) >= 4 {
		return 0, -1
	}
	return 0, 0
}

func appendVarint(dst []byte, v uint32) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

func varintBytes(v uint32) int {
	switch {
	case v < 1<<7:
		return 1
	case v < 1<<14:
		return 2
	case v < 1<<21:
		return 3
	}
	return 4
}

func appendString(dst, s []byte) []byte {
	dst = append(dst, byte(len(s)>>8), byte(len(s)))
	return append(dst, s...)
}

func appendU16(dst []byte, v uint16) []byte { return append(dst, byte(v>>8), byte(v)) }

// ValidUTF8 checks a string as the standard wants it: well-formed UTF-8
// without surrogates [MQTT-1.5.4-1] and without U+0000 [MQTT-1.5.4-2].
//
// hot: no allocation; ASCII goes eight bytes at a time.
func ValidUTF8(b []byte) error {
	for rest := b; ; rest = rest[8:] {
		if len(rest) < 8 {
			if plain(rest) {
				return nil
			}
			break
		}
		w := binary.LittleEndian.Uint64(rest)
		const high, low = 0x8080808080808080, 0x0101010101010101
		if w&high != 0 || (w-low)&^w&high != 0 {
			break
		}
	}
	if !utf8.Valid(b) {
		return malformed("MQTT-1.5.4-1", "string is not valid UTF-8")
	}
	if slices.Contains(b, 0) {
		return malformed("MQTT-1.5.4-2", "string contains U+0000")
	}
	return nil
}

// plain reports whether b is ASCII without U+0000.
func plain(b []byte) bool {
	for _, c := range b {
		if c == 0 || c >= 0x80 {
			return false
		}
	}
	return true
}
