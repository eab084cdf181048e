package loop

// slotTable numbers connections: a slot is reused, its generation never (until 2³² connections went through one slot).
type slotTable[C any] struct {
	conns []*C     // by slot; nil = free
	gens  []uint32 // generation of the slot's present or next connection
	free  []uint32
}

// take gives c a slot.
func (t *slotTable[C]) take(c *C) (slot, gen uint32) {
	if n := len(t.free); n > 0 {
		slot = t.free[n-1]
		t.free = t.free[:n-1]
	} else {
		slot = uint32(len(t.conns))
		t.conns = append(t.conns, nil)
		t.gens = append(t.gens, 1)
	}
	t.conns[slot] = c
	return slot, t.gens[slot]
}

// get returns the connection that was given slot and gen, or nil if it is gone.
//
// hot: no allocation.
func (t *slotTable[C]) get(slot int32, gen uint32) *C {
	if t.gens[slot] != gen {
		return nil
	}
	return t.conns[slot]
}

// give frees a slot; its number is void from now on.
func (t *slotTable[C]) give(slot uint32) {
	t.conns[slot] = nil
	t.gens[slot]++
	t.free = append(t.free, slot)
}

// connID is what Conn.ID returns.
func connID(slot, gen uint32) uint64 { return uint64(slot)<<32 | uint64(gen) }
