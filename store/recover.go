package store

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
)

// recovery opens the log of a directory. A clean stop and a killed process
// leave the same thing behind and are read the same way:
//
//	headers  which files are segments of the log, and which is the head
//	head     its batches up to the first that is not whole: that one was not
//	         acknowledged, unless a whole one stands behind it, which is damage
//	tail     the last batch says where the log starts; all from there on must be
//	         there, whole and without a gap
//	apply    every record in order, into the index
//	again    the last batch is written once more: its sync may have failed before
//	         the process ended, and the page cache would not tell
type recovery struct {
	wal    *wal
	reader batchReader
	used   []*segment // with a header, by seq
	spare  []*segment // never used
	rawOff int64      // of the last batch of the head, 0: it has none
}

// openLog reads the log in fs, or starts one.
func openLog(fs files, conf Options) (w *wal, err error) {
	w = &wal{fs: fs, conf: conf, index: newIndex(), lsn: 1, named: conf.named}
	r := &recovery{wal: w, reader: batchReader{ahead: 1 << 20}}
	defer func() {
		if err != nil {
			w.close()
			for _, s := range append(r.used, r.spare...) {
				s.file.close()
			}
			w = nil
		}
	}()
	if err := r.headers(); err != nil {
		return w, err
	}
	if len(r.used) == 0 && conf.look {
		return w, fmt.Errorf("%s: %w", fs.path(""), ErrNoStore)
	}
	if len(r.used) == 0 {
		return w, r.start()
	}
	w.setID(w.id)
	r.reader.id = w.id
	if err := r.order(); err != nil {
		return w, err
	}
	if err := r.apply(); err != nil {
		return w, err
	}
	if conf.look {
		return w, nil
	}
	if err := r.again(); err != nil {
		return w, err
	}
	w.maintain()
	return w, nil
}

func (w *wal) setID(id uint64) {
	w.id, w.seed = id, recordSeed(id)
	w.clean.reader = batchReader{id: id, ahead: 256 << 10}
}

// headers opens all segments and sorts them by what their headers say.
func (r *recovery) headers() error {
	names, err := r.wal.fs.list()
	if err != nil {
		return fmt.Errorf("read store: %w", err)
	}
	slices.Sort(names)
	for _, name := range names {
		n := segmentNumber(name)
		if n == 0 {
			continue
		}
		r.wal.named = max(r.wal.named, n)
		f, err := r.wal.fs.open(name)
		if err != nil {
			return fmt.Errorf("open segment: %w", err)
		}
		s := &segment{file: f, name: name, path: r.wal.fs.path(name)}
		r.spare = append(r.spare, s)
		if s.size, err = f.size(); err != nil {
			return fmt.Errorf("open segment: %w", err)
		}
		used, err := r.header(s)
		if err != nil {
			return err
		}
		if used {
			r.spare = r.spare[:len(r.spare)-1]
			r.used = append(r.used, s)
		}
	}
	sort.Slice(r.used, func(i, j int) bool { return r.used[i].seq < r.used[j].seq })
	return nil
}

// header reads the header of s; used is false for a file that never was in use.
func (r *recovery) header(s *segment) (used bool, err error) {
	sector := make([]byte, 2*sectorBytes)
	if err := s.file.readAt(sector, 0); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return false, nil // the file was being made
	} else if err != nil {
		return false, fmt.Errorf("read %s: %w", s.path, err)
	}
	h, unused, ok := decodeHeader(sector[:sectorBytes])
	_, batch := decodeBatchHead(sector[sectorBytes:])
	switch {
	case unused && batch:
		return false, s.damage(0, "the header of a segment in use is gone")
	case unused:
		return false, nil
	case ok && h.version > formatVersion:
		return false, &VersionError{File: s.path, Version: h.version}
	case !ok:
		return false, s.damage(0, "the header of the segment is broken")
	case r.wal.id != 0 && h.id != r.wal.id:
		return false, s.damage(16, "the segment belongs to another store")
	case h.size != s.size:
		return false, s.damage(s.size, "the file has %d bytes, its header says %d", s.size, h.size)
	}
	r.wal.id = h.id
	s.seq, s.lsn, s.tail, s.end = h.seq, h.lsn, h.tail, sectorBytes
	return true, nil
}

// start makes the first segment of a new store.
func (r *recovery) start() error {
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return fmt.Errorf("start store: %w", err)
	}
	w := r.wal
	w.setID(binary.LittleEndian.Uint64(id[:]) | 1)
	for _, s := range r.spare { // of a start that did not get far
		w.discard(s)
	}
	r.spare = nil
	s, err := w.create(w.conf.SegmentBytes)
	if err != nil {
		return err
	}
	s.seq, s.lsn, s.tail, s.end = 1, w.lsn, 1, sectorBytes
	w.log = []*segment{s}
	if err := w.putHeader(s); err != nil {
		return err
	}
	w.maintain()
	return nil
}

// order finds where the log starts and ends.
func (r *recovery) order() error {
	w := r.wal
	head := r.used[len(r.used)-1]
	tail := head.tail
	w.lsn = head.lsn
	err := r.scan(head, 0, func(h batchHead, records []byte, off int64) error {
		tail, w.lsn = h.tail, h.lsn+1
		r.rawOff = off
		return nil
	})
	if err != nil {
		return err
	}
	if err := r.nothingBehind(head); err != nil {
		return err
	}
	first := slices.IndexFunc(r.used, func(s *segment) bool { return s.seq >= tail })
	for i, s := range r.used[first:] {
		if s.seq != tail+uint32(i) {
			return s.damage(0, "segment %d of the log is missing, this is %d", tail+uint32(i), s.seq)
		}
	}
	w.log = slices.Clone(r.used[first:])
	for _, s := range append(r.used[:first:first], r.spare...) {
		if s.size == w.conf.SegmentBytes || w.conf.look {
			s.seq = 0
			w.free = append(w.free, s)
		} else {
			w.discard(s)
		}
	}
	r.used, r.spare = nil, nil
	return nil
}

// segmentsAhead are asked for while one is looked at.
const segmentsAhead = 2

// apply fills the index. A segment must hold all batches up to the first of the
// next.
func (r *recovery) apply() error {
	w := r.wal
	w.early.chunks = map[uint32][]earlyChunk{}
	for i, s := range w.log {
		until := w.lsn
		if i+1 < len(w.log) {
			until = w.log[i+1].lsn
		}
		for _, soon := range w.log[i+1 : min(i+1+segmentsAhead, len(w.log))] {
			soon.file.readSoon()
		}
		next := s.lsn
		err := r.scan(s, until, func(h batchHead, records []byte, off int64) error {
			if err := wholeRecords(s, h, records, off); err != nil {
				return err
			}
			w.apply(s, records, off+batchHeadBytes)
			if !w.conf.look {
				w.early.collect(s.seq, uint32(off+batchHeadBytes), records, max(earlyBytes, int(w.index.bytes()/2)))
			}
			next = h.lsn + 1
			return nil
		})
		if err != nil {
			return err
		}
		if next != until {
			return s.damage(s.end, "batch %d is broken or missing, batches up to %d were written", next, until-1)
		}
	}
	return nil
}

// scan calls each for the batches of s in order, up to the first that is not
// whole or, if until is not 0, up to that lsn. It sets the end of s.
func (r *recovery) scan(s *segment, until uint64, each func(h batchHead, records []byte, off int64) error) error {
	s.end = sectorBytes
	for lsn := s.lsn; until == 0 || lsn < until; lsn++ {
		h, records, ok, err := r.reader.read(s, s.end)
		if err != nil {
			return err
		}
		if !ok || h.lsn != lsn {
			return nil
		}
		if err := each(h, records, s.end); err != nil {
			return err
		}
		s.end += span(int(h.bytes))
	}
	return nil
}

// nothingBehind makes sure that the log ends where it seems to: a batch was
// written only after the one before it was durable, so a later one proves that
// an acknowledged batch was lost.
func (r *recovery) nothingBehind(s *segment) error {
	for off := s.end; off+sectorBytes <= s.size; off += sectorBytes {
		b, err := r.reader.view(s, off, sectorBytes)
		if err != nil {
			return err
		}
		h, ok := decodeBatchHead(b)
		if !ok || h.id != r.reader.id || h.seq != s.seq || h.lsn <= r.wal.lsn {
			continue
		}
		if _, _, whole, err := r.reader.read(s, off); err != nil {
			return err
		} else if whole {
			return s.damage(s.end, "batch %d is broken, and batch %d stands behind it", r.wal.lsn, h.lsn)
		}
	}
	return nil
}

// wholeRecords checks that the records of a batch are as many as it says, so
// that nobody has to doubt them later.
func wholeRecords(s *segment, h batchHead, records []byte, off int64) error {
	count := uint32(0)
	for at := 0; at < len(records); count++ {
		_, n := nextRecord(records[at:])
		if n == 0 {
			return s.damage(off+batchHeadBytes+int64(at), "a broken record in a whole batch")
		}
		at += n
	}
	if count != h.count {
		return s.damage(off, "a batch of %d records says that it has %d", count, h.count)
	}
	return nil
}

// again writes what was written last once more, and syncs it and the directory:
// what this start has seen is what the next will see.
func (r *recovery) again() error {
	w := r.wal
	if err := w.fs.syncDir(""); err != nil {
		return fmt.Errorf("sync store: %w: %w", ErrFailed, err)
	}
	s := w.head()
	if r.rawOff == 0 {
		return w.putHeader(s)
	}
	raw := alignedBuffer(int(s.end - r.rawOff))
	defer freeBuffer(raw)
	if err := readFull(s, raw, r.rawOff); err != nil {
		return err
	}
	return w.put(s, raw, r.rawOff)
}

// close lets go of the files.
func (w *wal) close() {
	for _, list := range [][]*segment{w.log, w.given, w.free} {
		for _, s := range list {
			s.file.close()
		}
	}
	w.log, w.given, w.free = nil, nil, nil
	freeBuffer(w.out)
	w.out = nil
}
