package loop

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Serve implements Engine.
func (l *epoll) Serve(s *Socket) error {
	l.assertOwner()
	if l.stopping {
		s.Close()
		return ErrStopped
	}
	i := l.socketIndex(s)
	if err := l.control(unix.EPOLL_CTL_ADD, s.sys.fd, unix.EPOLLIN, socketSlot(i), 0); err != nil {
		l.sockets[i] = nil
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// socketIndex gives s a place. Those of sockets that are gone are used again, once nobody is left who came through
// them.
func (l *epoll) socketIndex(s *Socket) int32 {
	for i, old := range l.sockets {
		if old == nil || old.sys.fd < 0 && old.stats.Conns == 0 {
			l.sockets[i] = s
			s.sys.index = int32(i)
			return s.sys.index
		}
	}
	l.sockets = append(l.sockets, s)
	s.sys.index = int32(len(l.sockets) - 1)
	return s.sys.index
}

// Withdraw implements Engine.
func (l *epoll) Withdraw(s *Socket) {
	l.assertOwner()
	s.Close()
}

// accept takes at most AcceptBatch connections, as long as its share lasts; who waits longer is reported again in the
// next pass.
func (l *epoll) accept(s *Socket) {
	if s == nil {
		return
	}
	from := l.clock()
	for range l.lim.AcceptBatch {
		if s.sys.fd < 0 || s.sys.resumeAt != 0 {
			return
		}
		if !l.paced(s) {
			return
		}
		fd, sa, err := l.calls().accept(s.sys.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err == nil {
			s.sys.tokens--
			l.admit(s, fd, sa)
		} else if !l.acceptFailed(s, err) {
			return
		}
		if l.spent(from) {
			return
		}
	}
}

// paced tells whether AcceptRate and Busy let one more connection in; if not, the socket is paused for a while.
func (l *epoll) paced(s *Socket) bool {
	pause := paceNanosMin
	if rate := s.spec.AcceptRate; rate > 0 && !l.tokens(s) {
		pause = max(int64(1e9)/int64(rate), pause)
	} else if s.spec.Busy == nil || !s.spec.Busy() {
		return true
	}
	l.stats.AcceptsPaced++
	l.pause(s, pause)
	return false
}

// tokens tells whether AcceptRate has something left, with what time has added.
func (l *epoll) tokens(s *Socket) bool {
	rate := int64(s.spec.AcceptRate)
	have := int64(max(s.sys.tokens, 0))
	more := int64(float64(l.now-s.sys.filledAt) * float64(rate) / 1e9)
	if have+more >= rate {
		s.sys.tokens, s.sys.filledAt = int(rate), l.now
	} else if more > 0 { // what is left of the time counts, too: pauses are as short as one
		s.sys.tokens = int(have + more)
		s.sys.filledAt += int64(float64(more) * 1e9 / float64(rate))
	}
	return s.sys.tokens > 0
}

// admit gives a connection to the owner, or closes it.
func (l *epoll) admit(s *Socket, fd int, sa unix.Sockaddr) {
	if l.stats.Conns >= uint64(l.connsMax) {
		unix.Close(fd)
		l.stats.Refused++
		s.stats.Refused++
		l.grumble("connection limit reached, closing new connections", "limit", l.connsMax)
		return
	}
	if !s.admits() {
		unix.Close(fd)
		l.stats.Refused++
		l.grumble("connection limit of a listener reached, closing new connections", "listener", s.spec.Name, "limit", s.spec.ConnsMax)
		return
	}
	from := Peer{Listener: s.spec.Name, Remote: addrPort(sa)}
	if _, local := sa.(*unix.SockaddrUnix); local {
		from.Process = processOf(fd)
	} else if name, err := unix.Getsockname(fd); err == nil {
		from.Local = addrPort(name)
	}
	l.files.came(fd)
	c := l.attach(fd)
	c.socket = int16(s.sys.index)
	l.stats.Accepted++
	h := s.welcome(c, from, l.hooks.Accept)
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
func (l *epoll) acceptFailed(s *Socket, err error) bool {
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
		switch l.shed(s) {
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
	l.pause(s, pauseNanos)
	return false
}

// shed uses the reserved descriptor to take one connection that cannot be served and close it, so that its peer
// learns and the listener does not stay ready. It returns what accept said: EAGAIN after the last one (the kernel
// misses the descriptor before it looks whether there is a connection), and EMFILE or ENFILE again when another
// goroutine was quicker to take what we gave up.
func (l *epoll) shed(s *Socket) error {
	if l.reserve < 0 {
		return unix.EMFILE
	}
	unix.Close(l.reserve)
	l.reserve = -1
	fd, _, err := l.calls().accept(s.sys.fd, unix.SOCK_CLOEXEC)
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

// pause stops asking about a socket for so many ns.
func (l *epoll) pause(s *Socket, ns int64) {
	if err := l.control(unix.EPOLL_CTL_MOD, s.sys.fd, 0, socketSlot(s.sys.index), 0); err != nil {
		l.log.Error("pause of listener failed", "listener", s.spec.Name, "error", err)
		return
	}
	s.sys.resumeAt = l.now + ns
	l.stats.ListenersPaused++
}

// resumeListeners ends the pauses that are over.
func (l *epoll) resumeListeners() {
	for _, s := range l.sockets {
		if s == nil || s.sys.resumeAt == 0 || l.now < s.sys.resumeAt {
			continue
		}
		l.openReserve()
		if err := l.control(unix.EPOLL_CTL_MOD, s.sys.fd, unix.EPOLLIN, socketSlot(s.sys.index), 0); err != nil {
			s.sys.resumeAt = l.now + pauseNanos
			continue
		}
		s.sys.resumeAt = 0
	}
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
