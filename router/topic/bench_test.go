package topic_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/loopmq/loopmq/router/topic"
)

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		all := make([]subscriber, n)
		x := topic.NewIndex[*subscriber]()
		deviceFilters(x, n, all)
		x.Insert("other/+/#", &all[0])
		order := rand.New(rand.NewPCG(1, 1)).Perm(n)
		match := x.Match
		for _, how := range []string{"cache", "walk"} {
			if how == "walk" {
				match = x.MatchWithoutCache
			}
			b.Run(fmt.Sprintf("%d/fixed/%s", n, how), func(b *testing.B) {
				name := deviceTopic(nil, n/2)
				for b.Loop() {
					match(name)
				}
			})
			b.Run(fmt.Sprintf("%d/random/%s", n, how), func(b *testing.B) {
				var buf []byte
				for i := 0; b.Loop(); i++ {
					buf = deviceTopic(buf[:0], order[i%n])
					if len(match(buf)) != 1 {
						b.Fatalf("%s did not match", buf)
					}
				}
			})
		}
	}
}

// BenchmarkTopicText is what the random cases of BenchmarkMatch pay for writing the topic.
func BenchmarkTopicText(b *testing.B) {
	var buf []byte
	for i := 0; b.Loop(); i++ {
		buf = deviceTopic(buf[:0], i%1_000_000)
	}
}

func BenchmarkMatchWide(b *testing.B) {
	x := topic.NewIndex[*subscriber]()
	for i := range 1000 {
		x.Insert("news/all", &subscriber{i})
	}
	name, sum := []byte("news/all"), 0
	for b.Loop() {
		for _, set := range x.Match(name) {
			for _, s := range set {
				sum += s.id
			}
		}
	}
}

func BenchmarkInsertRemove(b *testing.B) {
	const n = 100_000
	all := make([]subscriber, n)
	x := topic.NewIndex[*subscriber]()
	deviceFilters(x, n, all)
	for b.Loop() {
		x.Insert("site/12/new", &all[0])
		x.Remove("site/12/new", &all[0])
	}
}

func BenchmarkCursor100k(b *testing.B) {
	var r topic.Retained[*subscriber]
	for i := range 100_000 {
		r.Set(deviceTopic(nil, i), &subscriber{i})
	}
	for b.Loop() {
		c, met := r.Cursor("site/#"), 0
		for !c.Next(1000, func(*subscriber) bool { met++; return true }) {
		}
		if met != 100_000 {
			b.Fatalf("met %d", met)
		}
	}
}
