package store

import (
	"errors"
	"fmt"
	"io"
)

// segment is one file of the log.
type segment struct {
	file file
	name string
	path string // for messages
	seq  uint32 // 0: not in use
	size int64
	lsn  uint64 // of its first batch
	tail uint32 // as its header says
	end  int64  // where the next batch goes
	live int64  // bytes of live records, in whole units
}

func (s *segment) damage(off int64, format string, args ...any) error {
	return &DamageError{File: s.path, Offset: off, What: fmt.Sprintf(format, args...)}
}

// batchReader reads whole batches of one store through a window.
type batchReader struct {
	id    uint64
	ahead int // bytes of a read, if there are as many

	buf []byte // what seq holds from at on
	seq uint32
	at  int64
}

// read is the batch at off: its head and its records, a view until the next
// read. ok is false when there is no whole batch of this use of the segment.
func (r *batchReader) read(s *segment, off int64) (h batchHead, records []byte, ok bool, err error) {
	if off+batchHeadBytes > s.size {
		return h, nil, false, nil
	}
	b, err := r.view(s, off, batchHeadBytes)
	if err != nil {
		return h, nil, false, err
	}
	h, ok = decodeBatchHead(b)
	total := int64(batchHeadBytes) + int64(h.bytes)
	if !ok || h.id != r.id || h.seq != s.seq || off+total > s.size {
		return h, nil, false, nil
	}
	if b, err = r.view(s, off, int(total)); err != nil {
		return h, nil, false, err
	}
	if batchSum(h.id, h.seq, b) != h.crc {
		return h, nil, false, nil
	}
	return h, b[batchHeadBytes:], true, nil
}

// view is n bytes at off, which lie within the segment.
func (r *batchReader) view(s *segment, off int64, n int) ([]byte, error) {
	if r.seq != s.seq || off < r.at || off+int64(n) > r.at+int64(len(r.buf)) {
		want := int(min(int64(max(n, r.ahead)), s.size-off))
		if cap(r.buf) < want {
			r.buf = make([]byte, want)
		}
		r.buf, r.seq, r.at = r.buf[:want], s.seq, off
		if err := readFull(s, r.buf, off); err != nil {
			r.buf = r.buf[:0]
			return nil, err
		}
	}
	return r.buf[off-r.at:][:n], nil
}

// forget gives back the window.
func (r *batchReader) forget() { r.buf = nil }

// readFull reads b at off; a file that ends early is damage, not io.EOF.
func readFull(s *segment, b []byte, off int64) error {
	switch err := s.file.readAt(b, off); {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return s.damage(off, "the file ends early")
	default:
		return fmt.Errorf("read %s at %d: %w", s.path, off, err)
	}
}

// span is how many bytes of the segment a batch with n bytes of records takes.
func span(n int) int64 { return int64(sectors(batchHeadBytes + n)) }
