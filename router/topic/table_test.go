package topic

import (
	"math/rand/v2"
	"testing"
)

// TestTableAgreesWithAMap uses good hashes, hashes that share their upper bits, and hashes that are all equal:
// the last two cannot come from the secret seed, and are to be slow, not wrong.
func TestTableAgreesWithAMap(t *testing.T) {
	for name, hash := range map[string]func(node uint32) uint32{
		"good":        func(n uint32) uint32 { return n * 2654435761 },
		"upper equal": func(n uint32) uint32 { return n * 2654435761 & 0xFFF },
		"lower equal": func(n uint32) uint32 { return n * 2654435761 & 0xFFF00000 },
		"equal":       func(n uint32) uint32 { return 0xABCDEF01 },
	} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(8, 8))
			var table table
			in := map[uint32]bool{}
			fits := func(h, n uint32) bool { return in[n] && h == hash(n) }
			for step := range 12_000 {
				n := 1 + rng.Uint32N(3000)
				if grow := step < 6000; in[n] != grow {
					if in[n] = grow; grow {
						table.insert(hash(n), n)
					} else {
						table.remove(hash(n), n)
						delete(in, n)
					}
				}
				if step%500 == 0 {
					checkTable(t, &table, fits, len(in))
				}
			}
			for n := range in {
				table.remove(hash(n), n)
			}
			if table.directory != nil || table.used != 0 {
				t.Fatalf("empty, but %d segments", len(table.directory))
			}
		})
	}
}

func checkTable(t *testing.T, table *table, fits func(hash, node uint32) bool, want int) {
	t.Helper()
	if err := table.check(fits); err != nil {
		t.Fatal(err)
	}
	if table.used != want {
		t.Fatalf("%d entries, want %d", table.used, want)
	}
}

// TestGrowthMovesLittle holds the promise of table.go: no insertion moves more than one segment's slots.
func TestGrowthMovesLittle(t *testing.T) {
	var table table
	segments := map[*segment]bool{}
	for n := uint32(1); n <= 200_000; n++ {
		h := n * 2654435761
		table.insert(h, n)
		s := table.segment(h)
		segments[s] = true
		if len(s.slots) > segmentSlots {
			t.Fatalf("a segment has %d slots, limit %d", len(s.slots), segmentSlots)
		}
	}
	if len(segments) < 200_000/segmentSlots {
		t.Fatalf("%d segments", len(segments))
	}
}
