package loop

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	backlog       = 4096 // connections the kernel completes ahead of accept; it lowers this to net.core.somaxconn
	pauseNanos    = int64(100 * time.Millisecond)
	grumbleNanos  = int64(time.Minute)
	keepIdle      = 60 // seconds of silence before the kernel asks whether the peer is there
	keepInterval  = 15 // seconds between its questions
	keepQuestions = 4  // unanswered ones that end the connection
)

// listener is a bound socket.
type listener struct {
	name     string
	fd       int // -1: closed
	addr     net.Addr
	resumeAt int64 // when a paused listener accepts again; 0 = not paused
}

// listen binds and listens. The error is for the operator.
func listen(spec Listener) (*listener, error) {
	sa, only6, err := resolve(spec)
	if err != nil {
		return nil, fmt.Errorf("listen %s %s: %w", spec.Name, spec.Address, err)
	}
	fd, err := bind(sa, only6)
	if err == unix.EAFNOSUPPORT && spec.anyAddress() { // a host without IPv6
		sa4 := &unix.SockaddrInet4{Port: sa.(*unix.SockaddrInet6).Port}
		fd, err = bind(sa4, false)
	}
	if err != nil {
		return nil, bindError(spec, err)
	}
	ln := &listener{name: spec.Name, fd: fd}
	if bound, err := unix.Getsockname(fd); err == nil {
		ln.addr = net.TCPAddrFromAddrPort(addrPort(bound))
	}
	return ln, nil
}

// resolve turns a host and port into a socket address. No host on network "tcp" means both families on one socket.
func resolve(spec Listener) (sa unix.Sockaddr, only6 bool, err error) {
	if err := spec.check(); err != nil {
		return nil, false, err
	}
	a, err := net.ResolveTCPAddr(spec.Network, spec.Address)
	if err != nil {
		return nil, false, err
	}
	if ip4 := a.IP.To4(); ip4 != nil || spec.Network == "tcp4" {
		sa4 := &unix.SockaddrInet4{Port: a.Port}
		copy(sa4.Addr[:], ip4)
		return sa4, false, nil
	}
	sa6 := &unix.SockaddrInet6{Port: a.Port, ZoneId: zoneID(a.Zone)}
	copy(sa6.Addr[:], a.IP.To16())
	return sa6, !spec.anyAddress(), nil
}

func zoneID(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if i, err := net.InterfaceByName(zone); err == nil {
		return uint32(i.Index)
	}
	n, _ := strconv.ParseUint(zone, 10, 32)
	return uint32(n)
}

// bind opens a listening socket. Accepted sockets inherit its options, which spares five calls for each of them.
func bind(sa unix.Sockaddr, only6 bool) (fd int, err error) {
	family := unix.AF_INET
	if _, ok := sa.(*unix.SockaddrInet6); ok {
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	v6only := 0
	if only6 {
		v6only = 1
	}
	set := func(level, option, value int) {
		if err == nil {
			err = unix.SetsockoptInt(fd, level, option, value)
		}
	}
	if family == unix.AF_INET6 {
		set(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, v6only)
	}
	set(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	set(unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	set(unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	set(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepIdle)
	set(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, keepInterval)
	set(unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepQuestions)
	if err == nil {
		err = unix.Bind(fd, sa)
	}
	if err == nil {
		err = unix.Listen(fd, backlog)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (ln *listener) close() {
	if ln.fd >= 0 {
		unix.Close(ln.fd)
		ln.fd = -1
	}
	ln.resumeAt = 0
}
