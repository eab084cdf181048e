//go:build linux

package bench

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Port is a port of the loopback interface that the system gives to nobody else
// while it is held: a socket has it that does not listen. Who is told its number may
// listen there all the same, with SO_REUSEADDR, as servers do.
type Port struct {
	Addr netip.AddrPort
	fd   int
}

// HoldPort has the system choose a port.
func HoldPort() (*Port, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("hold a port: %w", err)
	}
	p := &Port{fd: fd}
	if p.Addr, err = bindLoopback(fd); err != nil {
		p.Free()
		return nil, fmt.Errorf("hold a port: %w", err)
	}
	return p, nil
}

func bindLoopback(fd int) (netip.AddrPort, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return netip.AddrPort{}, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return netip.AddrPort{}, err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	in := name.(*unix.SockaddrInet4)
	return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port)), nil
}

// Free gives it back; it may be called again.
func (p *Port) Free() {
	if p.fd >= 0 {
		_ = unix.Close(p.fd) // no data was in it
	}
	p.fd = -1
}
