package loop

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// listenUnix binds a unix socket. Permissions are set before anybody can connect: that begins with listen.
func listenUnix(spec Listener) (*Socket, error) {
	uid, gid, err := spec.owner()
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", spec, err)
	}
	if err := removeStale(spec.Address); err != nil {
		return nil, fmt.Errorf("listen %s: %w", spec, err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", spec, err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: spec.Address}); err != nil {
		unix.Close(fd)
		return nil, bindError(spec, err)
	}
	s := newSocket(spec, fd)
	s.sys.unlink = spec.Address
	_ = unix.Lstat(spec.Address, &s.sys.made)
	err = spec.openTo(uid, gid)
	if err == nil {
		err = unix.Listen(fd, backlog)
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("listen %s: %w", spec, err)
	}
	return s, nil
}

// processOf asks the kernel who is at the other end of a unix socket.
func processOf(fd int) *Process {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return nil
	}
	return &Process{PID: int(cred.Pid), UID: cred.Uid, GID: cred.Gid}
}
