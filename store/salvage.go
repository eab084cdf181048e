package store

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"sort"
)

// salvage is all that can still be read of a damaged log.
type salvage struct {
	id       uint64
	reader   batchReader
	segments []*segment
	batches  []foundBatch
	lost     []Lost
	records  map[Key]foundRecord
}

type foundBatch struct {
	segment   *segment
	off       int64
	lsn       uint64
	tail      uint32
	recordLen int
}

type foundRecord struct {
	segment *segment
	off     int64
	len     int
}

// findSalvage looks at every sector of every segment for whole batches, and
// applies those that belong to the log in order.
func findSalvage(fs files) (*salvage, error) {
	v := &salvage{records: map[Key]foundRecord{}}
	err := v.open(fs)
	if err == nil && v.id == 0 {
		err = fmt.Errorf("%s: nothing in it can be read", fs.path(""))
	}
	if err == nil {
		err = v.findAll()
	}
	if err != nil {
		v.close()
		return nil, fmt.Errorf("read damaged store: %w", err)
	}
	return v, nil
}

func (v *salvage) findAll() error {
	v.reader = batchReader{id: v.id}
	for _, s := range v.segments {
		v.find(s)
	}
	v.inOrder()
	return v.apply()
}

func (v *salvage) close() {
	for _, s := range v.segments {
		s.file.close()
	}
}

// open opens the segments, and learns the id of the store and of each segment
// its seq, from its batches if the header does not tell.
func (v *salvage) open(fs files) error {
	names, err := fs.list()
	if err != nil {
		return err
	}
	var headless []*segment
	for _, name := range names {
		if segmentNumber(name) == 0 {
			continue
		}
		f, err := fs.open(name)
		if err != nil {
			return err
		}
		s := &segment{file: f, name: name, path: fs.path(name)}
		v.segments = append(v.segments, s)
		if s.size, err = f.size(); err != nil {
			return err
		}
		sector := make([]byte, sectorBytes)
		_ = f.readAt(sector, 0) // what cannot be read is no header
		switch h, unused, ok := decodeHeader(sector); {
		case ok && h.version > formatVersion:
			return &VersionError{File: s.path, Version: h.version}
		case ok && (v.id == 0 || v.id == h.id):
			v.id, s.seq, s.lsn = h.id, h.seq, h.lsn
		case ok:
			v.lost = append(v.lost, Lost{File: s.path, What: "belongs to another store, left out"})
		default:
			headless = append(headless, s)
			if !unused {
				v.lost = append(v.lost, Lost{File: s.path, What: "its header is broken"})
			}
		}
	}
	for _, s := range headless {
		v.guess(s)
	}
	return nil
}

// guess learns from whole batches what the header of s would say.
func (v *salvage) guess(s *segment) {
	buf := make([]byte, sectorBytes)
	for off := int64(sectorBytes); off+sectorBytes <= s.size; off += sectorBytes {
		if s.file.readAt(buf, off) != nil {
			continue
		}
		h, ok := decodeBatchHead(buf)
		if !ok || v.id != 0 && h.id != v.id || h.seq <= s.seq {
			continue
		}
		trial := batchReader{id: h.id}
		if _, _, whole, err := trial.read(&segment{file: s.file, size: s.size, seq: h.seq}, off); err == nil && whole {
			v.id, s.seq = h.id, h.seq
		}
	}
}

// find notes the whole batches of s.
func (v *salvage) find(s *segment) {
	if s.seq == 0 {
		return
	}
	v.reader.ahead = 1 << 20
	for off := int64(sectorBytes); off+sectorBytes <= s.size; {
		h, _, ok, err := v.reader.read(s, off)
		if err != nil && v.reader.ahead > sectorBytes {
			v.reader.ahead = sectorBytes // find out which sectors it is
			continue
		}
		if err != nil || !ok {
			off += sectorBytes
			continue
		}
		v.batches = append(v.batches, foundBatch{s, off, h.lsn, h.tail, int(h.bytes)})
		off += span(int(h.bytes))
	}
}

// inOrder keeps what belongs to the log, in order, and notes what is missing.
func (v *salvage) inOrder() {
	sort.Slice(v.batches, func(i, j int) bool {
		a, b := &v.batches[i], &v.batches[j]
		return cmp.Or(cmp.Compare(a.lsn, b.lsn), cmp.Compare(b.segment.seq, a.segment.seq)) < 0
	})
	if len(v.batches) == 0 {
		return
	}
	once := v.batches[:1]
	for _, b := range v.batches[1:] {
		if b.lsn != once[len(once)-1].lsn {
			once = append(once, b)
		}
	}
	v.batches = once
	tail := v.batches[len(v.batches)-1].tail
	kept := v.batches[:0]
	for _, b := range v.batches {
		if b.segment.seq >= tail {
			kept = append(kept, b)
		}
	}
	v.batches = kept
	// The first batch of the log is known if the header of its segment is.
	expect := v.batches[0].lsn
	at := v.batches[0].segment
	off := int64(sectorBytes)
	for _, s := range v.segments {
		if s.seq == tail && s.lsn != 0 {
			expect, at = s.lsn, s
		}
	}
	if v.batches[0].segment.seq > tail && at.seq != tail {
		v.lost = append(v.lost, Lost{File: at.path, What: fmt.Sprintf("segments %d to %d of the log are missing", tail, at.seq-1)})
	}
	for _, b := range v.batches {
		if b.lsn != expect {
			v.lost = append(v.lost, Lost{File: at.path, Offset: off, First: expect, Last: b.lsn - 1, What: "broken or missing"})
		}
		expect, at, off = b.lsn+1, b.segment, b.off+span(b.recordLen)
	}
}

// apply goes through the records. Deletions that were in a lost batch are not
// known: what they deleted is live again.
func (v *salvage) apply() error {
	v.reader.ahead = 1 << 20
	for _, b := range v.batches {
		_, records, ok, err := v.reader.read(b.segment, b.off)
		if err != nil || !ok {
			return errors.Join(err, fmt.Errorf("%s changed while it was read", b.segment.path))
		}
		for at := 0; at < len(records); {
			r, n := nextRecord(records[at:])
			if n == 0 {
				v.lost = append(v.lost, Lost{File: b.segment.path, Offset: b.off, What: "broken records in a whole batch"})
				break
			}
			switch r.op {
			case opPut:
				v.records[r.key] = foundRecord{b.segment, b.off + batchHeadBytes + int64(at), n}
			case opDelete:
				delete(v.records, r.key)
			case opDeleteRange:
				maps.DeleteFunc(v.records, func(k Key, _ foundRecord) bool { return r.key <= k && k <= r.last() })
			}
			at += n
		}
	}
	return nil
}

// each reads the records that are left, in the order of keys.
func (v *salvage) each(f func(k Key, value []byte) error) error {
	for _, k := range sortedKeys(v.records) {
		p := v.records[k]
		raw := make([]byte, p.len)
		if err := readFull(p.segment, raw, p.off); err != nil {
			return err
		}
		r, _ := nextRecord(raw)
		if err := f(k, r.value); err != nil {
			return err
		}
	}
	return nil
}

func (v *salvage) report() *Report {
	r := &Report{LiveRecords: int64(len(v.records)), Batches: uint64(len(v.batches)), Lost: v.lost}
	used := map[*segment]bool{}
	for _, b := range v.batches {
		used[b.segment] = true
	}
	r.Segments = len(used)
	var sum tableSum
	for _, k := range sortedKeys(v.records) {
		n := v.records[k].len
		sum.add(k, n-recordHeadBytes)
		r.LiveBytes += int64(units(n)) * unitBytes
	}
	for _, s := range v.segments {
		r.DiskBytes += s.size
	}
	r.Tables = sum.tables
	return r
}
