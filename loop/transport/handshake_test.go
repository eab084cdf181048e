package transport_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/loop/transport"
)

// with returns the request with lines replaced; a line that is not there is added.
func with(lines ...string) string {
	r := strings.TrimSuffix(request, "\r\n")
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		at := strings.Index(r, "\r\n"+name+":")
		if strings.HasPrefix(line, "GET ") || !strings.Contains(line, ":") {
			_, r, _ = strings.Cut(r, "\r\n")
			r = line + "\r\n" + r
			continue
		}
		if at >= 0 {
			end := at + 2 + strings.Index(r[at+2:], "\r\n")
			r = r[:at] + r[end:]
		}
		if value != "" {
			r += line + "\r\n"
		}
	}
	return r + "\r\n"
}

func TestRequestsRefused(t *testing.T) {
	for _, row := range []struct {
		name, request string
		status        int
		says          string // in the response
	}{
		{
			"a browser's GET", with("Upgrade:", "Connection: keep-alive", "Sec-WebSocket-Key:", "Sec-WebSocket-Version:"), 200,
			"ws://server.example.com/mqtt, subprotocol mqtt.",
		},
		{"GET /, as with a health check of HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", 200, "path /mqtt"},
		{"GET that offers another upgrade", with("Upgrade: h2c", "Sec-WebSocket-Key:"), 200, "no web server"},
		{"GET behind TLS", "GET / HTTP/1.1\r\nHost: a:8\r\nX-Forwarded-Proto: https\r\n\r\n", 200, "wss://a:8/mqtt"},
		{"GET with a host of markup", "GET / HTTP/1.1\r\nHost: <script>\r\n\r\n", 200, "ws:// on this host"},
		{"GET of something else", "GET /favicon.ico HTTP/1.1\r\nHost: a\r\n\r\n", 404, "nothing at this address"},
		{"wrong path", with("GET /ws HTTP/1.1"), 404, "ws://server.example.com/mqtt"},
		{"POST", "POST /mqtt HTTP/1.1\r\nHost: a\r\n\r\n", 405, "Allow: GET\r\n"},
		{"HEAD", "HEAD /mqtt HTTP/1.1\r\nHost: a\r\n\r\n", 405, "Connection: close\r\nAllow: GET\r\n\r\n$"},
		{"HTTP/1.0", with("GET /mqtt HTTP/1.0"), 505, "HTTP/1.1"},
		{"HTTP/2", with("GET /mqtt HTTP/2.0"), 505, "this is HTTP/2"},
		{"HTTP/2 without a word before", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "this is HTTP/2"},
		{"version 8", with("Sec-WebSocket-Version: 8"), 426, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"},
		{"no version", with("Sec-WebSocket-Version:"), 426, "Sec-WebSocket-Version: 13\r\n"},
		{"wrong origin", with("Origin: https://evil.example.net"), 403, "origin"},
		{"no subprotocol", with("Sec-WebSocket-Protocol:"), 400, "subprotocol mqtt"},
		{"wrong subprotocol", with("Sec-WebSocket-Protocol: foo, MQTT"), 400, "subprotocol mqtt"},
		{"no key", with("Sec-WebSocket-Key:"), 400, "Sec-WebSocket-Key"},
		{"short key", with("Sec-WebSocket-Key: abc"), 400, "Sec-WebSocket-Key"},
		{"no Connection", with("Connection:"), 400, "Connection does not say upgrade"},
		{"a proxy took Upgrade away", with("Upgrade:", "Connection: close"), 400, "proxy_http_version 1.1"},
		{"no host", with("Host:"), 400, "Host"},
		{"two hosts", strings.Replace(request, "Origin", "Host: b\r\nOrigin", 1), 400, "two headers Host"},
		{"a body", with("Content-Length: 5"), 400, "body"},
		{"a body in chunks", with("Transfer-Encoding: chunked"), 400, "body"},
		{"a line that goes on", with("X-A: b\r\n c"), 400, "malformed header"},
		{"blank before the colon", with("X-A : b"), 400, "malformed header"},
		{"line feeds alone", with("X-A: b\nX-C: d"), 400, "malformed header"},
		{"no colon", strings.Replace(request, "Upgrade: ", "Upgrade ", 1), 400, "malformed header"},
		{"address", with("GET mqtt HTTP/1.1"), 400, "malformed"},
		{"no version of HTTP", with("GET /mqtt"), 400, "no HTTP/1.1 request"},
		{"too long", with("Cookie: " + strings.Repeat("c", 8192)), 431, "8192 bytes"},
		{"MQTT", "\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00", 400, "listener for mqtt"},
		{"TLS", "\x16\x03\x01\x00\xf8\x01\x00\x00", 400, "use ws instead of wss"},
		{"noise", "\x00", 400, "no HTTP request"},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := newDoor(t, transport.Options{Origins: []string{"http://example.com"}})
			c, p := knocked(d)
			for i := range row.request {
				c.feed([]byte{row.request[i]})
			}
			got := string(c.take()) + "$"
			if !strings.HasPrefix(got, "HTTP/1.1 "+strconv.Itoa(row.status)+" ") || !strings.Contains(got, row.says) {
				t.Fatalf("response, want %d with %q:\n%s", row.status, row.says, got)
			}
			e, ok := errors.AsType[*transport.RefusedError](c.why)
			if !ok || e.Status != row.status || d.Stats().Refused != 1 || d.Stats().Upgraded != 0 {
				t.Fatalf("closed=%v because of %v, want %d; %+v", c.closed, c.why, row.status, d.Stats())
			}
			c.reap()
			if p.req != nil || len(p.closed) != 1 || p.closed[0] != c.why {
				t.Fatalf("accepted: %v, failed heard %v", p.req != nil, p.closed)
			}
		})
	}
}

func TestRequestOfTheLongestLength(t *testing.T) {
	d := newDoor(t, transport.Options{Limits: transport.Limits{RequestBytesMax: 1000}})
	empty := with("Cookie: c")
	longest := with("Cookie: c" + strings.Repeat("c", 1000-len(empty)))
	c, p := knocked(d)
	c.feed([]byte(longest + "\x89"))
	if p.req == nil || len(longest) != 1000 {
		t.Fatalf("%d bytes refused: %v", len(longest), c.why)
	}
	c, p = knocked(d)
	c.feed([]byte(with("Cookie: c" + strings.Repeat("c", 1001-len(empty)))))
	if p.req != nil || d.Stats().RequestsTooLong != 1 {
		t.Fatal("one byte more is taken")
	}
	c, _ = knocked(d)
	c.feed([]byte(longest[:999]))
	if c.closed {
		t.Fatal("refused although it can still end in time")
	}
	c.feed([]byte("x"))
	if !c.closed {
		t.Fatal("not refused although it cannot end in time any more")
	}
}

func TestRequestFacts(t *testing.T) {
	c, p := knocked(newDoor(t, transport.Options{Path: "/a b/ü"}))
	c.feed([]byte(with(
		"GET /a%20b/%c3%bc?token=1%202 HTTP/1.1", "Upgrade: WebSocket", "Connection: keep-alive, Upgrade",
		"X-Forwarded-For: 192.0.2.1 ,198.51.100.7", "x-forwarded-for: 203.0.113.9", "X-Real-IP: 192.0.2.1",
		"Sec-WebSocket-Protocol: foo,mqttv3.1, mqtt", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
	)))
	got := string(c.take())
	if !strings.Contains(got, "Sec-WebSocket-Protocol: mqttv3.1\r\n") || strings.Contains(got, "Extensions") {
		t.Errorf("response:\n%s", got)
	}
	r := p.req
	if r == nil {
		t.Fatal(c.why)
	}
	for _, row := range []struct{ what, got, want string }{
		{"Host", r.Host, "server.example.com"},
		{"Path", r.Path, "/a b/ü"},
		{"Query", r.Query, "token=1%202"},
		{"Origin", r.Origin, "http://example.com"},
		{"Subprotocol", r.Subprotocol, "mqttv3.1"},
		{"RealIP", r.RealIP(), "192.0.2.1"},
		{"Header", r.Header("x-FORWARDED-for"), "192.0.2.1 ,198.51.100.7"},
		{"Header that is missing", r.Header("Cookie"), ""},
	} {
		if row.got != row.want {
			t.Errorf("%s: got %q, want %q", row.what, row.got, row.want)
		}
	}
	if got := r.ForwardedFor(); !slices.Equal(got, []string{"192.0.2.1", "198.51.100.7", "203.0.113.9"}) {
		t.Errorf("ForwardedFor: %q", got)
	}
}

func TestOrigins(t *testing.T) {
	patterns := []string{"https://app.example.org", "*.Example.net", "https://*.secure.test:8443", "localhost", "http://plain.test:80"}
	for origin, want := range map[string]bool{
		"":                             true,
		"https://app.example.org":      true,
		"HTTPS://APP.EXAMPLE.ORG":      true,
		"https://app.example.org:443":  true,
		"https://app.example.org:8443": false,
		"http://app.example.org":       false,
		"https://example.org":          false,
		"https://app.example.org.evil": false,
		"http://a.b.example.net:99":    true,
		"http://example.net":           false,
		"http://badexample.net":        false,
		"https://x.secure.test:8443":   true,
		"https://x.secure.test":        false,
		"http://localhost:3000":        true,
		"http://plain.test":            true,
		"null":                         false,
		"https://":                     false,
		"https://a@localhost":          false,
		"%":                            false,
	} {
		c, p := knocked(newDoor(t, transport.Options{Origins: patterns}))
		c.feed([]byte(with("Origin: " + origin)))
		if got := p.req != nil; got != want {
			t.Errorf("origin %q: accepted=%v, want %v (%v)", origin, got, want, c.why)
		}
	}
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	for says, o := range map[string]transport.Options{
		`path "mqtt": write it like /mqtt`:             {Path: "mqtt"},
		`path "/a?b": write it like /mqtt`:             {Path: "/a?b"},
		`origin "*": write https://app.example.org`:    {Origins: []string{"*"}},
		`origin "a.*.org": write https://app`:          {Origins: []string{"a.*.org"}},
		`origin "": write https://app.example.org`:     {Origins: []string{""}},
		`origin "https://a/b": write https://app.exam`: {Origins: []string{"https://a/b"}},
	} {
		if _, err := transport.NewDoor(o); err == nil || !strings.HasPrefix(err.Error(), says) {
			t.Errorf("%+v: %v, want %s", o, err, says)
		}
	}
}

func TestConnectionThatIsNotAccepted(t *testing.T) {
	c, told := &fakeConn{}, false
	d := newDoor(t, transport.Options{})
	c.h = d.WebSocket(c, func(loop.Conn, *transport.Request) loop.Handler { return nil }, func(error) { told = true })
	c.feed([]byte(request))
	if got := string(c.take()); got != response+"\x88\x02\x03\xf0" || !errors.Is(c.why, transport.ErrNotAccepted) {
		t.Fatalf("closed because of %v, sent %q", c.why, got)
	}
	if c.reap(); told {
		t.Error("failed heard of it, although accept knows")
	}
}
