package sim_test

import (
	"testing"

	"github.com/loopmq/loopmq/internal/sim"
)

func TestFirst(t *testing.T) {
	for seed := uint64(1); seed < 200; seed++ {
		p := sim.Draw(seed)
		if r := sim.Run(p, nil); r.Err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, r.Err, sim.Transcript(p))
		}
	}
}
