package store

import (
	"encoding/binary"
	"sort"
)

// early has the values that Load hands out, as the start met them while it filled
// the index: what is small stands between message bodies, and looking for it again
// would be to read the log a second time. It holds them by where they stand, and
// of each only what the one before it has not: some five bytes for a message that
// waits. It lives until Load is over.
//
// It is bounded, since dead ones are among them: what is not there is read.
type early struct {
	chunks map[uint32][]earlyChunk // by seq, in order of their places
	held   int                     // bytes of all texts
	last   earlyPlace              // the one that came last

	// Where find goes on: records are mostly asked for in the order of the log.
	list []earlyChunk
	seq  uint32
	i    int // of the chunk
	at   int // in its text
	next earlyPlace
}

// earlyPlace is a value, and where its record stands.
type earlyPlace struct {
	off   uint32
	value []byte
}

// earlyChunk is a row of values. Each begins with how far behind the one before
// the record stands, and whether the value is as long as that one's:
//
//	distance<<1     length, value
//	distance<<1 | 1 bytes that are the same in front, count of those that follow, these; the rest is the same
type earlyChunk struct {
	off  uint32 // of the first
	text []byte
}

const (
	earlyValueMax   = 255
	earlyChunkBytes = 4096
	earlyBytes      = 16 << 20 // or half of what the index takes, if that is more
)

// collect adds the values of a batch whose records stand from off on.
func (e *early) collect(seq, off uint32, records []byte, most int) {
	for len(records) > 0 {
		r, n := nextRecord(records)
		if r.op == opPut && r.key.Table() < Cold && len(r.value) <= earlyValueMax && e.held < most {
			e.add(seq, off, r.value)
		}
		records, off = records[n:], off+uint32(n)
	}
}

func (e *early) add(seq, off uint32, value []byte) {
	list, last := e.chunks[seq], &e.last
	if n := len(list); n == 0 || len(list[n-1].text) > earlyChunkBytes-earlyValueMax-2*binary.MaxVarintLen32 {
		list = append(list, earlyChunk{off: off, text: make([]byte, 0, earlyChunkBytes)})
		e.chunks[seq] = list
		e.held += earlyChunkBytes
		last.off, last.value = off, last.value[:0]
	}
	c, distance := &list[len(list)-1], uint64(off-last.off)<<1
	from, to := 0, len(value)
	if to == len(last.value) {
		distance |= 1
		for from < to && value[from] == last.value[from] {
			from++
		}
		for from < to && value[to-1] == last.value[to-1] {
			to--
		}
	}
	text := binary.AppendUvarint(c.text, distance)
	if distance&1 != 0 {
		text = append(text, byte(from))
	}
	c.text = append(append(text, byte(to-from)), value[from:to]...)
	last.off, last.value = off, append(last.value[:0], value...)
}

// find returns the value of the record at l, a view until the next; false: it is
// not there.
func (e *early) find(l location) (value []byte, ok bool) {
	p := &e.next
	if l.seq != e.seq || l.off <= p.off || e.i+1 < len(e.list) && l.off >= e.list[e.i+1].off {
		e.list, e.seq, e.at = e.chunks[l.seq], l.seq, 0
		e.i = sort.Search(len(e.list), func(i int) bool { return e.list[i].off > l.off }) - 1
		if e.i < 0 {
			e.seq = 0
			return nil, false
		}
		p.off, p.value = e.list[e.i].off, p.value[:0]
	}
	for text := e.list[e.i].text; e.at < len(text); {
		word, n := binary.Uvarint(text[e.at:])
		if p.off+uint32(word>>1) > l.off {
			break
		}
		p.off += uint32(word >> 1)
		e.at += n + 1
		first := int(text[e.at-1])
		if word&1 == 0 {
			p.value = append(p.value[:0], text[e.at:e.at+first]...)
			e.at += first
		} else {
			e.at += 1 + copy(p.value[first:], text[e.at+1:][:text[e.at]])
		}
		if p.off == l.off {
			return p.value, true
		}
	}
	return nil, false
}
