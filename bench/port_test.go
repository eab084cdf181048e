//go:build linux

package bench

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHeldPort: the system gives a held port to nobody, neither who listens at any port nor who connects from any;
// who names it may listen there.
func TestHeldPort(t *testing.T) {
	p, err := HoldPort()
	if err != nil {
		t.Fatal(err)
	}
	peer, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	// This port or none is what the system may choose.
	only := func(_, _ string, c syscall.RawConn) error {
		var refused error
		port := int(p.Addr.Port())
		err := c.Control(func(fd uintptr) {
			refused = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_LOCAL_PORT_RANGE, port<<16|port)
		})
		return errors.Join(err, refused)
	}
	listens := func(at string) error {
		l, err := (&net.ListenConfig{Control: only}).Listen(t.Context(), "tcp4", at)
		if err == nil {
			l.Close()
		}
		return err
	}
	connects := func() error {
		conn, err := (&net.Dialer{Control: only}).Dial("tcp4", peer.Addr().String())
		if err == nil {
			conn.Close()
		}
		return err
	}
	if err := listens("127.0.0.1:0"); errors.Is(err, unix.ENOPROTOOPT) {
		t.Skip("this system cannot be told which ports to choose from (IP_LOCAL_PORT_RANGE, Linux 6.3): it would have to choose ours among thousands")
	} else if !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("listening at a port of the system's choice: %v", err)
	}
	if err := connects(); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("connecting from a port of the system's choice: %v", err)
	}
	if err := listens(p.Addr.String()); err != nil {
		t.Errorf("listening at the port by its name: %v", err)
	}
	p.Free()
	if err := listens("127.0.0.1:0"); err != nil {
		t.Errorf("listening at the port that was given back: %v", err)
	}
}
