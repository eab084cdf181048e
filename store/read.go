package store

import (
	"errors"
	"fmt"
)

// Value is the answer for one key of a Read.
type Value struct {
	Key  Key
	Data []byte // owned by who asked; of a damaged record what stands there now, or nil
	Err  error  // ErrNotFound, or what is wrong with the disk
}

// value reads the live record of k. It may run beside the writer: a record that
// moves while it is read is looked for again.
func (w *wal) value(k Key) ([]byte, error) {
	for {
		w.mu.RLock()
		l, ok := w.index.get(k)
		var s *segment
		if ok {
			s = w.segment(l.seq)
		}
		w.mu.RUnlock()
		if !ok {
			return nil, ErrNotFound
		}
		v, err := w.valueAt(s, k, l)
		if err == nil {
			return v, nil
		}
		w.mu.RLock()
		now, still := w.index.get(k)
		w.mu.RUnlock()
		if still && now == l {
			return v, err
		}
	}
}

// valueAt reads the record at l, which has to be that of k.
func (w *wal) valueAt(s *segment, k Key, l location) ([]byte, error) {
	raw := make([]byte, min(int64(l.units)*unitBytes, s.size-int64(l.off)))
	if err := readFull(s, raw, int64(l.off)); err != nil {
		return nil, err
	}
	return w.valueOf(raw, s, k, l)
}

// valueOf is the value in raw, a view.
func (w *wal) valueOf(raw []byte, s *segment, k Key, l location) ([]byte, error) {
	r, n := nextRecord(raw)
	if n == 0 || r.op != opPut || r.key != k || units(n) != l.units {
		return nil, s.damage(int64(l.off), "the record of key %v is broken", k)
	}
	if !checkRecord(raw[:n], w.seed) {
		return r.value, s.damage(int64(l.off), "the record of key %v is broken", k)
	}
	return r.value, nil
}

// load calls each for every live record in the order of keys. Values of cold
// tables stay on disk. A value is a view.
func (w *wal) load(each func(k Key, size int, value []byte) error) error {
	var err error
	near := window{w: w}
	w.index.each(func(k Key, l location) bool {
		s := w.segment(l.seq)
		if k.Table() >= Cold {
			err = each(k, int(l.units)*unitBytes-recordHeadBytes, nil)
			return err == nil
		}
		if v, ok := w.early.find(l); ok {
			err = each(k, len(v), v)
			return err == nil
		}
		var raw, v []byte
		if raw, err = near.view(s, int64(l.off), int(l.units)*unitBytes); err == nil {
			if v, err = w.valueOf(raw, s, k, l); err == nil {
				err = each(k, len(v), v)
			}
		}
		return err == nil
	})
	w.early = early{}
	return err
}

// window reads records that mostly follow each other.
type window struct {
	w      *wal
	reader batchReader
	seq    uint32
	last   int64
}

func (n *window) view(s *segment, off int64, size int) ([]byte, error) {
	// A read ahead pays when records stand in the order in which they are asked
	// for; elsewhere it would read the log many times over.
	n.reader.ahead = size
	if s.seq == n.seq && off >= n.last && off < n.last+loadAhead {
		n.reader.ahead = loadAhead
	}
	n.seq, n.last = s.seq, off
	return n.reader.view(s, off, int(min(int64(size), s.size-off)))
}

const loadAhead = 256 << 10

// explain says which read failed.
func explain(k Key, err error) error {
	if errors.Is(err, ErrNotFound) {
		return err
	}
	return fmt.Errorf("read record %v: %w", k, err)
}
