package topic

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
)

const (
	chunkNodes = 1024      // 64 KiB a chunk: its own page-aligned span, so that a node is one cache line
	countMax   = 1<<25 - 1 // largest node number, because a node counts its children in 25 bits
	root       = 0         // stands for the empty prefix; as a link, 0 means "none"
)

// A node's meta word: length of the level, a flag, a counter.
const (
	metaLength = 1<<6 - 1 // bytes of the level in text; or one of the next two
	textLong   = 63       // the level is longer than text: text starts with its number in names.long
	textFree   = 62       // the node is on the free list, linked by parent
	metaSet    = 1 << 6   // Index: value is the node's only subscriber. Retained: value is there
	metaOne    = 1 << 7   // 1 in the counter. Index: literal children. Retained: cursors that stand here
)

// Links of a node, by owner.
const (
	linkPlus  = 0 // Index: the child "+"
	linkHash  = 1 // Index: the child "#"
	linkList  = 2 // Index: the number of its list in subscribers when there is more than one subscriber
	linkFirst = 0 // Retained: the newest child
	linkNext  = 1 // Retained: the next older child of the same parent
	linkPrev  = 2 // Retained: the next newer one
)

// node is one level below its parent. With a pointer for P it is 64 bytes, and text has room for a UUID.
type node[P any] struct {
	value  [1]P // an array so that a single subscriber can be handed out as a slice of the node
	parent uint32
	meta   uint32
	links  [3]uint32
	text   [36]byte
}

func (n *node[P]) isSet() bool   { return n.meta&metaSet != 0 }
func (n *node[P]) count() uint32 { return n.meta / metaOne }
func (n *node[P]) free() bool    { return n.meta&metaLength == textFree }

func (n *node[P]) set(v P) {
	n.value[0] = v
	n.meta |= metaSet
}

func (n *node[P]) unset() {
	var none P
	n.value[0] = none
	n.meta &^= metaSet
}

// names is a tree of topic levels: an arena of nodes and the table that finds a child. The zero value is empty.
type names[P any] struct {
	chunks    []*[chunkNodes]node[P]
	top       uint32 // highest node number handed out since the tree was empty
	free      uint32 // first of the free nodes; their last is followed by 0
	used      int    // nodes in use, the root not counted
	children  table
	long      []string // levels too long for a node
	longFree  []uint32
	longBytes int // of these levels
	most      int // nodes that there may be; 0 is countMax
	seed      maphash.Seed
	salt      uint64
}

// nodeBytes is what a node takes with its place in the table.
const nodeBytes = 80

// memory is about what the nodes in use take, in bytes.
func (t *names[P]) memory() int64 { return int64(t.used)*nodeBytes + int64(t.longBytes) }

// room tells whether there are nodes for name, had each of its levels to be made.
func (t *names[P]) room(name []byte) bool {
	most := t.most
	if most == 0 {
		most = countMax
	}
	return t.used+Levels(name) <= most
}

func (t *names[P]) at(i uint32) *node[P] {
	return &t.chunks[i/chunkNodes][i%chunkNodes]
}

// prepare makes the root.
func (t *names[P]) prepare() {
	if t.chunks != nil {
		return
	}
	t.chunks = append(t.chunks, new([chunkNodes]node[P]))
	if t.salt == 0 {
		t.seed = maphash.MakeSeed() // secret: peers choose the levels, and must not be able to choose collisions
		t.salt = maphash.Comparable(t.seed, 0) | 1
	}
}

// levelHash is the part of a child's hash that does not depend on its parent.
func (t *names[P]) levelHash(level []byte) uint64 { return maphash.Bytes(t.seed, level) }

func (t *names[P]) childHash(parent uint32, level uint64) uint32 {
	hi, lo := bits.Mul64(level, t.salt^uint64(parent)*0x9E3779B97F4A7C15)
	return uint32((hi ^ lo) >> 32)
}

// child returns the literal child of parent, 0 if there is none.
func (t *names[P]) child(parent uint32, level []byte) uint32 {
	return t.childHashed(parent, level, t.levelHash(level))
}

// childHashed is child for a level whose levelHash is known.
//
// hot: no allocation.
func (t *names[P]) childHashed(parent uint32, level []byte, levelHash uint64) uint32 {
	if t.children.used == 0 {
		return 0
	}
	hash := t.childHash(parent, levelHash)
	slots := t.children.segment(hash).slots
	mask := uint32(len(slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		e := slots[i]
		if e == 0 {
			return 0
		}
		if uint32(e>>32) == hash && t.is(uint32(e), parent, level) {
			return uint32(e)
		}
	}
}

func (t *names[P]) is(i, parent uint32, level []byte) bool {
	n := t.at(i)
	if n.parent != parent {
		return false
	}
	length := n.meta & metaLength
	if length <= uint32(len(n.text)) {
		return string(n.text[:length]) == string(level)
	}
	return t.longText(n) == string(level)
}

func (t *names[P]) longText(n *node[P]) string {
	return t.long[binary.LittleEndian.Uint32(n.text[:])]
}

// levelText returns the level of node i; a view, unless it is long.
func (t *names[P]) levelText(i uint32) []byte {
	n := t.at(i)
	if length := n.meta & metaLength; length <= uint32(len(n.text)) {
		return n.text[:length]
	}
	return []byte(t.longText(n))
}

// ownHash is the levelHash of the level of node i.
func (t *names[P]) ownHash(i uint32) uint64 {
	n := t.at(i)
	if length := n.meta & metaLength; length <= uint32(len(n.text)) {
		return t.levelHash(n.text[:length])
	}
	return maphash.String(t.seed, t.longText(n))
}

// isDollar reports whether the level of node i begins with $.
func (t *names[P]) isDollar(i uint32) bool {
	n := t.at(i)
	if n.meta&metaLength == textLong {
		return t.longText(n)[0] == '$'
	}
	return n.meta&metaLength > 0 && n.text[0] == '$'
}

// appendName appends the whole name that ends in node i.
func (t *names[P]) appendName(dst []byte, i uint32) []byte {
	if parent := t.at(i).parent; parent != root {
		dst = append(t.appendName(dst, parent), '/')
	}
	return append(dst, t.levelText(i)...)
}

// cutLevel splits off the first level; more tells whether a slash followed it, and with it another level.
func cutLevel(name []byte) (level, rest []byte, more bool) {
	return bytes.Cut(name, []byte{'/'})
}

// add makes a literal child, which must not exist. kept is level in memory that stays as it is, or empty.
func (t *names[P]) add(parent uint32, level []byte, kept string) uint32 {
	i := t.take(parent, level, kept)
	t.children.insert(t.childHash(parent, t.levelHash(level)), i)
	return i
}

// drop removes a literal child.
func (t *names[P]) drop(i uint32) {
	t.children.remove(t.childHash(t.at(i).parent, t.ownHash(i)), i)
	t.release(i)
}

// take returns a node that only its parent's links lead to.
func (t *names[P]) take(parent uint32, level []byte, kept string) uint32 {
	i := t.free
	if i != 0 {
		t.free = t.at(i).parent
	} else {
		i = t.grow()
	}
	n := t.at(i)
	*n = node[P]{parent: parent, meta: uint32(len(level))}
	if copy(n.text[:], level) < len(level) {
		n.meta = textLong
		if kept == "" {
			kept = string(level)
		}
		binary.LittleEndian.PutUint32(n.text[:], t.keepLong(kept))
	}
	t.used++
	return i
}

func (t *names[P]) grow() uint32 {
	if t.top == countMax {
		panic("topic: more than 33 million nodes; who inserts asks HasRoom first")
	}
	t.top++
	if int(t.top/chunkNodes) == len(t.chunks) {
		t.chunks = append(t.chunks, new([chunkNodes]node[P]))
	}
	return t.top
}

// release puts a node that nothing leads to any more on the free list. The last one gives the memory back, but for
// the first chunk: the root is there, and a tree that goes from none to one and back is to allocate nothing.
func (t *names[P]) release(i uint32) {
	n := t.at(i)
	if n.meta&metaLength == textLong {
		t.dropLong(binary.LittleEndian.Uint32(n.text[:]))
	}
	*n = node[P]{parent: t.free, meta: textFree}
	t.free = i
	t.used--
	if t.used == 0 {
		t.chunks = []*[chunkNodes]node[P]{t.chunks[0]}
		t.top, t.free, t.long, t.longFree = 0, 0, nil, nil
	}
}

func (t *names[P]) keepLong(level string) uint32 {
	t.longBytes += len(level)
	if last := len(t.longFree) - 1; last >= 0 {
		i := t.longFree[last]
		t.longFree = t.longFree[:last]
		t.long[i] = level
		return i
	}
	t.long = append(t.long, level)
	return uint32(len(t.long) - 1)
}

func (t *names[P]) dropLong(i uint32) {
	t.longBytes -= len(t.long[i])
	t.long[i] = ""
	t.longFree = append(t.longFree, i)
}
