package buf

import (
	"math/bits"

	"github.com/loopmq/loopmq/internal/invariant"
)

const (
	classMinBits = 6  // 64 bytes: smaller ones would spend more on the slice header than on their content
	classMaxBits = 22 // 4 MiB: larger memory is rare enough to be left to the garbage collector
	classes      = classMaxBits - classMinBits + 1

	// idleBytesDefault bounds the free lists when NewPool is told 0. It is about what one busy pass of the loop
	// hands out and takes back.
	idleBytesDefault = 16 << 20

	refsIdleMax = 4096 // free Ref headers kept, 48 bytes each
)

// Pool hands out memory in power-of-two sizes from free lists and keeps account of it. Not safe for concurrent use.
type Pool struct {
	free      [classes][][]byte
	refs      []*Ref
	idleBytes int64
	idleMax   int64
	inUse     int64
}

// NewPool returns an empty pool that keeps at most limitIdleBytes bytes on its free lists; 0 means 16 MiB, a
// negative number none. What is beyond is left to the garbage collector.
func NewPool(limitIdleBytes int) *Pool {
	if limitIdleBytes == 0 {
		limitIdleBytes = idleBytesDefault
	}
	return &Pool{idleMax: int64(limitIdleBytes)}
}

// Get lends a slice with no content and room for at least size bytes. It is given back with Put.
//
// hot: no allocation once the free lists are warm.
func (p *Pool) Get(size int) []byte {
	k := class(size)
	if k >= classes {
		p.inUse += int64(size)
		return make([]byte, 0, size)
	}
	full := 1 << (k + classMinBits)
	p.inUse += int64(full)
	list := p.free[k]
	if n := len(list); n > 0 {
		b := list[n-1]
		list[n-1] = nil
		p.free[k] = list[:n-1]
		p.idleBytes -= int64(full)
		return b
	}
	return make([]byte, 0, full)
}

// Put takes back what Get lent. b must begin where the lent slice began; its length does not matter.
//
// hot: no allocation once the free lists are warm.
func (p *Pool) Put(b []byte) {
	if cap(b) == 0 {
		return
	}
	size := int64(cap(b))
	p.inUse -= size
	invariant.Check(p.inUse >= 0, "buf: more bytes given back than lent")
	if invariant.On {
		invariant.Mangle(b[:cap(b)])
	}
	k := class(cap(b))
	if k >= classes || p.idleBytes+size > p.idleMax || size != 1<<(k+classMinBits) {
		return
	}
	p.idleBytes += size
	p.free[k] = append(p.free[k], b[:0])
}

// InUse returns the bytes handed out and not given back, whole chunks counted.
func (p *Pool) InUse() int64 { return p.inUse }

// Idle returns the bytes kept on the free lists.
func (p *Pool) Idle() int64 { return p.idleBytes }

// class returns the index of the smallest size class that holds size bytes; it may lie beyond the last one.
func class(size int) int {
	if size <= 1<<classMinBits {
		return 0
	}
	return bits.Len(uint(size-1)) - classMinBits
}
