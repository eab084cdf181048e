package router_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/internal/testkit"
	"github.com/loopmq/loopmq/router"
)

// world is a router with a clock of its own and connections in memory.
type world struct {
	t      *testing.T
	r      *router.Router
	now    int64
	wake   int64
	conns  []*fakeConn
	events []router.Event
	remote netip.AddrPort // of whoever dials

	listener *router.Listener // of new connections
}

func newWorld(t *testing.T, l router.Limits) *world {
	return newWorldOf(t, router.Config{Limits: l, ResponsePrefix: "resp/"})
}

func newWorldOf(t *testing.T, cfg router.Config) *world {
	w := &world{t: t, now: 1, listener: &router.Listener{Name: "test"}}
	if cfg.Limits.KeepAliveMax == 0 { // who asks for no keep alive has none, in 5.0 as well
		cfg.Limits.KeepAliveMax = 24 * time.Hour
	}
	seed := uint64(0)
	cfg.Rand = func() uint64 { seed++; return seed * 7919 }
	cfg.Events = func(e *router.Event) { w.events = append(w.events, *e) }
	w.r = router.New(cfg)
	t.Cleanup(w.check)
	return w
}

func (w *world) check() {
	if err := w.r.CheckInvariants(); err != nil {
		w.t.Errorf("invariant broken: %v", err)
	}
	if err := w.r.CheckLots(); err != nil {
		w.t.Errorf("lots: %v", err)
	}
}

// pass runs f as one pass of a loop, reaps what was closed and checks all
// state.
func (w *world) pass(f func()) {
	w.t.Helper()
	w.r.BeginPass(w.now)
	f()
	w.wake = w.r.EndPass()
	for i := 0; i < len(w.conns); i++ {
		c := w.conns[i]
		if c.closing && !c.reaped {
			c.reaped = true
			c.handler.Closed(c.why)
		}
	}
	w.check()
}

// sleep moves the clock and runs what is due.
func (w *world) sleep(seconds float64) {
	w.now += int64(seconds * 1e9)
	w.pass(func() {})
}

// settle runs passes until the router wants no more.
func (w *world) settle() {
	for range 100_000 {
		w.pass(func() {})
		if w.wake == 0 || w.wake > w.now {
			return
		}
	}
	w.t.Fatal("the router does not come to rest")
}

// fakeConn is a connection in memory.
type fakeConn struct {
	w       *world
	id      uint64
	handler *router.Client
	out     []byte
	tail    []byte
	limit   int // bytes of output taken; 0 = any
	why     error
	closing bool
	reaped  bool
	refused bool
	resumed int    // calls of Resume
	asked   int    // calls of Taken
	sent    uint64 // bytes, ever
	five    bool   // of a random visitor: speaks 5.0
}

func (w *world) dial() *fakeConn {
	c := &fakeConn{w: w, id: uint64(len(w.conns) + 1)}
	w.conns = append(w.conns, c)
	w.pass(func() { c.handler = w.r.Attach(c, router.Peer{Listener: w.listener, Remote: w.remote}) })
	return c
}

func (c *fakeConn) ID() uint64    { return c.id }
func (c *fakeConn) Queued() int   { return len(c.out) }
func (c *fakeConn) Taken() uint64 { c.asked++; return c.sent - uint64(len(c.out)) }
func (c *fakeConn) Pause()        {}
func (c *fakeConn) Resume()       { c.resumed++ }
func (c *fakeConn) Close(why error) {
	if !c.closing {
		c.closing, c.why = true, why
	}
}

func (c *fakeConn) put(extra int, parts ...[]byte) bool {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if c.closing {
		return false
	}
	if c.limit > 0 && len(c.out) > 0 && len(c.out)+n > c.limit+extra {
		c.refused = true
		return false
	}
	for _, p := range parts {
		c.out = append(c.out, p...)
		c.sent += uint64(len(p))
	}
	return true
}

func (c *fakeConn) Send(f []byte) bool                      { return c.put(0, f) }
func (c *fakeConn) SendView(f []byte) bool                  { return c.put(0, f) }
func (c *fakeConn) SendControl(f []byte) bool               { return c.put(1<<10, f) }
func (c *fakeConn) SendShared(head []byte, b *buf.Ref) bool { return c.put(0, head, b.Bytes()) }

func bytesOf(t *testing.T, s string) []byte {
	t.Helper()
	return testkit.Bytes(s)
}

// send hands bytes to the router in one pass.
func (c *fakeConn) send(s string) {
	c.w.t.Helper()
	c.feed(bytesOf(c.w.t, s))
}

func (c *fakeConn) feed(b []byte) {
	c.w.t.Helper()
	c.w.pass(func() {
		if c.closing {
			return
		}
		view := append(c.tail, b...)
		used, err := c.handler.Data(view)
		c.tail = bytes.Clone(view[used:])
		if err != nil {
			c.Close(err)
		}
	})
}

// take returns what was sent and makes room.
func (c *fakeConn) take() []byte {
	c.w.t.Helper()
	out := c.out
	c.out = nil
	if c.refused && !c.closing {
		c.refused = false
		c.w.pass(c.handler.Drained)
	}
	return out
}

// expect takes the output, which must be exactly these bytes.
func (c *fakeConn) expect(s string) {
	c.w.t.Helper()
	want := bytesOf(c.w.t, s)
	if got := c.take(); !bytes.Equal(got, want) {
		c.w.t.Fatalf("connection %d:\n got  % x  %q\n want % x  %q", c.id, got, got, want, want)
	}
}

func (c *fakeConn) expectClosed() {
	c.w.t.Helper()
	if !c.closing {
		c.w.t.Fatalf("connection %d is still open", c.id)
	}
}

// reset ends the connection from the peer's side.
func (c *fakeConn) reset() {
	c.w.t.Helper()
	c.w.pass(func() { c.Close(fmt.Errorf("reset by peer")) })
}

// connect dials and sends a 3.1.1 CONNECT with a one-letter client identifier.
func (w *world) connect(id string, clean bool) *fakeConn {
	w.t.Helper()
	c := w.dial()
	flags := "00"
	if clean {
		flags = "02"
	}
	c.send(fmt.Sprintf("10 %02x 00 04 'MQTT' 04 %s 00 00 %04x '%s'", 12+len(id), flags, len(id), id))
	return c
}
