package loop

import "golang.org/x/sys/unix"

// The kernel keeps a process's descriptors in a table, and makes another one, twice as large, when it is full. With
// several threads it waits then until no processor can be reading the old one, ten milliseconds perhaps, and whoever
// wants the descriptor waits with it: an accept. So the table grows before it is full, and not on the loop.

// filesAtOpen is how many descriptors the table has room for from the beginning: eight bytes each.
const filesAtOpen = 1024

// files is what is known of the table.
type files struct {
	room int // descriptors that it has room for, or soon
	most int // descriptors that the process may have
}

func (f *files) open(most uint64) {
	f.room, f.most = filesAtOpen, int(min(most, 1<<30))
	f.grow(f.room)
}

// came has the table grow once half of it is in use: the lowest descriptor that is free is always the next.
func (f *files) came(fd int) {
	if fd < f.room/2 {
		return
	}
	for fd >= f.room/2 {
		f.room *= 2
	}
	go f.grow(f.room)
}

// grow makes the table have room for so many descriptors. Where that fails it grows by itself, later.
func (f files) grow(room int) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return
	}
	if last, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, min(room, f.most)-1); err == nil {
		unix.Close(last)
	}
	unix.Close(fd)
}
