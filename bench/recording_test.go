//go:build linux

package bench

import (
	"cmp"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/router"
)

// BenchmarkRecording is what a recording costs: rounds without and with one take
// turns, and the medians are compared. One operation is one round of each.
//
// The loop columns are the processor time of the thread that the loop is locked
// to: what a recording costs the way of a message. The others are the time of a
// delivery where generator, loop and the recording's writer share the machine.
func BenchmarkRecording(b *testing.B) {
	base := Scenario{Publishers: 1, AheadBytes: 192 << 10}
	for _, c := range []struct {
		name              string
		subscribers, size int
		qos               byte
	}{
		{"1to1", 1, 64, 0},
		{"1to10", 10, 64, 0},
		{"1to100", 100, 64, 0},
		{"1to1-1KiB", 1, 1 << 10, 0},
		{"1to10-1KiB", 10, 1 << 10, 0},
		{"1to100-1KiB", 100, 1 << 10, 0},
		{"qos1", 1, 64, 1},
	} {
		s := base
		s.Name, s.Subscribers, s.PayloadBytes, s.QoS = c.name, c.subscribers, c.size, c.qos
		if c.subscribers > 1 {
			s.AheadBytes = 64 << 10
		}
		if c.qos > 0 {
			s.Publishers, s.WindowMessages = 10, 20
		}
		b.Run(c.name, func(b *testing.B) {
			var plain, recorded []cost
			file := filepath.Join(b.TempDir(), "recording")
			for b.Loop() {
				plain = append(plain, round(b, s, nil))
				recorded = append(recorded, round(b, s, &broker.Recording{File: file, BytesMax: 1 << 40}))
				if err := os.Remove(file); err != nil {
					b.Fatal(err)
				}
			}
			for _, column := range []struct {
				name string
				of   func(*cost) float64
			}{
				{"loop", func(c *cost) float64 { return c.loop }},
				{"all", func(c *cost) float64 { return c.all }},
			} {
				without, with := middle(plain, column.of), middle(recorded, column.of)
				b.ReportMetric(without, column.name+"-ns/plain")
				b.ReportMetric(with, column.name+"-ns/recorded")
				b.ReportMetric(100*(with/without-1), column.name+"-%")
			}
		})
	}
}

// cost is that of a delivery, in nanoseconds.
type cost struct {
	loop float64 // of the loop's thread
	all  float64 // time that passed
}

func middle(list []cost, of func(*cost) float64) float64 {
	slices.SortFunc(list, func(a, b cost) int { return cmp.Compare(of(&a), of(&b)) })
	return of(&list[len(list)/2])
}

// round is the cost of a delivery in a steady state.
func round(b *testing.B, s Scenario, rec *broker.Recording) cost {
	br, stop := serve(b, rec, onItsThread)
	defer stop()
	before := loopTime(b, br)
	res, err := Run(s, Options{
		Addr: addrOf(br), WarmUp: 100 * time.Millisecond, Measure: 400 * time.Millisecond, Core: -1,
	})
	if err != nil || res.Share() != 1 {
		b.Fatalf("%d of %d deliveries arrived, %v", res.Received, res.Wanted, err)
	}
	spent := loopTime(b, br) - before
	return cost{loop: float64(spent) / float64(res.Received), all: float64(res.Elapsed) / float64(res.Deliveries)}
}

// onItsThread runs what it is given on a thread that nobody else uses.
func onItsThread(run func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	run()
}

// loopTime is the processor time of the loop's thread so far.
func loopTime(b *testing.B, br *broker.Broker) (d time.Duration) {
	err := br.Do(b.Context(), func(*router.Router, *loop.Stats) {
		var t unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
			b.Error(err)
		}
		d = time.Duration(t.Nano())
	})
	if err != nil {
		b.Fatal(err)
	}
	return d
}
