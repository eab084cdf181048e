package loop

import (
	"encoding/binary"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls of this file are made without telling the Go scheduler. That is sound because the descriptors are
// non-blocking and the wait has a zero timeout, so none of them can sleep; it saves a good part of the cost of a call
// on a small packet. lingerRaw alone does sleep.

// readRaw reads from a non-blocking descriptor. b must not be empty.
//
// hot: no allocation.
func readRaw(fd int, b []byte) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// writeRaw writes to a non-blocking descriptor. b must not be empty.
//
// hot: no allocation.
func writeRaw(fd int, b []byte) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// writevRaw writes v to a non-blocking descriptor. v must not be empty.
//
// hot: no allocation.
func writevRaw(fd int, v []unix.Iovec) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&v[0])), uintptr(len(v)))
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// pollRaw is epoll_wait that never sleeps. epoll_pwait is the call that every Linux architecture has.
//
// hot: no allocation.
func pollRaw(epfd int, events []unix.EpollEvent) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(&events[0])),
			uintptr(len(events)), 0, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// lingerMsec is how long lingerRaw waits.
const lingerMsec = 1

// lingerRaw is epoll_wait that sleeps for a moment. It keeps one of the scheduler's processors from all other
// goroutines, so there must be more than one; when the scheduler needs this one too, to stop the world, its signal ends
// the call with EINTR.
//
// hot: no allocation.
func lingerRaw(epfd int, events []unix.EpollEvent) (int, unix.Errno) {
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
	readRaw(w.fd, count[:])
}

func (w *waker) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	unix.Close(w.fd)
	w.fd = -1
}
