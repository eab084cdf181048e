package transport_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/loop/transport"
)

// hello returns the first record of a client of the standard library.
func hello(t testing.TB, id *identity) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	go func() { _ = tls.Client(theirs, id.client()).Handshake() }()
	defer ours.Close()
	b := make([]byte, 1<<16)
	n, err := ours.Read(b)
	if err != nil || b[0] != 22 || n != 5+int(b[3])<<8+int(b[4]) {
		t.Fatalf("%d bytes, %v", n, err)
	}
	return b[:n]
}

func TestTLSStrangers(t *testing.T) {
	if os.Getenv("LOOPMQ_FAULTS") != "" {
		t.Skip("a first read of one byte, as faults have it, does not show what comes")
	}
	eachTLS(t, tlsOptions{}, func(s *secured) {
		var strangers uint64
		for _, row := range []struct{ sent, failed, answer string }{
			{"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00", "plain MQTT on a TLS listener", ""},
			{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP without TLS", "HTTP/1.0 400 Bad Request\r\n"},
			{"PROXY TCP4 192.0.2.1 198.51.100.7 56324 1883\r\n", "PROXY protocol", "HTTP/1.0 400"},
			{"\r\n\r\n\x00\r\nQUIT\n", "PROXY protocol", ""},
			{"\x80\x2e\x01\x00\x02", "SSL 2.0", ""},
			{"\x00\x01", "first byte is 0x00", ""},
			{"\x16\x04", "first byte is 0x16", ""},
			{"\x16\x03\x01\xff\xff", "oversized record", "\x15\x03\x01\x00\x02\x02\x16"},
			{"\x16\x03\x01\x00\x04\x01\x00\x00\x00", "TLS handshake: ", "\x15\x03\x01\x00\x02\x02"},
		} {
			raw := s.raw()
			if _, err := raw.Write([]byte(row.sent)); err != nil {
				s.t.Fatal(err)
			}
			got, err := io.ReadAll(raw)
			if err != nil || !strings.HasPrefix(string(got), row.answer) || (row.answer == "" && len(got) > 0) {
				s.t.Errorf("to %q: %q, %v", row.sent, got, err)
			}
			if why := wait(s.t, s.failures, "failed"); !strings.Contains(why.Error(), row.failed) {
				s.t.Errorf("for %q: %v", row.sent, why)
			}
			if !strings.HasPrefix(row.sent, "\x16\x03") {
				strangers++
			}
		}
		if stats := s.stats(); stats.Strangers != strangers || stats.Failed != 2 || stats.Running != 0 {
			s.t.Errorf("%+v", stats)
		}
	})
}

func TestTLSPeerLeavesInTheHandshake(t *testing.T) {
	eachTLS(t, tlsOptions{}, func(s *secured) {
		first := hello(s.t, s.id)
		for _, row := range []struct {
			sent []byte
			want string
		}{{nil, "EOF"}, {first[:20], "EOF"}, {first, "during the TLS handshake"}} {
			raw := s.raw()
			if _, err := raw.Write(row.sent); err != nil {
				s.t.Fatal(err)
			}
			if len(row.sent) == len(first) {
				s.until("the handshake runs", func() bool { return s.tls.Stats().Running == 1 })
			}
			raw.Close()
			why := wait(s.t, s.failures, "failed")
			if !strings.Contains(why.Error(), row.want) {
				s.t.Errorf("%d bytes: %v", len(row.sent), why)
			}
			if len(row.sent) < len(first) && why != io.EOF {
				s.t.Errorf("%d bytes: %v", len(row.sent), why)
			}
		}
		s.until("no handshake is left", func() bool { return s.tls.Stats().Running == 0 })
	})
}

// A hundred clients say hello and nothing more. Few of them get a goroutine, nobody comes in while they have them all,
// and all is well when their time is over.
func TestTLSStalledHandshakes(t *testing.T) {
	const stalled, timeout = 100, 300 * time.Millisecond
	o := tlsOptions{
		limits:  transport.TLSLimits{HandshakesMax: 4, HandshakesWaitingMax: 80, HandshakeTimeout: timeout},
		packets: func(p *packets) { p.echo = true },
	}
	eachTLS(t, o, func(s *secured) {
		first := hello(s.t, s.id)
		before := runtime.NumGoroutine()
		var most, running uint64
		for range stalled {
			if _, err := s.raw().Write(first); err != nil {
				s.t.Fatal(err)
			}
			stats := s.stats()
			most, running = max(most, stats.Waiting), max(running, stats.Running)
		}
		if n := runtime.NumGoroutine() - before; n > 20 {
			s.t.Errorf("%d goroutines more", n)
		}
		reasons := map[string]int{}
		for range stalled {
			reasons[wait(s.t, s.failures, "failed").Error()]++
		}
		s.until("no handshake is left", func() bool { return s.tls.Stats().Running == 0 })
		stats := s.stats()
		if most > 80 || running > 4 || stats.Waiting != 0 || stats.Waited == 0 ||
			stats.TimedOut != uint64(reasons[transport.ErrHandshakeTimeout.Error()]) ||
			stats.Refused != uint64(reasons[transport.ErrTooManyHandshakes.Error()]) ||
			stats.TimedOut+stats.Refused != stalled {
			s.t.Errorf("%d waited, %d ran: %+v; %v", most, running, stats, reasons)
		}
		for deadline := time.Now().Add(patience); runtime.NumGoroutine() > before; runtime.Gosched() {
			if time.Now().After(deadline) {
				s.t.Fatalf("%d goroutines left", runtime.NumGoroutine()-before)
			}
		}
		if _, err := s.dialTLS(s.id.client()).Write(packet("a")); err != nil {
			s.t.Error(err)
		}
		wait(s.t, s.handlers, "accept")
	})
}

func TestTLSTurnsComeInOrder(t *testing.T) {
	turns, hellos := make(chan bool), make(chan string, 100)
	o := tlsOptions{
		limits: transport.TLSLimits{HandshakesMax: 1},
		config: func(id *identity) *tls.Config {
			config := id.server()
			config.GetConfigForClient = func(info *tls.ClientHelloInfo) (*tls.Config, error) {
				hellos <- info.SupportedProtos[0]
				<-turns
				return nil, nil
			}
			return config
		},
	}
	eachTLS(t, o, func(s *secured) {
		const clients = 20
		ends := make(chan error, clients)
		for i := range clients {
			config := s.id.client()
			config.NextProtos = []string{fmt.Sprint(i), "mqtt"}
			c := tls.Client(s.raw(), config)
			go func() { ends <- c.Handshake() }()
			s.until("it waits", func() bool { return s.tls.Stats().Waiting+s.tls.Stats().Running == uint64(i+1) })
		}
		for i := range clients {
			if got := wait(s.t, hellos, "a handshake"); got != fmt.Sprint(i) {
				s.t.Errorf("client %s has its turn, want %d", got, i)
			}
			turns <- true
		}
		for range clients {
			if err := wait(s.t, ends, "a client"); err != nil {
				s.t.Error(err)
			}
		}
		s.until("all are in", func() bool { return s.tls.Stats().Done == clients })
		if stats := s.stats(); stats.Waited != clients-1 || stats.Waiting != 0 {
			s.t.Errorf("%+v", stats)
		}
	})
}

// A client sends a lot behind its Finished, while the server is still looking at its certificate.
func TestTLSDataBeforeTheVerdict(t *testing.T) {
	started, verdict := make(chan bool, 10), make(chan bool)
	o := tlsOptions{
		limits:  transport.TLSLimits{HandshakeBytesMax: 20_000},
		packets: func(p *packets) { p.echo = true },
		loop:    loop.Limits{OutputBytesMax: 64 << 20},
		config: func(id *identity) *tls.Config {
			config := id.server()
			config.VerifyConnection = func(tls.ConnectionState) error {
				started <- true
				<-verdict
				return nil
			}
			return config
		},
	}
	eachTLS(t, o, func(s *secured) {
		c := s.dialTLS(s.id.client()) // TLS 1.3: the client is through before the server is
		wait(s.t, started, "the server's callback")
		all := make([]byte, 0, 4<<20)
		for len(all) < 3<<20 {
			all = append(all, packet(strings.Repeat("x", 60_000))...)
		}
		wrote := make(chan error, 1)
		go func() { _, err := c.Write(all); wrote <- err }()
		s.until("a part has come", func() bool { return s.e.Stats().BytesIn > 20_000 })
		s.on(func() {})
		if s.on(func() {}); len(s.handlers) > 0 {
			s.t.Fatal("accepted before the verdict")
		}
		verdict <- true
		got := make([]byte, len(all))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != string(all) {
			s.t.Fatal("the bytes differ", err)
		}
		if err := wait(s.t, wrote, "the writer"); err != nil {
			s.t.Fatal(err)
		}
	})
}

// The connection ends while its handshake calculates.
func TestTLSVerdictFindsNobody(t *testing.T) {
	started, verdict := make(chan bool, 10), make(chan bool)
	o := tlsOptions{config: func(id *identity) *tls.Config {
		config := id.server()
		config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
			started <- true
			<-verdict
			return nil, nil
		}
		return config
	}}
	eachTLS(t, o, func(s *secured) {
		raw := s.raw()
		if _, err := raw.Write(hello(s.t, s.id)); err != nil {
			s.t.Fatal(err)
		}
		wait(s.t, started, "the server's callback")
		raw.Close()
		s.until("the connection is gone", func() bool { return s.e.Stats().Conns == 0 })
		if len(s.failures) > 0 {
			s.t.Error("it was told before the verdict")
		}
		verdict <- true
		if why := wait(s.t, s.failures, "failed"); !strings.Contains(why.Error(), "closed during the TLS handshake") {
			s.t.Error(why)
		}
		s.until("the goroutine ends", func() bool { return s.tls.Stats().Running == 0 })
		if stats := s.stats(); stats.Done+stats.Failed != 0 {
			s.t.Errorf("%+v", stats)
		}
	})
}

// A client of TLS 1.3 is through before the server has looked at its certificate, and leaves at once.
func TestTLSVerdictOnWhoHungUp(t *testing.T) {
	started, verdict := make(chan bool, 10), make(chan bool)
	o := tlsOptions{config: func(id *identity) *tls.Config {
		config := id.server()
		config.VerifyConnection = func(tls.ConnectionState) error {
			started <- true
			<-verdict
			return errors.New("revoked")
		}
		return config
	}}
	eachTLS(t, o, func(s *secured) {
		c := s.dialTLS(s.id.client())
		wait(s.t, started, "the server's callback")
		c.Close()
		s.until("the connection is gone", func() bool { return s.e.Stats().Conns == 0 })
		verdict <- true
		if why := wait(s.t, s.failures, "failed"); why.Error() != "TLS handshake: revoked" {
			s.t.Error(why)
		}
		if stats := s.stats(); stats.Failed != 1 || stats.Running != 0 {
			s.t.Errorf("%+v", stats)
		}
	})
}

func TestTLSNotAccepted(t *testing.T) {
	id := newIdentity(t)
	var s *secured
	prepare := func(base *server) {
		var err error
		base.tls, err = transport.NewTLSDoor(transport.TLSOptions{
			Config: id.server, Complete: base.e.Complete, Pool: base.pool,
			Limits: transport.TLSLimits{HandshakeTimeout: -1}, // somebody else watches
		})
		if err != nil {
			t.Fatal(err)
		}
		s = &secured{server: base, id: id}
	}
	accept := func(s *server, c loop.Conn) loop.Handler {
		return s.tls.TLS(c, func(loop.Conn, *tls.ConnectionState) loop.Handler { return nil }, func(why error) {
			t.Error("failed was called:", why)
		})
	}
	eachEngineWith(t, loop.Limits{}, prepare, accept, func(*server) {
		c := s.dialTLS(id.client())
		if got, err := io.ReadAll(c); err != nil || len(got) > 0 {
			s.t.Errorf("%q, %v", got, err)
		}
	})
}

func TestTLSEngineStopsInTheMiddle(t *testing.T) {
	eachTLS(t, tlsOptions{limits: transport.TLSLimits{HandshakesMax: 2}}, func(s *secured) {
		first := hello(s.t, s.id)
		before := runtime.NumGoroutine()
		for range 5 {
			if _, err := s.raw().Write(first); err != nil {
				s.t.Fatal(err)
			}
		}
		s.until("all have begun", func() bool { return s.tls.Stats().Running == 2 && s.tls.Stats().Waiting == 3 })
		s.e.Stop(time.Millisecond)
		for range 5 {
			if why := wait(s.t, s.failures, "failed"); !errors.Is(why, loop.ErrStopped) {
				s.t.Error(why)
			}
		}
		s.end <- wait(s.t, s.end, "the end of Run") // for the harness
		for deadline := time.Now().Add(patience); runtime.NumGoroutine() > before; runtime.Gosched() {
			if time.Now().After(deadline) {
				s.t.Fatalf("%d goroutines left", runtime.NumGoroutine()-before)
			}
		}
	})
}

func TestTLSPausedFromTheStart(t *testing.T) {
	eachTLS(t, tlsOptions{packets: func(p *packets) { p.c.Pause() }}, func(s *secured) {
		c := s.dialTLS(s.id.client())
		p := wait(s.t, s.handlers, "accept")
		if _, err := c.Write(packet("hello")); err != nil {
			s.t.Fatal(err)
		}
		for range 10 {
			if s.on(func() {}); len(p.got) > 0 {
				s.t.Fatal("called while paused")
			}
		}
		s.on(func() { p.c.Resume() })
		s.until("the packet is taken", func() bool { return len(p.got) == 1 })
	})
}
