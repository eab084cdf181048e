package loop

import (
	"errors"
	"io/fs"
	"net"
	"os"
)

// ErrBindLate is what Bind returns on an engine that opens all its listeners at the start.
var ErrBindLate = errors.New("this engine cannot open a listener while it runs; restart, or use the engine epoll")

// Listener says where to listen, and for whom.
type Listener struct {
	Name    string // used in errors and in Peer, for instance "mqtt"
	Network string // "tcp" (both families where the host allows), "tcp4", "tcp6" or "unix"
	Address string // host:port, an empty host means every address, port 0 lets the kernel choose; or the path of a unix socket
	// File is a listening socket that somebody else has opened, for instance systemd; Network and Address only name it
	// then. It stays the caller's.
	File *os.File
	// Mode are the permissions of a unix socket (0660). Whoever may write may connect.
	Mode fs.FileMode
	// Owner and Group are the names or numbers of who owns a unix socket; "" leaves that as it is.
	Owner, Group string
	// ConnsMax is the number of connections served (no limit of its own). Further ones are closed at once. Counter:
	// Refused, also that of the Socket.
	ConnsMax int
	// AcceptRate is how many connections are accepted in a second (no limit), as many in one go at most; the others
	// wait in the kernel's backlog. Counter: AcceptsPaced. The engine evio cannot do that.
	AcceptRate int
	// Busy tells whether connections shall wait in the kernel's backlog for now (nil: never). Counter: AcceptsPaced. The
	// engine evio cannot do that.
	Busy func() bool
	// Accept takes the place of Hooks.Accept.
	Accept func(c Conn, from Peer) Handler
}

// Socket is a listening socket. Its fields are for the loop goroutine once it is served, those of Stats always.
type Socket struct {
	spec  Listener
	addr  net.Addr
	stats SocketStats
	sys   socketSys

	withdrawn bool // evio cannot close it
}

// SocketStats are a listening socket's counters.
type SocketStats struct {
	Conns    uint64 // open now
	Accepted uint64 // handed to Accept
	Refused  uint64 // closed because of a limit, or because Accept said no
}

// Addr returns the address in force: with port 0 the one that the kernel chose. Any goroutine.
func (s *Socket) Addr() net.Addr { return s.addr }

// Name returns Listener.Name. Any goroutine.
func (s *Socket) Name() string { return s.spec.Name }

// Stats returns the counters. Loop goroutine only.
func (s *Socket) Stats() *SocketStats { return &s.stats }

// Change replaces what holds for connections from now on: Accept, ConnsMax, AcceptRate and Busy of l. Loop
// goroutine only.
func (s *Socket) Change(l Listener) {
	s.spec.Accept, s.spec.ConnsMax, s.spec.AcceptRate, s.spec.Busy = l.Accept, l.ConnsMax, l.AcceptRate, l.Busy
}

// admits tells whether one more connection is within the limit of the socket, and counts it or its refusal.
func (s *Socket) admits() bool {
	if s.spec.ConnsMax > 0 && s.stats.Conns >= uint64(s.spec.ConnsMax) {
		s.stats.Refused++
		return false
	}
	s.stats.Conns++
	return true
}

// welcome asks the owner for the handler of a new connection.
func (s *Socket) welcome(c Conn, from Peer, accept func(Conn, Peer) Handler) Handler {
	if s.spec.Accept != nil {
		accept = s.spec.Accept
	}
	s.stats.Accepted++
	h := accept(c, from)
	if h == nil {
		s.stats.Refused++
	}
	return h
}
