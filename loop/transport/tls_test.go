package transport_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/loop/transport"
)

func TestTLSEchoInReadsOfAnyLength(t *testing.T) {
	for _, row := range []struct{ readBytes, count, largest int }{
		{1, 20, 300}, {7, 100, 3000}, {517, 400, 20_000}, {4096, 1000, 65_535}, {65_536, 2000, 65_535},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(fmt.Sprintf("%d/%s", row.readBytes, tls.VersionName(version)), func(t *testing.T) {
				o := tlsOptions{packets: func(p *packets) { p.echo = true }}
				o.loop = loop.Limits{ReadBytes: row.readBytes, OutputBytesMax: 64 << 20}
				eachTLS(t, o, func(s *secured) {
					config := s.id.client()
					config.MaxVersion = version
					r := mathrand.New(mathrand.NewSource(int64(row.readBytes)))
					c := s.dialTLS(config)
					if err := echoAll(c, r, randomPackets(r, row.count, row.largest)); err != nil {
						s.t.Fatal(err)
					}
					if state := wait(s.t, s.states, "accept"); state.Version != version {
						s.t.Errorf("version %x", state.Version)
					}
				})
			})
		}
	}
}

// slicer writes a few bytes at a time.
type slicer struct {
	net.Conn
	bytes int
}

func (c *slicer) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var k int
		k, err = c.Conn.Write(b[n:min(n+c.bytes, len(b))])
		n += k
	}
	return n, err
}

func TestTLSDribbles(t *testing.T) {
	eachTLS(t, tlsOptions{packets: func(p *packets) { p.echo = true }}, func(s *secured) {
		for _, size := range []int{1, 3, 100} {
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				config := s.id.client()
				config.MaxVersion = version
				raw := s.raw()
				_ = raw.(*net.TCPConn).SetNoDelay(true)
				c := tls.Client(&slicer{raw, size}, config)
				r := mathrand.New(mathrand.NewSource(1))
				if err := echoAll(c, r, randomPackets(r, 30, 500)); err != nil {
					s.t.Fatal(size, err)
				}
			}
		}
	})
}

// corked keeps what is written while it is told so.
type corked struct {
	net.Conn
	mu   sync.Mutex
	cork bool
	kept []byte
}

func (c *corked) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = append(c.kept, b...)
	if c.cork {
		return len(b), nil
	}
	out := c.kept
	c.kept = nil
	if _, err := c.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (c *corked) set(cork bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cork = cork
}

func TestTLSFirstDataTogetherWithFinished(t *testing.T) {
	eachTLS(t, tlsOptions{packets: func(p *packets) { p.echo = true }}, func(s *secured) {
		hello := &corked{Conn: s.raw()}
		config := s.id.client()
		c := tls.Client(&afterFirst{corked: hello}, config)
		if err := c.Handshake(); err != nil {
			s.t.Fatal(err)
		}
		if _, err := c.Write(packet("one")); err != nil {
			s.t.Fatal(err)
		}
		hello.set(false)
		if _, err := c.Write(packet("two")); err != nil {
			s.t.Fatal(err)
		}
		got := make([]byte, 10)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "\x00\x03one\x00\x03two" {
			s.t.Fatalf("%q, %v", got, err)
		}
	})
}

// afterFirst corks behind the first write, which is the ClientHello.
type afterFirst struct {
	*corked
	written bool
}

func (c *afterFirst) Write(b []byte) (int, error) {
	n, err := c.corked.Write(b)
	if !c.written {
		c.written = true
		c.set(true)
	}
	return n, err
}

func TestTLSResumption(t *testing.T) {
	eachTLS(t, tlsOptions{packets: func(p *packets) { p.echo = true }}, func(s *secured) {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			config := s.id.client()
			config.MaxVersion = version
			config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			for round := range 2 {
				c := s.dialTLS(config)
				r := mathrand.New(mathrand.NewSource(1))
				if err := echoAll(c, r, packet("hello")); err != nil { // reads the ticket, too
					s.t.Fatal(err)
				}
				state := wait(s.t, s.states, "accept")
				if want := round == 1; c.ConnectionState().DidResume != want || state.DidResume != want {
					s.t.Errorf("%s, round %d: resumed %v, %v", tls.VersionName(version), round,
						c.ConnectionState().DidResume, state.DidResume)
				}
				c.Close()
			}
		}
		if stats := s.stats(); stats.Done != 4 || stats.Resumed != 2 {
			s.t.Errorf("%+v", stats)
		}
	})
}

func TestTLSClientCertificateAndALPN(t *testing.T) {
	o := tlsOptions{config: func(id *identity) *tls.Config {
		config := id.server()
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, id.pool
		return config
	}, packets: func(p *packets) { p.echo = true }}
	eachTLS(t, o, func(s *secured) {
		config := s.id.client()
		config.Certificates, config.NextProtos = []tls.Certificate{s.id.cert}, []string{"x", "mqtt"}
		r := mathrand.New(mathrand.NewSource(1))
		if err := echoAll(s.dialTLS(config), r, packet("hello")); err != nil {
			s.t.Fatal(err)
		}
		state := wait(s.t, s.states, "accept")
		if state.NegotiatedProtocol != "mqtt" || len(state.PeerCertificates) != 1 {
			s.t.Errorf("protocol %q, %d certificates", state.NegotiatedProtocol, len(state.PeerCertificates))
		}
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			config = s.id.client()
			config.MaxVersion = version
			c := tls.Client(s.raw(), config)
			_, err := c.Read(make([]byte, 1))
			if err == nil || !strings.Contains(err.Error(), "remote error: tls: ") {
				s.t.Errorf("%s without a certificate: %v", tls.VersionName(version), err)
			}
			if why := wait(s.t, s.failures, "failed"); !strings.Contains(why.Error(), "TLS handshake: tls: client didn't provide") {
				s.t.Error(why)
			}
		}
	})
}

func TestTLSEitherSideCloses(t *testing.T) {
	eachTLS(t, tlsOptions{}, func(s *secured) {
		for name, row := range map[string]struct {
			close func(c *tls.Conn, raw *net.TCPConn, p *packets)
			heard error // by the handler
			reads error // by the client; nil for any
		}{
			"close_notify": {func(c *tls.Conn, _ *net.TCPConn, _ *packets) { _ = c.CloseWrite() }, io.EOF, io.EOF},
			"FIN":          {func(_ *tls.Conn, raw *net.TCPConn, _ *packets) { raw.CloseWrite() }, io.EOF, nil},
			"FIN inside a record": {func(_ *tls.Conn, raw *net.TCPConn, _ *packets) {
				_, _ = raw.Write([]byte{23, 3, 3, 0, 100, 1, 2, 3})
				raw.CloseWrite()
			}, io.ErrUnexpectedEOF, nil},
			"Close": {func(_ *tls.Conn, _ *net.TCPConn, p *packets) {
				s.on(func() { p.c.Send([]byte("last")); p.c.Close(loop.ErrStopped) })
			}, loop.ErrStopped, io.EOF},
			"error": {func(c *tls.Conn, _ *net.TCPConn, p *packets) {
				s.on(func() { p.err = loop.ErrInputTooLong })
				_, _ = c.Write(packet("hello"))
			}, loop.ErrInputTooLong, io.EOF},
		} {
			raw := s.raw()
			c := tls.Client(raw, s.id.client())
			if err := c.Handshake(); err != nil {
				s.t.Fatal(name, err)
			}
			p := wait(s.t, s.handlers, "accept")
			row.close(c, raw.(*net.TCPConn), p)
			got, err := io.ReadAll(c) // nil at close_notify only
			if row.reads == io.EOF && err != nil {
				s.t.Errorf("%s: client read %q, %v", name, got, err)
			}
			if want := map[bool]string{true: "last"}[name == "Close"]; string(got) != want {
				s.t.Errorf("%s: client read %q", name, got)
			}
			s.until("Closed is called", func() bool { return len(p.closed) == 1 })
			if s.on(func() {}); !errors.Is(p.closed[0], row.heard) {
				s.t.Errorf("%s: handler heard %v, want %v", name, p.closed[0], row.heard)
			}
			s.on(func() {
				if p.c.Send([]byte("x")) || p.c.SendControl([]byte("x")) || p.c.Room(1) {
					s.t.Errorf("%s: a closed connection takes output", name)
				}
			})
		}
	})
}

// What comes through TLS is passed on to others as views of the engine's memory, in which it was decrypted.
func TestTLSViewsReachOthers(t *testing.T) {
	var reader loop.Conn
	ready := make(chan bool, 1)
	id := newIdentity(t)
	prepare := func(s *server) {
		var err error
		s.tls, err = transport.NewTLSDoor(transport.TLSOptions{Config: id.server, Complete: s.e.Complete, Pool: s.pool})
		if err != nil {
			t.Fatal(err)
		}
	}
	accept := func(s *server, c loop.Conn) loop.Handler {
		if reader == nil {
			reader = c
			ready <- true
			return &quietHandler{}
		}
		return s.tls.TLS(c, func(loop.Conn, *tls.ConnectionState) loop.Handler {
			return &packets{c: reader, echo: true} // echoes to the other one
		}, nil)
	}
	lim := loop.Limits{ReadBytes: 5000, ArenaBytes: 20_000, OutputBytesMax: 64 << 20}
	eachEngineWith(t, lim, prepare, accept, func(s *server) {
		s.t.Cleanup(func() { reader = nil })
		other := (&secured{server: s}).raw()
		wait(s.t, ready, "the raw connection")
		c := tls.Client((&secured{server: s}).raw(), id.client())
		r := mathrand.New(mathrand.NewSource(2))
		all := randomPackets(r, 2000, 30_000)
		if err := echoAll(&twoConns{Conn: other, out: c}, r, all); err != nil {
			s.t.Fatal(err)
		}
	})
}

// twoConns writes to out and reads from Conn.
type twoConns struct {
	net.Conn
	out net.Conn
}

func (c *twoConns) Write(b []byte) (int, error) { return c.out.Write(b) }

func TestTLSResumeHandsOverTheKeptPackets(t *testing.T) {
	o := tlsOptions{packets: func(p *packets) { p.perCall, p.pauses = 1, true }}
	eachTLS(t, o, func(s *secured) {
		c := s.dialTLS(s.id.client())
		p := wait(s.t, s.handlers, "accept")
		if _, err := c.Write(join(packet("a"), packet("b"), packet("c"))); err != nil {
			s.t.Fatal(err)
		}
		_ = c.CloseWrite() // does not overtake what is kept
		s.until("the first packet is taken", func() bool { return len(p.got) == 1 })
		for want := 2; want <= 3; want++ { // nothing more is sent
			s.on(func() { p.c.Resume() })
			s.until("another packet is taken", func() bool { return len(p.got) == want })
			if s.on(func() {}); len(p.closed) > 0 {
				s.t.Fatal("closed before all was taken")
			}
		}
		s.on(func() { p.c.Resume() })
		s.until("the connection ends", func() bool { return len(p.closed) == 1 && p.closed[0] == io.EOF })
	})
}

func TestTLSSlowReaderIsBounded(t *testing.T) {
	o := tlsOptions{loop: loop.Limits{OutputBytesMax: 100_000, OutputLowBytes: 10_000}}
	eachTLS(t, o, func(s *secured) {
		c := s.dialTLS(s.id.client())
		p := wait(s.t, s.handlers, "accept")
		frames := [][]byte{bytes.Repeat([]byte("s"), 100), bytes.Repeat([]byte("l"), 2000), bytes.Repeat([]byte("x"), 30_000)}
		sent, drained, queued := 0, 0, 0
		s.until("the limit is reached", func() bool {
			for range 100 {
				body := s.pool.NewRef(frames[sent%3][10:])
				ok := p.c.SendShared(frames[sent%3][:10], body)
				body.Release()
				queued = max(queued, p.c.Queued())
				if !ok {
					drained = p.drained
					return true
				}
				sent++
			}
			return false
		})
		if queued > 120_000 {
			s.t.Errorf("%d bytes queued", queued)
		}
		for i := range sent {
			got := make([]byte, len(frames[i%3]))
			if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, frames[i%3]) {
				s.t.Fatalf("message %d: %.10q (%d), %v", i, got, len(got), err)
			}
		}
		s.until("Drained is called", func() bool { return p.drained > drained })
		s.on(func() { p.c.Send([]byte("more")) })
		got := make([]byte, 4)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "more" {
			s.t.Fatalf("%q, %v", got, err)
		}
	})
}

func TestTLSMessageLongerThanTheLimit(t *testing.T) {
	eachTLS(t, tlsOptions{loop: loop.Limits{OutputBytesMax: 100_000}}, func(s *secured) {
		c := s.dialTLS(s.id.client())
		p := wait(s.t, s.handlers, "accept")
		long := make([]byte, 20<<20) // more than the kernel takes
		mathrand.New(mathrand.NewSource(1)).Read(long)
		s.on(func() {
			if !p.c.Send(long) {
				s.t.Error("refused although nothing was queued")
			}
			if p.c.Send([]byte("x")) || p.c.Room(1) {
				s.t.Error("taken behind what is longer than the limit")
			}
			for p.c.SendControl(make([]byte, 1000)) { // nulls behind it
			}
		})
		got := make([]byte, len(long))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, long) {
			s.t.Fatal("the bytes differ", err)
		}
		s.until("Drained is called", func() bool { return p.drained > 0 && p.c.Queued() == 0 })
		s.on(func() { p.c.Close(nil) })
		rest, err := io.ReadAll(c)
		if err != nil || len(rest) < 10_000 || len(rest) > 20_000 || len(bytes.Trim(rest, "\x00")) > 0 {
			s.t.Fatalf("%d bytes of acknowledgements, %v", len(rest), err)
		}
	})
}

// recordLengths notes the lengths of the records that a client reads.
type recordLengths struct {
	net.Conn
	all []byte
}

func (c *recordLengths) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.all = append(c.all, b[:n]...)
	return n, err
}

func (c *recordLengths) list() (lengths []int) {
	for b := c.all; len(b) >= 5; {
		n := int(b[3])<<8 | int(b[4])
		if b[0] == 23 {
			lengths = append(lengths, n)
		}
		b = b[min(5+n, len(b)):]
	}
	return lengths
}

func TestTLSRecordLengths(t *testing.T) {
	config := func(id *identity) *tls.Config {
		config := id.server()
		config.MaxVersion = tls.VersionTLS12 // nothing of the handshake looks like data
		config.DynamicRecordSizingDisabled = true
		return config
	}
	for _, row := range []struct {
		most  int
		sends []int
		want  []int
	}{
		{0, []int{64, 64, 64}, []int{192}},
		{0, []int{16_000, 1000, 40_000}, []int{16_384, 16_384, 16_384, 7848}},
		{512, []int{64, 500, 1100}, []int{512, 512, 512, 128}},
	} {
		eachTLS(t, tlsOptions{config: config, limits: transport.TLSLimits{RecordBytesMax: row.most}}, func(s *secured) {
			raw := &recordLengths{Conn: s.raw()}
			c := tls.Client(raw, s.id.client())
			if err := c.Handshake(); err != nil {
				s.t.Fatal(err)
			}
			p := wait(s.t, s.handlers, "accept")
			total := 0
			s.on(func() {
				for _, n := range row.sends {
					p.c.Send(make([]byte, n))
					total += n
				}
				if p.c.Queued() < total {
					s.t.Error("what was gathered does not count as queued")
				}
			})
			if _, err := io.ReadFull(c, make([]byte, total)); err != nil {
				s.t.Fatal(err)
			}
			got := raw.list()
			extra := 0
			if len(got) > 0 {
				extra = got[len(got)-1] - row.want[len(row.want)-1]
			}
			for i := range got {
				got[i] -= extra
			}
			if extra > 40 || extra < 0 || fmt.Sprint(got) != fmt.Sprint(row.want) {
				s.t.Errorf("records of %v, want %v", got, row.want)
			}
		})
	}
}

func TestTLSDoorNeedsItsOptions(t *testing.T) {
	if _, err := transport.NewTLSDoor(transport.TLSOptions{Pool: buf.NewPool(0)}); err == nil {
		t.Error("no error without a configuration")
	}
}
