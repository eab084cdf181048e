package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// ProtocolError closes a WebSocket whose peer broke the rules; Code is the close code that was sent.
type ProtocolError struct {
	Code uint16
	Why  string
}

func (e *ProtocolError) Error() string { return fmt.Sprintf("websocket: %s (%d)", e.Why, e.Code) }

// CloseError closes a WebSocket because its peer said so. The codes for a normal end, 1000, 1001 and none, are io.EOF
// instead.
type CloseError struct {
	Code   uint16
	Reason string
}

func (e *CloseError) Error() string {
	return fmt.Sprintf("websocket: closed by the peer with code %d %q", e.Code, e.Reason)
}

var (
	errMinimal  = errors.New("length not in the shortest form")
	errNegative = errors.New("length with its highest bit set")
	errText     = &ProtocolError{uint16(ws.StatusUnsupportedData), "text frame; MQTT is binary"}

	errBarrenFrames = &ProtocolError{uint16(ws.StatusPolicyViolation), "too many frames with nothing in them"}
)

// wholeBinary is the first byte of a frame that is a whole binary message.
const wholeBinary = 0x80 | byte(ws.OpBinary)

// masked is added to the second byte of a frame that has a mask.
const masked = 0x80

// cipherBytesMin is from where on ws.Cipher is faster than xor, in bytes.
const cipherBytesMin = 256

// joinedMax is how many data frames are joined before others have their turn. A frame costs as much as a short packet.
const joinedMax = 2048

// Lengths of frames that are not in the second byte.
const (
	length16 = 126
	length64 = 127
)

// frameReader is the state between two bytes of a WebSocket's input.
type frameReader struct {
	left       int    // payload bytes of the data frame that are still to come
	mask       uint32 // of that frame; its lowest byte is for the next one
	fragmented bool   // the message goes on in another frame
	barren     uint8  // frames of this pass with nothing for the handler
	joined     uint16 // frames of this pass with something
}

// next reads the header at the beginning of b and checks it. n == 0 with a nil error means that more bytes are needed.
//
// hot: no allocation.
func (f *frameReader) next(b []byte, max int) (h ws.Header, n int, err error) {
	h, n, err = parseFrameHeader(b)
	if err != nil {
		return h, 0, &ProtocolError{uint16(ws.StatusProtocolError), err.Error()}
	}
	if n == 0 {
		return h, 0, nil
	}
	state := ws.StateServerSide
	if f.fragmented {
		state = state.Set(ws.StateFragmented)
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return h, 0, &ProtocolError{uint16(ws.StatusProtocolError), err.Error()}
	}
	switch {
	case h.OpCode == ws.OpText:
		return h, 0, errText
	case h.Length > int64(max):
		why := fmt.Sprintf("frame of %d bytes, at most %d are taken", h.Length, max)
		return h, 0, &ProtocolError{uint16(ws.StatusMessageTooBig), why}
	}
	return h, n, nil
}

// data reads the header of a data frame at the beginning of b and enters its payload. n == 0: there is something else,
// or not all of it, for next to look at.
//
// hot: no allocation.
func (f *frameReader) data(b []byte, max int) (n int) {
	if len(b) >= 6 && b[0] == wholeBinary && !f.fragmented {
		if n := int(b[1]) - masked; n >= 0 && n < length16 && n <= max { // as most frames are
			f.left, f.mask = n, binary.LittleEndian.Uint32(b[2:])
			return 6
		}
	}
	h, n, err := f.next(b, max)
	if n == 0 || err != nil || h.OpCode.IsControl() {
		return 0
	}
	f.left, f.mask, f.fragmented = int(h.Length), binary.LittleEndian.Uint32(h.Mask[:]), !h.Fin
	return n
}

// unmask takes the next bytes of the payload, src, and unmasks them into dst, which is as long and begins where src does
// or before it.
//
// hot: no allocation.
func (f *frameReader) unmask(dst, src []byte) {
	n := len(src)
	if n >= cipherBytesMin {
		if &dst[0] != &src[0] {
			copy(dst, src)
		}
		ws.Cipher(dst, [4]byte(binary.LittleEndian.AppendUint32(nil, f.mask)), 0)
	} else {
		xor(dst, src, f.mask)
	}
	f.left -= n
	f.mask = bits.RotateLeft32(f.mask, -8*(n&3))
}

// xor is ws.Cipher for few bytes, which it moves as well: that has a long way to its vectors and does what is behind
// them byte by byte.
//
// hot: no allocation.
func xor(dst, src []byte, mask uint32) {
	m := uint64(mask) | uint64(mask)<<32
	for len(src) >= 8 && len(dst) >= 8 {
		binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src)^m)
		dst, src = dst[8:], src[8:]
	}
	dst = dst[:len(src)]
	for i, b := range src {
		dst[i] = b ^ byte(m)
		m >>= 8
	}
}

// parseFrameHeader reads a header as it stands, once all of it is there.
//
// hot: no allocation. ws.ReadHeader would make one.
func parseFrameHeader(b []byte) (h ws.Header, n int, err error) {
	if len(b) < 2 {
		return h, 0, nil
	}
	h.Fin, h.Rsv, h.OpCode = b[0]&0x80 != 0, b[0]>>4&7, ws.OpCode(b[0]&0xF)
	h.Masked, h.Length, n = b[1]&0x80 != 0, int64(b[1]&0x7F), 2
	least := int64(0) // length that needs this form
	switch h.Length {
	case length16:
		least, n = length16, 4
	case length64:
		least, n = 0xFFFF+1, 10
	}
	at := n // of the mask
	if h.Masked {
		n += 4
	}
	if len(b) < n {
		return h, 0, nil
	}
	switch at {
	case 4:
		h.Length = int64(binary.BigEndian.Uint16(b[2:]))
	case 10:
		h.Length = int64(binary.BigEndian.Uint64(b[2:]))
	}
	switch {
	case h.Length < 0:
		return h, 0, errNegative
	case h.Length < least:
		return h, 0, errMinimal
	}
	copy(h.Mask[:], b[at:n])
	return h, n, nil
}

// parseClose reads the payload of a close frame; code is 0 if there is none.
func parseClose(payload []byte) (code uint16, reason string, err error) {
	switch len(payload) {
	case 0:
		return 0, "", nil
	case 1:
		return 0, "", &ProtocolError{uint16(ws.StatusProtocolError), "close frame with half a code"}
	}
	code = binary.BigEndian.Uint16(payload)
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1011, code >= 3000 && code <= 4999:
	default:
		return 0, "", &ProtocolError{uint16(ws.StatusProtocolError), fmt.Sprintf("close frame with code %d", code)}
	}
	if !utf8.Valid(payload[2:]) {
		return 0, "", &ProtocolError{uint16(ws.StatusInvalidFramePayloadData), "close frame whose reason is not UTF-8"}
	}
	return code, string(payload[2:]), nil
}

// AppendFrameHeader appends the header of a whole, unmasked frame whose payload has n bytes.
//
// hot: no allocation if dst has room.
func AppendFrameHeader(dst []byte, op ws.OpCode, n int) []byte {
	dst = append(dst, 0x80|byte(op))
	switch {
	case n < length16:
		return append(dst, byte(n))
	case n <= 0xFFFF:
		return binary.BigEndian.AppendUint16(append(dst, length16), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, length64), uint64(n))
}

// appendClose appends a close frame; code 0 stands for none. A reason that is too long is left out.
func appendClose(dst []byte, code uint16, reason string) []byte {
	if code == 0 {
		return AppendFrameHeader(dst, ws.OpClose, 0)
	}
	if 2+len(reason) > ws.MaxControlFramePayloadSize {
		reason = ""
	}
	dst = AppendFrameHeader(dst, ws.OpClose, 2+len(reason))
	return append(binary.BigEndian.AppendUint16(dst, code), reason...)
}
