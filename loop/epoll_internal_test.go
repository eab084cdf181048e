//go:build linux

package loop

import (
	"errors"
	"io"
	"math"
	"net"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/loopmq/loopmq/internal/invariant"
)

// stepped is an engine whose passes the test makes itself.
func stepped(t testing.TB) *epoll {
	t.Helper()
	runtime.LockOSThread() // the test is the loop
	e, err := New("epoll", Options{})
	if err != nil {
		t.Fatal(err)
	}
	l := e.(*epoll)
	l.faults = faults{} // whose calls do not fail: these tests count passes
	l.share, l.long = math.MaxInt64, math.MaxInt64
	l.hooks = Hooks{}.withDefaults()
	l.thread = unix.Gettid()
	if err := l.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.shutdown()
		l.release()
		if n := l.pool.InUse(); n != 0 {
			t.Errorf("%d bytes of the pool not given back", n)
		}
		runtime.UnlockOSThread()
	})
	return l
}

// pair connects a handler to l and returns the peer's descriptor.
func pair(t testing.TB, l *epoll) (*scripted, *conn, int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &scripted{}
	l.hooks.Accept = func(c Conn, _ Peer) Handler { s.c = c; return s }
	if len(l.sockets) == 0 {
		l.socketIndex(&Socket{spec: Listener{Name: "pair"}, sys: socketSys{fd: -1}})
	}
	l.admit(l.sockets[0], fds[0], &unix.SockaddrUnix{})
	return s, s.c.(*conn), fds[1]
}

// A is closed and B gets A's descriptor and slot, while an event for A still lies in the batch.
func TestStaleEventReachesNobody(t *testing.T) {
	l := stepped(t)
	a, ca, peerA := pair(t, l)
	defer unix.Close(peerA)
	stale := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLHUP, Fd: int32(ca.slot), Pad: int32(ca.gen)}
	ca.Close(io.EOF)
	l.flush()
	l.reap()
	b, cb, peerB := pair(t, l)
	defer unix.Close(peerB)
	if cb.slot != ca.slot || cb.fd != ca.fd || cb.ID() == ca.ID() {
		t.Fatalf("slot %d fd %d id %x follow slot %d fd %d id %x: not the case to test", cb.slot, cb.fd, cb.ID(), ca.slot, ca.fd, ca.ID())
	}
	unix.Write(peerB, []byte("for B"))
	l.dispatch(&stale)
	if a.datas+b.datas+len(b.closed) != 0 || l.stats.StaleEvents != 1 {
		t.Fatalf("Data of A %d, of B %d, Closed of B %d, stale %d", a.datas, b.datas, len(b.closed), l.stats.StaleEvents)
	}
	l.pass()
	if string(b.got) != "for B" || len(a.closed) != 1 {
		t.Fatalf("B got %q, A closed %d times", b.got, len(a.closed))
	}
	if ca.Send([]byte("x")) || ca.SendControl([]byte("x")) || ca.SendView([]byte("x")) {
		t.Error("a closed connection takes output")
	}
	ca.Pause()
	ca.Resume()
	if l.busy() {
		t.Error("a closed connection makes work")
	}
}

// A handler that pauses because its sends are refused must not keep a connection whose writes have failed: nothing else
// would end it where the socket itself is well, as it is after ENOBUFS.
func TestPauseAfterAFailedWriteCloses(t *testing.T) {
	l := stepped(t)
	s, c, peer := pair(t, l)
	defer unix.Close(peer)
	c.writeFailed(unix.ENOBUFS)
	c.Pause()
	l.pass()
	if len(s.closed) != 1 || s.closed[0] != unix.ENOBUFS {
		t.Fatalf("closed with %v, want ENOBUFS once", s.closed)
	}
}

// Who has gone without waiting for its answers is handed over to the end, also in several turns: for MQTT it matters
// whether there is a DISCONNECT among it. Where the socket itself is well, the end is that nothing more is there.
func TestWhatCameBeforeAFailedWriteIsHandedOver(t *testing.T) {
	for _, want := range []error{unix.EPIPE, unix.ENOBUFS} {
		l := stepped(t)
		s, c, peer := pair(t, l)
		c.h = pieces{s, 1}
		unix.Write(peer, []byte("bye"))
		if want == unix.EPIPE {
			s.data = func(view []byte) {
				s.got = append(s.got, view...)
				if !c.SendControl(view) {
					t.Error("an answer was refused: its reader is gone, not slow")
				}
			}
			unix.Close(peer)
		} else {
			defer unix.Close(peer)
		}
		l.pass()
		if want == unix.ENOBUFS {
			c.writeFailed(unix.ENOBUFS)
		}
		for l.busy() {
			l.pass()
		}
		if string(s.got) != "bye" || len(s.closed) != 1 || s.closed[0] != want {
			t.Errorf("%v: got %q, closed with %v", want, s.got, s.closed)
		}
	}
}

func TestIdleConnectionHoldsNoMemory(t *testing.T) {
	l := stepped(t)
	s, c, peer := pair(t, l)
	defer unix.Close(peer)
	s.data = func(view []byte) { c.SendView(view); c.Send([]byte("more")) }
	unix.Write(peer, []byte("hello"))
	l.pass()
	if c.segs != nil || c.tail != nil || l.pool.InUse() != 0 {
		t.Fatalf("segments %v, tail %v, %d bytes of the pool", c.segs, c.tail, l.pool.InUse())
	}
}

// A byte more, and each connection takes 144.
func TestConnectionFitsItsAllocationClass(t *testing.T) {
	if size := unsafe.Sizeof(conn{}); size > 128 {
		t.Errorf("a connection takes %d bytes, want at most 128", size)
	}
}

func TestAdjacentViewsBecomeOneSegment(t *testing.T) {
	l := stepped(t)
	s, _, peer := pair(t, l)
	defer unix.Close(peer)
	to, cto, reader := pair(t, l)
	defer unix.Close(reader)
	_ = to
	segments := 0
	s.data = func(view []byte) {
		for i := range view {
			if !cto.SendView(view[i : i+1]) {
				t.Error("refused")
			}
		}
		segments = len(cto.segs)
	}
	unix.Write(peer, []byte("one frame a byte"))
	l.pass()
	if segments != 1 {
		t.Fatalf("%d segments, want 1", segments)
	}
	got := make([]byte, 100)
	if n, _ := unix.Read(reader, got); string(got[:n]) != "one frame a byte" {
		t.Fatalf("got %q", got[:n])
	}
}

func TestViewsAreMangledAfterTheFlush(t *testing.T) {
	if !invariant.On {
		return
	}
	l := stepped(t)
	s, c, peer := pair(t, l)
	defer unix.Close(peer)
	var kept []byte
	s.data = func(view []byte) { kept = view; c.SendView(view) }
	unix.Write(peer, []byte{1, 2, 3})
	l.pass()
	if kept[0] != 0xCC || kept[2] != 0xCC {
		t.Fatalf("a view that outlived its pass reads % x", kept)
	}
}

func TestAcceptErrors(t *testing.T) {
	for _, c := range []struct {
		err    error
		goesOn bool
		paused bool
		count  func(*Stats) uint64
	}{
		{unix.EAGAIN, false, false, nil},
		{unix.EINTR, true, false, nil},
		{unix.ECONNABORTED, true, false, func(s *Stats) uint64 { return s.AcceptAborted }},
		{unix.ENOBUFS, false, true, func(s *Stats) uint64 { return s.AcceptNoMemory }},
		{unix.ENOMEM, false, true, func(s *Stats) uint64 { return s.AcceptNoMemory }},
		{unix.ENFILE, false, false, func(s *Stats) uint64 { return s.AcceptNoFiles }}, // nobody waits: nothing to shed
		{errors.New("unheard of"), false, true, func(s *Stats) uint64 { return s.AcceptOther }},
	} {
		l := stepped(t)
		ln, err := listen(Listener{Name: "mqtt", Network: "tcp", Address: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Serve(ln); err != nil {
			t.Fatal(err)
		}
		if got := l.acceptFailed(ln, c.err); got != c.goesOn {
			t.Errorf("%v: goes on %v, want %v", c.err, got, c.goesOn)
		}
		if got := ln.sys.resumeAt != 0; got != c.paused {
			t.Errorf("%v: paused %v, want %v", c.err, got, c.paused)
		}
		if c.count != nil && c.count(&l.stats) != 1 {
			t.Errorf("%v: not counted", c.err)
		}
		if c.err == unix.ENFILE { // and without the reserve
			unix.Close(l.reserve)
			l.reserve = -1
			if l.acceptFailed(ln, c.err) || ln.sys.resumeAt == 0 {
				t.Error("not paused although no connection can be shed")
			}
			l.now = ln.sys.resumeAt
			if l.resumeListeners(); l.reserve < 0 {
				t.Error("the reserve was not taken again")
			}
		}
		if c.paused {
			l.now = ln.sys.resumeAt
			if l.resumeListeners(); ln.sys.resumeAt != 0 {
				t.Errorf("%v: not resumed", c.err)
			}
		}
	}
}

func TestAcceptedSocketsInheritOptions(t *testing.T) {
	l := stepped(t)
	ln, err := listen(Listener{Name: "mqtt", Network: "tcp", Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	l.socketIndex(ln)
	peer, err := net.Dial("tcp", ln.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	s := &scripted{}
	l.hooks.Accept = func(c Conn, _ Peer) Handler { s.c = c; return s }
	l.accept(ln)
	fd := s.c.(*conn).fd
	for _, o := range []struct {
		name               string
		level, option, val int
	}{
		{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 60},
		{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
		{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 4},
	} {
		if got, err := unix.GetsockoptInt(int(fd), o.level, o.option); err != nil || got != o.val {
			t.Errorf("%s is %d, %v; want %d", o.name, got, err, o.val)
		}
	}
}

func TestExplicitIPv6IsOnlyIPv6(t *testing.T) {
	for address, want := range map[string]bool{"[::1]:0": true, "[::]:0": true, ":0": false} {
		sa, only6, err := resolve(Listener{Name: "mqtt", Network: "tcp", Address: address})
		if _, is6 := sa.(*unix.SockaddrInet6); err != nil || !is6 || only6 != want {
			t.Errorf("%s: %v, only IPv6 %v, %v; want %v", address, sa, only6, err, want)
		}
	}
	if sa, _, _ := resolve(Listener{Name: "mqtt", Network: "tcp", Address: "0.0.0.0:1883"}); sa.(*unix.SockaddrInet4).Port != 1883 {
		t.Error("0.0.0.0 is not IPv4")
	}
}

// exchange is one pass of n echoed or fanned out messages, for allocation counts and benchmarks.
type exchange struct {
	l       *epoll
	source  int
	readers []int
	message []byte
	scratch []byte
}

func newEcho(t testing.TB, batch []byte) *exchange {
	l := stepped(t)
	s, c, peer := pair(t, l)
	t.Cleanup(func() { unix.Close(peer) })
	s.data = func(view []byte) { c.SendView(view) }
	return &exchange{l, peer, []int{peer}, batch, make([]byte, 1<<16)}
}

func newFanOut(t testing.TB, readers, size, batch int, send func(to *conn, frame []byte) bool) *exchange {
	l := stepped(t)
	s, _, source := pair(t, l)
	x := &exchange{l, source, nil, make([]byte, size*batch), make([]byte, 1<<16)}
	var to []*conn
	for range readers {
		_, c, peer := pair(t, l)
		to = append(to, c)
		x.readers = append(x.readers, peer)
	}
	s.data = func(view []byte) {
		for ; len(view) >= size; view = view[size:] {
			for _, c := range to {
				send(c, view[:size])
			}
		}
	}
	t.Cleanup(func() {
		for _, fd := range append(x.readers, source) {
			unix.Close(fd)
		}
	})
	return x
}

func (x *exchange) round() {
	calls{}.write(x.source, x.message)
	x.l.pass()
	for _, fd := range x.readers {
		calls{}.read(fd, x.scratch)
	}
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	small := make([]byte, 64)
	for name, x := range map[string]*exchange{
		"echo":               newEcho(t, small),
		"echo of a batch":    newEcho(t, make([]byte, 64*100)),
		"fan-out, SendView":  newFanOut(t, 100, 64, 10, (*conn).SendView),
		"fan-out, Send":      newFanOut(t, 100, 64, 10, (*conn).Send),
		"fan-out, alternate": newFanOut(t, 100, 64, 10, func(c *conn, f []byte) bool { return c.SendView(f) && c.Send(f[:4]) }),
		"fan-out, SendShared": func() *exchange {
			return newFanOut(t, 20, 2000, 3, func(c *conn, f []byte) bool {
				body := c.l.pool.NewRef(f[10:])
				defer body.Release()
				return c.SendShared(f[:10], body)
			})
		}(),
	} {
		x.round()
		x.round()
		if n := testing.AllocsPerRun(50, x.round); n != 0 {
			t.Errorf("%s: %v allocations a pass, want 0", name, n)
		}
	}
}

func BenchmarkEcho(b *testing.B) {
	b.Run("read to write", func(b *testing.B) {
		x := newEcho(b, make([]byte, 64*100))
		b.ReportAllocs()
		for b.Loop() {
			x.round()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*100), "ns/message")
	})
}

func BenchmarkFanOut(b *testing.B) {
	for name, send := range map[string]func(*conn, []byte) bool{"SendView": (*conn).SendView, "Send": (*conn).Send} {
		b.Run(name, func(b *testing.B) {
			x := newFanOut(b, 100, 64, 100, send)
			b.ReportAllocs()
			for b.Loop() {
				x.round()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*100*100), "ns/delivery")
		})
	}
}
