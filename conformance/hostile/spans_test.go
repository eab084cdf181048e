package hostile

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"
)

// quietName is the name of a span in which nobody attacks.
const quietName = "quiet"

// span is when a row was in progress, or nothing was, in ns of the wall clock.
type span struct {
	name     string
	from, to int64
}

// began returns what ends the span that begins now.
func (s *server) began(name string) (end func()) {
	from := time.Now().UnixNano()
	return func() {
		s.mu.Lock()
		s.spans = append(s.spans, span{name, from, time.Now().UnixNano()})
		s.mu.Unlock()
	}
}

// rest is a quiet phase: the attackers are gone, and a moment has passed for what they have left behind.
func (s *server) rest(before uint64, calm time.Duration) {
	s.settled(before)
	time.Sleep(calm / 5)
	end := s.began(quietName)
	time.Sleep(calm)
	end()
}

// sorted gives each trip to the spans that it touches. Quiet are those that lie in quiet spans wholly; all others are
// hostile, whether a row is to be blamed or what a row has left behind.
func (s *server) sorted(trips []trip) (quiet, hostile []time.Duration, rows map[string][]time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortFunc(s.spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	rows = map[string][]time.Duration{}
	first := 0 // no earlier span touches this trip or a later one, if its end and those before it are past
	for _, t := range trips {
		end := t.Start + int64(t.Took)
		for first < len(s.spans) && s.spans[first].to < t.Start {
			first++
		}
		calm := false
		for _, p := range s.spans[first:] {
			if p.from > end {
				break
			}
			switch {
			case p.to < t.Start:
			case p.name != quietName:
				rows[p.name] = append(rows[p.name], t.Took)
			case p.from <= t.Start && end <= p.to:
				calm = true
			}
		}
		if calm {
			quiet = append(quiet, t.Took)
		} else {
			hostile = append(hostile, t.Took)
		}
	}
	return quiet, hostile, rows
}

// tell prints the rows in which the witness fared worst, the first so many. A row of several doors is one, and rows may
// have been in progress together. Of those that are done within a few round trips the longest is no figure.
func tell(t *testing.T, rows map[string][]time.Duration, most int) {
	const fewest = 20
	type told struct {
		name string
		p99  time.Duration
	}
	var worst []told
	for name, trips := range rows {
		if len(trips) >= fewest {
			slices.Sort(trips)
			worst = append(worst, told{name, quantile(trips, .99)})
		}
	}
	slices.SortFunc(worst, func(a, b told) int {
		return cmp.Or(cmp.Compare(b.p99, a.p99), strings.Compare(a.name, b.name))
	})
	for _, w := range worst[:min(most, len(worst))] {
		t.Logf("%s: %s", w.name, figures(rows[w.name]))
	}
}
