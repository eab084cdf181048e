package store

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const directFlag = syscall.O_DIRECT

// dataSync flushes data and what is needed to find it, not the times.
func dataSync(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

// reserve takes space without writing it.
func reserve(f *os.File, size int64) error {
	for {
		switch err := syscall.Fallocate(int(f.Fd()), 0, 0, size); {
		case err == syscall.EINTR:
		case err == syscall.EOPNOTSUPP || err == syscall.ENOSYS:
			return errors.ErrUnsupported
		default:
			return os.NewSyscallError("fallocate", err)
		}
	}
}

// fileSystemBytes is the size of the file system that has dir; 0: not known.
func fileSystemBytes(dir string) int64 {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil || s.Bsize <= 0 {
		return 0
	}
	return int64(min(s.Blocks, 1<<62/uint64(s.Bsize))) * int64(s.Bsize)
}

// readAhead starts reading a file into the page cache.
func readAhead(f *os.File) {
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_WILLNEED)
}

// alignedBuffer is memory that direct writes accept; freeBuffer gives it back.
func alignedBuffer(n int) []byte {
	b, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return make([]byte, n) // a direct write from it may fail, and falls back
	}
	return b
}

func freeBuffer(b []byte) {
	if b != nil {
		_ = syscall.Munmap(b[:cap(b)]) // an error says that it was no mapping
	}
}
