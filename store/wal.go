package store

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"sync"
)

// wal is the log: segments in the order of their use, appended to at the head
// and given up at the tail. The writer alone changes it; index and log are
// also read by the reader, so changes to them hold mu.
type wal struct {
	fs   files
	conf Options
	id   uint64
	seed uint32 // of the checksums of records

	mu    sync.RWMutex
	index *index
	log   []*segment // the last is the head

	given []*segment // cleaned; free when a durable batch says that the log starts behind them
	free  []*segment // files without content, ready for use
	named uint32     // the highest number among names of files
	lsn   uint64     // of the next batch
	live  int64      // bytes of live records

	out     []byte // the batch being made, aligned for direct writing
	ops     lastOps
	clean   cleaner
	lap     lap
	carried []byte // records of batches that found no room, to go with the next
	pause   int    // commits until the next attempt to get space
	short   error  // why there are too few free segments, nil if there are enough
	failed  error

	early early // of the start, until Load
	stats counters
}

func (w *wal) head() *segment { return w.log[len(w.log)-1] }

// commit makes the records of batch durable, and with them what was carried
// over and some records of the tail. Their checksums may be open.
//
//	gather   live records from the tail first: what the batch says of them is newer
//	compact  of each key the last operation, and no deletion of what never was
//	place    in the head, or in the next segment when it is full
//	write    and sync: from here the batch is durable
//	apply    to the index, which the next gathering looks at
func (w *wal) commit(batch []byte) error {
	if w.failed == nil {
		w.makeRoom()
	}
	if w.failed != nil {
		return w.failed
	}
	if len(w.carried) > 0 {
		w.carried = append(w.carried, batch...)
		batch = w.carried
	}
	err := w.send(batch, w.cleanBudget(len(batch)))
	switch {
	case err == nil:
		w.carried = nil
	case errors.Is(err, ErrFull) && len(w.carried) == 0:
		w.carried = slices.Clone(batch)
	}
	return err
}

// send makes one batch of records that are gathered, up to budget, and records
// that were handed in.
func (w *wal) send(batch []byte, b budget) error {
	w.out = room(w.out[:0], batchHeadBytes+len(batch))[:batchHeadBytes]
	before := w.clean
	w.gather(len(batch), b)
	w.compact(batch)
	if len(w.out) == batchHeadBytes {
		w.finishCleaning() // it copied nothing that would have to be durable first
		if !w.mustSay() {
			return nil
		}
	}
	err := w.write()
	if err != nil {
		w.clean.seq, w.clean.off, w.clean.rec, w.clean.done = before.seq, before.off, before.rec, before.done
		if !errors.Is(err, ErrFull) {
			w.failed = err
		}
	}
	return err
}

// write places, writes and applies the batch in w.out.
func (w *wal) write() error {
	records := len(w.out) - batchHeadBytes
	if err := w.place(records); err != nil {
		return err
	}
	s := w.head()
	count := countRecords(w.out[batchHeadBytes:])
	w.out = room(w.out, int(span(records)))
	padded := w.out[:span(records)]
	clear(padded[len(w.out):])
	h := batchHead{
		id: w.id, lsn: w.lsn, seq: s.seq, tail: w.tail(),
		bytes: uint32(records), count: uint32(count),
	}
	putBatchHead(padded, h)
	if err := w.put(s, padded, s.end); ranFull(err) {
		return fmt.Errorf("write %s: %w: no space left on the device", s.path, ErrFull)
	} else if err != nil {
		return err
	}
	w.mu.Lock()
	w.apply(s, w.out[batchHeadBytes:], s.end+batchHeadBytes)
	w.mu.Unlock()
	s.end += int64(len(padded))
	w.lsn++
	w.stats.batch(count, len(padded))
	w.finishCleaning()
	w.freeGiven(h.tail)
	if cap(w.out) > bufferKept && cap(w.out) > 4*len(padded) {
		freeBuffer(w.out)
		w.out = nil
	}
	return nil
}

// bufferKept is what buffers may keep between batches.
const bufferKept = 1 << 20

// room is b with capacity for n bytes, in memory that direct writes accept.
func room(b []byte, n int) []byte {
	n = sectors(n)
	if cap(b) >= n {
		return b
	}
	bigger := alignedBuffer(max(n+n/2, 64<<10))
	m := copy(bigger, b)
	freeBuffer(b)
	return bigger[:m]
}

// tail is the oldest segment that the log needs.
func (w *wal) tail() uint32 { return w.log[0].seq }

// put writes b, whole sectors, and syncs. After a failed sync nobody knows what
// is on the disk, so the store is finished.
func (w *wal) put(s *segment, b []byte, off int64) error {
	if err := s.file.writeAt(b, off); err != nil {
		return fmt.Errorf("write %s at %d: %w: %w", s.path, off, ErrFailed, err)
	}
	if err := s.file.sync(); err != nil {
		return fmt.Errorf("sync %s: %w: %w", s.path, ErrFailed, errSync{err})
	}
	w.stats.syncs.Add(1)
	return nil
}

// errSync tells a failed sync from a failed write with the same cause.
type errSync struct{ error }

// ranFull tells whether err, of put, says only that there is no space: the
// batch was not written, and may be written there later.
func ranFull(err error) bool {
	_, sync := errors.AsType[errSync](err)
	return noSpace(err) && !sync
}

// apply notes in the index what the records of a batch say; off is where the
// first of them stands in s.
func (w *wal) apply(s *segment, records []byte, off int64) {
	for len(records) > 0 {
		r, n := nextRecord(records)
		if n == 0 {
			panic("store: applied a batch that was not checked")
		}
		switch r.op {
		case opPut:
			l := location{s.seq, uint32(off), units(n)}
			old, had := w.index.set(r.key, l)
			s.live += int64(l.units) * unitBytes
			w.live += int64(l.units) * unitBytes
			if had {
				w.dead(old)
			}
		case opDelete:
			if old, had := w.index.remove(r.key); had {
				w.dead(old)
			}
		case opDeleteRange:
			w.index.removeRange(r.key, r.last(), w.dead)
		}
		records, off = records[n:], off+int64(n)
	}
}

// dead notes that the record at l is not live any more.
func (w *wal) dead(l location) {
	w.segment(l.seq).live -= int64(l.units) * unitBytes
	w.live -= int64(l.units) * unitBytes
}

// segment is the segment of the log that has seq; nil if it is not there. The
// log is in order without gaps.
func (w *wal) segment(seq uint32) *segment {
	i := int64(seq) - int64(w.log[0].seq)
	if i < 0 || i >= int64(len(w.log)) {
		return nil
	}
	return w.log[i]
}

// compact appends the records of batch to w.out, sealed: of each key the last.
// Ranges stay where they are among them.
func (w *wal) compact(batch []byte) {
	w.ops.start(countRecords(batch))
	for at := 0; at < len(batch); {
		r, n := nextRecord(batch[at:])
		if n == 0 {
			panic("store: a batch of broken records")
		}
		if r.op != opDeleteRange {
			w.ops.set(r.key, at)
		}
		at += n
	}
	for at := 0; at < len(batch); {
		r, n := nextRecord(batch[at:])
		if r.op == opDeleteRange || w.ops.last(r.key) == at && (r.op == opPut || w.known(r.key)) {
			start := len(w.out)
			w.out = append(w.out, batch[at:at+n]...)
			sealRecord(w.out[start:], w.seed)
		} else {
			w.stats.elided.Add(1)
		}
		at += n
	}
}

// known tells whether k stands in the log, or is about to be copied within it.
func (w *wal) known(k Key) bool {
	_, ok := w.index.get(k)
	return ok
}

func countRecords(records []byte) (count int) {
	for len(records) > 0 {
		_, n := nextRecord(records)
		records = records[n:]
		count++
	}
	return count
}

// lastOps finds the last operation on each key of a batch: a hash table that is
// used again without being emptied, and no more of it than the batch needs: it is
// read at random, which is quick only in the processor's cache.
type lastOps struct {
	slots []lastOp
	round uint32
	mask  uint64
	shift int
}

type lastOp struct {
	key   Key
	at    uint32
	round uint32
}

func (t *lastOps) start(n int) {
	size := 64
	for size < 2*n {
		size *= 2
	}
	t.round++
	if len(t.slots) < size || len(t.slots) > 16*size || t.round == 0 {
		t.slots, t.round = make([]lastOp, size), 1
	}
	t.mask, t.shift = uint64(size-1), 64-bits.Len(uint(size-1))
}

func (t *lastOps) find(k Key) *lastOp {
	const golden = 0x9e3779b97f4a7c15 // its upper bits set tables apart, which count alike
	for i := uint64(k) * golden >> t.shift; ; i++ {
		if s := &t.slots[i&t.mask]; s.round != t.round || s.key == k {
			return s
		}
	}
}

func (t *lastOps) set(k Key, at int) { *t.find(k) = lastOp{k, uint32(at), t.round} }
func (t *lastOps) last(k Key) int    { return int(t.find(k).at) }
