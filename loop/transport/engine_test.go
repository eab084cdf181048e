package transport_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"
	"github.com/pires/go-proxyproto"

	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/internal/testkit"
	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/loop/transport"
)

// patience is how long a test waits for what must happen before it calls it lost.
const patience = 20 * time.Second

// server is a running engine with one listener.
type server struct {
	t    *testing.T
	e    loop.Engine
	door *transport.Door
	tls  *transport.TLSDoor // where a test has one
	pool *buf.Pool
	addr string
	end  chan error
}

// eachEngine serves with every engine of the platform. When the test ends, all memory must have been given back.
func eachEngine(t *testing.T, lim loop.Limits, accept func(*server, loop.Conn) loop.Handler, test func(*server)) {
	t.Helper()
	eachEngineWith(t, lim, func(*server) {}, accept, test)
}

// eachEngineWith has prepare called before anything runs.
func eachEngineWith(t *testing.T, lim loop.Limits, prepare func(*server), accept func(*server, loop.Conn) loop.Handler,
	test func(*server),
) {
	for _, kind := range loop.Kinds() {
		t.Run(kind, func(t *testing.T) {
			s := &server{t: t, pool: buf.NewPool(0), end: make(chan error, 1)}
			s.door = newDoor(t, transport.Options{Pool: s.pool})
			var err error
			s.e, err = loop.New(kind, loop.Options{
				Listeners: []loop.Listener{{Name: "ws", Network: "tcp", Address: "127.0.0.1:0"}}, Limits: lim, Pool: s.pool,
			})
			if err != nil {
				t.Fatal(err)
			}
			prepare(s)
			ready := make(chan string, 1)
			go func() {
				s.end <- s.e.Run(loop.Hooks{
					Serving: func(s []*loop.Socket) { ready <- s[0].Addr().String() },
					Accept:  func(c loop.Conn, _ loop.Peer) loop.Handler { return accept(s, c) },
					EndPass: func() int64 {
						if s.tls != nil {
							s.tls.Flush()
						}
						return 0
					},
				})
			}()
			s.addr = wait(t, ready, "Serving")
			t.Cleanup(s.stop)
			test(s)
		})
	}
}

func (s *server) stop() {
	s.e.Stop(time.Millisecond)
	s.e.Stop(0)
	if err := wait(s.t, s.end, "the end of Run"); err != nil {
		s.t.Error(err)
	}
	if n := s.pool.InUse(); n != 0 {
		s.t.Errorf("%d bytes of the pool not given back", n)
	}
}

// on runs f on the loop and waits for it.
func (s *server) on(f func()) {
	s.t.Helper()
	done := make(chan bool, 1)
	s.e.Complete(func() { f(); done <- true })
	wait(s.t, done, "a function on the loop")
}

// until polls a condition on the loop.
func (s *server) until(what string, cond func() bool) {
	s.t.Helper()
	testkit.Until(s.t, what, func() (ok bool) {
		s.on(func() { ok = cond() })
		return ok
	})
}

func wait[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	return testkit.Receive(t, ch, what)
}

// dial connects a client that others use.
func (s *server) dial(subprotocols ...string) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+s.addr+"/mqtt", &websocket.DialOptions{Subprotocols: subprotocols})
	if err == nil {
		c.SetReadLimit(-1)
		s.t.Cleanup(func() { _ = c.CloseNow() })
	}
	return c, err
}

func (s *server) mustDial() *websocket.Conn {
	s.t.Helper()
	c, err := s.dial("mqtt")
	if err != nil {
		s.t.Fatal(err)
	}
	if c.Subprotocol() != "mqtt" {
		s.t.Fatalf("subprotocol %q", c.Subprotocol())
	}
	return c
}

// accepting returns an accept function for WebSockets, and the channel of the handlers that it makes.
func accepting(prepare func(*packets)) (func(*server, loop.Conn) loop.Handler, chan *packets) {
	handlers := make(chan *packets, 64)
	return func(s *server, c loop.Conn) loop.Handler {
		return s.door.WebSocket(c, func(c loop.Conn, _ *transport.Request) loop.Handler {
			p := &packets{c: c}
			if prepare != nil {
				prepare(p)
			}
			handlers <- p
			return p
		}, nil)
	}, handlers
}

// randomPackets returns packets of up to largest bytes.
func randomPackets(r *rand.Rand, count, largest int) (all []byte) {
	for range count {
		size := r.Intn(100)
		if r.Intn(20) == 0 {
			size = r.Intn(largest)
		}
		body := make([]byte, size)
		r.Read(body)
		all = append(all, packet(string(body))...)
	}
	return all
}

// writeSliced writes all as messages of random length, in one frame or several, with pings among them.
func writeSliced(ctx context.Context, r *rand.Rand, c *websocket.Conn, all []byte) error {
	for len(all) > 0 {
		n := min(1+r.Intn(1+r.Intn(20_000)), len(all))
		w, err := c.Writer(ctx, websocket.MessageBinary)
		if err != nil {
			return err
		}
		for _, part := range [][]byte{all[:n/3], all[n/3 : n]} {
			if _, err := w.Write(part); err != nil {
				return err
			}
		}
		if err := w.Close(); err != nil {
			return err
		}
		all = all[n:]
		if r.Intn(10) == 0 {
			if err := c.Ping(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func TestEchoWithAnotherClient(t *testing.T) {
	accept, _ := accepting(func(p *packets) { p.echo = true })
	lim := loop.Limits{OutputBytesMax: 64 << 20}
	eachEngine(t, lim, accept, func(s *server) {
		r := rand.New(rand.NewSource(1))
		all := randomPackets(r, 2000, 65_535)
		c := s.mustDial()
		ctx, cancel := context.WithTimeout(s.t.Context(), patience)
		defer cancel()
		wrote := make(chan error, 1)
		go func() { wrote <- writeSliced(ctx, r, c, all) }()
		var got []byte
		for len(got) < len(all) {
			kind, b, err := c.Read(ctx)
			if err != nil || kind != websocket.MessageBinary {
				s.t.Fatalf("after %d of %d bytes: kind %v, %v", len(got), len(all), kind, err)
			}
			got = append(got, b...)
		}
		go func() { _, _, _ = c.Read(ctx) }() // for the pong of a last ping
		if err := wait(s.t, wrote, "the writer"); err != nil {
			s.t.Fatal(err)
		}
		if !bytes.Equal(got, all) {
			s.t.Fatal("the bytes differ")
		}
		if s.on(func() {}); s.door.Stats().ProtocolErrors != 0 {
			s.t.Error("protocol errors counted")
		}
	})
}

// What a WebSocket publishes is passed on to others as views of the engine's memory, in which it was unmasked.
func TestViewsOfUnmaskedBytesReachOthers(t *testing.T) {
	raw := make(chan loop.Conn, 1)
	other := loop.Conn(nil)
	accept := func(s *server, c loop.Conn) loop.Handler {
		if other == nil {
			other = c
			raw <- c
			return &quietHandler{}
		}
		return s.door.WebSocket(c, func(loop.Conn, *transport.Request) loop.Handler {
			return &packets{c: other, echo: true} // echoes to the other one
		}, nil)
	}
	eachEngine(t, loop.Limits{ReadBytes: 5000, ArenaBytes: 20_000, OutputBytesMax: 64 << 20}, accept, func(s *server) {
		s.t.Cleanup(func() { other = nil })
		reader, err := net.Dial("tcp", s.addr)
		if err != nil {
			s.t.Fatal(err)
		}
		defer reader.Close()
		_ = reader.SetDeadline(time.Now().Add(patience))
		wait(s.t, raw, "the raw connection")
		r := rand.New(rand.NewSource(2))
		all := randomPackets(r, 2000, 30_000)
		c := s.mustDial()
		ctx := c.CloseRead(s.t.Context())
		wrote := make(chan error, 1)
		go func() { wrote <- writeSliced(ctx, r, c, all) }()
		got := make([]byte, len(all))
		if _, err := io.ReadFull(reader, got); err != nil {
			s.t.Fatal(err)
		}
		if !bytes.Equal(got, all) {
			s.t.Fatal("the bytes differ")
		}
		if err := wait(s.t, wrote, "the writer"); err != nil {
			s.t.Fatal(err)
		}
	})
}

func TestResumeHandsOverTheKeptPackets(t *testing.T) {
	accept, handlers := accepting(func(p *packets) { p.perCall, p.pauses = 1, true })
	eachEngine(t, loop.Limits{}, accept, func(s *server) {
		c := s.mustDial()
		p := wait(s.t, handlers, "accept")
		one := join(packet("a"), packet("b"), packet("c"))
		if err := c.Write(s.t.Context(), websocket.MessageBinary, one); err != nil {
			s.t.Fatal(err)
		}
		s.until("the first packet is taken", func() bool { return len(p.got) == 1 })
		for want := 2; want <= 3; want++ { // nothing more is sent
			s.on(func() { p.c.Resume() })
			s.until("another packet is taken", func() bool { return len(p.got) == want })
		}
		s.on(func() { p.c.Resume() })
		if err := c.Write(s.t.Context(), websocket.MessageBinary, packet("d")); err != nil {
			s.t.Fatal(err)
		}
		s.until("the new packet is taken", func() bool { return strings.Join(p.got, "") == "abcd" })
	})
}

func TestSlowReaderIsRefusedInWholeFrames(t *testing.T) {
	accept, handlers := accepting(nil)
	eachEngine(t, loop.Limits{OutputBytesMax: 100_000, OutputLowBytes: 10_000}, accept, func(s *server) {
		c := s.mustDial()
		p := wait(s.t, handlers, "accept")
		frames := [][]byte{bytes.Repeat([]byte("s"), 100), bytes.Repeat([]byte("l"), 2000)}
		sent, drained := 0, 0
		s.until("the limit is reached", func() bool {
			for range 1000 {
				if !p.c.Send(frames[sent%2]) {
					drained = p.drained
					return true
				}
				sent++
			}
			return false
		})
		for i := range sent {
			_, b, err := c.Read(s.t.Context())
			if err != nil || !bytes.Equal(b, frames[i%2]) {
				s.t.Fatalf("message %d: %.10q (%d), %v", i, b, len(b), err)
			}
		}
		s.until("Drained is called", func() bool { return p.drained > drained })
	})
}

func TestEitherSideCloses(t *testing.T) {
	accept, handlers := accepting(nil)
	eachEngine(t, loop.Limits{}, accept, func(s *server) {
		for _, row := range []struct {
			close func(c *websocket.Conn, p *packets)
			want  websocket.StatusCode // that the client hears, -1 for none
			heard error                // by the handler
		}{
			{func(c *websocket.Conn, _ *packets) { c.Close(websocket.StatusNormalClosure, "bye") }, -1, io.EOF},
			{func(c *websocket.Conn, _ *packets) { _ = c.CloseNow() }, -1, io.EOF},
			{func(_ *websocket.Conn, p *packets) { s.on(func() { p.c.Close(nil) }) }, websocket.StatusNormalClosure, nil},
			{
				func(_ *websocket.Conn, p *packets) { s.on(func() { p.c.Close(loop.ErrStopped) }) },
				websocket.StatusGoingAway, loop.ErrStopped,
			},
		} {
			c := s.mustDial()
			p := wait(s.t, handlers, "accept")
			row.close(c, p)
			if row.want != -1 {
				_, _, err := c.Read(s.t.Context())
				if got := websocket.CloseStatus(err); got != row.want {
					s.t.Errorf("client heard %v (%v), want %v", got, err, row.want)
				}
			}
			s.until("Closed is called", func() bool { return len(p.closed) == 1 })
			if s.on(func() {}); !errors.Is(p.closed[0], row.heard) {
				s.t.Errorf("handler heard %v, want %v", p.closed[0], row.heard)
			}
		}
	})
}

func TestClientsThatAreRefused(t *testing.T) {
	accept, handlers := accepting(nil)
	eachEngine(t, loop.Limits{}, accept, func(s *server) {
		if _, err := s.dial("chat"); err == nil || !strings.Contains(err.Error(), "got 400") {
			s.t.Errorf("subprotocol chat: %v", err)
		}
		c, err := s.dial("chat", "mqttv3.1")
		if err != nil || c.Subprotocol() != "mqttv3.1" {
			s.t.Fatalf("subprotocol mqttv3.1: %v", err)
		}
		wait(s.t, handlers, "accept")
		if err := c.Write(s.t.Context(), websocket.MessageText, []byte("hello")); err != nil {
			s.t.Fatal(err)
		}
		if _, _, err = c.Read(s.t.Context()); websocket.CloseStatus(err) != websocket.StatusUnsupportedData {
			s.t.Errorf("after text the client heard %v, want 1003", err)
		}
		// The whole of the answer arrives, although more was sent than was read.
		long, err := net.Dial("tcp", s.addr)
		if err != nil {
			s.t.Fatal(err)
		}
		defer long.Close()
		_ = long.SetDeadline(time.Now().Add(patience))
		if _, err := long.Write([]byte("GET /" + strings.Repeat("x", 20_000))); err != nil {
			s.t.Fatal(err)
		}
		if b, err := io.ReadAll(long); err != nil || !bytes.HasPrefix(b, []byte("HTTP/1.1 431 ")) {
			s.t.Errorf("to a long request: %q, %v", b, err)
		}
	})
}

func TestWebSocketBehindProxy(t *testing.T) {
	headers := make(chan transport.ProxyHeader, 1)
	inner, handlers := accepting(func(p *packets) { p.echo = true })
	accept := func(s *server, c loop.Conn) loop.Handler {
		return transport.NewProxy(func(h transport.ProxyHeader) loop.Handler {
			headers <- h
			return inner(s, c)
		}, nil)
	}
	eachEngine(t, loop.Limits{}, accept, func(s *server) {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			s.t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		from, to := net.TCPAddrFromAddrPort(fromTo.Source), net.TCPAddrFromAddrPort(fromTo.Destination)
		header, err := proxyproto.HeaderProxyFromAddrs(2, from, to).Format()
		if err != nil {
			s.t.Fatal(err)
		}
		all := join(header, []byte(request), masked(binaryFrame, packet("hello")))
		for _, part := range [][]byte{all[:20], all[20:100], all[100:]} {
			if _, err := c.Write(part); err != nil {
				s.t.Fatal(err)
			}
		}
		if h := wait(s.t, headers, "the header"); h != versioned(fromTo, []byte{0x0d}) {
			s.t.Errorf("header %+v", h)
		}
		got := make([]byte, len(response)+9)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != response+"\x82\x07\x00\x05hello" {
			s.t.Fatalf("got %q, %v", got, err)
		}
		wait(s.t, handlers, "accept")
		if _, err := c.Write(masked(closeFrame, ws.NewCloseFrameBody(1000, "done"))); err != nil {
			s.t.Fatal(err)
		}
		if rest, err := io.ReadAll(c); err != nil || string(rest) != "\x88\x02\x03\xe8" {
			s.t.Fatalf("at the end %q, %v", rest, err)
		}
	})
}
