package loop_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/loopmq/loopmq/loop"
)

func TestPortInUseNamesTheHolder(t *testing.T) {
	holder, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	eachEngine(t, func(t *testing.T, kind string) {
		e, err := loop.New(kind, loop.Options{Listeners: []loop.Listener{
			{Name: "other", Network: "tcp", Address: "127.0.0.1:0"},
			{Name: "mqtt", Network: "tcp", Address: holder.Addr().String()},
		}})
		if err != nil {
			t.Fatal(err)
		}
		err = e.Run(loop.Hooks{})
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatalf("got %v, want address in use", err)
		}
		want := fmt.Sprintf("listen mqtt %s: address in use by ", holder.Addr())
		if !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), "; stop it or choose another port with --listen") {
			t.Fatalf("got %q, want %q and what to do", err, want)
		}
		if _, errProc := os.ReadFile("/proc/net/tcp"); errProc == nil && !strings.Contains(err.Error(), fmt.Sprintf("(pid %d)", os.Getpid())) {
			t.Fatalf("got %q, want our own process named", err)
		}
	})
}

func TestListenErrorsNameTheListener(t *testing.T) {
	eachEngine(t, func(t *testing.T, kind string) {
		for _, c := range []struct{ network, address, want string }{
			{"tcp", "192.0.2.1:0", "listen mqtt 192.0.2.1:0: this host has no such address"},
			{"tcp", "127.0.0.1", "listen mqtt 127.0.0.1: address 127.0.0.1: missing port in address"},
			{"udp", "127.0.0.1:0", `listen mqtt 127.0.0.1:0: unknown network "udp"; use tcp, tcp4, tcp6 or unix`},
		} {
			e, err := loop.New(kind, loop.Options{Listeners: []loop.Listener{{Name: "mqtt", Network: c.network, Address: c.address}}})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Run(loop.Hooks{}); err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%s %s: got %v, want %s", c.network, c.address, err, c.want)
			}
		}
	})
}

func TestUnknownEngineListsTheKinds(t *testing.T) {
	_, err := loop.New("uring", loop.Options{})
	if err == nil || !strings.Contains(err.Error(), `unknown engine "uring"; choose one of: `+strings.Join(loop.Kinds(), ", ")) {
		t.Fatal(err)
	}
}
