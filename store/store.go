package store

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// Options say how a store behaves. The zero value of each but Post is a default.
type Options struct {
	// Post runs a function on the owner's goroutine, some time. It must take all
	// it is given, as long as the store is open.
	Post func(func())

	// SegmentBytes is the size of a file of the log, a multiple of 4096. Default
	// 16 MiB, or less where the file system or BytesMax is small: see
	// segmentBytesFor. It may change between starts.
	SegmentBytes int64
	// BytesMax bounds what the log may take on disk; 0 leaves it to the disk.
	BytesMax int64
	// BatchBytes is where Room begins to say no: more would only wait longer.
	// Default 4 MiB, or half a segment.
	BatchBytes int

	look  bool   // change nothing on disk
	named uint32 // names of new segments begin behind this number
}

const (
	segmentBytesDefault = 16 << 20
	segmentBytesSmall   = 256 << 10 // the least that is chosen
	segmentShare        = 32        // of the file system that the first segments take at most
	batchBytesDefault   = 4 << 20
	batchBytesLeast     = 64 << 10
	segmentBytesMax     = 1 << 30
	readsMax            = 64 // Read calls that wait
)

func (o *Options) complete() error {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = segmentBytesDefault
	}
	if o.BatchBytes == 0 {
		o.BatchBytes = min(batchBytesDefault, max(int(o.SegmentBytes/2), batchBytesLeast))
	}
	if o.SegmentBytes%4096 != 0 || o.SegmentBytes < 4096 || o.SegmentBytes > segmentBytesMax {
		return fmt.Errorf("segments of %d bytes: want a multiple of 4096 up to %d", o.SegmentBytes, segmentBytesMax)
	}
	return nil
}

// segmentBytesFor is the size of segments where nothing is said: the two that
// are kept ready and the first in use take a small part of a small file system
// of total bytes (0: not known), and a limit leaves room for sixteen.
func segmentBytesFor(total, bytesMax int64) int64 {
	n := int64(segmentBytesDefault)
	fits := func() bool {
		return (total == 0 || (1+freeSegments)*n <= total/segmentShare) && (bytesMax == 0 || 16*n <= bytesMax)
	}
	for n > segmentBytesSmall && !fits() {
		n /= 2
	}
	return n
}

// Store is an open store. The zero value is of no use, see Open.
type Store struct {
	wal  *wal
	lock *os.File
	conf Options

	// The owner's.
	open   openBatch
	spare  sealed // the memory of the batch before, for the next
	busy   bool   // a commit is in flight
	err    error  // of the last commit: ErrFull or ErrFailed with its cause
	closed bool

	looked time.Time // the writer's: when it last looked for room

	jobs  chan job
	reads chan readJob
	ended chan struct{} // one each when the writer and the reader have stopped
	held  atomic.Pointer[holdings]
}

// Open locks the directory, makes it if need be, and reads the log. The store
// takes records at once, but Load comes first for who wants to know what was.
func Open(dir string, o Options) (*Store, error) {
	if o.Post == nil {
		return nil, errors.New("open store: Options.Post is missing")
	}
	if err := makeDirs(dir); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = segmentBytesFor(fileSystemBytes(dir), o.BytesMax)
	}
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	if err := repairPending(dir); err != nil {
		lock.Close()
		return nil, err
	}
	w, err := openLog(osFiles{dir}, o)
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("open store: %w", err)
	}
	return serve(w, lock), nil
}

// serve puts the face on an open log.
func serve(w *wal, lock *os.File) *Store {
	s := &Store{
		wal: w, lock: lock, conf: w.conf,
		jobs: make(chan job, 1), reads: make(chan readJob, readsMax), ended: make(chan struct{}, 2),
	}
	s.open.stats = &w.stats
	for _, k := range w.index.tops() {
		s.open.know(k)
	}
	s.held.Store(w.holdings())
	s.startWriter()
	return s
}

// Load calls each for every live record in the order of keys: by table, then by
// number. value is a view, and nil for tables from Cold up, of which size tells
// the length to within 15 bytes. Before the first Put, from one goroutine.
func (s *Store) Load(each func(k Key, size int, value []byte) error) error {
	if err := s.wal.load(each); err != nil {
		return fmt.Errorf("load store: %w", err)
	}
	return nil
}

// Put adds a record to the open batch, or replaces the one with that key. The
// value is head followed by body, copied.
//
// hot: no allocation but the growth of the batch, no call out of the package.
func (s *Store) Put(k Key, head, body []byte) { s.open.put(k, head, body) }

// PutShared is Put with a body that is not copied: it stays as it is until the
// store releases it, on the owner's goroutine, which may be at once.
//
// hot: no allocation but the growth of the batch.
func (s *Store) PutShared(k Key, head []byte, body Shared) { s.open.putShared(k, head, body) }

// Delete takes the record with that key away, if there is one. A record that is
// put and deleted before its batch is sealed never reaches the disk. False says
// that it was such a one: nothing is left to be written.
func (s *Store) Delete(k Key) bool { return s.open.delete(k) }

// DeleteRange takes all records away whose keys are from first to last, both
// counted in. It costs one record, however many there are: give what goes
// together, such as the queue of a session, keys in a row.
func (s *Store) DeleteRange(first, last Key) { s.open.deleteRange(first, last) }

func appendPut(dst []byte, k Key, head, body []byte) []byte {
	size := len(head) + len(body)
	checkSize(size)
	dst = appendRecordHead(dst, opPut, k, size)
	return append(append(dst, head...), body...)
}

func checkSize(size int) {
	if size > ValueBytesMax {
		panic(fmt.Sprintf("store: a value of %d bytes", size))
	}
}

// Room tells whether now is a time to put values of n bytes in all. It says no
// while the open batch is full, which passes with the next completion, and when
// the store is full or failed, see Err. Put takes more all the same: what
// belongs to an admitted message must not stay behind.
func (s *Store) Room(n int) bool {
	open := s.open.bytes
	if s.err != nil || s.Err() != nil || open+n > s.conf.BatchBytes && open > 0 {
		return false
	}
	most := s.wal.liveMax()
	return most == 0 || s.held.Load().live+int64(open+n) <= most
}

// Err is nil, or wraps ErrFull or ErrFailed: why puts are not welcome.
func (s *Store) Err() error {
	if s.err != nil {
		return s.err
	}
	h := s.held.Load()
	if most := s.wal.liveMax(); h.err == nil && most > 0 && h.live > most {
		return s.wal.atLimit()
	}
	return h.err
}

// Pending is how many bytes the open batch has; 0: there is nothing to seal.
func (s *Store) Pending() int { return s.open.bytes }

// Seal hands the open batch to the writer; done, if not nil, is posted with the
// result. It returns false, and nothing happens, while a commit is in flight:
// what is put meanwhile goes with the next. Sealing a batch without records is
// how an owner tries again after ErrFull, say once a second.
func (s *Store) Seal(done func(error)) bool {
	if s.busy || s.closed {
		return false
	}
	s.busy, s.wal.early = true, early{}       // who did not load will not
	s.jobs <- job{s.open.take(s.spare), done} // has room: there is never more than one
	s.spare = sealed{}
	return true
}

// committed is posted by the writer.
func (s *Store) committed(batch sealed, err error, done func(error)) {
	s.busy, s.err = false, err
	batch.release()
	if cap(batch.buf) <= max(bufferKept, 4*len(batch.buf)) {
		s.spare = batch
	}
	if done != nil {
		done(err)
	}
}

// Read fetches the committed values of keys; done is posted with an answer for
// each, in their order. It returns false when too many reads wait.
func (s *Store) Read(keys []Key, done func([]Value)) bool {
	if s.closed {
		return false
	}
	select {
	case s.reads <- readJob{slices.Clone(keys), done}:
		return true
	default:
		return false
	}
}

// Written is how many bytes were written since the store was opened. It may be
// called from any goroutine.
func (s *Store) Written() uint64 { return s.wal.stats.bytes.Load() }

// SegmentBytes is the size of the files of the log.
func (s *Store) SegmentBytes() int64 { return s.conf.SegmentBytes }

// Stats may be called from any goroutine.
func (s *Store) Stats() Stats {
	h := s.held.Load()
	st := Stats{
		LiveRecords: h.records, LiveBytes: h.live, Segments: h.segments, FreeSegments: h.free,
		DiskBytes: h.disk, IndexBytes: h.index, CarriedBytes: h.carried, Err: h.err, CleanErr: h.cleanErr,
	}
	s.wal.stats.fill(&st)
	return st
}

// Close commits what is open and lets go of the directory. It waits for the
// disk: call it when the loop has ended. What was sealed is posted as ever.
func (s *Store) Close() error {
	if s.closed {
		return ErrClosed
	}
	s.closed = true
	close(s.jobs)
	close(s.reads)
	<-s.ended
	<-s.ended
	last := s.open.take(sealed{})
	err := s.wal.commitOpen(&last)
	last.release()
	s.wal.close()
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}
