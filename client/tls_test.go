package client_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/loopmq/loopmq/client"
	"github.com/loopmq/loopmq/internal/testkit"
)

// accept serves one connection after the other until the test ends.
func accept(t *testing.T, l net.Listener, serve func(net.Conn)) {
	t.Helper()
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
}

func local(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// welcome reads what looks like CONNECT and says CONNACK, until the end.
func welcome(c net.Conn) {
	buf := make([]byte, 1024)
	if n, _ := c.Read(buf); n > 0 && buf[0] == 0x10 {
		_, _ = c.Write(testkit.Bytes(connack3))
	}
	_, _ = io.Copy(io.Discard, c)
}

// server is a certificate for a server, changed by change.
func server(ca *testkit.Cert, change func(*x509.Certificate)) tls.Certificate {
	c := testkit.Host("server", "localhost")
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if change != nil {
		change(c)
	}
	return testkit.Sign(c, ca).TLS()
}

func TestTLS(t *testing.T) {
	ca := testkit.Authority("Test CA")
	l := tls.NewListener(local(t), &tls.Config{Certificates: []tls.Certificate{server(ca, nil)}, NextProtos: []string{"mqtt"}})
	accept(t, l, welcome)
	var stages []client.Stage
	c, err := client.Dial(t.Context(), client.Options{
		URL: "mqtts://" + l.Addr().String(), TLS: &tls.Config{RootCAs: ca.Pool(), NextProtos: []string{"mqtt"}},
		OnStage: func(s client.Stage, _ net.Conn) { stages = append(stages, s) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Abort()
	state, ok := c.TLS()
	if !ok || state.NegotiatedProtocol != "mqtt" || len(state.VerifiedChains) != 1 {
		t.Errorf("state: %v %+v", ok, state)
	}
	if len(stages) != 2 || stages[0] != client.StageNetwork || stages[1] != client.StageTLS {
		t.Errorf("stages %v", stages)
	}
}

// TestTLSFails: one line each, that says what was found.
func TestTLSFails(t *testing.T) {
	ca, other := testkit.Authority("Test CA"), testkit.Authority("Other CA")
	serve := func(cfg *tls.Config, change func(*x509.Certificate)) string {
		cfg.Certificates = []tls.Certificate{server(ca, change)}
		l := tls.NewListener(local(t), cfg)
		accept(t, l, welcome)
		return l.Addr().String()
	}
	good := serve(&tls.Config{}, nil)
	mutual12 := serve(&tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool(), MaxVersion: tls.VersionTLS12}, nil)
	mutual13 := serve(&tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool(), MinVersion: tls.VersionTLS13}, nil)
	plain := local(t)
	accept(t, plain, welcome)
	closing := local(t)
	accept(t, closing, func(c net.Conn) { _, _ = c.Read(make([]byte, 1024)) })
	mute := local(t)
	accept(t, mute, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	alerting := local(t) // as OpenSSL does
	accept(t, alerting, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1024))
		_, _ = c.Write(testkit.Bytes("15 0301 0002 0246"))
	})
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	webTLS := httptest.NewUnstartedServer(http.NotFoundHandler())
	webTLS.Config.ErrorLog = log.New(io.Discard, "", 0)
	webTLS.StartTLS()
	t.Cleanup(webTLS.Close)
	trust := func(*tls.Config) {}
	for _, row := range []struct {
		url, want string
		change    func(*tls.Config)
	}{
		{"mqtts://" + good, `signed by "CN=Test CA", which is not trusted here`, func(c *tls.Config) { c.RootCAs = other.Pool() }},
		{"wss://" + good, `signed by "CN=Test CA", which is not trusted here`, func(c *tls.Config) { c.RootCAs = other.Pool() }},
		{"wss://" + webTLS.Listener.Addr().String(), "is signed by itself and not trusted here", trust},
		{"mqtts://" + good, "for localhost, 127.0.0.1, not for mqtt.example.org", func(c *tls.Config) { c.ServerName = "mqtt.example.org" }},
		{
			"mqtts://" + serve(&tls.Config{}, func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil }),
			"for no host at all (it is \"CN=server\" and has no subject alternative names), not for 127.0.0.1", trust,
		},
		{
			"mqtts://" + serve(&tls.Config{}, func(c *x509.Certificate) {
				c.NotBefore, c.NotAfter = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2021, 2, 3, 0, 0, 0, 0, time.UTC)
			}),
			"the server's certificate (CN=server) expired on 2021-02-03", trust,
		},
		{
			"mqtts://" + serve(&tls.Config{}, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }),
			"is not valid before ", trust,
		},
		{
			"mqtts://" + serve(&tls.Config{}, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }),
			"is not one for servers", trust,
		},
		{"mqtts://" + mutual12, "it may ask for a client certificate", trust},
		{"mqtts://" + mutual13, "the server asks for a client certificate", trust},
		{"wss://" + mutual13, "the server asks for a client certificate", trust},
		{"mqtts://" + mutual13, "TLS versions", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }},
		{"mqtts://" + serve(&tls.Config{NextProtos: []string{"h2"}}, nil), "ALPN", func(c *tls.Config) { c.NextProtos = []string{"mqtt"} }},
		{"mqtts://" + closing.Addr().String(), "it may not speak TLS there: then use mqtt://", trust},
		{"wss://" + closing.Addr().String(), "it may not speak TLS there: then use ws://", trust},
		{"mqtts://" + web.Listener.Addr().String(), "what answers is HTTP without TLS; use mqtt://", trust},
		{"mqtts://" + mute.Addr().String(), "the TLS handshake is not done in time: not connected within 200ms", trust},
		{"ws://" + mute.Addr().String(), "no answer to the WebSocket request in time: not connected within 200ms", trust},
		{"mqtt://" + mute.Addr().String(), "no CONNACK in time: not connected within 200ms", trust},
		{"mqtt://" + alerting.Addr().String(), "speaks TLS there; use mqtts://", trust},
		{"ws://" + alerting.Addr().String(), "speaks TLS there; use wss://", trust},
		{"mqtt://" + closing.Addr().String(), "or TLS only (mqtts://)", trust},
		{"ws://" + webTLS.Listener.Addr().String(), "answers 400 Bad Request to the WebSocket request (\"Client sent an HTTP request to an HTTPS server.\"); it takes no WebSocket with subprotocol mqtt at path /mqtt: check the path; a proxy in front must pass Upgrade on, or the server wants TLS (wss://)", trust},
		{"ws://" + plain.Addr().String(), "no answer to the WebSocket request in time", trust},
	} {
		cfg := &tls.Config{RootCAs: ca.Pool()}
		row.change(cfg)
		_, err := client.Dial(t.Context(), client.Options{URL: row.url, TLS: cfg, ConnectTimeout: 200 * time.Millisecond})
		if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got  %v\nwant %s", row.url, err, row.want)
		}
	}
}

func TestDialFails(t *testing.T) {
	l := local(t)
	l.Close()
	missing := filepath.Join(t.TempDir(), "sock")
	for url, want := range map[string]string{
		"mqtt://nosuch.invalid":           `host "nosuch.invalid"`,
		"wss://nosuch.invalid/mqtt":       `connect to wss://nosuch.invalid:443/mqtt: `,
		"mqtt://" + l.Addr().String():     "connect to mqtt://" + l.Addr().String() + ": connection refused: nobody listens there",
		"unix://" + missing:               "connect to unix://" + missing + ": there is no such socket",
		"unix://u:p@" + t.TempDir() + "/": "connect to unix:///",
	} {
		_, err := client.Dial(t.Context(), client.Options{URL: url})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %q", url, err, want)
		}
	}
	refused := func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
	if _, err := client.Dial(t.Context(), client.Options{URL: "wss://h", Dial: refused}); err == nil || !strings.Contains(err.Error(), "8084") {
		t.Errorf("a usual port is not named: %v", err)
	}
	notFound := func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Name: "h", IsNotFound: true, Err: "no such host"}}
	}
	_, err := client.Dial(t.Context(), client.Options{URL: "mqtt://h", Dial: notFound})
	if err == nil || err.Error() != `connect to mqtt://h:1883: host "h" has no address: no such name is known here` {
		t.Errorf("name lookup: %v", err)
	}
	if _, ok := errors.AsType[*net.DNSError](err); !ok {
		t.Errorf("the cause is lost: %v", err)
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mq sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	accept(t, l, welcome)
	c, err := client.Dial(t.Context(), client.Options{URL: "unix://u:p@" + path})
	if err != nil {
		t.Fatal(err)
	}
	c.Abort()
}

// TestCertificateOnATerminal: what stands in a server's certificate does nothing to
// the terminal that the error is written on.
func TestCertificateOnATerminal(t *testing.T) {
	ca := testkit.Authority("CA")
	const evil = "e\x1b]0;title\x07\u009b2J"
	for want, cert := range map[string]*testkit.Cert{
		"certificate is for ex]0;y, 127.0.0.1, not for": testkit.Sign(testkit.Host("a", "ex\x1b]0;\x07y"), ca),
		`certificate (CN=e]0\;title2J) is not one for servers`: testkit.Sign(&x509.Certificate{
			Subject: pkix.Name{CommonName: evil}, DNSNames: []string{"localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}, ca),
		`(CN=e]0\;title2J) is signed by itself`: testkit.Sign(testkit.Host(evil, "localhost"), nil),
	} {
		l := tls.NewListener(local(t), &tls.Config{Certificates: []tls.Certificate{cert.TLS()}})
		accept(t, l, welcome)
		o := client.Options{URL: "mqtts://" + l.Addr().String(), TLS: &tls.Config{ServerName: "localhost", RootCAs: ca.Pool()}}
		if _, err := client.Dial(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got  %q\nwant %s", err, want)
		}
	}
}
