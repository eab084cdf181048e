package topic

// The table is an extendible hash: a directory of small segments, chosen by the upper bits of the hash, each an
// open-addressing table by the lower bits. One segment is split or merged at a time, so that the largest step of
// growth moves 512 slots, not a million: the loop has no long pause while subscriptions pour in.

const (
	segmentSlotsMin = 16
	segmentSlots    = 512 // 4 KiB: one allocation class, and a split takes microseconds
	segmentFull     = 3   // quarters in use at which a segment grows
	segmentSparse   = 8   // below one slot in 8 in use, a merge with the buddy is tried
	depthMax        = 17  // upper bits used: a directory of 1 MiB at most, beside the 9 lower bits of 32
)

// table maps a 32-bit hash to node numbers that are not 0. Equality of names is the caller's to check.
// The zero value is empty.
type table struct {
	directory []*segment // 1<<depth entries; a segment of lesser depth stands in several
	depth     uint8
	deepest   int // segments whose depth is the table's; at 0 the directory can be halved
	used      int
}

// segment is one open-addressing table with linear probing.
type segment struct {
	slots []uint64 // hash<<32 | node; 0 = free
	used  int
	depth uint8 // upper bits of the hash that all entries share
}

func packSlot(hash, node uint32) uint64 { return uint64(hash)<<32 | uint64(node) }

func (t *table) segment(hash uint32) *segment {
	return t.directory[hash>>(32-t.depth)]
}

func (t *table) insert(hash, node uint32) {
	if t.directory == nil {
		t.directory, t.deepest = []*segment{{slots: make([]uint64, segmentSlotsMin)}}, 1
	}
	s := t.segment(hash)
	for s.used >= len(s.slots)/4*segmentFull {
		if len(s.slots) < segmentSlots || s.depth == depthMax {
			s.resize(len(s.slots) * 2)
		} else {
			t.split(s, hash)
			s = t.segment(hash)
		}
	}
	s.place(packSlot(hash, node))
	t.used++
}

// remove takes the entry out, which must be there.
func (t *table) remove(hash, node uint32) {
	s := t.segment(hash)
	s.displace(packSlot(hash, node))
	t.used--
	if t.used == 0 {
		*t = table{}
		return
	}
	if s.depth > 0 && s.used < len(s.slots)/segmentSparse {
		t.merge(s, hash)
	}
}

// span is the part of the directory that a segment of the given depth, chosen by hash, stands in.
func (t *table) span(hash uint32, depth uint8) []*segment {
	wide := t.depth - depth
	first := hash >> (32 - depth) << wide
	return t.directory[first : first+1<<wide]
}

// split replaces s, to which hash leads, by two segments that look at one more bit.
func (t *table) split(s *segment, hash uint32) {
	if s.depth == t.depth {
		t.double()
	}
	span := t.span(hash, s.depth)
	s.depth++
	high := &segment{slots: make([]uint64, len(s.slots)), depth: s.depth}
	for i := len(span) / 2; i < len(span); i++ {
		span[i] = high
	}
	old := s.slots
	s.slots, s.used = make([]uint64, len(old)), 0
	bit := uint64(1) << (64 - s.depth)
	for _, e := range old {
		switch {
		case e == 0:
		case e&bit == 0:
			s.place(e)
		default:
			high.place(e)
		}
	}
	if s.depth == t.depth {
		t.deepest += 2
	}
}

func (t *table) double() {
	old := t.directory
	t.directory = make([]*segment, 2*len(old))
	for i := range t.directory {
		t.directory[i] = old[i/2]
	}
	t.depth++
	t.deepest = 0
}

// merge joins s, to which hash leads, with the segment that differs in its last bit, if both fit well.
func (t *table) merge(s *segment, hash uint32) {
	buddy := t.segment(hash ^ 1<<(32-s.depth))
	if buddy.depth != s.depth || s.used+buddy.used > segmentSlots/4*segmentFull/2 {
		return
	}
	if s.depth == t.depth {
		t.deepest -= 2
	}
	s.depth--
	for _, e := range buddy.slots {
		if e != 0 {
			s.place(e)
		}
	}
	span := t.span(hash, s.depth)
	for i := range span {
		span[i] = s
	}
	for t.depth > 0 && t.deepest == 0 {
		t.halve()
	}
}

func (t *table) halve() {
	half := make([]*segment, len(t.directory)/2)
	t.depth--
	for i := range half {
		half[i] = t.directory[2*i]
		if half[i].depth == t.depth {
			t.deepest++
		}
	}
	t.directory = half
}

func (s *segment) resize(slots int) {
	old := s.slots
	s.slots, s.used = make([]uint64, slots), 0
	for _, e := range old {
		if e != 0 {
			s.place(e)
		}
	}
}

// place puts e into the first free slot from its home on; there is one.
func (s *segment) place(e uint64) {
	mask := uint32(len(s.slots) - 1)
	i := uint32(e>>32) & mask
	for s.slots[i] != 0 {
		i = (i + 1) & mask
	}
	s.slots[i] = e
	s.used++
}

// displace takes e out and closes the gap, so that there are no tombstones and churn leaves no trace.
func (s *segment) displace(e uint64) {
	mask := uint32(len(s.slots) - 1)
	gap := uint32(e>>32) & mask
	for s.slots[gap] != e {
		gap = (gap + 1) & mask
	}
	for i := (gap + 1) & mask; s.slots[i] != 0; i = (i + 1) & mask {
		home := uint32(s.slots[i]>>32) & mask
		if (i-home)&mask >= (i-gap)&mask {
			s.slots[gap] = s.slots[i]
			gap = i
		}
	}
	s.slots[gap] = 0
	s.used--
}
