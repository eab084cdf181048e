package sim_test

import (
	"flag"
	"testing"

	"github.com/loopmq/loopmq/internal/sim"
)

var (
	seeds = flag.Int("seeds", 200, "number of seeds")
	first = flag.Uint64("seed", 1, "first seed")
)

func TestFirst(t *testing.T) {
	failed := map[string]int{}
	for seed := *first; seed < *first+uint64(*seeds); seed++ {
		p := sim.Draw(seed)
		if r := sim.Run(p, nil); r.Err != nil {
			if *seeds == 1 {
				t.Fatalf("seed %d: %v\n%s", seed, r.Err, sim.Transcript(p))
			}
			t.Logf("seed %d: %.250v", seed, r.Err)
			failed["x"]++
			if failed["x"] > 12 {
				t.Fatal("enough")
			}
		}
	}
	if len(failed) > 0 {
		t.Fail()
	}
}
