package loop

import (
	"os"

	"golang.org/x/sys/unix"
)

// accept takes at most AcceptBatch connections; what waits longer is reported again in the next pass.
func (l *epoll) accept(ln *listener) {
	for range l.lim.AcceptBatch {
		if ln.fd < 0 || ln.resumeAt != 0 {
			return
		}
		fd, sa, err := unix.Accept4(ln.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err == nil {
			l.admit(ln, fd, sa)
			continue
		}
		if !l.acceptFailed(ln, err) {
			return
		}
	}
}

// admit gives a connection to the owner, or closes it.
func (l *epoll) admit(ln *listener, fd int, sa unix.Sockaddr) {
	if l.stats.Conns >= uint64(l.connsMax) {
		unix.Close(fd)
		l.stats.Refused++
		l.grumble("connection limit reached, closing new connections", "limit", l.connsMax)
		return
	}
	from := Peer{Listener: ln.name, Remote: addrPort(sa)}
	if local, err := unix.Getsockname(fd); err == nil {
		from.Local = addrPort(local)
	}
	c := l.attach(fd)
	l.stats.Accepted++
	h := l.hooks.Accept(c, from)
	if h == nil {
		l.stats.Refused++
		c.Close(nil)
		return
	}
	c.h, c.armed = h, unix.EPOLLIN
	if c.closed {
		return // by Accept itself: Closed follows
	}
	if err := l.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN, int32(c.slot), c.gen); err != nil {
		l.stats.AcceptOther++
		c.Close(os.NewSyscallError("epoll_ctl", err))
	}
}

// acceptFailed deals with an error of accept and tells whether to go on at once.
func (l *epoll) acceptFailed(ln *listener, err error) bool {
	switch err {
	case unix.EAGAIN:
		return false
	case unix.EINTR:
		return true
	case unix.ECONNABORTED, unix.EPROTO, unix.EPERM, unix.ENETDOWN, unix.ENETUNREACH, unix.EHOSTDOWN, unix.EHOSTUNREACH,
		unix.ENOPROTOOPT, unix.ENONET, unix.EOPNOTSUPP, unix.ETIMEDOUT:
		l.stats.AcceptAborted++ // accept(2): errors of the new connection, to be treated like a retry
		return true
	case unix.EMFILE, unix.ENFILE:
		l.stats.AcceptNoFiles++
		switch l.shed(ln) {
		case nil:
			l.grumble("out of file descriptors, closing new connections", "error", err)
			return true
		case unix.EAGAIN:
			return false
		}
		l.grumble("out of file descriptors, new connections wait", "error", err)
	case unix.ENOBUFS, unix.ENOMEM:
		l.stats.AcceptNoMemory++
		l.grumble("out of memory for new connections, waiting", "error", err)
	default:
		l.stats.AcceptOther++
		l.grumble("accept failed, waiting", "error", err)
	}
	l.pause(ln)
	return false
}

// shed uses the reserved descriptor to take one connection that cannot be served and close it, so that its peer
// learns and the listener does not stay ready. It returns what accept said: EAGAIN after the last one (the kernel
// misses the descriptor before it looks whether there is a connection), and EMFILE or ENFILE again when another
// goroutine was quicker to take what we gave up.
func (l *epoll) shed(ln *listener) error {
	if l.reserve < 0 {
		return unix.EMFILE
	}
	unix.Close(l.reserve)
	l.reserve = -1
	fd, _, err := unix.Accept4(ln.fd, unix.SOCK_CLOEXEC)
	if err == nil {
		unix.Close(fd)
		l.stats.AcceptShed++
	}
	l.openReserve()
	return err
}

// openReserve takes the descriptor that shed gives up.
func (l *epoll) openReserve() {
	if l.reserve >= 0 {
		return
	}
	if fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
		l.reserve = fd
	}
}

// pause stops asking about a listener for a while.
func (l *epoll) pause(ln *listener) {
	i := l.indexOf(ln)
	if err := l.control(unix.EPOLL_CTL_MOD, ln.fd, 0, listenerSlot(i), 0); err != nil {
		l.log.Error("pause of listener failed", "listener", ln.name, "error", err)
		return
	}
	ln.resumeAt = l.now + pauseNanos
	l.stats.ListenersPaused++
}

// resumeListeners ends the pauses that are over.
func (l *epoll) resumeListeners() {
	for i, ln := range l.listeners {
		if ln.resumeAt == 0 || l.now < ln.resumeAt {
			continue
		}
		l.openReserve()
		if err := l.control(unix.EPOLL_CTL_MOD, ln.fd, unix.EPOLLIN, listenerSlot(i), 0); err != nil {
			ln.resumeAt = l.now + pauseNanos
			continue
		}
		ln.resumeAt = 0
	}
}

func (l *epoll) indexOf(ln *listener) int {
	for i := range l.listeners {
		if l.listeners[i] == ln {
			return i
		}
	}
	return 0
}

// grumble logs trouble with accepting, at most once a minute: a storm of it must not become a storm of lines.
func (l *epoll) grumble(what string, args ...any) {
	l.grumbles++
	if l.grumbleAt != 0 && l.now < l.grumbleAt {
		return
	}
	l.log.Warn(what, append(args, "times_since_last_line", l.grumbles)...)
	l.grumbleAt, l.grumbles = l.now+grumbleNanos, 0
}
