//go:build !faults

package loop

import "golang.org/x/sys/unix"

// faultsOn tells whether system calls are made to fail now and then.
const faultsOn = false

// faults is empty in this build; what follows is never called.
type faults struct{}

func newFaults() (faults, error) { return faults{}, nil }

func (l *epoll) calls() calls { return calls{} }

func (c *conn) calls() calls { return calls{} }

func (faults) strike(faultCall) unix.Errno { return 0 }

func (faults) cut(_ faultCall, b []byte) ([]byte, unix.Errno) { return b, 0 }

func (faults) cutVector(v []unix.Iovec) ([]unix.Iovec, unix.Errno) { return v, 0 }

func (faults) fewer(events []unix.EpollEvent) ([]unix.EpollEvent, unix.Errno) { return events, 0 }
