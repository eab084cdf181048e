//go:build linux

package bench

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/loopmq/loopmq/broker"
)

// BenchmarkRecording is what a recording costs the way of a message: rounds
// without and with one take turns, and the medians of their times are compared.
// One operation is one round of each.
func BenchmarkRecording(b *testing.B) {
	for _, name := range []string{"1to1", "1to10", "1to100", "payload-1KiB", "qos1x10"} {
		list := Scenarios()
		i := slices.IndexFunc(list, func(s Scenario) bool { return s.Name == name || s.Name == "1to100" && name == "1to10" })
		s := list[i]
		if name == "1to10" {
			s.Subscribers = 10
		}
		b.Run(name, func(b *testing.B) {
			var plain, recorded []float64
			file := filepath.Join(b.TempDir(), "recording")
			for b.Loop() {
				plain = append(plain, round(b, s, nil))
				recorded = append(recorded, round(b, s, &broker.Recording{File: file, BytesMax: 1 << 40}))
				if err := os.Remove(file); err != nil {
					b.Fatal(err)
				}
			}
			slices.Sort(plain)
			slices.Sort(recorded)
			without, with := plain[len(plain)/2], recorded[len(recorded)/2]
			b.ReportMetric(without, "ns/plain")
			b.ReportMetric(with, "ns/recorded")
			b.ReportMetric(100*(with/without-1), "%cost")
		})
	}
}

// round is the time of one delivery, in nanoseconds, in a steady state.
func round(b *testing.B, s Scenario, rec *broker.Recording) float64 {
	addr, stop := serve(b, rec)
	defer stop()
	res, err := Run(s, Options{Addr: addr, WarmUp: 100 * time.Millisecond, Measure: 400 * time.Millisecond, Core: -1})
	if err != nil || res.Share() != 1 {
		b.Fatalf("%d of %d deliveries arrived, %v", res.Received, res.Wanted, err)
	}
	return float64(res.Elapsed.Nanoseconds()) / float64(res.Deliveries)
}
