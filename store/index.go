package store

import (
	"cmp"
	"slices"
	"sort"
)

// Records are accounted in units of 16 bytes, rounded up, so that a location
// takes 12 bytes: it is what a queued message costs in memory, twice.
const unitBytes = 16

func units(encoded int) uint32 { return uint32((encoded + unitBytes - 1) / unitBytes) }

// location is where a live record stands.
type location struct {
	seq   uint32 // of the segment
	off   uint32 // of the record's head
	units uint32 // its length; exact is what the head says
}

// slot is one entry of a leaf.
type slot struct {
	seq, off uint32
	word     uint32 // units<<8 | low byte of the key
}

func (s slot) location() location { return location{s.seq, s.off, s.word >> 8} }

// leafBits is how many low bits of a key a leaf spans: 256 slots of 12 bytes
// are a size class of the allocator, a full leaf wastes nothing.
const leafBits = 8

// index finds the location of every live record. A leaf holds the entries of
// 256 neighbouring keys in order and grows and shrinks with them, so numbers in
// a row cost 12 bytes each, and one straggler some 100.
type index struct {
	leaves map[uint64][]slot
	count  int
}

func newIndex() *index { return &index{leaves: map[uint64][]slot{}} }

// search finds the place of low in leaf. Keys mostly come in order: the end is
// looked at first.
func search(leaf []slot, low uint8) (int, bool) {
	if n := len(leaf); n == 0 || uint8(leaf[n-1].word) < low {
		return n, false
	}
	return slices.BinarySearchFunc(leaf, low, func(s slot, low uint8) int { return int(uint8(s.word)) - int(low) })
}

func (x *index) get(k Key) (location, bool) {
	leaf := x.leaves[uint64(k)>>leafBits]
	i, found := search(leaf, uint8(k))
	if !found {
		return location{}, false
	}
	return leaf[i].location(), true
}

// set puts k at l and returns where it was before.
func (x *index) set(k Key, l location) (old location, replaced bool) {
	page := uint64(k) >> leafBits
	leaf := x.leaves[page]
	s := slot{l.seq, l.off, l.units<<8 | uint32(uint8(k))}
	i, found := search(leaf, uint8(k))
	if found {
		old = leaf[i].location()
		leaf[i] = s
		return old, true
	}
	if len(leaf) == cap(leaf) {
		leaf = slices.Grow(leaf, max(1, min(len(leaf), 1<<leafBits-len(leaf))))
	}
	leaf = append(leaf, s)
	copy(leaf[i+1:], leaf[i:])
	leaf[i] = s
	x.leaves[page] = leaf
	x.count++
	return location{}, false
}

// remove takes k out and returns where it was.
func (x *index) remove(k Key) (old location, removed bool) {
	page := uint64(k) >> leafBits
	leaf := x.leaves[page]
	i, found := search(leaf, uint8(k))
	if !found {
		return location{}, false
	}
	old = leaf[i].location()
	x.count--
	switch n := len(leaf) - 1; {
	case n == 0:
		delete(x.leaves, page)
	case n <= cap(leaf)/4:
		small := make([]slot, 0, 2*n)
		x.leaves[page] = append(append(small, leaf[:i]...), leaf[i+1:]...)
	default:
		x.leaves[page] = slices.Delete(leaf, i, i+1)
	}
	return old, true
}

// removeRange takes out all keys from first to last, and tells each where it was.
func (x *index) removeRange(first, last Key, each func(location)) {
	if first > last {
		return
	}
	low, high := uint64(first)>>leafBits, uint64(last)>>leafBits
	if high-low < uint64(len(x.leaves)) {
		for page := low; page <= high; page++ {
			x.removeFrom(page, first, last, each)
		}
		return
	}
	for page := range x.leaves { // in any order: what is left is the same
		if low <= page && page <= high {
			x.removeFrom(page, first, last, each)
		}
	}
}

func (x *index) removeFrom(page uint64, first, last Key, each func(location)) {
	leaf := x.leaves[page]
	kept := leaf[:0]
	for _, s := range leaf {
		if k := Key(page<<leafBits | uint64(uint8(s.word))); k < first || k > last {
			kept = append(kept, s)
			continue
		}
		each(s.location())
		x.count--
	}
	switch {
	case len(kept) == 0:
		delete(x.leaves, page)
	case len(kept) <= cap(leaf)/4:
		x.leaves[page] = append(make([]slot, 0, 2*len(kept)), kept...)
	default:
		x.leaves[page] = kept
	}
}

// sortedKeys are the keys of m in their order.
func sortedKeys[K ~uint64, V any](m map[K]V) []K {
	list := make([]K, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	sort.Slice(list, func(i, j int) bool { return cmp.Less(list[i], list[j]) })
	return list
}

// each calls f for every entry in the order of keys until it returns false.
func (x *index) each(f func(Key, location) bool) {
	for _, page := range sortedKeys(x.leaves) {
		for _, s := range x.leaves[page] {
			if !f(Key(page<<leafBits|uint64(uint8(s.word))), s.location()) {
				return
			}
		}
	}
}
