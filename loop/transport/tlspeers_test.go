package transport_test

import (
	"bufio"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	mathrand "math/rand"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/pires/go-proxyproto"

	"github.com/loopmq/loopmq/internal/testkit"
	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/loop/transport"
)

// openssl is a running openssl s_client.
type openssl struct {
	s   *secured
	in  io.WriteCloser
	out *bufio.Reader
	cmd *exec.Cmd
	log strings.Builder
}

// sClient starts one; it must be ended.
func (s *secured) sClient(args ...string) *openssl {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	s.t.Cleanup(cancel)
	o := &openssl{s: s, cmd: exec.CommandContext(ctx, testkit.Program(s.t, "openssl"), append([]string{"s_client", "-connect", s.addr}, args...)...)}
	var err error
	if o.in, err = o.cmd.StdinPipe(); err != nil {
		s.t.Fatal(err)
	}
	out, err := o.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	o.out = bufio.NewReader(io.TeeReader(out, &o.log))
	o.cmd.Stderr = o.cmd.Stdout
	if err := o.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return o
}

func (o *openssl) write(text string) {
	o.s.t.Helper()
	if _, err := io.WriteString(o.in, text); err != nil {
		o.s.t.Fatal(err)
	}
}

// until reads to what is wanted.
func (o *openssl) until(want string) {
	o.s.t.Helper()
	for {
		line, err := o.out.ReadString('\n')
		if strings.Contains(line, want) {
			return
		}
		if err != nil {
			o.s.t.Fatalf("no %q: %v\n%s", want, err, o.log.String())
		}
	}
}

// end closes its input and waits.
func (o *openssl) end() string {
	o.s.t.Helper()
	_ = o.in.Close()
	_, _ = io.Copy(io.Discard, o.out)
	_ = o.cmd.Wait()
	return o.log.String()
}

// lines echoes whole lines.
type lines struct{ c loop.Conn }

func (l *lines) Data(view []byte) (int, error) {
	n := strings.LastIndexByte(string(view), '\n') + 1
	if n > 0 {
		l.c.SendView(view[:n])
	}
	return n, nil
}
func (*lines) Drained()     {}
func (*lines) Closed(error) {}

// eachLines serves with handlers of lines.
func eachLines(t *testing.T, test func(*secured)) {
	t.Helper()
	id := newIdentity(t)
	prepare := func(s *server) {
		config := id.server() // one for all: tickets
		var err error
		s.tls, err = transport.NewTLSDoor(transport.TLSOptions{
			Config: func() *tls.Config { return config }, Complete: s.e.Complete, Pool: s.pool,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	accept := func(s *server, c loop.Conn) loop.Handler {
		return s.tls.TLS(c, func(c loop.Conn, _ *tls.ConnectionState) loop.Handler { return &lines{c} }, nil)
	}
	eachEngineWith(t, loop.Limits{}, prepare, accept, func(s *server) { test(&secured{server: s, id: id}) })
}

func TestTLSWithOpenSSLKeyUpdates(t *testing.T) {
	eachLines(t, func(s *secured) {
		c := s.sClient("-tls1_3")
		c.write("hello\n")
		c.until("hello\n") // a line that is read alone may be a command
		for i := range 40 {
			c.write([]string{"K\n", "k\n"}[i%2])
			c.until("KEYUPDATE")
			c.write(fmt.Sprintf("hello %d\n", i))
			c.until(fmt.Sprintf("hello %d\n", i))
		}
		c.end()
	})
}

func TestTLSWithOpenSSLSessions(t *testing.T) {
	eachLines(t, func(s *secured) {
		for _, version := range []string{"-tls1_2", "-tls1_3"} {
			file := filepath.Join(s.t.TempDir(), "session")
			c := s.sClient(version, "-sess_out", file)
			c.write("hello\n")
			c.until("hello")
			if out := c.end(); !strings.Contains(out, "New, ") {
				s.t.Errorf("%s: not a new session:\n%s", version, out)
			}
			c = s.sClient(version, "-sess_in", file)
			c.write("hello\n")
			c.until("hello")
			if out := c.end(); !strings.Contains(out, "Reused, ") {
				s.t.Errorf("%s: not reused:\n%s", version, out)
			}
		}
		if stats := s.stats(); stats.Resumed != 2 {
			s.t.Errorf("%+v", stats)
		}
	})
}

func TestTLSRefusesRenegotiation(t *testing.T) {
	eachLines(t, func(s *secured) {
		c := s.sClient("-tls1_2")
		c.write("hello\n")
		c.until("hello")
		c.write("R\n")
		c.until("RENEGOTIATING")
		c.until(":error:")
		c.end()
		s.until("the connection is closed", func() bool { return s.e.Stats().Conns <= 1 && s.tls.Stats().Broken == 1 })
	})
}

// client13 writes the records of a TLS 1.3 client itself, behind a handshake of crypto/tls.
type client13 struct {
	t      testing.TB
	conn   net.Conn
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

// secretOf is the writer for tls.Config.KeyLogWriter.
type secretOf struct{ found []byte }

func (s *secretOf) Write(line []byte) (int, error) {
	if words := strings.Fields(string(line)); words[0] == "CLIENT_TRAFFIC_SECRET_0" {
		s.found, _ = hex.DecodeString(words[2])
	}
	return len(line), nil
}

// client13 connects one.
func (s *secured) client13() *client13 {
	s.t.Helper()
	config, secret := s.id.client(), &secretOf{}
	config.MinVersion, config.KeyLogWriter = tls.VersionTLS13, secret
	c := s.dialTLS(config)
	if suite := c.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		s.t.Skip("the handshake chose " + tls.CipherSuiteName(suite))
	}
	own := &client13{t: s.t, conn: c.NetConn()}
	own.use(secret.found)
	return own
}

// expand is HKDF-Expand-Label [RFC 8446, section 7.1].
func expand(t testing.TB, secret []byte, label string, n int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(info, byte(6+len(label)))
	info = append(append(info, "tls13 "+label...), 0)
	b, err := hkdf.Expand(sha256.New, secret, string(info), n)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (c *client13) use(secret []byte) {
	block, err := aes.NewCipher(expand(c.t, secret, "key", 16))
	if err != nil {
		c.t.Fatal(err)
	}
	if c.aead, err = cipher.NewGCM(block); err != nil {
		c.t.Fatal(err)
	}
	c.secret, c.iv, c.seq = secret, expand(c.t, secret, "iv", 12), 0
}

// record appends a record.
func (c *client13) record(dst []byte, kind byte, content []byte) []byte {
	head := []byte{23, 3, 3, 0, 0}
	binary.BigEndian.PutUint16(head[3:], uint16(len(content)+1+c.aead.Overhead()))
	nonce := append([]byte(nil), c.iv...)
	for i := range 8 {
		nonce[4+i] ^= byte(c.seq >> (56 - 8*i))
	}
	c.seq++
	plain := append(append([]byte(nil), content...), kind)
	return c.aead.Seal(append(dst, head...), nonce, plain, head)
}

// keyUpdate appends one that asks for one back, in pieces of a record each.
func (c *client13) keyUpdate(dst []byte, pieces ...int) []byte {
	message := []byte{24, 0, 0, 1, 1}
	for _, n := range pieces {
		dst = c.record(dst, 22, message[:n])
		message = message[n:]
	}
	dst = c.record(dst, 22, message)
	c.use(expand(c.t, c.secret, "traffic upd", 32))
	return dst
}

// A client asks for new keys again and again and never reads them: what TLS itself has to say is bounded, too.
func TestTLSKeyUpdatesThatNobodyReads(t *testing.T) {
	if os.Getenv("LOOPMQ_FAULTS") != "" {
		t.Skip("what a fault refuses is taken for a kernel that is full")
	}
	o := tlsOptions{loop: loop.Limits{OutputBytesMax: 64 << 10}}
	eachTLS(t, o, func(s *secured) {
		c := s.client13()
		p := wait(s.t, s.handlers, "accept")
		const rounds = 20_000
		s.until("the kernel takes no more", func() bool {
			for p.c.Send(make([]byte, 10_000)) {
			}
			return p.c.Queued() > 50_000
		})
		wrote := make(chan error, 1)
		go func() {
			var b []byte
			for range rounds {
				if b = c.record(c.keyUpdate(b), 23, []byte{0}); len(b) > 60_000 {
					if _, err := c.conn.Write(b); err != nil {
						wrote <- err
						return
					}
					b = b[:0]
				}
			}
			b = c.record(b, 23, packet("last"))
			_, err := c.conn.Write(b)
			wrote <- err
		}()
		s.until("reading stops", func() bool {
			return s.tls.Stats().Held > 0 || strings.HasSuffix(s.t.Name(), "/evio") // which never reads while it writes
		})
		s.on(func() {
			if queued := p.c.Queued(); queued > (64+16+17)<<10 {
				s.t.Errorf("%d bytes queued", queued)
			}
			if in := s.pool.InUse(); in > 1<<20 {
				s.t.Errorf("%d bytes in use", in)
			}
		})
		go func() { _, _ = io.Copy(io.Discard, c.conn) }() // now it reads
		if err := wait(s.t, wrote, "the writer"); err != nil {
			s.t.Fatal(err)
		}
		s.until("all has come", func() bool { return len(p.got) > 0 && p.got[len(p.got)-1] == "last" })
	})
}

func TestTLSMessageSplitOverRecords(t *testing.T) {
	eachTLS(t, tlsOptions{}, func(s *secured) {
		c := s.client13()
		p := wait(s.t, s.handlers, "accept")
		b := c.keyUpdate(nil, 1, 2)
		b = c.record(b, 23, packet("after"))
		for len(b) > 0 { // a record at a time, seen by the loop one by one
			n := 5 + int(b[3])<<8 + int(b[4])
			var before uint64
			s.on(func() { before = s.e.Stats().BytesIn })
			if _, err := c.conn.Write(b[:n]); err != nil {
				s.t.Fatal(err)
			}
			s.until("the record is read", func() bool { return s.e.Stats().BytesIn == before+uint64(n) })
			b = b[n:]
		}
		s.until("the data has come", func() bool { return len(p.got) == 1 && p.got[0] == "after" })
	})
}

func TestTLSBrokenRecords(t *testing.T) {
	for name, corrupt := range map[string]func(*client13, []byte) []byte{
		"a bit is wrong": func(_ *client13, b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"too long":       func(_ *client13, b []byte) []byte { b[3] = 0xff; return b },
		"empty ones": func(c *client13, b []byte) []byte {
			for range 20 {
				b = c.record(b, 23, nil)
			}
			return b
		},
		"a message that clients do not send": func(c *client13, b []byte) []byte { return c.record(b, 22, []byte{4, 0, 0, 0}) },
	} {
		t.Run(name, func(t *testing.T) {
			eachTLS(t, tlsOptions{}, func(s *secured) {
				c := s.client13()
				p := wait(s.t, s.handlers, "accept")
				if _, err := c.conn.Write(corrupt(c, c.record(nil, 23, packet("x")))); err != nil {
					s.t.Fatal(err)
				}
				if got, err := io.ReadAll(c.conn); err != nil || len(got) == 0 {
					s.t.Errorf("no alert: %x, %v", got, err)
				}
				s.until("Closed is called", func() bool { return len(p.closed) == 1 })
				if s.on(func() {}); !strings.HasPrefix(p.closed[0].Error(), "TLS: ") {
					s.t.Error(p.closed[0])
				}
				if stats := s.stats(); stats.Broken != 1 {
					s.t.Errorf("%+v", stats)
				}
			})
		})
	}
}

func TestWebSocketBehindTLSBehindProxy(t *testing.T) {
	id := newIdentity(t)
	headers := make(chan transport.ProxyHeader, 10)
	prepare := func(s *server) {
		config := id.server()
		config.NextProtos = []string{"http/1.1"}
		var err error
		s.tls, err = transport.NewTLSDoor(transport.TLSOptions{
			Config: func() *tls.Config { return config }, Complete: s.e.Complete, Pool: s.pool,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	inner, _ := accepting(func(p *packets) { p.echo = true })
	accept := func(s *server, c loop.Conn) loop.Handler {
		return transport.NewProxy(func(h transport.ProxyHeader) loop.Handler {
			headers <- h
			return s.tls.TLS(c, func(c loop.Conn, _ *tls.ConnectionState) loop.Handler { return inner(s, c) }, nil)
		}, nil)
	}
	lim := loop.Limits{OutputBytesMax: 64 << 20}
	eachEngineWith(t, lim, prepare, accept, func(s *server) {
		dial := func(_ context.Context, _, _ string) (net.Conn, error) {
			raw := (&secured{server: s}).raw()
			from, to := net.TCPAddrFromAddrPort(fromTo.Source), net.TCPAddrFromAddrPort(fromTo.Destination)
			header, err := proxyproto.HeaderProxyFromAddrs(2, from, to).Format()
			if err != nil {
				return nil, err
			}
			_, err = raw.Write(header)
			return raw, err
		}
		hc := &http.Client{Transport: &http.Transport{DialContext: dial, TLSClientConfig: id.client()}}
		c, _, err := websocket.Dial(s.t.Context(), "wss://broker.example/mqtt",
			&websocket.DialOptions{HTTPClient: hc, Subprotocols: []string{"mqtt"}})
		if err != nil {
			s.t.Fatal(err)
		}
		defer func() { _ = c.CloseNow() }()
		c.SetReadLimit(-1)
		if h := wait(s.t, headers, "the header"); h != versioned(fromTo, []byte{0x0d}) {
			s.t.Errorf("header %+v", h)
		}
		r := mathrand.New(mathrand.NewSource(3))
		all := randomPackets(r, 1000, 60_000)
		wrote := make(chan error, 1)
		go func() { wrote <- writeSliced(s.t.Context(), r, c, all) }()
		var got []byte
		for len(got) < len(all) {
			_, b, err := c.Read(s.t.Context())
			if err != nil {
				s.t.Fatal(err)
			}
			got = append(got, b...)
		}
		if string(got) != string(all) {
			s.t.Fatal("the bytes differ")
		}
		go func() { _, _, _ = c.Read(s.t.Context()) }() // for the pong of a last ping
		if err := wait(s.t, wrote, "the writer"); err != nil {
			s.t.Fatal(err)
		}
	})
}

// Other connections are served between the key updates of one that sends nothing else.
func TestTLSManyKeyUpdatesTakeManyPasses(t *testing.T) {
	eachTLS(t, tlsOptions{}, func(s *secured) {
		c := s.client13()
		go func() { _, _ = io.Copy(io.Discard, c.conn) }()
		p := wait(s.t, s.handlers, "accept")
		const rounds = 1000
		var b []byte
		for i := range rounds {
			if b = c.keyUpdate(b); i%10 == 9 { // more than 16 in a row are too many for crypto/tls
				b = c.record(b, 23, packet("between"))
			}
		}
		var passes uint64
		s.on(func() { passes = s.e.Stats().Passes })
		if _, err := c.conn.Write(b); err != nil {
			s.t.Fatal(err)
		}
		s.until("all has come", func() bool { return len(p.got) == rounds/10 })
		if s.on(func() { passes = s.e.Stats().Passes - passes }); passes < rounds/64 {
			s.t.Errorf("%d passes", passes)
		}
	})
}
