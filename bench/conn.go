//go:build linux

package bench

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// group is a publisher and the subscribers of its topic.
type group struct {
	publisher publisher
	subs      []subscriber
}

// publisher sends its cycle of frames round and round.
type publisher struct {
	fd      int
	cycle   []byte
	sent    int64 // bytes
	acked   int64 // bytes of PUBACKs
	blocked bool  // the kernel refused the last write; waiting for EPOLLOUT
}

// subscriber counts what arrives.
type subscriber struct {
	fd   int
	got  int64  // bytes
	want []byte // a frame to compare with
	tail []byte // begin of a frame whose rest has not arrived
	acks []byte // QoS 1: PUBACKs not yet written
}

// dial opens a connection and gets through CONNECT. The socket blocks, with a
// deadline, until the handshakes are over.
func dial(addr netip.AddrPort, clientID string) (fd int, err error) {
	family, sa := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()})
	if addr.Addr().Is4() {
		family, sa = unix.AF_INET, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w; raise the limit of open files (ulimit -n)", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	patience := unix.NsecToTimeval(int64(10 * time.Second))
	if err = errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience),
	); err != nil {
		return -1, fmt.Errorf("socket options: %w", err)
	}
	if err = retry(func() error { return unix.Connect(fd, sa) }); err != nil {
		return -1, fmt.Errorf("connect %s: %w", addr, err)
	}
	if err = ask(fd, connectFrame(clientID), 4, firstConnack, 1, "CONNECT"); err != nil {
		return -1, err
	}
	return fd, nil
}

// ask writes a request and checks the answer, which is size bytes long.
func ask(fd int, request []byte, size int, first, refusedFrom byte, what string) error {
	if _, err := unix.Write(fd, request); err != nil {
		return fmt.Errorf("write %s: %w", what, err)
	}
	answer := make([]byte, size)
	for at := 0; at < size; {
		n, err := read(fd, answer[at:])
		if err != nil || n == 0 {
			return fmt.Errorf("no answer to %s: %w", what, errors.Join(err, errClosed(n)))
		}
		at += n
	}
	return expect(answer, first, refusedFrom, what)
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

// receive reads once and accounts for what arrived. buf is scratch and larger
// than a frame.
//
// hot: no allocation.
func (s *subscriber) receive(buf []byte, sh shape) error {
	kept := copy(buf, s.tail)
	n, err := read(s.fd, buf[kept:])
	if err == unix.EAGAIN {
		return nil
	}
	if err != nil || n == 0 {
		return fmt.Errorf("subscriber lost: %w", errors.Join(err, errClosed(n)))
	}
	s.got += int64(n)
	data := buf[:kept+n]
	whole := len(data) / sh.frameBytes * sh.frameBytes
	if whole > 0 {
		if err := s.compare(data[:sh.frameBytes], sh); err != nil {
			return err
		}
	}
	if sh.idOffset > 0 {
		for at := 0; at < whole; at += sh.frameBytes {
			id := data[at+sh.idOffset:]
			s.acks = append(s.acks, firstPuback, 2, id[0], id[1])
		}
	}
	s.tail = append(s.tail[:0], data[whole:]...)
	return s.acknowledge()
}

// compare checks a frame but for its packet identifier, which is the broker's
// to choose.
func (s *subscriber) compare(got []byte, sh shape) error {
	same := bytes.Equal(got, s.want)
	if at := sh.idOffset; at > 0 {
		same = bytes.Equal(got[:at], s.want[:at]) && bytes.Equal(got[at+2:], s.want[at+2:])
	}
	if !same {
		return fmt.Errorf("a subscriber got %q, want %q", got, s.want)
	}
	return nil
}

func (s *subscriber) acknowledge() error {
	if len(s.acks) == 0 {
		return nil
	}
	n, err := write(s.fd, s.acks)
	if err != nil && err != unix.EAGAIN {
		return fmt.Errorf("write PUBACK: %w", err)
	}
	s.acks = append(s.acks[:0], s.acks[max(n, 0):]...)
	return nil
}

// receive counts PUBACKs.
func (p *publisher) receive(buf []byte) error {
	n, err := read(p.fd, buf)
	if err == unix.EAGAIN {
		return nil
	}
	if err != nil || n == 0 {
		return fmt.Errorf("publisher lost: %w", errors.Join(err, errClosed(n)))
	}
	if p.acked%pubackBytes == 0 && buf[0] != firstPuback {
		return fmt.Errorf("a publisher got % x, want PUBACK", buf[:min(n, 16)])
	}
	p.acked += int64(n)
	return nil
}

// send writes up to room bytes of the cycle.
//
// hot: no allocation.
func (p *publisher) send(room int64) error {
	for room > 0 && !p.blocked {
		at := p.sent % int64(len(p.cycle))
		part := p.cycle[at:]
		part = part[:min(int64(len(part)), room)]
		n, err := write(p.fd, part)
		if err == unix.EAGAIN {
			p.blocked = true
			return nil
		}
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		p.sent += int64(n)
		room -= int64(n)
	}
	return nil
}
