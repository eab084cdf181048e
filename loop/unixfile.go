//go:build linux || darwin || freebsd

package loop

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

const defaultUnixMode fs.FileMode = 0o660

// openTo gives a unix socket's file its owner and mode.
func (s Listener) openTo(uid, gid int) error {
	if uid >= 0 || gid >= 0 {
		if err := os.Lchown(s.Address, uid, gid); err != nil {
			return fmt.Errorf("set owner %q and group %q: %w", s.Owner, s.Group, err)
		}
	}
	mode := s.Mode
	if mode == 0 {
		mode = defaultUnixMode
	}
	if err := os.Chmod(s.Address, mode.Perm()); err != nil {
		return fmt.Errorf("set mode: %w", err)
	}
	return nil
}

// removeStale makes room where a broker that was killed has left its socket behind. What is in use, or is no socket,
// stays.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("the path exists and is no socket; remove it, or choose another path")
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	switch err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err {
	case unix.ECONNREFUSED:
		return os.Remove(path)
	case nil, unix.EAGAIN: // EAGAIN: its backlog is full
		return errors.New("another process serves this socket; stop it, or choose another path")
	default:
		return fmt.Errorf("is the socket in use? %w", err)
	}
}

// owner looks up who is to own the socket; -1 leaves it.
func (s Listener) owner() (uid, gid int, err error) {
	uid, gid = -1, -1
	if s.Owner != "" {
		if uid, err = strconv.Atoi(s.Owner); err != nil {
			u, err := user.Lookup(s.Owner)
			if err != nil {
				return -1, -1, fmt.Errorf("owner %q: there is no such user", s.Owner)
			}
			uid, _ = strconv.Atoi(u.Uid)
		}
	}
	if s.Group != "" {
		if gid, err = strconv.Atoi(s.Group); err != nil {
			g, err := user.LookupGroup(s.Group)
			if err != nil {
				return -1, -1, fmt.Errorf("group %q: there is no such group", s.Group)
			}
			gid, _ = strconv.Atoi(g.Gid)
		}
	}
	return uid, gid, nil
}
