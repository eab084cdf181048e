package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// files is the directory of a store. Tests have one that keeps a history of
// writes and syncs and another that fails.
type files interface {
	list() ([]string, error)
	open(name string) (file, error)
	create(name string) (file, error) // fails if it exists
	rename(from, to string) error     // to may be in a directory below
	remove(name string) error
	makeDir(name string) error
	syncDir(name string) error // "" is the store's own
	path(name string) string   // for messages
}

// file is one file. writeAt may need offset, length and buffer aligned to
// sectors: the buffer comes from alignedBuffer.
type file interface {
	readAt(b []byte, off int64) error // io.EOF or io.ErrUnexpectedEOF when there is less
	writeAt(b []byte, off int64) error
	sync() error // data, and the length of the file
	allocate(size int64) error
	size() (int64, error)
	readSoon() // all of it: a hint
	close() error
}

// osFiles is a directory of the operating system.
type osFiles struct{ dir string }

func (d osFiles) path(name string) string { return filepath.Join(d.dir, name) }

func (d osFiles) list() ([]string, error) {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (d osFiles) open(name string) (file, error) {
	return openOS(d.path(name), os.O_RDWR|syscall.O_NOFOLLOW)
}

func (d osFiles) create(name string) (file, error) {
	return openOS(d.path(name), os.O_RDWR|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW)
}

func (d osFiles) rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }
func (d osFiles) remove(name string) error     { return os.Remove(d.path(name)) }

func (d osFiles) makeDir(name string) error {
	if err := os.Mkdir(d.path(name), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func (d osFiles) syncDir(name string) error {
	f, err := os.Open(d.path(name))
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// makeDirs makes dir and what is missing above it, durably: a store whose
// directory is gone after a power cut has kept nothing.
func makeDirs(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDirs(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return osFiles{parent}.syncDir("")
}

// osFile reads through the page cache and writes past it where the system can:
// then a commit writes its sectors and no more, and what is read back was on
// the disk.
type osFile struct {
	reads  *os.File
	writes *os.File // the same as reads when there is no direct writing
}

func openOS(path string, flags int) (file, error) {
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, err
	}
	if direct, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NOFOLLOW|directFlag, 0); directFlag != 0 && err == nil {
		return &osFile{f, direct}, nil
	} else if err == nil {
		direct.Close()
	}
	return &osFile{f, f}, nil
}

func (f *osFile) readAt(b []byte, off int64) error {
	_, err := f.reads.ReadAt(b, off)
	return err
}

func (f *osFile) writeAt(b []byte, off int64) error {
	_, err := f.writes.WriteAt(b, off)
	if errors.Is(err, syscall.EINVAL) && f.writes != f.reads {
		// A file system that lets files be opened for direct writing but not
		// written in sectors of 512 bytes.
		f.writes.Close()
		f.writes = f.reads
		_, err = f.writes.WriteAt(b, off)
	}
	return err
}

func (f *osFile) sync() error { return dataSync(f.writes) }

func (f *osFile) allocate(size int64) error {
	err := reserve(f.reads, size)
	if errors.Is(err, errors.ErrUnsupported) {
		err = writeZeros(f.reads, size)
	}
	if err != nil {
		return err
	}
	return f.reads.Sync()
}

// writeZeros reserves space where the file system cannot do it without writing.
func writeZeros(f *os.File, size int64) error {
	zeros := make([]byte, 256<<10)
	for off := int64(0); off < size; off += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-off)], off); err != nil {
			return err
		}
	}
	return nil
}

func (f *osFile) size() (int64, error) {
	info, err := f.reads.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *osFile) readSoon() { readAhead(f.reads) }

func (f *osFile) close() error {
	if f.writes != f.reads {
		f.writes.Close()
	}
	return f.reads.Close()
}

// noSpace tells the errors that go away when somebody deletes files.
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

const (
	segmentSuffix = ".seg"
	lockName      = "LOCK"
)

func segmentName(n uint32) string { return fmt.Sprintf("%08d%s", n, segmentSuffix) }

// segmentNumber is the number in the name of a segment, 0 for other files.
func segmentNumber(name string) uint32 {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	var n uint32
	if !ok || len(digits) != 8 {
		return 0
	}
	if _, err := fmt.Sscanf(digits, "%08d", &n); err != nil {
		return 0
	}
	return n
}
