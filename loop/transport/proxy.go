package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"strings"
)

// What ParseProxy finds wrong; the error returned wraps one of these and shows what was there instead.
var (
	ErrProxySignature = errors.New("no PROXY protocol header")
	ErrProxyVersion   = errors.New("unknown PROXY protocol version")
	ErrProxyCommand   = errors.New("unknown PROXY protocol command")
	ErrProxyFamily    = errors.New("unsupported PROXY protocol address family")
	ErrProxyAddress   = errors.New("bad address in PROXY protocol header")
	ErrProxyLength    = errors.New("bad length of PROXY protocol header")
	ErrProxyTLV       = errors.New("bad TLV in PROXY protocol header")
	ErrProxyChecksum  = errors.New("wrong checksum of PROXY protocol header")
)

const (
	// ProxyLineBytesMax is the longest header of version 1, in bytes with CR LF; the protocol says so.
	ProxyLineBytesMax = 107
	// ProxyTLVBytesMax is room for TLVs, in bytes: names, a network namespace, and what a proxy tells of the client's
	// certificate.
	ProxyTLVBytesMax = 4 << 10
	// ProxyBytesMax is the longest header of version 2, in bytes: what the protocol promises to fit in one segment,
	// and room for TLVs.
	ProxyBytesMax = 536 + ProxyTLVBytesMax
)

const (
	proxyLineStart = "PROXY "
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
	proxyFixed     = 16 // bytes of version 2 before the addresses
)

// ProxyHeader is what a proxy says about the connection that it passes on.
type ProxyHeader struct {
	// Version is that of the header: 1, a line, or 2, binary.
	Version int
	// Source and Destination are the ends of the client's connection; zero if the proxy does not say, or if it was
	// a unix socket: then those of the connection itself count.
	Source, Destination netip.AddrPort
	// Local tells that the proxy speaks for itself, for instance to see whether we live.
	Local bool
	// Authority is the host name that the client asked for, "" if unknown.
	Authority string
	// UniqueID is the proxy's name for the connection: up to 128 bytes of any value.
	UniqueID string
	// TLS tells of the client's connection if that was encrypted.
	TLS ProxyTLS
}

// ProxyTLS is what a proxy says about TLS between the client and itself.
type ProxyTLS struct {
	// Used tells that the client spoke TLS.
	Used bool
	// Certified tells that the client presented a certificate, in this connection or in the session it resumed, and
	// that the proxy has verified it.
	Certified bool
	// Version is the version as the proxy writes it, for instance "TLSv1.3".
	Version string
	// CommonName is the CN of the client's certificate. It means nothing unless Certified.
	CommonName string
}

// ParseProxy reads the header at the beginning of b, of version 1 or 2, and returns how many bytes it has. n == 0 with
// a nil error means that more bytes are needed. Nothing in h refers to b.
func ParseProxy(b []byte) (h ProxyHeader, n int, err error) {
	switch {
	case startsLike(b, proxySignature):
		h, n, err = parseProxyBinary(b)
		return h.of(2, n), n, err
	case startsLike(b, proxyLineStart):
		h, n, err = parseProxyLine(b)
		return h.of(1, n), n, err
	}
	return h, 0, fmt.Errorf("%w: connection begins with %q", ErrProxySignature, b[:min(len(b), len(proxySignature))])
}

// of is the header with its version, once all n bytes of it are there.
func (h ProxyHeader) of(version, n int) ProxyHeader {
	if n > 0 {
		h.Version = version
	}
	return h
}

// startsLike tells whether b begins with start, as far as b goes.
func startsLike(b []byte, start string) bool {
	n := min(len(b), len(start))
	return string(b[:n]) == start[:n]
}

// parseProxyLine reads version 1: PROXY TCP4 192.0.2.1 198.51.100.7 56324 1883, CR LF.
func parseProxyLine(b []byte) (h ProxyHeader, n int, err error) {
	n = 1 + bytes.IndexByte(b[:min(len(b), ProxyLineBytesMax)], '\n')
	if n == 0 {
		if len(b) >= ProxyLineBytesMax {
			err = fmt.Errorf("%w: no end of line in %d bytes", ErrProxyLength, ProxyLineBytesMax)
		}
		return h, 0, err
	}
	line, ok := strings.CutSuffix(string(b[:n]), "\r\n")
	if !ok || strings.Contains(line, "\r") {
		return h, 0, fmt.Errorf("%w: the line must end in CR LF: %q", ErrProxyLength, b[:n])
	}
	fields := strings.Split(line, " ")
	switch family := fields[1]; {
	case family == "UNKNOWN": // whatever follows is to be ignored
		return h, n, nil
	case family != "TCP4" && family != "TCP6":
		return h, 0, fmt.Errorf("%w: %q", ErrProxyFamily, family)
	case len(fields) != 6:
		return h, 0, fmt.Errorf("%w: want two addresses and two ports: %q", ErrProxyAddress, line)
	}
	if h.Source, err = lineAddress(fields[1], fields[2], fields[4]); err != nil {
		return ProxyHeader{}, 0, err
	}
	if h.Destination, err = lineAddress(fields[1], fields[3], fields[5]); err != nil {
		return ProxyHeader{}, 0, err
	}
	return h, n, nil
}

// lineAddress reads an address and a port as text.
func lineAddress(family, address, port string) (netip.AddrPort, error) {
	addr, err := netip.ParseAddr(address)
	if err != nil || addr.Is4() != (family == "TCP4") || addr.Zone() != "" {
		return netip.AddrPort{}, fmt.Errorf("%w: %q is none of %s", ErrProxyAddress, address, family)
	}
	number, ok := linePort(port)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("%w: %q is no port", ErrProxyAddress, port)
	}
	return netip.AddrPortFrom(addr.Unmap(), number), nil
}

// linePort reads a decimal number without sign or leading zeros.
func linePort(text string) (port uint16, ok bool) {
	if text == "" || len(text) > 5 || len(text) > 1 && text[0] == '0' {
		return 0, false
	}
	n := 0
	for _, digit := range []byte(text) {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		n = 10*n + int(digit-'0')
	}
	return uint16(n), n <= 0xFFFF
}

// parseProxyBinary reads version 2: the signature, version and command, family, length, addresses, TLVs.
func parseProxyBinary(b []byte) (h ProxyHeader, n int, err error) {
	if len(b) > 12 {
		switch version, command := b[12]>>4, b[12]&0xF; {
		case version != 2:
			return h, 0, fmt.Errorf("%w: %d", ErrProxyVersion, version)
		case command > 1:
			return h, 0, fmt.Errorf("%w: %d", ErrProxyCommand, command)
		}
	}
	if len(b) < proxyFixed {
		return h, 0, nil
	}
	local := b[12]&0xF == 0
	n = proxyFixed + int(binary.BigEndian.Uint16(b[14:]))
	if n > ProxyBytesMax {
		return h, 0, fmt.Errorf("%w: %d bytes, at most %d are taken", ErrProxyLength, n, ProxyBytesMax)
	}
	size, known := addressesSize(b[13])
	switch {
	case local: // what the header says besides is to be ignored
	case !known:
		return h, 0, fmt.Errorf("%w: 0x%02x", ErrProxyFamily, b[13])
	case n < proxyFixed+size:
		return h, 0, fmt.Errorf("%w: %d bytes are too few for the addresses of family 0x%02x", ErrProxyLength, n, b[13])
	}
	if len(b) < n {
		return h, 0, nil
	}
	if local {
		return ProxyHeader{Local: true}, n, nil
	}
	h.Source, h.Destination = binaryAddresses(b[proxyFixed : proxyFixed+size])
	err = h.readTLVs(b[:n], proxyFixed+size)
	if errors.Is(err, ErrProxyTLV) && b[13]>>4 == 0 {
		// Of an unspecified family nobody knows how long its addresses are, so this need not be TLVs.
		return ProxyHeader{}, n, nil
	}
	if err != nil {
		return ProxyHeader{}, 0, err
	}
	return h, n, nil
}

// addressesSize returns the bytes of both addresses of a stream, by the byte that names family and transport.
func addressesSize(family byte) (size int, known bool) {
	switch family {
	case 0x00, 0x01: // unspecified; HAProxy says 0x01 for clients on unix sockets
		return 0, true
	case 0x11:
		return 12, true
	case 0x21:
		return 36, true
	case 0x31:
		return 216, true
	}
	return 0, false
}

// binaryAddresses reads two addresses and two ports; those of unix sockets are left out.
func binaryAddresses(b []byte) (source, destination netip.AddrPort) {
	size := 0
	switch len(b) {
	case 12:
		size = 4
	case 36:
		size = 16
	default:
		return source, destination
	}
	from, _ := netip.AddrFromSlice(b[:size])
	to, _ := netip.AddrFromSlice(b[size : 2*size])
	source = netip.AddrPortFrom(from.Unmap(), binary.BigEndian.Uint16(b[2*size:]))
	destination = netip.AddrPortFrom(to.Unmap(), binary.BigEndian.Uint16(b[2*size+2:]))
	return source, destination
}

// The TLVs that are read; others are skipped.
const (
	tlvAuthority = 0x02
	tlvChecksum  = 0x03
	tlvUniqueID  = 0x05
	tlvTLS       = 0x20

	tlvTLSVersion    = 0x21
	tlvTLSCommonName = 0x22

	uniqueIDBytesMax = 128 // the protocol says so
)

// Bits of the first byte of tlvTLS.
const (
	clientTLS     = 0x01
	clientCertOld = 0x04 // presented in the session that was resumed
	clientCertNow = 0x02
)

// readTLVs reads the TLVs of header from offset on.
func (h *ProxyHeader) readTLVs(header []byte, offset int) error {
	for rest := header[offset:]; len(rest) > 0; {
		kind, value, after, err := nextTLV(rest)
		if err != nil {
			return err
		}
		switch kind {
		case tlvAuthority:
			h.Authority = string(value)
		case tlvUniqueID:
			if len(value) > uniqueIDBytesMax {
				return fmt.Errorf("%w: unique ID of %d bytes", ErrProxyTLV, len(value))
			}
			h.UniqueID = string(value)
		case tlvTLS:
			err = h.TLS.read(value)
		case tlvChecksum:
			err = verifyChecksum(header, len(header)-len(after)-len(value), value)
		}
		if err != nil {
			return err
		}
		rest = after
	}
	return nil
}

// nextTLV splits b behind its first TLV.
func nextTLV(b []byte) (kind byte, value, rest []byte, err error) {
	if len(b) < 3 {
		return 0, nil, nil, fmt.Errorf("%w: %d bytes left over", ErrProxyTLV, len(b))
	}
	n := 3 + int(binary.BigEndian.Uint16(b[1:]))
	if len(b) < n {
		return 0, nil, nil, fmt.Errorf("%w: type 0x%02x says %d bytes, there are %d", ErrProxyTLV, b[0], n-3, len(b)-3)
	}
	return b[0], b[3:n], b[n:], nil
}

// verifyChecksum compares the CRC32C at header[at:] with that of the header in which it is taken as zero.
func verifyChecksum(header []byte, at int, value []byte) error {
	if len(value) != 4 {
		return fmt.Errorf("%w: checksum of %d bytes", ErrProxyTLV, len(value))
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(0, table, header[:at])
	sum = crc32.Update(sum, table, []byte{0, 0, 0, 0})
	sum = crc32.Update(sum, table, header[at+4:])
	if told := binary.BigEndian.Uint32(value); told != sum {
		return fmt.Errorf("%w: says %08x, is %08x", ErrProxyChecksum, told, sum)
	}
	return nil
}

// read takes what the client used, the result of the verification, and TLVs of its own.
func (t *ProxyTLS) read(value []byte) error {
	if len(value) < 5 {
		return fmt.Errorf("%w: TLS information of %d bytes", ErrProxyTLV, len(value))
	}
	verified := binary.BigEndian.Uint32(value[1:]) == 0
	t.Used = value[0]&clientTLS != 0
	t.Certified = t.Used && verified && value[0]&(clientCertNow|clientCertOld) != 0
	for rest := value[5:]; len(rest) > 0; {
		kind, text, after, err := nextTLV(rest)
		if err != nil {
			return err
		}
		switch kind {
		case tlvTLSVersion:
			t.Version = string(text)
		case tlvTLSCommonName:
			t.CommonName = string(text)
		}
		rest = after
	}
	return nil
}
