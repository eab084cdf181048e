package transport_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"

	"github.com/loopmq/loopmq/internal/testkit"
	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/loop/transport"
)

// signature begins every header of version 2.
const signature = "0d0a0d0a 000d0a51 5549540a "

var (
	fromTo = transport.ProxyHeader{
		Source:      netip.MustParseAddrPort("192.0.2.1:56324"),
		Destination: netip.MustParseAddrPort("198.51.100.7:1883"),
	}
	fromTo6 = transport.ProxyHeader{
		Source:      netip.MustParseAddrPort("[2001:db8::1]:56324"),
		Destination: netip.MustParseAddrPort("[2001:db8::7]:1883"),
	}
)

// proxyHeaders are whole headers and what they say.
var proxyHeaders = []struct {
	name, text, hex string
	want            transport.ProxyHeader
}{
	{name: "v1 TCP4", text: "PROXY TCP4 192.0.2.1 198.51.100.7 56324 1883\r\n", want: fromTo},
	{name: "v1 TCP6", text: "PROXY TCP6 2001:db8::1 2001:db8::7 56324 1883\r\n", want: fromTo6},
	{name: "v1 TCP6 mapped", text: "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.7 56324 1883\r\n", want: fromTo},
	{name: "v1 UNKNOWN", text: "PROXY UNKNOWN\r\n"},
	{name: "v1 UNKNOWN, longest", text: "PROXY UNKNOWN " + strings.Repeat("f", 107-16) + "\r\n"},
	{
		name: "v2 TCP4", hex: signature + "21 11 000c c0000201 c6336407 dc04 075b", want: fromTo,
	},
	{
		name: "v2 TCP6",
		hex: signature + "21 21 0024 20010db8000000000000000000000001 20010db8000000000000000000000007" +
			"dc04 075b",
		want: fromTo6,
	},
	{
		name: "v2 TCP6 mapped",
		hex: signature + "21 21 0024 00000000000000000000ffffc0000201 00000000000000000000ffffc6336407" +
			"dc04 075b",
		want: fromTo,
	},
	{name: "v2 unix", hex: signature + "21 31 00d8" + strings.Repeat("61", 216)},
	{name: "v2 unspecified", hex: signature + "21 00 0000"},
	{name: "v2 unspecified, no TLVs", hex: signature + "21 00 0004 01020304"},
	{name: "v2 local", hex: signature + "20 00 0000", want: transport.ProxyHeader{Local: true}},
	{name: "v2 local, with a family to ignore", hex: signature + "20 ff 0002 abcd", want: transport.ProxyHeader{Local: true}},
	{
		name: "v2 TLS of a unix client, as HAProxy says it",
		hex:  signature + "21 01 0019 20 0016 07 00000000 210007544c5376312e33 220004 64657635",
		want: transport.ProxyHeader{TLS: transport.ProxyTLS{
			Used: true, Certified: true, Version: "TLSv1.3", CommonName: "dev5",
		}},
	},
	{
		name: "v2 all that HAProxy 2.6 tells of a client with a certificate",
		hex: signature + "21 11 0056 7f000001 7f000001 b5a2 46b8 03 0004 038d5a4f" +
			"02 000c 6d7174742e6578616d706c65 20 0031 07 00000000 21 0007 544c5376312e33" +
			"22 0008 6d657465722d3137 25 0007 52534132303438 24 000a 5253412d534841323536",
		want: transport.ProxyHeader{
			Source: netip.MustParseAddrPort("127.0.0.1:46498"), Destination: netip.MustParseAddrPort("127.0.0.1:18104"),
			Authority: "mqtt.example",
			TLS:       transport.ProxyTLS{Used: true, Certified: true, Version: "TLSv1.3", CommonName: "meter-17"},
		},
	},
	{
		name: "v2 certificate that did not verify",
		hex:  signature + "21 00 000f 20 000c 03 00000001 220004 64657635",
		want: transport.ProxyHeader{TLS: transport.ProxyTLS{Used: true, CommonName: "dev5"}},
	},
	{
		name: "v2 authority, checksum, padding, unique ID",
		hex: signature + "21 11 0024 c0000201 c6336407 dc04 075b" +
			"02 0004 6d717474 03 0004 c35c1e6c 04 0001 00 05 0003 00ff0a",
		want: transport.ProxyHeader{
			Source: fromTo.Source, Destination: fromTo.Destination, Authority: "mqtt", UniqueID: "\x00\xff\n",
		},
	},
}

// wire returns the bytes of a row.
func wire(t testing.TB, text, digits string) []byte {
	t.Helper()
	if digits == "" {
		return []byte(text)
	}
	return testkit.Bytes(digits)
}

// versioned is a header with the version that its bytes have.
func versioned(h transport.ProxyHeader, b []byte) transport.ProxyHeader {
	h.Version = 2
	if b[0] == 'P' {
		h.Version = 1
	}
	return h
}

func TestProxyHeaders(t *testing.T) {
	for _, row := range proxyHeaders {
		t.Run(row.name, func(t *testing.T) {
			b := wire(t, row.text, row.hex)
			for cut := range b {
				if h, n, err := transport.ParseProxy(b[:cut]); n != 0 || err != nil || h != (transport.ProxyHeader{}) {
					t.Fatalf("of %d bytes: n=%d err=%v %+v, want to be asked for more", cut, n, err, h)
				}
			}
			h, n, err := transport.ParseProxy(append(b, "\x10\x0e\r\n"...))
			if want := versioned(row.want, b); n != len(b) || err != nil || h != want {
				t.Fatalf("n=%d err=%v\n got %+v\nwant %+v", n, err, h, want)
			}
		})
	}
}

func TestProxyHeadersRefused(t *testing.T) {
	for _, row := range []struct {
		name, text, hex string
		want            error
		says            string
	}{
		{"MQTT", "\x10\x0c\x00\x04MQTT", "", transport.ErrProxySignature, `"\x10\f\x00\x04MQTT"`},
		{"v1 in small letters", "proxy TCP4", "", transport.ErrProxySignature, `"proxy TCP4"`},
		{"signature with a fault", "", "0d0a0d0a 000d0a51 5549540b", transport.ErrProxySignature, "QUIT"},
		{"v1 UDP", "PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n", "", transport.ErrProxyFamily, "UDP4"},
		{"v1 nothing", "PROXY \r\n", "", transport.ErrProxyFamily, `""`},
		{"v1 too few", "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "", transport.ErrProxyAddress, "two ports"},
		{"v1 too many", "PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n", "", transport.ErrProxyAddress, "two ports"},
		{"v1 two blanks", "PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n", "", transport.ErrProxyAddress, "two ports"},
		{"v1 mixed", "PROXY TCP4 ::1 ::1 1 1\r\n", "", transport.ErrProxyAddress, `"::1" is none of TCP4`},
		{"v1 zone", "PROXY TCP6 fe80::1%lo ::1 1 1\r\n", "", transport.ErrProxyAddress, "none of TCP6"},
		{"v1 leading zero", "PROXY TCP4 1.2.3.04 1.2.3.4 1 1\r\n", "", transport.ErrProxyAddress, "1.2.3.04"},
		{"v1 port", "PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n", "", transport.ErrProxyAddress, `"65536" is no port`},
		{"v1 port with sign", "PROXY TCP4 1.2.3.4 1.2.3.4 1 +1\r\n", "", transport.ErrProxyAddress, `"+1" is no port`},
		{"v1 port with zero", "PROXY TCP4 1.2.3.4 1.2.3.4 1 01\r\n", "", transport.ErrProxyAddress, `"01" is no port`},
		{"v1 LF only", "PROXY UNKNOWN\n", "", transport.ErrProxyLength, "CR LF"},
		{"v1 CR inside", "PROXY UNKNOWN\rx\r\n", "", transport.ErrProxyLength, "CR LF"},
		{"v1 without end", "PROXY UNKNOWN " + strings.Repeat("f", 93), "", transport.ErrProxyLength, "107"},
		{"v1 one too long", "PROXY UNKNOWN " + strings.Repeat("f", 92) + "\r\n", "", transport.ErrProxyLength, "107"},
		{"v3", "", signature + "31", transport.ErrProxyVersion, "3"},
		{"v2 command", "", signature + "22", transport.ErrProxyCommand, "2"},
		{"v2 UDP", "", signature + "21 12 000c", transport.ErrProxyFamily, "0x12"},
		{"v2 family", "", signature + "21 41 000c", transport.ErrProxyFamily, "0x41"},
		{"v2 short", "", signature + "21 11 000b", transport.ErrProxyLength, "too few"},
		{"v2 long", "", signature + "21 11 1209", transport.ErrProxyLength, "at most 4632"},
		{"v2 TLV left over", "", signature + "21 11 000e c0000201 c6336407 dc04 075b 0400", transport.ErrProxyTLV, "2 bytes left over"},
		{"v2 TLV beyond", "", signature + "21 11 0010 c0000201 c6336407 dc04 075b 04 0002 00", transport.ErrProxyTLV, "type 0x04 says 2"},
		{"v2 checksum", "", signature + "21 11 0013 c0000201 c6336407 dc04 075b 03 0004 00000000", transport.ErrProxyChecksum, "says 00000000, is"},
		{"v2 checksum, unspecified", "", signature + "21 00 0007 03 0004 00000000", transport.ErrProxyChecksum, "says 00000000, is"},
		{"v2 checksum size", "", signature + "21 11 0012 c0000201 c6336407 dc04 075b 03 0003 000000", transport.ErrProxyTLV, "checksum of 3"},
		{"v2 unique ID", "", signature + "21 11 0090 c0000201 c6336407 dc04 075b 05 0081" + strings.Repeat("00", 129), transport.ErrProxyTLV, "unique ID of 129"},
		{"v2 TLS", "", signature + "21 11 0013 c0000201 c6336407 dc04 075b 20 0004 00000000", transport.ErrProxyTLV, "TLS information of 4"},
		{"v2 TLS inside", "", signature + "21 11 0016 c0000201 c6336407 dc04 075b 20 0007 00000000 000000", transport.ErrProxyTLV, "2 bytes left over"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := wire(t, row.text, row.hex)
			_, n, err := transport.ParseProxy(b)
			if n != 0 || !errors.Is(err, row.want) || !strings.Contains(err.Error(), row.says) {
				t.Fatalf("n=%d err=%v, want %v with %q", n, err, row.want, row.says)
			}
		})
	}
}

// sentHeaders are written by a sender that others use.
func sentHeaders(t testing.TB) map[string][]byte {
	t.Helper()
	from, to := net.TCPAddrFromAddrPort(fromTo.Source), net.TCPAddrFromAddrPort(fromTo.Destination)
	ssl, err := tlvparse.PP2SSL{Client: 7, TLV: []proxyproto.TLV{
		{Type: proxyproto.PP2_SUBTYPE_SSL_VERSION, Value: []byte("TLSv1.3")},
		{Type: proxyproto.PP2_SUBTYPE_SSL_CN, Value: []byte("meter-17")},
	}}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	rich := proxyproto.HeaderProxyFromAddrs(2, from, to)
	if err := rich.SetTLVs([]proxyproto.TLV{ssl, {Type: proxyproto.PP2_TYPE_AUTHORITY, Value: []byte("mqtt.example")}}); err != nil {
		t.Fatal(err)
	}
	sent := map[string][]byte{}
	for name, h := range map[string]*proxyproto.Header{
		"v1": proxyproto.HeaderProxyFromAddrs(1, from, to), "v2": proxyproto.HeaderProxyFromAddrs(2, from, to), "rich": rich,
	} {
		if sent[name], err = h.Format(); err != nil {
			t.Fatal(err)
		}
	}
	return sent
}

func TestProxyHeadersOfAnotherSender(t *testing.T) {
	rich := fromTo
	rich.Authority = "mqtt.example"
	rich.TLS = transport.ProxyTLS{Used: true, Certified: true, Version: "TLSv1.3", CommonName: "meter-17"}
	want := map[string]transport.ProxyHeader{"v1": fromTo, "v2": fromTo, "rich": rich}
	for name, b := range sentHeaders(t) {
		want := versioned(want[name], b)
		if h, n, err := transport.ParseProxy(b); n != len(b) || err != nil || h != want {
			t.Errorf("%s: n=%d of %d err=%v\n got %+v\nwant %+v", name, n, len(b), err, h, want)
		}
	}
}

// FuzzProxy: whatever comes, a header is found at the same place however the bytes are cut, and more bytes behind it
// change nothing.
func FuzzProxy(f *testing.F) {
	for _, row := range proxyHeaders {
		f.Add(wire(f, row.text, row.hex))
	}
	for _, b := range sentHeaders(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		h, n, err := transport.ParseProxy(b)
		if n < 0 || n > len(b) || n > transport.ProxyBytesMax || err != nil && n != 0 {
			t.Fatalf("n=%d of %d err=%v", n, len(b), err)
		}
		if len(b) >= transport.ProxyBytesMax && n == 0 && err == nil {
			t.Fatal("asks for more than the longest header")
		}
		if !bytes.Equal(b, before) {
			t.Fatal("wrote into the view")
		}
		for cut := range b {
			h2, n2, err2 := transport.ParseProxy(b[:cut])
			switch {
			case n2 != 0 && (n2 != n || h2 != h):
				t.Fatalf("of %d bytes: n=%d %+v, of all n=%d %+v", cut, n2, h2, n, h)
			case err2 != nil && err == nil:
				t.Fatalf("of %d bytes: %v, of all n=%d", cut, err2, n)
			case n != 0 && cut < n && (n2 != 0 || err2 != nil):
				t.Fatalf("of %d bytes: n=%d err=%v although the header has %d", cut, n2, err2, n)
			}
		}
	})
}

// inside is a handler that keeps what it is told.
type inside struct {
	got     []byte
	take    int // bytes taken of each view, 0 for all
	drained int
	closed  []error
}

func (i *inside) Data(view []byte) (int, error) {
	n := len(view)
	if i.take > 0 {
		n = min(n, i.take)
	}
	i.got = append(i.got, view[:n]...)
	return n, nil
}
func (i *inside) Drained()         { i.drained++ }
func (i *inside) Closed(why error) { i.closed = append(i.closed, why) }

func TestProxyPassesOnWhatFollows(t *testing.T) {
	in := &inside{take: 3}
	var seen []transport.ProxyHeader
	p := transport.NewProxy(func(h transport.ProxyHeader) loop.Handler { seen = append(seen, h); return in }, nil)
	p.Drained() // before anyone is there
	const line = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 1883\r\n"
	for cut := 1; cut < len(line); cut++ {
		if used, err := p.Data([]byte(line[:cut])); used != 0 || err != nil {
			t.Fatalf("of %d bytes: used=%d err=%v", cut, used, err)
		}
	}
	if used, err := p.Data([]byte(line + "abcdef")); used != len(line)+3 || err != nil {
		t.Fatalf("used=%d err=%v", used, err)
	}
	if used, err := p.Data([]byte("def")); used != 3 || err != nil {
		t.Fatalf("used=%d err=%v", used, err)
	}
	p.Drained()
	p.Closed(io.EOF)
	if len(seen) != 1 || seen[0] != versioned(fromTo, []byte(line)) {
		t.Errorf("accept saw %+v", seen)
	}
	if string(in.got) != "abcdef" || in.drained != 1 || len(in.closed) != 1 || in.closed[0] != io.EOF {
		t.Errorf("the handler inside saw %+v", in)
	}
}

func TestProxyThatFailsTellsWhy(t *testing.T) {
	var why error
	accept := func(transport.ProxyHeader) loop.Handler { return nil }
	p := transport.NewProxy(accept, func(e error) { why = e })
	_, err := p.Data([]byte("\x10\x0c\x00\x04MQTT"))
	if !errors.Is(err, transport.ErrProxySignature) {
		t.Fatalf("err=%v", err)
	}
	p.Closed(err)
	if why != err {
		t.Fatalf("failed heard %v", why)
	}
	p = transport.NewProxy(accept, nil)
	if used, err := p.Data([]byte("PROXY UNKNOWN\r\nabc")); used != 15 || !errors.Is(err, transport.ErrNotAccepted) {
		t.Fatalf("used=%d err=%v", used, err)
	}
	p.Closed(io.EOF)
}
