package record

import "sync"

// spares are buffers for reuse. The one that came back last is taken first: what the caches still have of it need not
// come from memory.
type spares struct {
	mu    sync.Mutex
	list  [][]byte
	least int // that there were since trim
}

func (s *spares) put(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) < sparesMax {
		s.list = append(s.list, b)
	}
}

func (s *spares) take() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.list)
	if n == 0 {
		s.least = 0
		return make([]byte, 0, chunkRoom)
	}
	b := s.list[n-1]
	s.list[n-1], s.list = nil, s.list[:n-1]
	s.least = min(s.least, n-1)
	return b
}

// trim lets go of those that were not needed since it was called before.
func (s *spares) trim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	idle := max(0, min(s.least, len(s.list)-sparesMin))
	n := copy(s.list, s.list[idle:]) // the others were used later
	clear(s.list[n:])
	s.list, s.least = s.list[:n], n
}
