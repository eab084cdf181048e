package password

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// WriteFile replaces the file at path in one step: who reads it meanwhile, or
// after a crash, sees the old one or the new one whole. Only its owner may
// read the new one, and that is who owned the old one, if we may say so.
func (f *File) WriteFile(path string) error {
	if err := f.replace(path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func (f *File) replace(path string) error {
	old, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !old.Mode().IsRegular():
		return errors.New("it is not a regular file; name the file itself")
	}
	dir := filepath.Dir(path)
	// CreateTemp makes it new (O_EXCL) with mode 0600.
	temp, err := os.CreateTemp(dir, ".passwd-*")
	if err != nil {
		return err
	}
	err = f.fill(temp, old)
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return syncDir(dir)
}

func (f *File) fill(temp *os.File, old fs.FileInfo) error {
	if old != nil {
		if s, ok := old.Sys().(*syscall.Stat_t); ok && (int(s.Uid) != os.Geteuid() || int(s.Gid) != os.Getegid()) {
			// Not allowed to everybody, and then the writer owns it.
			_ = temp.Chown(int(s.Uid), int(s.Gid))
		}
	}
	if _, err := temp.Write(f.Bytes()); err != nil {
		return err
	}
	return temp.Sync()
}

// syncDir makes the rename outlive a crash.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Insecure says why others than its owner may read or write the file at path;
// empty if they may not, or if there is no such file.
func Insecure(path string) (why string) {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	mode := info.Mode().Perm()
	who := ""
	switch {
	case mode&0o006 != 0:
		who = "everybody"
	case mode&0o060 != 0:
		who = "its group"
	default:
		return ""
	}
	return fmt.Sprintf("%s is open to %s (mode %04o); type: chmod 600 %s", path, who, mode, path)
}
