package router

import "encoding/binary"

// stub is what memory holds of a message that waits on disk only: a few bytes.
type stub struct {
	entry, message uint64 // numbers of their records
	size           int    // as Message.bytes says; 0 = not known
	flags          byte   // the low two bits are the QoS
}

// Flags of stubs. What came with more than a QoS has that in its entry's record.
const (
	stubQoS      = 3
	stubRetain   = 1 << 2
	stubOrigin   = 1 << 3 // the entry says where it comes from
	stubGroup    = 1 << 4 // a shared subscription
	stubFlagBits = 5
)

func (s stub) has(flag byte) bool { return s.flags&flag != 0 }

// A chunk grows by doubling. It is full when not every stub fits.
const (
	stubChunkMin   = 64
	stubChunkBytes = 1024
	stubBytesMax   = 3 * binary.MaxVarintLen64
	stubChunkOver  = 48 // what it costs beside its text
)

// stubs is a first-in first-out of stubs, coded in chunks: numbers as the
// difference to those before, so that a message takes some four bytes.
type stubs struct {
	front stubCursor
	tail  *stubChunk
	last  stubBase // of the one that came last
	n     int
	bytes int // sum of sizes
	held  int // memory that the chunks take
}

type stubBase struct{ entry, message uint64 }

type stubChunk struct {
	next *stubChunk
	base stubBase // what the first difference is to
	text []byte
}

// push adds s behind the others. Its entry has a higher number than theirs.
func (q *stubs) push(s stub) {
	if q.tail == nil || len(q.tail.text) > stubChunkBytes-stubBytesMax {
		c := &stubChunk{base: q.last}
		if q.tail == nil {
			q.front = stubCursor{chunk: c, base: c.base}
		} else {
			q.tail.next = c
		}
		q.tail = c
		q.held += stubChunkOver
	}
	c := q.tail
	if n := len(c.text); cap(c.text)-n < stubBytesMax {
		q.held -= cap(c.text)
		c.text = append(make([]byte, 0, min(max(stubChunkMin, 2*cap(c.text)), stubChunkBytes)), c.text...)
		q.held += cap(c.text)
	}
	c.text = binary.AppendUvarint(c.text, s.entry-q.last.entry)
	c.text = binary.AppendVarint(c.text, int64(s.message-q.last.message))
	c.text = binary.AppendUvarint(c.text, uint64(s.size)<<stubFlagBits|uint64(s.flags))
	q.last = stubBase{s.entry, s.message}
	q.n++
	q.bytes += s.size
}

// peek returns the oldest. There must be one.
func (q *stubs) peek() stub {
	at := q.front
	return at.next()
}

// pop takes the oldest out.
func (q *stubs) pop() stub {
	before := q.front.chunk
	s := q.front.next()
	q.n--
	q.bytes -= s.size
	if q.n == 0 {
		*q = stubs{}
		return s
	}
	if q.front.chunk != before { // peek went over to the next
		q.held -= cap(before.text) + stubChunkOver
	}
	return s
}

// each calls f for all, oldest first, until it returns false.
func (q *stubs) each(f func(stub) bool) {
	at := q.front
	for range q.n {
		if !f(at.next()) {
			return
		}
	}
}

// unshift puts all of o, which is older, before what is here.
func (q *stubs) unshift(o stubs) {
	if q.n == 0 || o.n == 0 {
		if o.n > 0 {
			*q = o
		}
		return
	}
	c := q.front.chunk
	if q.front.at == len(c.text) {
		q.held -= cap(c.text) + stubChunkOver
		c = c.next
	} else {
		c.text, c.base = c.text[q.front.at:], q.front.base
		q.held -= q.front.at // its capacity has shrunk by that
	}
	o.tail.next = c
	q.held += o.held
	q.front = o.front
	q.n += o.n
	q.bytes += o.bytes
}

// stubCursor is a place in the row.
type stubCursor struct {
	chunk *stubChunk
	at    int
	base  stubBase
}

// next returns the stub at the cursor and goes on. There must be one.
func (p *stubCursor) next() stub {
	if p.at == len(p.chunk.text) {
		*p = stubCursor{chunk: p.chunk.next, base: p.chunk.next.base}
	}
	s := stub{}
	entry, n := binary.Uvarint(p.chunk.text[p.at:])
	p.at += n
	message, n := binary.Varint(p.chunk.text[p.at:])
	p.at += n
	word, n := binary.Uvarint(p.chunk.text[p.at:])
	p.at += n
	p.base.entry += entry
	p.base.message += uint64(message)
	s.entry, s.message = p.base.entry, p.base.message
	s.size, s.flags = int(word>>stubFlagBits), byte(word&(1<<stubFlagBits-1))
	return s
}
