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
	seq  uint32 // 0: not in use
	size int64
	lsn  uint64 // of its first batch
	tail uint32 // as its header says
	end  int64  // where the next batch goes
	live int64  // bytes of live records, in whole units
}

func (s *segment) damage(off int64, format string, args ...any) error {
	return &DamageError{File: s.name, Offset: off, What: fmt.Sprintf(format, args...)}
}

// batchReader reads whole batches of one store into a buffer of its own.
type batchReader struct {
	id  uint64
	buf []byte
}

// read is the batch at off: its head and its records, a view until the next
// read. ok is false when there is no whole batch of this use of the segment.
func (r *batchReader) read(s *segment, off int64) (h batchHead, records []byte, ok bool, err error) {
	if off+batchHeadBytes > s.size {
		return h, nil, false, nil
	}
	r.grow(sectorBytes)
	// One read is enough for most batches of a broker that has little to do.
	first := r.buf[:min(int64(len(r.buf)), s.size-off)]
	if err := readFull(s, first, off); err != nil {
		return h, nil, false, err
	}
	h, ok = decodeBatchHead(first)
	total := int64(batchHeadBytes) + int64(h.bytes)
	if !ok || h.id != r.id || h.seq != s.seq || off+total > s.size {
		return h, nil, false, nil
	}
	if have := int64(len(first)); total > have {
		r.grow(int(total))
		if err := readFull(s, r.buf[have:total], off+have); err != nil {
			return h, nil, false, err
		}
	}
	batch := r.buf[:total]
	if batchSum(h.id, h.seq, batch) != h.crc {
		return h, nil, false, nil
	}
	return h, batch[batchHeadBytes:], true, nil
}

// grow makes the buffer at least n bytes long and keeps what it holds.
func (r *batchReader) grow(n int) {
	if n > len(r.buf) {
		r.buf = append(r.buf, make([]byte, max(n, readAhead)-len(r.buf))...)
	}
}

const readAhead = 32 << 10

// readFull reads b at off; a file that ends early is damage, not io.EOF.
func readFull(s *segment, b []byte, off int64) error {
	switch err := s.file.readAt(b, off); {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return s.damage(off, "the file ends early")
	default:
		return fmt.Errorf("read %s at %d: %w", s.name, off, err)
	}
}

// span is how many bytes of the segment a batch with n bytes of records takes.
func span(n int) int64 { return int64(sectors(batchHeadBytes + n)) }
