package loop

import (
	"encoding/binary"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls of this file are made without telling the Go scheduler. That is sound because the descriptors are
// non-blocking and the wait has a zero timeout, so none of them can sleep; it saves a good part of the cost of a call
// on a small packet. linger alone does sleep.

// calls makes the system calls of one engine. It has no size, and costs nothing, unless it was built with the tag
// faults: then a part of them fails as the kernel might have them fail.
type calls struct{ faults }

// read reads from a non-blocking descriptor. b must not be empty.
//
// hot: no allocation.
func (k calls) read(fd int, b []byte) (int, unix.Errno) {
	for {
		if faultsOn {
			var errno unix.Errno
			if b, errno = k.cut(callRead, b); errno == unix.EINTR {
				continue
			} else if errno != 0 {
				return 0, errno
			}
		}
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// write writes to a non-blocking descriptor. b must not be empty.
//
// hot: no allocation.
func (k calls) write(fd int, b []byte) (int, unix.Errno) {
	for {
		if faultsOn {
			var errno unix.Errno
			if b, errno = k.cut(callWrite, b); errno == unix.EINTR {
				continue
			} else if errno != 0 {
				return 0, errno
			}
		}
		n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// writev writes v to a non-blocking descriptor. v must not be empty.
//
// hot: no allocation.
func (k calls) writev(fd int, v []unix.Iovec) (int, unix.Errno) {
	for {
		if faultsOn {
			var errno unix.Errno
			if v, errno = k.cutVector(v); errno == unix.EINTR {
				continue
			} else if errno != 0 {
				return 0, errno
			}
		}
		n, _, errno := unix.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&v[0])), uintptr(len(v)))
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// poll is epoll_wait that never sleeps. epoll_pwait is the call that every Linux architecture has.
//
// hot: no allocation.
func (k calls) poll(epfd int, events []unix.EpollEvent) (int, unix.Errno) {
	for {
		if faultsOn {
			var errno unix.Errno
			if events, errno = k.fewer(events); errno == unix.EINTR {
				continue
			}
		}
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(&events[0])),
			uintptr(len(events)), 0, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// sleep is epoll_wait that does sleep: for msec milliseconds, -1 for ever. A signal ends it, without events.
func (k calls) sleep(epfd int, events []unix.EpollEvent, msec int) int {
	if faultsOn && k.strike(callWait) != 0 {
		return 0
	}
	n, _ := unix.EpollWait(epfd, events, msec)
	return max(n, 0)
}

// waitingInKernel returns how many bytes of output the other end has not taken from the kernel; 0 if that is unknown.
func waitingInKernel(fd int) uint32 {
	waiting, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	return uint32(waiting)
}

// control is epoll_ctl.
func (k calls) control(epfd, op, fd int, ev *unix.EpollEvent) error {
	if faultsOn && ev.Fd >= 0 {
		if errno := k.strike(callControl); errno != 0 {
			return errno
		}
	}
	return unix.EpollCtl(epfd, op, fd, ev)
}

// accept is accept4.
func (k calls) accept(fd, flags int) (int, unix.Sockaddr, error) {
	if faultsOn {
		if errno := k.strike(callAccept); errno != 0 {
			return -1, nil, errno
		}
	}
	return unix.Accept4(fd, flags)
}

// lingerMsec is how long linger waits.
const lingerMsec = 1

// linger is epoll_wait that sleeps for a moment. It keeps one of the scheduler's processors from all other
// goroutines, so there must be more than one; when the scheduler needs this one too, to stop the world, its signal ends
// the call with EINTR.
//
// hot: no allocation.
func (k calls) linger(epfd int, events []unix.EpollEvent) (int, unix.Errno) {
	if faultsOn {
		if errno := k.strike(callWait); errno != 0 {
			return 0, errno
		}
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(&events[0])),
		uintptr(len(events)), lingerMsec, 0, 0)
	return int(n), errno
}

// waker is the eventfd that ends the loop's sleep. ring is for any goroutine; a lock keeps it away from a descriptor
// that was closed and belongs to somebody else by now.
type waker struct {
	mu sync.Mutex
	fd int // -1: closed
}

func openWaker() (*waker, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	return &waker{fd: fd}, err
}

func (w *waker) ring() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fd < 0 {
		return
	}
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	for { // EAGAIN means that the counter is full: the loop is awake in any case
		if _, err := unix.Write(w.fd, one[:]); err != unix.EINTR {
			return
		}
	}
}

// clear makes the descriptor unreadable again. Loop goroutine only.
func (w *waker) clear() {
	var count [8]byte
	calls{}.read(w.fd, count[:])
}

func (w *waker) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	unix.Close(w.fd)
	w.fd = -1
}

// faultCall numbers the calls that can be made to fail.
type faultCall int

const (
	callRead faultCall = iota
	callWrite
	callAccept
	callPoll
	callWait
	callControl
	faultCalls
)
