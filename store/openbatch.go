package store

import (
	"encoding/binary"
	"math"
)

// openBatch is what gathers: records in the order in which they were put, their
// checksums left open. What is deleted or replaced while it gathers is crossed
// out where it stands, and costs the writer nothing.
//
// Only keys that are new to the log, and come in a row, have their places noted:
// nothing is hashed, and where such a record is crossed out the log has nothing
// to delete. Of all others the writer finds the last operation (wal.compact).
type openBatch struct {
	sealed
	void      int // bytes of buf that are crossed out
	rows      []row
	elided    int       // records that were crossed out and not counted yet
	bytesVoid int       // of those
	stats     *counters // nil: nobody counts
}

// allMixed says of a batch that was put together of several ones that none of its
// records is sure to be the last of its key.
const allMixed = -1

// sealed is a batch on its way to the writer.
type sealed struct {
	buf    []byte   // records, see nextOpen
	bodies []Shared // of those whose bodies are shared; nil: crossed out
	bytes  int      // of the records as they will be written, but for what the writer leaves out
	mixed  int      // records whose place is not noted; allMixed: none is
}

// Shared is bytes that stay as they are until they are released.
type Shared interface {
	Bytes() []byte
	Release()
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
	// opShared says that the body is not in the batch: behind the key are the
	// length of the head and the number of the body, four bytes each, and the head.
	opShared = 4
	opVoid   = 0 // crossed out
	opWrites = 3 // mask of what is written

	rowGapMax   = 64            // numbers that a row may leave out
	placeMax    = math.MaxInt32 // of a batch; what comes behind it has no place
	sweepBytes  = 64 << 10      // crossed out, from which on a batch is swept
	wordAt      = 4             // of op and size in a record
	keyAt       = 8
	sharedAt    = recordHeadBytes // of the length of the head of a shared one
	sharedBytes = 8               // and the number of its body
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
	flags := g.place(k)
	at := len(g.buf)
	g.buf = appendPut(g.buf, k, head, body)
	g.buf[at+wordAt] |= flags
	g.bytes += len(g.buf) - at
	g.tidy()
}

// putShared is put with a body that is not copied. It is released when nobody
// needs it any more.
//
// hot: no allocation but for growth.
func (g *openBatch) putShared(k Key, head []byte, body Shared) {
	flags := g.place(k) | opShared
	at, size := len(g.buf), len(head)+len(body.Bytes())
	checkSize(size)
	g.buf = appendRecordHead(g.buf, opPut, k, size)
	g.buf[at+wordAt] |= flags
	g.buf = binary.LittleEndian.AppendUint32(g.buf, uint32(len(head)))
	g.buf = append(binary.LittleEndian.AppendUint32(g.buf, uint32(len(g.bodies))), head...)
	g.bodies = append(g.bodies, body)
	g.bytes += encodedBytes(size)
	g.tidy()
}

// place notes that k is put behind all others, and crosses out what it replaces.
// It returns the flags of the record.
func (g *openBatch) place(k Key) byte {
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
	if sure {
		return opSure
	}
	g.mixed++
	return 0
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
	g.bytes += recordHeadBytes
	g.mixed++
	return true
}

func (g *openBatch) deleteRange(first, last Key) {
	g.buf = appendDeleteRange(g.buf, first, last)
	g.bytes += recordHeadBytes + keyBytes
	g.mixed++
}

// crossOut makes the record at an offset void.
func (g *openBatch) crossOut(at int) {
	b := g.buf[at:]
	r := nextOpen(b)
	if r.shared {
		g.bodies[r.body].Release()
		g.bodies[r.body] = nil
	}
	b[wordAt] &^= opWrites
	g.void += r.n
	g.bytes -= encodedBytes(r.size)
	g.elided++
	g.bytesVoid += encodedBytes(r.size)
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
	kept, bodies := 0, 0
	for at := 0; at < len(g.buf) && g.void != len(g.buf); {
		r := nextOpen(g.buf[at:])
		if r.op != opVoid {
			if r.sure {
				*g.row(r.key).at(r.key) = uint32(kept) + 1
			}
			if r.shared {
				g.bodies[bodies] = g.bodies[r.body]
				binary.LittleEndian.PutUint32(g.buf[at+sharedAt+4:], uint32(bodies))
				bodies++
			}
			kept += copy(g.buf[kept:], g.buf[at:at+r.n])
		}
		at += r.n
	}
	clear(g.bodies[bodies:])
	g.buf, g.bodies, g.void = g.buf[:kept], g.bodies[:bodies], 0
	for i := range g.rows {
		g.rows[i].trim()
	}
	g.count()
}

// trim forgets the places before the first that is taken, if they are many.
func (r *row) trim() {
	n := 0
	for n < len(r.places) && r.places[n] == 0 {
		n++
	}
	if n == len(r.places) {
		r.places = r.places[:0]
		return
	}
	if n < len(r.places)/2 {
		return
	}
	r.base += Key(n)
	r.places = r.places[:copy(r.places, r.places[n:])]
}

// count tells what was crossed out, which the writer does not see.
func (g *openBatch) count() {
	if g.stats != nil {
		g.stats.put.Add(uint64(g.bytesVoid))
		g.stats.elided.Add(uint64(g.elided))
	}
	g.elided, g.bytesVoid = 0, 0
}

// take returns the batch, and begins another in the memory of spare.
func (g *openBatch) take(spare sealed) (b sealed) {
	g.count()
	b, g.void = g.sealed, 0
	g.sealed = sealed{buf: spare.buf[:0], bodies: spare.bodies[:0]}
	for i := range g.rows {
		r := &g.rows[i]
		if cap(r.places) > rowsIdleMax {
			r.places = nil
		}
		r.places = r.places[:0]
	}
	return b
}

// release lets go of all bodies.
func (b *sealed) release() {
	for _, s := range b.bodies {
		if s != nil {
			s.Release()
		}
	}
	clear(b.bodies)
	b.bodies = b.bodies[:0]
}

// appendTo appends the record r at an offset of the batch as it is written, but
// for its checksum.
func (b *sealed) appendTo(dst []byte, r openRecord, at int) []byte {
	start, head, rest := len(dst), recordHeadBytes, at+recordHeadBytes
	var body []byte
	if r.shared {
		rest, body = rest+sharedBytes, b.bodies[r.body].Bytes()
	} else {
		head, rest = r.n, at+r.n
	}
	dst = append(dst, b.buf[at:at+head]...)
	dst = append(dst, b.buf[rest:at+r.n]...)
	dst = append(dst, body...)
	dst[start+wordAt] &^= opSure | opShared
	return dst
}

// flat appends all records that are not crossed out, to go with others.
func (b *sealed) flat(dst []byte) []byte {
	for at := 0; at < len(b.buf); {
		r := nextOpen(b.buf[at:])
		if r.op != opVoid {
			dst = b.appendTo(dst, r, at)
		}
		at += r.n
	}
	return dst
}

// openRecord is a record of an open batch.
type openRecord struct {
	op     byte // opVoid: it is crossed out
	sure   bool // no other record of the batch has its key
	shared bool
	body   uint32 // number of what it shares
	key    Key
	size   int // of the value
	n      int // bytes that it takes in the batch
}

// nextOpen frames the record at the start of an open batch.
func nextOpen(b []byte) (r openRecord) {
	le := binary.LittleEndian
	word := le.Uint32(b[wordAt:])
	r.op, r.sure, r.shared = byte(word)&opWrites, word&opSure != 0, word&opShared != 0
	r.key, r.size = Key(le.Uint64(b[keyAt:])), int(word>>4)
	r.n = encodedBytes(r.size)
	if r.shared {
		r.n = recordHeadBytes + sharedBytes + int(le.Uint32(b[sharedAt:]))
		r.body = le.Uint32(b[sharedAt+4:])
	}
	return r
}
