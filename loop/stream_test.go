package loop_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/loop"
)

func TestEcho(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		accept, handlers := accepting(echoing)
		s := serve(t, kind, config{}, accept)
		c := s.dial()
		for i := range 100 {
			text := fmt.Appendf(nil, "hello %d", i)
			mustWrite(t, c, text)
			if got := mustRead(t, c, len(text)); !bytes.Equal(got, text) {
				t.Fatalf("got %q, want %q", got, text)
			}
		}
		c.Close()
		if why := wait(t, handlers, "Accept").wasClosed(t); why != io.EOF {
			t.Fatalf("closed because of %v, want EOF", why)
		}
	})
}

func TestPeerIsNamed(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		peers := make(chan loop.Peer, 1)
		s := serve(t, kind, config{hooks: loop.Hooks{Accept: func(c loop.Conn, from loop.Peer) loop.Handler {
			peers <- from
			return newHandler(c)
		}}}, nil)
		c := s.dial()
		p := wait(t, peers, "Accept")
		if p.Listener != "mqtt" || p.Remote.String() != c.LocalAddr().String() || p.Local.String() != c.RemoteAddr().String() {
			t.Fatalf("got %v, want mqtt, %v, %v", p, c.LocalAddr(), c.RemoteAddr())
		}
	})
}

// relaying forwards each whole frame of the first connection to all later ones with send. It is slowed down by whoever
// takes less than it gets: the frame stays unconsumed until there is room.
type relaying struct {
	to   []loop.Conn
	from loop.Conn
	send func(c loop.Conn, frame []byte) bool
}

func (r *relaying) accept(c loop.Conn) loop.Handler {
	h := newHandler(c)
	if r.from == nil {
		r.from = c
		h.data = r.data
		return h
	}
	r.to = append(r.to, c)
	h.drained = func() { r.from.Resume() }
	return h
}

func (r *relaying) data(view []byte) (used int, err error) {
	for {
		f := nextFrame(view[used:])
		if f == nil {
			return used, nil
		}
		for i, c := range r.to {
			if !r.send(c, f) {
				if i > 0 {
					return used, errors.New("only some had room: make the output limit larger")
				}
				r.from.Pause()
				return used, nil
			}
		}
		used += len(f)
	}
}

// joined connects the one who sends, and so many readers.
func (r *relaying) joined(s *server, readers int) (source *net.TCPConn, conns []*net.TCPConn) {
	s.t.Helper()
	source = s.dial()
	s.until("the source is accepted", func() bool { return r.from != nil })
	for range readers {
		conns = append(conns, s.dial())
	}
	s.until("the readers are accepted", func() bool { return len(r.to) == readers })
	return source, conns
}

// relayTest sends frames through an engine to several readers and compares every byte.
func relayTest(t *testing.T, kind string, lim loop.Limits, readers int, frames []byte, send func(loop.Conn, []byte) bool) loop.Stats {
	t.Helper()
	r := &relaying{send: send}
	s := serve(t, kind, config{options: loop.Options{Limits: lim}}, r.accept)
	source, conns := r.joined(s, readers)
	var all sync.WaitGroup
	for i, c := range conns {
		all.Go(func() {
			got := make([]byte, len(frames))
			if n, err := io.ReadFull(c, got); err != nil {
				t.Errorf("reader %d: %d of %d bytes: %v", i, n, len(got), err)
			} else if !bytes.Equal(got, frames) {
				t.Errorf("reader %d: bytes differ from %d on", i, firstDifference(got, frames))
			}
		})
	}
	for rest := frames; len(rest) > 0; { // in uneven pieces
		n := min(len(rest), 1+len(rest)*7919%100_003)
		mustWrite(t, source, rest[:n])
		rest = rest[n:]
	}
	all.Wait()
	var st loop.Stats
	s.on(func() { st = *s.e.Stats() })
	return st
}

func firstDifference(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}

var sendings = map[string]func(p *buf.Pool) func(loop.Conn, []byte) bool{
	"Send":     func(*buf.Pool) func(loop.Conn, []byte) bool { return loop.Conn.Send },
	"SendView": func(*buf.Pool) func(loop.Conn, []byte) bool { return loop.Conn.SendView },
	"SendShared": func(p *buf.Pool) func(loop.Conn, []byte) bool {
		return func(c loop.Conn, f []byte) bool {
			body := p.NewRef(f[4:])
			defer body.Release()
			return c.SendShared(f[:4], body)
		}
	},
	"mixed": func(*buf.Pool) func(loop.Conn, []byte) bool {
		n := 0
		return func(c loop.Conn, f []byte) bool {
			if n++; n%3 == 0 {
				return c.Send(f)
			}
			return c.SendView(f)
		}
	},
}

func TestRelayOneToOneWithBackPressure(t *testing.T) {
	frames := randomFrames(1, 8<<20, 300_000)
	limits := map[string]loop.Limits{
		"default": {},
		"tiny":    {OutputBytesMax: 3000, OutputLowBytes: 1000, ReadBytes: 1000, ArenaBytes: 4000},
	}
	eachEngine(t, func(t *testing.T, kind string) {
		for name, lim := range limits {
			for how, send := range sendings {
				t.Run(name+"/"+how, func(t *testing.T) {
					relayTest(t, kind, lim, 1, frames, send(buf.NewPool(0)))
				})
			}
		}
	})
}

func TestFanOutBytesSurviveTheArena(t *testing.T) {
	frames := randomFrames(2, 3<<20, 100_000)
	lim := loop.Limits{OutputBytesMax: 1 << 30, ReadBytes: 2000, ArenaBytes: 9000}
	eachEngine(t, func(t *testing.T, kind string) {
		for how, send := range sendings {
			t.Run(how, func(t *testing.T) {
				st := relayTest(t, kind, lim, 20, frames, send(buf.NewPool(0)))
				if st.OutputsRefused != 0 {
					t.Errorf("%d sends refused", st.OutputsRefused)
				}
			})
		}
	})
}

func TestLargeTransferBothWays(t *testing.T) {
	data := randomFrames(3, 20<<20, 5000)
	eachEngine(t, func(t *testing.T, kind string) {
		accept, _ := accepting(func(h *handler) {
			h.data = func(view []byte) (int, error) {
				if !h.c.SendView(view) {
					h.c.Pause()
					return 0, nil
				}
				return len(view), nil
			}
			h.drained = func() { h.c.Resume() }
		})
		s := serve(t, kind, config{}, accept)
		c := s.dial()
		go func() { _, _ = c.Write(data) }()
		if got := mustRead(t, c, len(data)); !bytes.Equal(got, data) {
			t.Fatalf("bytes differ from %d on", firstDifference(got, data))
		}
	})
}

func TestHalfClosedPeerIsAnswered(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		accept, handlers := accepting(echoing)
		s := serve(t, kind, config{}, accept)
		c := s.dial()
		mustWrite(t, c, []byte("last words"))
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if err != nil || string(got) != "last words" {
			t.Fatalf("got %q, %v; want the echo and then EOF", got, err)
		}
		if why := wait(t, handlers, "Accept").wasClosed(t); why != io.EOF {
			t.Fatalf("closed because of %v, want EOF", why)
		}
	})
}

func TestResetPeer(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		accept, handlers := accepting(nil)
		s := serve(t, kind, config{}, accept)
		c := s.dial()
		h := wait(t, handlers, "Accept")
		if err := c.SetLinger(0); err != nil {
			t.Fatal(err)
		}
		c.Close()
		if why := h.wasClosed(t); !errors.Is(why, syscall.ECONNRESET) {
			t.Fatalf("closed because of %v, want connection reset", why)
		}
	})
}

func TestCloseFlushesThenCallsClosedOnce(t *testing.T) {
	errWhy := errors.New("protocol error")
	eachEngine(t, func(t *testing.T, kind string) {
		for name, end := range map[string]func(h *handler) error{
			"Close": func(h *handler) error { h.c.Close(errWhy); h.c.Close(errors.New("second")); return nil },
			"Data":  func(*handler) error { return errWhy },
		} {
			t.Run(name, func(t *testing.T) {
				calls := 0
				accept, handlers := accepting(func(h *handler) {
					h.data = func(view []byte) (int, error) {
						calls++
						h.c.Send([]byte("goodbye"))
						err := end(h)
						if h.c.Send([]byte("too late")) != (err != nil) { // Data has not returned its error yet
							t.Error("Send after Close was accepted")
						}
						return len(view), err
					}
				})
				s := serve(t, kind, config{}, accept)
				c := s.dial()
				mustWrite(t, c, bytes.Repeat([]byte("x"), 200_000)) // more than one read: the rest must not reset us
				got, err := io.ReadAll(c)
				if want := "goodbye"; err != nil && kind == "epoll" || !bytes.HasPrefix(got, []byte(want)) {
					t.Fatalf("got %q, %v; want %q", got, err, want)
				}
				h := wait(t, handlers, "Accept")
				if why := h.wasClosed(t); why != errWhy {
					t.Fatalf("closed because of %v, want %v", why, errWhy)
				}
				s.stop()
				if len(h.closed) != 0 || calls != 1 {
					t.Fatalf("Closed called %d times more, Data %d times", len(h.closed), calls)
				}
			})
		}
	})
}

func TestAcceptMayRefuse(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		s := serve(t, kind, config{}, func(c loop.Conn) loop.Handler {
			c.Send([]byte("busy"))
			return nil
		})
		if got, err := io.ReadAll(s.dial()); err != nil || string(got) != "busy" {
			t.Fatalf("got %q, %v; want busy and EOF", got, err)
		}
		s.until("the refusal is counted", func() bool { st := s.e.Stats(); return st.Refused == 1 && st.Conns == 0 })
	})
}

func TestConnectionLimit(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		accept, handlers := accepting(echoing)
		s := serve(t, kind, config{options: loop.Options{Limits: loop.Limits{ConnsMax: 2}}}, accept)
		first, _ := s.dial(), s.dial()
		h := wait(t, handlers, "the first")
		wait(t, handlers, "the second")
		if _, err := s.dial().Read(make([]byte, 1)); err == nil {
			t.Fatal("the third was served")
		}
		first.Close()
		h.wasClosed(t)
		s.until("a place is free", func() bool { return s.e.Stats().Conns == 1 })
		c := s.dial()
		mustWrite(t, c, []byte("x"))
		mustRead(t, c, 1)
	})
}

// A peer that says something and is gone while we write to it must still be heard: for MQTT it may have been DISCONNECT.
func TestInputBeforeAFailedWriteIsHeard(t *testing.T) {
	if loop.Kinds()[0] != "epoll" {
		return // evio closes on the failed write; its doc says so
	}
	var heard bytes.Buffer
	accept, handlers := accepting(func(h *handler) {
		h.data = func(view []byte) (int, error) { heard.Write(view); return len(view), nil }
	})
	s := serve(t, "epoll", config{options: loop.Options{Limits: loop.Limits{OutputBytesMax: 2, OutputLowBytes: 1}}}, accept)
	c := s.dial()
	h := wait(t, handlers, "Accept")
	gone := make(chan struct{})
	s.e.Complete(func() {
		<-gone // the peer speaks and leaves while the loop is away
		for range 4 {
			h.c.Send([]byte("ab")) // over the limit: written at once; the first brings the reset, the next one fails
		}
	})
	mustWrite(t, c, []byte("disconnect"))
	c.Close()
	close(gone)
	why := h.wasClosed(t)
	if heard.String() != "disconnect" || why == io.EOF {
		t.Fatalf("heard %q before %v, want disconnect before the failed write", heard.String(), why)
	}
}

func TestListensOnSeveralAddresses(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		accept, handlers := accepting(echoing)
		s := serve(t, kind, config{options: loop.Options{Listeners: []loop.Listener{
			{Name: "a", Network: "tcp", Address: "127.0.0.1:0"},
			{Name: "b", Network: "tcp", Address: ":0"},
			{Name: "c", Network: "tcp4", Address: "127.0.0.1:0"},
		}}}, accept)
		for _, a := range s.addrs {
			_, port, _ := net.SplitHostPort(a.String())
			c, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err != nil {
				t.Fatal(err)
			}
			mustWrite(t, c, []byte("x"))
			mustRead(t, c, 1)
			c.Close()
			wait(t, handlers, "Accept").wasClosed(t)
		}
	})
}

// What one connection sends to another must not wait for the next event or tick of the engine.
func TestRelayIsPrompt(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		r := &relaying{send: loop.Conn.SendView}
		s := serve(t, kind, config{}, r.accept)
		from, to := r.joined(s, 3)
		f := frame([]byte("ping"))
		slow := 0
		for range 500 {
			begin := time.Now()
			mustWrite(t, from, f)
			for _, c := range to {
				mustRead(t, c, len(f))
			}
			if time.Since(begin) > 50*time.Millisecond {
				slow++
			}
		}
		if slow > 25 {
			t.Fatalf("%d of 500 messages took longer than 50 ms", slow)
		}
	})
}
