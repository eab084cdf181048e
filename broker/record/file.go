package record

import (
	"fmt"
	"io"
	"os"
)

// File is where a recording goes. What is long and aligned is written past the page cache where the system can do that:
// copying it there would take longer than all that the router does with it.
type File struct {
	*os.File
	direct *os.File // the same, for that; nil: cannot be done
}

// Create makes a file that only its owner may read. There must be none.
func Create(name string) (*File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	return &File{File: f, direct: openDirect(name)}, nil
}

// blockBytes is what the direct way wants offset and length to be a multiple of.
const blockBytes = 4096

// WriteAt implements io.WriterAt.
func (f *File) WriteAt(b []byte, at int64) (int, error) {
	if f.direct != nil && len(b)%blockBytes == 0 && at%blockBytes == 0 {
		n, err := f.direct.WriteAt(b, at)
		if err == nil {
			return n, nil
		}
		f.direct.Close() // whatever it is, the ordinary way either can do it or says why not
		f.direct = nil
	}
	n, err := f.File.WriteAt(b, at)
	if err != nil {
		return n, fmt.Errorf("recording: %w", err)
	}
	return n, nil
}

// Close implements io.Closer.
func (f *File) Close() error {
	if f.direct != nil {
		f.direct.Close()
	}
	return f.File.Close()
}

var _ io.WriterAt = (*File)(nil)
