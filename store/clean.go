package store

// cleaner goes through the records of the oldest segment and copies what is
// still live into the batches that are written anyway. Because it is always the
// oldest that is given up, a deletion never needs to be copied: what it deleted
// is older still, and gone.
type cleaner struct {
	reader batchReader
	seq    uint32 // of the segment being cleaned
	off    int64  // of the batch being looked at
	rec    int    // of the next record among the batch's
	done   bool   // all of the segment was looked at
	err    error  // damage: the segment cannot be given up
	forced bool   // by Compact, whatever the log has room for
}

const (
	// cleanRatio is how many bytes of the tail a commit looks at for each byte
	// of its own. At 4 the log grows by a quarter of what it copies while it
	// gets through a stretch where everything is live.
	cleanRatio = 4
	// cleanAhead is what a commit looks at besides, so that small ones get on.
	cleanAhead = 64 << 10
	// spread is how many times its live bytes the log may take before the tail
	// is cleaned: the copies come to half of what else is written.
	spread = 3
	// logSegmentsMin keeps a small log from turning over all the time.
	logSegmentsMin = 4
	// freeSegments are kept ready, so that a full disk is noticed while there
	// still is room to delete and to clean.
	freeSegments = 2
)

// target is how many segments the log may have before its tail is cleaned.
func (w *wal) target() int {
	n := max(logSegmentsMin, int(spread*w.live/w.conf.SegmentBytes)+1)
	if most := w.segmentsMax(); most > 0 {
		n = min(n, most-freeSegments-1)
	}
	return n
}

// wantsCleaning tells whether the log is longer than it should be, or whether
// cleaning can help where there is no more space.
func (w *wal) wantsCleaning() bool {
	if len(w.log) < 2 || w.clean.err != nil {
		return false
	}
	return w.clean.forced || len(w.log) > w.target() || w.short != nil && w.worthALap()
}

// lap watches cleaning for want of space, so that it ends when all that can be
// won is won. It begins with the segment that is the head.
type lap struct {
	head     uint32
	segments int   // of the log when it began
	vain     bool  // the last one won nothing
	live     int64 // bytes of live records then
}

// worthALap tells whether the segments behind the head hold enough garbage.
func (w *wal) worthALap() bool {
	garbage := -w.live
	for _, s := range w.log[:len(w.log)-1] {
		garbage += s.size
	}
	some := w.conf.SegmentBytes / 2
	return garbage >= some && (!w.lap.vain || w.live <= w.lap.live-some)
}

// cleaned counts a segment that was given up.
func (w *wal) cleaned(s *segment) {
	switch l := &w.lap; {
	case w.short == nil:
		*l = lap{}
	case l.head == 0:
		l.head, l.segments = w.head().seq, len(w.log)
	case s.seq >= l.head:
		*l = lap{vain: len(w.log) >= l.segments, live: w.live}
	}
}

// budget is how far a commit goes with cleaning.
type budget struct {
	look int  // bytes of the tail that are looked at
	copy int  // bytes of records that are copied, or one record
	fit  bool // not even one record more than copy
}

// cleanBudget is that of a commit with n bytes of records: bounded work, in
// proportion. Where space is short makeRoom cleans, apart from the batch, which
// then is no longer than it must be.
func (w *wal) cleanBudget(n int) budget {
	if w.short != nil {
		return budget{}
	}
	half := int(w.conf.SegmentBytes / 2)
	return budget{look: min(cleanRatio*n+cleanAhead, half), copy: half}
}

// makeRoom cleans for want of space, some steps of half a segment.
func (w *wal) makeRoom() {
	for range 4 {
		if w.short == nil || !w.wantsCleaning() || w.cleanStep() != nil {
			return
		}
		w.fill()
	}
}

// cleanStep writes a batch of nothing but copies. Without a free segment they
// have to fit behind what the head holds.
func (w *wal) cleanStep() error {
	half := int(w.conf.SegmentBytes / 2)
	b := budget{look: half, copy: half}
	if len(w.free) == 0 {
		h := w.head()
		b.fit = true
		b.copy = min(half, int(h.size-h.end)-sectorBytes-batchHeadBytes)
	}
	return w.send(&sealed{}, b)
}

// gather copies live records of the tail to w.out. n is how many bytes of
// records go into the batch besides.
func (w *wal) gather(n int, b budget) {
	if b.look == 0 || !w.wantsCleaning() {
		return
	}
	s := w.log[0]
	c := &w.clean
	if c.seq != s.seq {
		c.seq, c.off, c.rec, c.done = s.seq, sectorBytes, 0, false
	}
	for b.look > 0 && !c.done {
		if s.live == 0 || c.off >= s.end {
			c.done = true
			return
		}
		h, records, ok, err := c.reader.read(s, c.off)
		if err == nil && !ok {
			err = s.damage(c.off, "a batch changed since it was written")
		}
		if err != nil {
			// Without this segment the log is not whole; the log grows instead.
			c.err = err
			return
		}
		for c.rec < len(records) && b.look > 0 {
			_, m := nextRecord(records[c.rec:])
			if m == 0 {
				c.err = s.damage(c.off, "a batch of broken records")
				return
			}
			if !w.copyLive(s, records[c.rec:c.rec+m], c.off+batchHeadBytes+int64(c.rec), n, &b) {
				return
			}
			b.look -= m
			c.rec += m
		}
		if c.rec >= len(records) {
			c.off, c.rec = c.off+span(int(h.bytes)), 0
			b.look -= batchHeadBytes
		}
	}
	c.done = c.off >= s.end
}

// copyLive appends a record to w.out if the index says that it is the live one;
// room for n bytes more stays. It returns false when the budget is used up.
func (w *wal) copyLive(s *segment, raw []byte, off int64, n int, b *budget) bool {
	r, _ := nextRecord(raw)
	l, ok := w.index.get(r.key)
	if r.op != opPut || !ok || l.seq != s.seq || int64(l.off) != off {
		return true
	}
	if m := len(raw); m > b.copy && (b.fit || len(w.out) > batchHeadBytes) {
		return false
	}
	b.copy -= len(raw)
	w.out = room(w.out, len(w.out)+len(raw)+n)
	w.out = append(w.out, raw...)
	w.stats.copied.Add(uint64(len(raw)))
	return true
}

// finishCleaning takes the tail out of the log once its live records stand
// elsewhere, durably.
func (w *wal) finishCleaning() {
	if !w.clean.done {
		return
	}
	s := w.log[0]
	if s.live != 0 {
		panic("store: gave up a segment with live records")
	}
	w.clean.seq, w.clean.done = 0, false
	w.clean.reader.forget()
	w.mu.Lock()
	w.log = append(w.log[:0], w.log[1:]...)
	w.mu.Unlock()
	w.given = append(w.given, s)
	w.cleaned(s)
}
