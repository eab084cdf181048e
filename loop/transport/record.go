package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	recordHeaderBytes = 5
	cipherBytesMax    = recordBytesMax + 2048 // of a record with what is added to plaintext [RFC 5246, section 6.2.3]
	recordExtraBytes  = 64                    // more than a record is longer than what is in it, with any cipher suite
	handshakeRecord   = 22                    // first byte of a handshake's records
)

// recordLen returns the length of the TLS record at the beginning of b, or 0 if it is not there as a whole. Of one
// that is too long only the header counts: that is enough for crypto/tls to refuse it.
//
// hot: no allocation.
func recordLen(b []byte) int {
	if len(b) < recordHeaderBytes {
		return 0
	}
	n := int(binary.BigEndian.Uint16(b[3:]))
	if n > cipherBytesMax {
		return recordHeaderBytes
	}
	if n += recordHeaderBytes; n > len(b) {
		return 0
	}
	return n
}

// checkFirst says whether what begins with b can be TLS, and otherwise what it looks like: who reads the log wants to
// know which client has the wrong port. crypto/tls would say no more than that it is no TLS, and say that later.
func checkFirst(b []byte) error {
	switch c := b[0]; {
	case c == handshakeRecord && (len(b) == 1 || b[1] == 3):
		return nil
	case c == 0x10:
		return errors.New("plain MQTT on a TLS listener; the client must use TLS, or another port")
	case c == 'P' && len(b) > 1 && b[1] == 'R', c == '\r':
		return errors.New("PROXY protocol on a TLS listener that does not expect it")
	case c >= 'A' && c <= 'Z':
		return errors.New("HTTP without TLS on a TLS listener; it must be wss or https")
	case c&0x80 != 0:
		return errors.New("SSL 2.0, or no TLS at all, on a TLS listener")
	}
	return fmt.Errorf("no TLS on a TLS listener: the first byte is 0x%02x", b[0])
}

// plainAnswer is for people who open an address in a browser with http.
const plainAnswer = "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" +
	"LoopMQ: this port speaks TLS. The address must begin with wss: or https:.\n"

// stranger answers what is no TLS, as far as it would understand.
func (t *TLS) stranger(first byte) {
	t.door.stats.Strangers++
	t.closed = true
	if first >= 'A' && first <= 'Z' {
		t.outer.SendControl([]byte(plainAnswer))
	}
}
