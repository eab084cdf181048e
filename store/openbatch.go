package store

import "encoding/binary"

// openBatch is what gathers: records in the order in which they were put, their
// checksums left open. What is deleted or replaced while it gathers is crossed
// out where it stands, and costs the writer nothing.
//
// Only keys that are new to the log, and come in a row, have their places noted:
// nothing is hashed, and where such a record is crossed out the log has nothing
// to delete. Of all others the writer finds the last operation (wal.compact).
type openBatch struct {
	buf    []byte
	void   int // bytes of buf that are crossed out
	mixed  int // records whose place is not noted
	rows   []row
	elided int       // records that were crossed out and not counted yet
	stats  *counters // nil: nobody counts
}

// row is where the new records of a table stand.
type row struct {
	table  Table
	top    Key      // no key above it was ever in the log
	base   Key      // of places[0]
	places []uint32 // offset of the record plus 1; 0: there is none
}

const (
	// opSure, on an operation of an open batch, says that no other record of the
	// batch has that key. It never reaches the disk.
	opSure = 8
	opVoid = 0 // crossed out

	rowGapMax   = 64       // numbers that a row may leave out
	placeMax    = 1 << 31  // of a batch; what comes behind it has no place
	sweepBytes  = 64 << 10 // crossed out, from which on a batch is swept
	opMask      = 15
	wordAt      = 4 // of op and size in a record
	keyAt       = 8
	rowsIdleMax = 1 << 16
)

// row of the table of k; nil: nothing was ever put there.
//
// hot: few tables, mostly in the order of their first use.
func (g *openBatch) row(k Key) *row {
	t := k.Table()
	for i := range g.rows {
		if g.rows[i].table == t {
			return &g.rows[i]
		}
	}
	return nil
}

// know says that the log may have keys of this table up to top.
func (g *openBatch) know(top Key) {
	r := g.row(top)
	if r == nil {
		g.rows = append(g.rows, row{table: top.Table()})
		r = &g.rows[len(g.rows)-1]
	}
	r.top = max(r.top, top)
}

// at returns the place of k in r; nil: none is noted.
func (r *row) at(k Key) *uint32 {
	if i := uint64(k - r.base); i < uint64(len(r.places)) && r.places[i] != 0 {
		return &r.places[i]
	}
	return nil
}

// add notes where k, which is new, stands. False: it is not in the row.
func (r *row) add(k Key, at int) bool {
	if len(r.places) == 0 {
		r.base = k
	}
	gap := uint64(k-r.base) - uint64(len(r.places))
	if gap > rowGapMax || at >= placeMax {
		return false
	}
	for range gap {
		r.places = append(r.places, 0)
	}
	r.places = append(r.places, uint32(at)+1)
	return true
}

// put adds a record, or replaces the one with that key.
//
// hot: no allocation but for growth.
func (g *openBatch) put(k Key, head, body []byte) {
	r, at := g.row(k), len(g.buf)
	if r == nil {
		g.know(KeyOf(k.Table(), 0))
		r = &g.rows[len(g.rows)-1]
		if k == r.top { // number 0 is not above itself
			r = nil
		}
	}
	sure := false
	switch {
	case r == nil:
	case k > r.top:
		r.top = k
		sure = r.add(k, at)
	default:
		if p := r.at(k); p != nil {
			g.crossOut(int(*p) - 1)
			if sure = at < placeMax; sure {
				*p = uint32(at) + 1
			} else {
				*p = 0
			}
		}
	}
	g.buf = appendPut(g.buf, k, head, body)
	if sure {
		g.buf[at+wordAt] |= opSure
	} else {
		g.mixed++
	}
	g.tidy()
}

// delete takes the record with that key away. False: it was in this batch, and
// nothing is left to be written.
//
// hot: no allocation but for growth.
func (g *openBatch) delete(k Key) bool {
	if r := g.row(k); r != nil {
		if p := r.at(k); p != nil {
			g.crossOut(int(*p) - 1)
			*p = 0
			g.tidy()
			return false
		}
	}
	g.buf = appendRecordHead(g.buf, opDelete, k, 0)
	g.mixed++
	return true
}

func (g *openBatch) deleteRange(first, last Key) {
	g.buf = appendDeleteRange(g.buf, first, last)
	g.mixed++
}

// crossOut makes the record at an offset void.
func (g *openBatch) crossOut(at int) {
	word := binary.LittleEndian.Uint32(g.buf[at+wordAt:])
	binary.LittleEndian.PutUint32(g.buf[at+wordAt:], word&^opMask) // opVoid
	g.void += encodedBytes(int(word >> 4))
	g.elided++
}

// tidy sweeps where that is worth it: all is crossed out, or most of much. Places
// move, so it ends an operation.
func (g *openBatch) tidy() {
	if g.void > 0 && (g.void == len(g.buf) || g.void >= sweepBytes && g.void >= len(g.buf)/2) {
		g.sweep()
	}
}

// sweep takes out what is crossed out.
func (g *openBatch) sweep() {
	kept := 0
	for at := 0; at < len(g.buf) && g.void != len(g.buf); {
		word := binary.LittleEndian.Uint32(g.buf[at+wordAt:])
		n := encodedBytes(int(word >> 4))
		if word&opMask != opVoid {
			if word&opSure != 0 {
				k := Key(binary.LittleEndian.Uint64(g.buf[at+keyAt:]))
				*g.row(k).at(k) = uint32(kept) + 1
			}
			kept += copy(g.buf[kept:], g.buf[at:at+n])
		}
		at += n
	}
	g.count(len(g.buf) - kept)
	g.buf, g.void = g.buf[:kept], 0
	for i := range g.rows {
		g.rows[i].trim()
	}
}

// trim forgets the places before the first that is taken.
func (r *row) trim() {
	n := 0
	for n < len(r.places) && r.places[n] == 0 {
		n++
	}
	if n == len(r.places) {
		r.places = r.places[:0]
		return
	}
	r.base += Key(n)
	r.places = r.places[:copy(r.places, r.places[n:])]
}

// count tells what was crossed out, and the bytes that the writer will not see.
func (g *openBatch) count(bytes int) {
	if g.stats != nil {
		g.stats.put.Add(uint64(bytes))
		g.stats.elided.Add(uint64(g.elided))
	}
	g.elided = 0
}

// live is how many bytes the batch has that are to be written.
func (g *openBatch) live() int { return len(g.buf) - g.void }

// take returns the batch and how many of its records have no place, and begins
// another in the memory of spare.
func (g *openBatch) take(spare []byte) (batch []byte, mixed int) {
	g.count(0)
	batch, mixed = g.buf, g.mixed
	g.buf, g.void, g.mixed = spare[:0], 0, 0
	for i := range g.rows {
		r := &g.rows[i]
		if cap(r.places) > rowsIdleMax {
			r.places = nil
		}
		r.places = r.places[:0]
	}
	return batch, mixed
}

// nextOpen frames the record at the start of an open batch: op is opVoid for one
// that is crossed out, and sure tells that no other record has its key.
func nextOpen(b []byte) (op byte, sure bool, k Key, n int) {
	word := binary.LittleEndian.Uint32(b[wordAt:])
	op = byte(word) & opMask
	return op &^ opSure, op&opSure != 0, Key(binary.LittleEndian.Uint64(b[keyAt:])), encodedBytes(int(word >> 4))
}
