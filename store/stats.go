package store

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Stats counts since the store was opened, and says what it holds now.
type Stats struct {
	Commits      uint64 // batches written
	Syncs        uint64
	Records      uint64 // written, copies among them
	Elided       uint64 // put and deleted within a batch, or overtaken in it: never written
	BytesPut     uint64 // records as they were handed in
	BytesWritten uint64 // to the disk, all in all
	BytesCopied  uint64 // of them live records, to free old segments
	Reads        uint64 // values read back
	ReadErrors   uint64

	LiveRecords  int64
	LiveBytes    int64
	Segments     int64 // in the log
	FreeSegments int64
	DiskBytes    int64
	IndexBytes   int64 // about
	CarriedBytes int64 // memory of batches that have found no room

	// CommitTimes counts commits by time: [0] below 1 µs, [n] below 2^n µs.
	CommitTimes  [CommitBuckets]uint64
	CommitMicros uint64 // sum

	Err error // nil, ErrFull or ErrFailed with its cause
	// CleanErr is damage found in the oldest segment: what is read from there
	// is not trusted, the segment stays, and the log grows.
	CleanErr error
}

// CommitBuckets is the number of classes in Stats.CommitTimes.
const CommitBuckets = 28

// counters are written by the writer and the reader, and read by anyone.
type counters struct {
	commits, syncs, records, elided, put, bytes, copied atomic.Uint64
	reads, readErrors                                   atomic.Uint64
	times                                               [CommitBuckets]atomic.Uint64
	micros                                              atomic.Uint64
}

func (c *counters) batch(records, bytes int) {
	c.commits.Add(1)
	c.records.Add(uint64(records))
	c.bytes.Add(uint64(bytes))
}

func (c *counters) took(d time.Duration) {
	us := uint64(max(d.Microseconds(), 0))
	c.times[min(bits.Len64(us), CommitBuckets-1)].Add(1)
	c.micros.Add(us)
}

// holdings are the numbers of Stats that belong to the writer.
type holdings struct {
	records, live, segments, free, disk, index, carried int64
	err, cleanErr                                       error
}

func (w *wal) holdings() *holdings {
	h := &holdings{
		records: int64(w.index.count), live: w.live, segments: int64(len(w.log)),
		free: int64(len(w.free) + len(w.given)), index: w.index.bytes(), cleanErr: w.clean.err,
		disk: w.disk(),
	}
	if len(w.carried) > 0 {
		h.carried = int64(cap(w.carried) + cap(w.out))
	}
	switch {
	case w.failed != nil:
		h.err = w.failed
	case w.short != nil && (len(w.carried) > 0 || len(w.free) == 0 || !w.worthALap()):
		h.err = w.short // and cleaning cannot help, or did not in time
	}
	return h
}

// bytes is about what the index takes in memory.
func (x *index) bytes() int64 { return int64(x.count)*14 + int64(len(x.leaves))*64 }

func (c *counters) fill(s *Stats) {
	s.Commits, s.Syncs, s.Records, s.Elided = c.commits.Load(), c.syncs.Load(), c.records.Load(), c.elided.Load()
	s.BytesPut, s.BytesWritten, s.BytesCopied = c.put.Load(), c.bytes.Load(), c.copied.Load()
	s.Reads, s.ReadErrors, s.CommitMicros = c.reads.Load(), c.readErrors.Load(), c.micros.Load()
	for i := range c.times {
		s.CommitTimes[i] = c.times[i].Load()
	}
}
