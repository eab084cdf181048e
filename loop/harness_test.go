package loop_test

import (
	"encoding/binary"
	"io"
	"math/rand"
	"net"
	"testing"
	"time"

	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/internal/testkit"
	"github.com/loopmq/loopmq/loop"
)

// patience is how long a test waits for what must happen before it calls it lost.
const patience = 20 * time.Second

// eachEngine runs a test over every engine of the platform.
func eachEngine(t *testing.T, test func(t *testing.T, kind string)) {
	for _, kind := range loop.Kinds() {
		t.Run(kind, func(t *testing.T) { test(t, kind) })
	}
}

// server is a running engine.
type server struct {
	t     *testing.T
	e     loop.Engine
	addrs []net.Addr
	end   chan error
	pool  *buf.Pool
}

// config says what a test wants to differ.
type config struct {
	options loop.Options
	hooks   loop.Hooks
}

// serve starts an engine with one listener; accept makes the handlers. When the test ends, the engine is stopped, and
// must have given every byte of memory back.
func serve(t *testing.T, kind string, cfg config, accept func(loop.Conn) loop.Handler) *server {
	t.Helper()
	s := &server{t: t, end: make(chan error, 1), pool: buf.NewPool(0)}
	o := cfg.options
	o.Pool = s.pool
	if o.Listeners == nil {
		o.Listeners = []loop.Listener{{Name: "mqtt", Network: "tcp", Address: "127.0.0.1:0"}}
	}
	e, err := loop.New(kind, o)
	if err != nil {
		t.Fatal(err)
	}
	s.e = e
	ready := make(chan []net.Addr, 1)
	h := cfg.hooks
	h.Serving = func(sockets []*loop.Socket) { ready <- addrsOf(sockets) }
	if h.Accept == nil {
		h.Accept = func(c loop.Conn, _ loop.Peer) loop.Handler { return accept(c) }
	}
	go func() { s.end <- e.Run(h) }()
	select {
	case s.addrs = <-ready:
	case err := <-s.end:
		t.Fatal("Run:", err)
	case <-time.After(patience):
		t.Fatal("Serving was not called")
	}
	t.Cleanup(s.stop)
	return s
}

// stop ends the engine at once and checks what it leaves behind.
func (s *server) stop() {
	if s.e == nil {
		return
	}
	e := s.e
	s.e = nil
	e.Stop(time.Millisecond)
	e.Stop(0)
	s.ended(e)
}

// ended waits for Run to return.
func (s *server) ended(e loop.Engine) {
	s.t.Helper()
	select {
	case err := <-s.end:
		if err != nil {
			s.t.Errorf("Run: %v", err)
		}
	case <-time.After(patience):
		s.t.Fatal("Run did not return")
	}
	if st := e.Stats(); st.Conns != 0 {
		s.t.Errorf("%d connections left after Run", st.Conns)
	}
	if n := s.pool.InUse(); n != 0 {
		s.t.Errorf("%d bytes of the pool not given back", n)
	}
}

// on runs f on the loop and waits for it.
func (s *server) on(f func()) {
	s.t.Helper()
	done := make(chan struct{})
	s.e.Complete(func() { f(); close(done) })
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

func (s *server) dial() *net.TCPConn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addrs[0].String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn)
}

func wait[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	return testkit.Receive(t, ch, what)
}

// handler is a Handler made of functions. Each may be nil.
type handler struct {
	c       loop.Conn
	data    func(view []byte) (int, error)
	drained func()
	atEnd   func()
	closed  chan error // receives each call of Closed
}

func newHandler(c loop.Conn) *handler { return &handler{c: c, closed: make(chan error, 4)} }

func (h *handler) Data(view []byte) (int, error) {
	if h.data == nil {
		return len(view), nil
	}
	return h.data(view)
}

func (h *handler) Drained() {
	if h.drained != nil {
		h.drained()
	}
}

func (h *handler) Closed(why error) {
	if h.atEnd != nil {
		h.atEnd()
	}
	h.closed <- why
}

// wasClosed returns the reason given to Closed.
func (h *handler) wasClosed(t *testing.T) error {
	t.Helper()
	return wait(t, h.closed, "Closed")
}

// accepting returns an accept function and the channel of the handlers that it makes with make.
func accepting(prepare func(h *handler)) (func(loop.Conn) loop.Handler, chan *handler) {
	handlers := make(chan *handler, 1024)
	return func(c loop.Conn) loop.Handler {
		h := newHandler(c)
		if prepare != nil {
			prepare(h)
		}
		handlers <- h
		return h
	}, handlers
}

// echoing answers every view with itself.
func echoing(h *handler) {
	h.data = func(view []byte) (int, error) {
		h.c.SendView(view)
		return len(view), nil
	}
}

// frame is a length of four bytes and that many bytes.
func frame(body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// nextFrame returns the first whole frame of view with its length, or nil.
func nextFrame(view []byte) []byte {
	if len(view) < 4 {
		return nil
	}
	n := 4 + int(binary.BigEndian.Uint32(view))
	if len(view) < n {
		return nil
	}
	return view[:n]
}

// randomFrames returns about total bytes of frames, a few of them as large as largest.
func randomFrames(seed int64, total, largest int) []byte {
	r := rand.New(rand.NewSource(seed))
	var all []byte
	for len(all) < total {
		size := r.Intn(200)
		if r.Intn(200) == 0 {
			size = r.Intn(largest)
		}
		body := make([]byte, size)
		r.Read(body)
		all = append(all, frame(body)...)
	}
	return all
}

// mustRead reads exactly n bytes.
func mustRead(t *testing.T, r io.Reader, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if got, err := io.ReadFull(r, b); err != nil {
		t.Fatalf("read %d of %d bytes: %v", got, n, err)
	}
	return b
}

func mustWrite(t *testing.T, w io.Writer, b []byte) {
	t.Helper()
	if _, err := w.Write(b); err != nil {
		t.Fatal("write:", err)
	}
}

func addrsOf(sockets []*loop.Socket) (addrs []net.Addr) {
	for _, s := range sockets {
		addrs = append(addrs, s.Addr())
	}
	return addrs
}
