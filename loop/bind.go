package loop

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"
)

// check refuses networks that no engine serves.
func (s Listener) check() error {
	switch s.Network {
	case "tcp", "tcp4", "tcp6":
		_, _, err := net.SplitHostPort(s.Address)
		return err
	case "unix":
		if s.Address == "" || len(s.Address) > unixPathMax {
			return fmt.Errorf("path of %d bytes; a unix socket's has 1 to %d", len(s.Address), unixPathMax)
		}
		return nil
	}
	return fmt.Errorf("unknown network %q; use tcp, tcp4, tcp6 or unix", s.Network)
}

// unixPathMax is the room in struct sockaddr_un on the narrowest system, less the NUL.
const unixPathMax = 103

// String is what the listener is called in errors.
func (s Listener) String() string { return s.Name + " " + s.Address }

// anyAddress tells whether the listener is for every address of both families.
func (s Listener) anyAddress() bool {
	host, _, _ := net.SplitHostPort(s.Address)
	return s.Network == "tcp" && host == ""
}

// bindError says what was tried, what was found and what to do. The cause stays in the chain.
func bindError(s Listener, err error) error {
	var errno syscall.Errno
	errors.As(err, &errno)
	var way string
	switch {
	case s.Network == "unix" && errors.Is(err, fs.ErrPermission):
		way = "permission denied; the directory must be writable for the broker"
	case s.Network == "unix" && errors.Is(err, fs.ErrNotExist):
		way = "there is no such directory; make it, or choose another path"
	case errno == syscall.EADDRINUSE:
		way = "address in use" + holderOf(s.Address) + "; stop it or choose another port with --listen"
	case errors.Is(err, fs.ErrPermission):
		way = "permission denied; ports below 1024 need the capability CAP_NET_BIND_SERVICE, or choose another with --listen"
	case errno == syscall.EADDRNOTAVAIL:
		way = "this host has no such address; choose one of its own, or none for all, with --listen"
	default:
		return fmt.Errorf("listen %s %s: %w", s.Name, s.Address, err)
	}
	return &listenError{text: "listen " + s.Name + " " + s.Address + ": " + way, cause: err}
}

// listenError has a text for people and a cause for errors.Is.
type listenError struct {
	text  string
	cause error
}

func (e *listenError) Error() string { return e.text }
func (e *listenError) Unwrap() error { return e.cause }
