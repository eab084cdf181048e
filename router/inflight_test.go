package router

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestInflightAgainstMap: random windows, finished in any order, some held for
// longer than all PacketIDs last.
func TestInflightAgainstMap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var f inflight
	open := map[uint16]uint64{} // PacketID to number
	var held []uint16
	for step := range 600_000 {
		if len(open) < 40 {
			id := f.nextID()
			if _, used := open[id]; used || id == 0 {
				t.Fatalf("step %d: PacketID %d is in use", step, id)
			}
			e := f.add()
			if e.packetID() != id {
				t.Fatalf("step %d: got %d, asked for %d", step, e.packetID(), id)
			}
			open[id] = e.n
			if len(held) < 5 && rnd.IntN(1000) == 0 {
				held = append(held, id)
			}
		}
		for id, n := range open { // any one of them
			if rnd.IntN(3) == 0 || contains(held, id) {
				break
			}
			e := f.find(id)
			if e == nil || e.n != n {
				t.Fatalf("step %d: find(%d) gives %v, want number %d", step, id, e, n)
			}
			f.finish(e)
			delete(open, id)
			if f.find(id) != nil {
				t.Fatalf("step %d: PacketID %d is found after its end", step, id)
			}
			break
		}
		if f.open != len(open) {
			t.Fatalf("step %d: %d open, want %d", step, f.open, len(open))
		}
	}
	if f.next < 3*packetIDs {
		t.Errorf("only %d messages: PacketIDs did not go round", f.next)
	}
	for i := 1; i < f.open; i++ {
		if f.at(i-1).n >= f.at(i).n {
			t.Errorf("entry %d is out of order", i)
		}
	}
	if len(f.ring) > 64 {
		t.Errorf("the ring grew to %d for 40 messages", len(f.ring))
	}
	for _, id := range held {
		if f.find(id) == nil {
			t.Errorf("PacketID %d was held and is gone", id)
		}
	}
}

func contains(ids []uint16, id uint16) bool {
	return slices.Contains(ids, id)
}
