package loop_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/loopmq/loopmq/loop"
)

// unixListener is a listener on a path in a directory of the test's own.
func unixListener(t *testing.T) loop.Listener {
	t.Helper()
	dir, err := os.MkdirTemp("", "loop") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return loop.Listener{Name: "local", Network: "unix", Address: filepath.Join(dir, "s")}
}

func TestUnixSocketTellsWhoIsThere(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		spec := unixListener(t)
		spec.Mode = 0o600
		peers := make(chan loop.Peer, 1)
		serve(t, kind, config{
			options: loop.Options{Listeners: []loop.Listener{spec}},
			hooks: loop.Hooks{Accept: func(c loop.Conn, from loop.Peer) loop.Handler {
				peers <- from
				return newEchoing(c)
			}},
		}, nil)
		c, err := net.Dial("unix", spec.Address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		from := wait(t, peers, "Accept")
		if from.Process == nil || from.Process.PID != os.Getpid() || int(from.Process.UID) != os.Getuid() || int(from.Process.GID) != os.Getgid() {
			t.Errorf("process %+v, want pid %d uid %d gid %d", from.Process, os.Getpid(), os.Getuid(), os.Getgid())
		}
		if from.Remote.IsValid() || from.Listener != "local" {
			t.Errorf("peer %+v", from)
		}
		if info, err := os.Stat(spec.Address); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
		}
		fmt.Fprint(c, "hello")
		got := make([]byte, 5)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
			t.Fatalf("%q, %v", got, err)
		}
	})
}

func TestUnixSocketLeftBehindIsReplaced(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		spec := unixListener(t)
		old, err := net.ListenUnix("unix", &net.UnixAddr{Name: spec.Address})
		if err != nil {
			t.Fatal(err)
		}
		old.SetUnlinkOnClose(false)
		old.Close() // as a broker does that is killed
		s := serve(t, kind, config{options: loop.Options{Listeners: []loop.Listener{spec}}}, newEchoing)
		if c, err := net.Dial("unix", spec.Address); err != nil {
			t.Fatal(err)
		} else {
			c.Close()
		}
		s.stop()
		if _, err := os.Stat(spec.Address); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is left behind: %v", err)
		}
	})
}

func TestUnixSocketInTheWay(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		for _, c := range []struct {
			name string
			make func(path string)
			want string
		}{
			{"served", func(path string) {
				l, err := net.Listen("unix", path)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { l.Close() })
			}, "another process serves this socket; stop it, or choose another path"},
			{"a file", func(path string) {
				if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
					t.Fatal(err)
				}
			}, "the path exists and is no socket; remove it, or choose another path"},
		} {
			spec := unixListener(t)
			c.make(spec.Address)
			e, err := loop.New(kind, loop.Options{Listeners: []loop.Listener{spec}})
			if err != nil {
				t.Fatal(err)
			}
			err = e.Run(loop.Hooks{})
			if want := "listen local " + spec.Address + ": " + c.want; err == nil || err.Error() != want {
				t.Errorf("%s: got %v, want %s", c.name, err, want)
			}
			if _, err := os.Lstat(spec.Address); err != nil {
				t.Errorf("%s: removed: %v", c.name, err)
			}
		}
	})
}

func TestUnixSocketErrors(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		for _, c := range []struct {
			change func(*loop.Listener)
			want   string
		}{
			{func(l *loop.Listener) { l.Address = "" }, "path of 0 bytes; a unix socket's has 1 to 103"},
			{func(l *loop.Listener) { l.Address = strings.Repeat("x", 104) }, "path of 104 bytes"},
			{func(l *loop.Listener) { l.Owner = "nobody-has-this-name" }, `owner "nobody-has-this-name": there is no such user`},
			{func(l *loop.Listener) { l.Group = "nobody-has-this-name" }, `group "nobody-has-this-name": there is no such group`},
		} {
			spec := unixListener(t)
			c.change(&spec)
			e, err := loop.New(kind, loop.Options{Listeners: []loop.Listener{spec}})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Run(loop.Hooks{}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		}
	})
}

// A listener's own limit leaves the others alone, and counts those who are still there.
func TestConnectionLimitOfOneListener(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		accept, handlers := accepting(echoing)
		s := serve(t, kind, config{options: loop.Options{Listeners: []loop.Listener{
			{Name: "narrow", Network: "tcp", Address: "127.0.0.1:0", ConnsMax: 1},
			{Name: "wide", Network: "tcp", Address: "127.0.0.1:0"},
		}}}, accept)
		first := s.dialTo(0)
		answers(t, first)
		second := s.dialTo(0)
		if n, err := second.Read(make([]byte, 1)); err == nil {
			t.Fatalf("%d bytes from a listener that is full", n)
		}
		answers(t, s.dialTo(1))
		answers(t, first)
		first.Close()
		wait(t, handlers, "Accept").wasClosed(t)
		answers(t, s.dialTo(0))
	})
}

// dialTo connects to the i-th listener.
func (s *server) dialTo(i int) net.Conn {
	s.t.Helper()
	c, err := net.Dial(s.addrs[i].Network(), s.addrs[i].String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// answers checks that somebody echoes.
func answers(t *testing.T, c net.Conn) {
	t.Helper()
	got := make([]byte, 4)
	if _, err := fmt.Fprint(c, "ping"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "ping" {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestListenersComeAndGo(t *testing.T) {
	s := serve(t, "epoll", config{}, newEchoing)
	old := s.dialTo(0)
	answers(t, old)

	late, err := s.e.Bind(loop.Listener{Name: "late", Network: "tcp", Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	s.on(func() {
		if err := s.e.Serve(late); err != nil {
			t.Error(err)
		}
	})
	s.addrs = append(s.addrs, late.Addr())
	guest := s.dialTo(1)
	answers(t, guest)
	s.on(func() { s.e.Withdraw(late) })
	if _, err := net.Dial("tcp", late.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a withdrawn listener: %v", err)
	}
	answers(t, guest) // who is in stays
	answers(t, old)

	for range 3 { // and its place is used again only when nobody came through it any more
		next, err := s.e.Bind(loop.Listener{Name: "next", Network: "tcp", Address: late.Addr().String()})
		if err != nil {
			t.Fatal(err)
		}
		s.on(func() {
			if err := s.e.Serve(next); err != nil {
				t.Error(err)
			}
		})
		answers(t, s.dialTo(1))
		s.on(func() { s.e.Withdraw(next) })
	}
	_, err = s.e.Bind(loop.Listener{Name: "taken", Network: "tcp", Address: s.addrs[0].String()})
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v", err)
	}
}

func TestEvioCannotListenLate(t *testing.T) {
	s := serve(t, "evio", config{}, newEchoing)
	if _, err := s.e.Bind(loop.Listener{Name: "late", Network: "tcp", Address: "127.0.0.1:0"}); !errors.Is(err, loop.ErrBindLate) {
		t.Errorf("got %v", err)
	}
}

func TestSocketHandedOver(t *testing.T) {
	given, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer given.Close()
	file, err := given.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	s := serve(t, "epoll", config{options: loop.Options{Listeners: []loop.Listener{{Name: "given", File: file}}}}, newEchoing)
	if s.addrs[0].String() != given.Addr().String() {
		t.Fatalf("address %v, want %v", s.addrs[0], given.Addr())
	}
	answers(t, s.dialTo(0))

	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	e, err := loop.New("epoll", loop.Options{Listeners: []loop.Listener{{Name: "given", File: null}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Run(loop.Hooks{}); err == nil || !strings.HasPrefix(err.Error(), "listen given : descriptor handed over (/dev/null): ") {
		t.Errorf("got %v", err)
	}
}

// More connections than AcceptRate lets in at once are served in their turn.
func TestAcceptRate(t *testing.T) {
	s := serve(t, "epoll", config{options: loop.Options{Listeners: []loop.Listener{
		{Name: "paced", Network: "tcp", Address: "127.0.0.1:0", AcceptRate: 20},
	}}}, newEchoing)
	var conns []net.Conn
	for range 30 {
		conns = append(conns, s.dialTo(0))
	}
	for _, c := range conns {
		answers(t, c)
	}
	s.on(func() {
		if st := s.e.Stats(); st.AcceptsPaced == 0 && !faulty() || st.Accepted != 30 {
			t.Errorf("paced %d times, %d accepted", st.AcceptsPaced, st.Accepted)
		}
	})
}

func newEchoing(c loop.Conn) loop.Handler {
	h := newHandler(c)
	echoing(h)
	return h
}
