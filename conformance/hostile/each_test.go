package hostile

import (
	"slices"
	"testing"
	"time"
)

// told is what the witness felt of one row.
type told struct {
	name  string
	trips []time.Duration
}

// felt notes the witness's round trips since the last row.
func (s *server) felt(name string) {
	if s.witness == nil {
		return
	}
	trips, _ := s.witness.take()
	if len(trips) > 0 {
		s.told = append(s.told, told{name, trips})
	}
}

// tell prints the rows that the witness felt most, and returns all round trips. Of rows that are done within a few of
// them the longest is no figure.
func (s *server) tell(t *testing.T) (all []time.Duration) {
	const fewest, most = 20, 25
	slices.SortFunc(s.told, func(a, b told) int { return int(quantile(b.trips, .99) - quantile(a.trips, .99)) })
	n := 0
	for _, row := range s.told {
		all = append(all, row.trips...)
		if len(row.trips) >= fewest && n < most {
			t.Logf("%s: %s", row.name, figures(row.trips))
			n++
		}
	}
	return all
}
