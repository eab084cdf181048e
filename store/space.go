package store

import (
	"fmt"
)

// segmentsMax is how many segments there may be, 0 for no limit.
func (w *wal) segmentsMax() int {
	if w.conf.BytesMax == 0 {
		return 0
	}
	return max(int(w.conf.BytesMax/w.conf.SegmentBytes), logSegmentsMin+freeSegments+1)
}

// liveMax is how many bytes of live records are taken in, 0 for no limit. Above
// three quarters the log would be busy copying them.
func (w *wal) liveMax() int64 {
	most := w.segmentsMax()
	return int64(max(most-freeSegments-1, 0)) * w.conf.SegmentBytes / 4 * 3
}

// place makes the head a segment with room for a batch with so many bytes of
// records. The last sector stays free: a batch without any, which only says
// where the log starts, always finds room there.
func (w *wal) place(records int) error {
	n := span(records)
	h := w.head()
	most := h.size
	if records > 0 {
		most -= sectorBytes
	}
	if h.end+n <= most {
		return nil
	}
	s, err := w.take(n)
	if err != nil {
		return err
	}
	s.seq, s.lsn, s.tail = w.head().seq+1, w.lsn, w.tail()
	s.end, s.live = sectorBytes, 0
	// Synced by itself: a batch never stands behind a header that may be lost.
	if err := w.putHeader(s); err != nil {
		// The header may be there all the same. A disk without space is no
		// excuse then: the next start would look for the log behind it.
		w.given = append(w.given, s) // to be closed
		return err
	}
	w.mu.Lock()
	w.log = append(w.log, s)
	w.mu.Unlock()
	return nil
}

func (w *wal) putHeader(s *segment) error {
	sector := alignedBuffer(sectorBytes)
	defer freeBuffer(sector)
	appendHeader(sector[:0], header{
		version: formatVersion, seq: s.seq, id: w.id, lsn: s.lsn, size: s.size, tail: s.tail,
	})
	w.stats.bytes.Add(sectorBytes)
	return w.put(s, sector, 0)
}

// take is a segment with room for a batch of n bytes: a free one, or one of its
// own size when the batch is longer than all of them.
func (w *wal) take(n int64) (*segment, error) {
	if need := n + 2*sectorBytes; need > w.conf.SegmentBytes {
		const mib = 1 << 20
		need = (need + mib - 1) / mib * mib
		if most := w.segmentsMax(); most > 0 && w.disk()+need > int64(most)*w.conf.SegmentBytes {
			return nil, w.atLimit()
		}
		return w.create(need)
	}
	if len(w.free) == 0 {
		w.pause = 0
		w.fill()
	}
	if len(w.free) == 0 {
		if w.short == nil {
			w.short = w.atLimit()
		}
		return nil, w.short
	}
	s := w.free[0]
	w.free = append(w.free[:0], w.free[1:]...)
	return s, nil
}

// disk is what the segments take.
func (w *wal) disk() (sum int64) {
	for _, list := range [][]*segment{w.log, w.given, w.free} {
		for _, s := range list {
			sum += s.size
		}
	}
	return sum
}

func (w *wal) atLimit() error {
	return fmt.Errorf("%s: its limit of %d bytes: %w", w.fs.path(""), w.conf.BytesMax, ErrFull)
}

// create makes a new file of size bytes.
func (w *wal) create(size int64) (*segment, error) {
	w.named++
	name := segmentName(w.named)
	fail := func(err error) (*segment, error) {
		return nil, fmt.Errorf("make room in %s: %w: %w", w.fs.path(name), ErrFull, err)
	}
	f, err := w.fs.create(name)
	if err != nil {
		return fail(err)
	}
	if err = f.allocate(size); err == nil {
		err = w.fs.syncDir("")
	}
	if err != nil {
		f.close()
		_ = w.fs.remove(name) // if it stays, the next start finds it free
		return fail(err)
	}
	return &segment{file: f, name: name, path: w.fs.path(name), size: size}, nil
}

// fill sees to it that enough segments are free, and notes why not.
func (w *wal) fill() {
	for len(w.free) < freeSegments {
		if most := w.segmentsMax(); most > 0 && len(w.log)+len(w.given)+len(w.free) >= most {
			w.short = w.atLimit()
			return
		}
		if w.pause > 0 {
			w.pause--
			return
		}
		s, err := w.create(w.conf.SegmentBytes)
		if err != nil {
			w.short, w.pause = err, allocatePause
			return
		}
		w.free = append(w.free, s)
	}
	w.short, w.pause = nil, 0
}

// allocatePause is how many commits go by before space is asked for again.
const allocatePause = 64

// maintain keeps room ready. The writer calls it between commits.
func (w *wal) maintain() {
	if w.failed != nil {
		return
	}
	w.fill()
	if n := len(w.free); n > freeSegments && len(w.log)+n > w.target()+freeSegments {
		w.discard(w.free[n-1])
		w.free = w.free[:n-1]
	}
}

// freeGiven makes segments free that are older than tail, which a durable batch
// has called the first of the log.
func (w *wal) freeGiven(tail uint32) {
	kept := w.given[:0]
	for _, s := range w.given {
		switch {
		case s.seq >= tail:
			kept = append(kept, s)
		case s.size != w.conf.SegmentBytes:
			w.discard(s)
		default:
			s.seq = 0
			w.free = append(w.free, s)
		}
	}
	clear(w.given[len(kept):])
	w.given = kept
	if len(w.free) >= freeSegments {
		w.short, w.pause = nil, 0 // the next want of space is noticed at once
	}
}

// discard gives the space of a segment back. An error costs nothing but that
// space: the next start finds the file free again.
func (w *wal) discard(s *segment) {
	s.file.close()
	_ = w.fs.remove(s.name)
}

// mustSay tells whether an empty batch is worth writing: it would free segments
// that are needed.
func (w *wal) mustSay() bool { return len(w.given) > 0 && (w.short != nil || w.clean.forced) }
