package record

import (
	"os"
	"syscall"
)

// openDirect opens a file that is there for writing past the page cache; nil: its file system cannot do that.
func openDirect(name string) *os.File {
	f, err := os.OpenFile(name, os.O_WRONLY|syscall.O_DIRECT, 0)
	if err != nil {
		return nil
	}
	return f
}
