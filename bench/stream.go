//go:build linux

package bench

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// receive reads once and accounts for what arrived. buf is scratch.
//
// hot: no allocation.
func (s *subscriber) receive(buf []byte, sh *shape) error {
	if s.qos == 0 && !sh.varies {
		return s.receiveSame(buf, sh)
	}
	kept := copy(buf, s.tail)
	n, err := read(s.fd, buf[kept:])
	if err == unix.EAGAIN {
		return nil
	}
	if err != nil || n == 0 {
		return fmt.Errorf("subscriber lost: %w", errors.Join(err, errClosed(n)))
	}
	data := buf[:kept+n]
	used := 0
	if s.qos == 2 {
		used, err = s.packets(data, sh)
	} else {
		used, err = s.frames(data, sh)
	}
	if err != nil {
		return err
	}
	s.tail = append(s.tail[:0], data[used:]...)
	return s.acknowledge()
}

// compareMax is how many bytes of a read are compared with what they must be.
const compareMax = 4 << 10

// receiveSame is receive where all frames are the same bytes: where in a frame
// the stream stands follows from how much came.
//
// hot: no allocation.
func (s *subscriber) receiveSame(buf []byte, sh *shape) error {
	n, err := read(s.fd, buf)
	if err == unix.EAGAIN {
		return nil
	}
	if err != nil || n == 0 {
		return fmt.Errorf("subscriber lost: %w", errors.Join(err, errClosed(n)))
	}
	at := int(s.got % int64(sh.frameBytes))
	s.got += int64(n)
	for data := buf[:min(n, compareMax)]; len(data) > 0; {
		part := s.want[at:min(at+len(data), sh.frameBytes)]
		if !bytes.Equal(data[:len(part)], part) {
			return fmt.Errorf("a subscriber got %q, want %q", data[:len(part)], part)
		}
		data, at = data[len(part):], 0
	}
	return nil
}

// frames takes whole PUBLISH frames of QoS 0 and 1, all equally long; the
// first of them is compared.
//
// hot: no allocation.
func (s *subscriber) frames(data []byte, sh *shape) (used int, err error) {
	whole := len(data) / sh.frameBytes * sh.frameBytes
	if whole > 0 {
		if err := s.compare(data[:sh.frameBytes], sh); err != nil {
			return 0, err
		}
	}
	s.got += int64(whole)
	if sh.idOffset > 0 {
		for at := 0; at < whole; at += sh.frameBytes {
			id := data[at+sh.idOffset:]
			s.acks = append(s.acks, firstPuback, 2, id[0], id[1])
		}
	}
	return whole, nil
}

// packets takes PUBLISH frames of QoS 2 and the PUBRELs between them.
//
// hot: no allocation.
func (s *subscriber) packets(data []byte, sh *shape) (used int, err error) {
	for first := true; ; {
		rest := data[used:]
		switch {
		case len(rest) >= ackBytes && rest[0] == firstPubrel:
			s.acks = append(s.acks, firstPubcomp, 2, rest[2], rest[3])
			used += ackBytes
		case len(rest) >= sh.frameBytes && rest[0] != firstPubrel:
			if first {
				if err := s.compare(rest[:sh.frameBytes], sh); err != nil {
					return 0, err
				}
				first = false
			}
			id := rest[sh.idOffset:]
			s.acks = append(s.acks, firstPubrec, 2, id[0], id[1])
			s.got += int64(sh.frameBytes)
			used += sh.frameBytes
		default:
			return used, nil
		}
	}
}

// compare checks a frame but for its packet identifier, which is the broker's
// to choose, and its topic where that varies.
func (s *subscriber) compare(got []byte, sh *shape) error {
	from, to := sh.frameBytes, sh.frameBytes
	if sh.idOffset > 0 {
		from, to = sh.idOffset, sh.idOffset+2
	}
	if sh.varies {
		from = sh.topicFrom
		to = max(sh.topicTo, to%sh.frameBytes)
	}
	if !bytes.Equal(got[:from], s.want[:from]) || !bytes.Equal(got[to:], s.want[to:]) {
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
		return fmt.Errorf("write acknowledgements: %w", err)
	}
	s.acks = append(s.acks[:0], s.acks[max(n, 0):]...)
	return nil
}

// receive takes acknowledgements.
func (p *publisher) receive(buf []byte) error {
	kept := copy(buf, p.odd)
	n, err := read(p.fd, buf[kept:])
	if err == unix.EAGAIN {
		return nil
	}
	if err != nil || n == 0 {
		return fmt.Errorf("publisher lost: %w", errors.Join(err, errClosed(n)))
	}
	data := buf[:kept+n]
	for ; len(data) >= ackBytes; data = data[ackBytes:] {
		switch data[0] {
		case firstPuback, firstPubcomp:
			p.acked++
		case firstPubrec:
			p.control = append(p.control, firstPubrel, 2, data[2], data[3])
		default:
			return fmt.Errorf("a publisher got % x, want an acknowledgement", data[:ackBytes])
		}
	}
	p.odd = append(p.odd[:0], data...)
	return nil
}

// send writes up to room bytes of the cycle, PUBRELs first; a frame that was
// begun is ended before them.
//
// hot: no allocation.
func (p *publisher) send(room int64) error {
	if len(p.control) > 0 && !p.blocked {
		if begun := p.sent % p.frame; begun != 0 {
			if err := p.write(p.frame - begun); err != nil || p.blocked {
				return err
			}
			room -= p.frame - begun
		}
		n, err := write(p.fd, p.control)
		if err != nil && err != unix.EAGAIN {
			return fmt.Errorf("write PUBREL: %w", err)
		}
		p.control = append(p.control[:0], p.control[max(n, 0):]...)
		if len(p.control) > 0 {
			p.blocked = true
		}
	}
	return p.write(room)
}

// write writes room bytes of the cycle, fewer when the kernel takes fewer.
//
// hot: no allocation.
func (p *publisher) write(room int64) error {
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
