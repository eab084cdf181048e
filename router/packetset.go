package router

import "math/bits"

// packetSet is a set of PacketIDs: the QoS 2 messages of a client that wait
// for their PUBREL. Pages of 1024 are made when they are first touched, so
// that the whole never exceeds 9 kB.
type packetSet struct {
	pages [64]*[16]uint64
	n     int
	paged int // pages
}

func (s *packetSet) has(id uint16) bool {
	p := s.pages[id>>10]
	return p != nil && p[id>>6&15]&(1<<(id&63)) != 0
}

func (s *packetSet) add(id uint16) {
	p := s.pages[id>>10]
	if p == nil {
		p = new([16]uint64)
		s.pages[id>>10] = p
		s.paged++
	}
	if w := &p[id>>6&15]; *w&(1<<(id&63)) == 0 {
		*w |= 1 << (id & 63)
		s.n++
	}
}

func (s *packetSet) remove(id uint16) bool {
	if !s.has(id) {
		return false
	}
	s.pages[id>>10][id>>6&15] &^= 1 << (id & 63)
	s.n--
	return true
}

// count walks the pages; for CheckInvariants.
func (s *packetSet) count() (n int) {
	for _, p := range s.pages {
		if p == nil {
			continue
		}
		for _, w := range p {
			n += bits.OnesCount64(w)
		}
	}
	return n
}
