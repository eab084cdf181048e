//go:build linux

package bench

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// group is a set of publishers and the subscribers that get what they publish.
type group struct {
	publishers []publisher
	subs       []subscriber
	spread     bool  // each message goes to one subscriber
	got        int64 // PUBLISH bytes that all subscribers received
}

// reached is up to where the publishers' bytes have come: what the subscriber
// with the least has received.
func (g *group) reached() int64 {
	if g.spread {
		return g.got
	}
	least := g.subs[0].got
	for i := range g.subs {
		least = min(least, g.subs[i].got)
	}
	return least
}

// sent is the number of bytes that the publishers of the group sent.
func (g *group) sent() (bytes int64) {
	for k := range g.publishers {
		bytes += g.publishers[k].sent
	}
	return bytes
}

// publisher sends its cycle of frames round and round.
type publisher struct {
	fd      int
	cycle   []byte
	frame   int64
	sent    int64  // bytes
	acked   int64  // messages whose handshake is complete
	control []byte // QoS 2: PUBRELs not yet written
	odd     []byte // begin of an acknowledgement whose rest has not arrived
	blocked bool   // the kernel refused the last write; waiting for EPOLLOUT
}

// subscriber counts what arrives.
type subscriber struct {
	fd   int
	qos  byte
	got  int64  // bytes of PUBLISH packets
	want []byte // a frame to compare with
	tail []byte // begin of a packet whose rest has not arrived
	acks []byte // acknowledgements not yet written
}

// dial opens a connection and gets through CONNECT. The socket blocks, with a
// deadline, until the handshakes are over.
func dial(addr netip.AddrPort, clientID string, clean bool) (fd int, err error) {
	return dialFrom(addr, 0, clientID, clean)
}

// dialFrom is dial from one of the addresses that open knows.
func dialFrom(addr netip.AddrPort, from int, clientID string, clean bool) (fd int, err error) {
	if fd, err = open(addr, from); err != nil {
		return -1, err
	}
	if err = ask(fd, connectFrame(clientID, clean), 4, firstConnack, 1, "CONNECT"); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// open connects. On the loopback interface it comes from the address with this
// number: each has only so many ports.
func open(addr netip.AddrPort, from int) (fd int, err error) {
	family, sa := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()})
	if addr.Addr().Is4() {
		family, sa = unix.AF_INET, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w; raise the limit of open files (ulimit -n)", err)
	}
	opened := fd // an error returns -1
	defer func() {
		if err != nil {
			unix.Close(opened)
		}
	}()
	patience := unix.NsecToTimeval(int64(10 * time.Second))
	if err = errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience),
	); err != nil {
		return -1, fmt.Errorf("socket options: %w", err)
	}
	if from > 0 && addr.Addr().Is4() && addr.Addr().IsLoopback() {
		source := &unix.SockaddrInet4{Addr: [4]byte{127, 0, byte(1 + from>>8), byte(from)}}
		if err = errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1), unix.Bind(fd, source)); err != nil {
			return -1, fmt.Errorf("bind a source address: %w", err)
		}
	}
	if err = retry(func() error { return unix.Connect(fd, sa) }); err != nil {
		return -1, fmt.Errorf("connect %s: %w", addr, err)
	}
	return fd, nil
}

// ask writes a request and checks the answer, which is size bytes long.
func ask(fd int, request []byte, size int, first, refusedFrom byte, what string) error {
	if _, err := unix.Write(fd, request); err != nil {
		return fmt.Errorf("write %s: %w", what, err)
	}
	answer := make([]byte, size)
	if err := readFull(fd, answer); err != nil {
		return fmt.Errorf("no answer to %s: %w", what, err)
	}
	return expect(answer, first, refusedFrom, what)
}

// readFull fills p.
func readFull(fd int, p []byte) error {
	for at := 0; at < len(p); {
		n, err := read(fd, p[at:])
		if err != nil || n == 0 {
			return errors.Join(err, errClosed(n))
		}
		at += n
	}
	return nil
}

func errClosed(n int) error {
	if n == 0 {
		return errors.New("the broker closed the connection")
	}
	return nil
}

// retry repeats f while a signal interrupts it.
func retry(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}

// read and write are the system calls, repeated while a signal interrupts.
func read(fd int, p []byte) (n int, err error) {
	for {
		if n, err = unix.Read(fd, p); err != unix.EINTR {
			return n, err
		}
	}
}

func write(fd int, p []byte) (n int, err error) {
	for {
		if n, err = unix.Write(fd, p); err != unix.EINTR {
			return n, err
		}
	}
}
