package loop

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	backlog       = 4096 // connections the kernel completes ahead of accept; it lowers this to net.core.somaxconn
	pauseNanos    = int64(100 * time.Millisecond)
	paceNanosMin  = int64(5 * time.Millisecond) // the shortest pause that AcceptRate makes, and that of Busy
	grumbleNanos  = int64(time.Minute)
	keepIdle      = 60 // seconds of silence before the kernel asks whether the peer is there
	keepInterval  = 15 // seconds between its questions
	keepQuestions = 4  // unanswered ones that end the connection
)

// socketSys is the epoll engine's side of a Socket.
type socketSys struct {
	fd       int    // -1: closed
	index    int32  // in epoll.sockets, once it is served
	unlink   string // path of a unix socket that we made
	made     unix.Stat_t
	resumeAt int64 // when a paused socket accepts again; 0 = not paused
	tokens   int   // connections that AcceptRate still lets in
	filledAt int64 // when tokens were last added
}

// Bind implements Engine.
func (l *epoll) Bind(spec Listener) (*Socket, error) { return listen(spec) }

// listen opens the socket of spec. The error is for the operator.
func listen(spec Listener) (*Socket, error) {
	if spec.File != nil {
		return adopt(spec)
	}
	if err := spec.check(); err != nil {
		return nil, fmt.Errorf("listen %s: %w", spec, err)
	}
	if spec.Network == "unix" {
		return listenUnix(spec)
	}
	sa, only6, err := resolve(spec)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", spec, err)
	}
	fd, err := bind(sa, only6)
	if err == unix.EAFNOSUPPORT && spec.anyAddress() { // a host without IPv6
		sa4 := &unix.SockaddrInet4{Port: sa.(*unix.SockaddrInet6).Port}
		fd, err = bind(sa4, false)
	}
	if err != nil {
		return nil, bindError(spec, err)
	}
	return newSocket(spec, fd), nil
}

func newSocket(spec Listener, fd int) *Socket {
	s := &Socket{spec: spec, sys: socketSys{fd: fd, tokens: spec.AcceptRate}}
	if bound, err := unix.Getsockname(fd); err == nil {
		if name, ok := bound.(*unix.SockaddrUnix); ok {
			s.addr = &net.UnixAddr{Name: name.Name, Net: "unix"}
		} else {
			s.addr = net.TCPAddrFromAddrPort(addrPort(bound))
		}
	}
	return s
}

// resolve turns a host and port into a socket address. No host on network "tcp" means both families on one socket.
func resolve(spec Listener) (sa unix.Sockaddr, only6 bool, err error) {
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
	if family == unix.AF_INET6 {
		v6only := 0
		if only6 {
			v6only = 1
		}
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, v6only)
	}
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err == nil {
		err = setTCPOptions(fd)
	}
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

// setTCPOptions sets what accepted sockets inherit.
func setTCPOptions(fd int) error {
	for _, o := range [...]struct{ level, option, value int }{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepIdle},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, keepInterval},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepQuestions},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.option, o.value); err != nil {
			return err
		}
	}
	return nil
}

// adopt takes a listening socket that somebody else has opened.
func adopt(spec Listener) (*Socket, error) {
	bad := func(err error) (*Socket, error) {
		return nil, fmt.Errorf("listen %s: descriptor handed over (%s): %w", spec, spec.File.Name(), err)
	}
	fd, err := unix.FcntlInt(spec.File.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return bad(err)
	}
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	kind, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	family, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	switch {
	case err != nil:
	case listening == 0 || kind != unix.SOCK_STREAM:
		err = errors.New("this is no listening stream socket")
	case family == unix.AF_INET || family == unix.AF_INET6:
		err = setTCPOptions(fd)
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		unix.Close(fd)
		return bad(err)
	}
	return newSocket(spec, fd), nil
}

// Close closes a socket that Bind has opened and no engine has been given.
func (s *Socket) Close() {
	if s.sys.fd < 0 {
		return
	}
	unix.Close(s.sys.fd)
	s.sys.fd, s.sys.resumeAt = -1, 0
	var now unix.Stat_t
	if path := s.sys.unlink; path != "" && unix.Lstat(path, &now) == nil && now.Ino == s.sys.made.Ino && now.Dev == s.sys.made.Dev {
		_ = unix.Unlink(path) // somebody else's meanwhile: stays
	}
}
