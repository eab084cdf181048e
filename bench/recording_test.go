//go:build linux

package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/loopmq/loopmq/broker"
)

// BenchmarkRecording is what a recording costs: rounds without and with one take
// turns, and of the loop's the least are compared, of the others the medians. One
// operation is one round of each.
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
			for n := 0; b.Loop(); n++ {
				var without, with cost
				for _, records := range []bool{n%2 == 0, n%2 != 0} { // who is first may have it easier
					if records {
						with = round(b, s, &broker.Recording{File: file, BytesMax: 1 << 40})
					} else {
						without = round(b, s, nil)
					}
				}
				if finish(b, file) {
					plain, recorded = append(plain, without), append(recorded, with)
				}
			}
			b.ReportMetric(float64(b.N-len(plain)), "given-up")
			if len(plain) == 0 {
				b.Log("more was received than the disk takes: no recording went on to the end of its round")
				return
			}
			for _, column := range []struct {
				name  string
				of    func(*cost) float64
				place int // 0: the least counts, since what disturbs a thread only adds
			}{
				{"loop", func(c *cost) float64 { return c.loop }, 0},
				{"all", func(c *cost) float64 { return c.all }, len(plain) / 2},
			} {
				without, with := ordered(plain, column.of)[column.place], ordered(recorded, column.of)[column.place]
				b.ReportMetric(without, column.name+"-ns/plain")
				b.ReportMetric(with, column.name+"-ns/recorded")
				b.ReportMetric(100*(with/without-1), column.name+"-%")
			}
		})
	}
}

// finish removes a recording and tells whether it went on to the end. Where the
// writer gets no processor it gives up, and the round says nothing.
func finish(b *testing.B, file string) bool {
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.Remove(file)
	}
	if err != nil {
		b.Fatal(err)
	}
	return bytes.HasSuffix(text, []byte("the broker has stopped"))
}

// cost is that of a delivery, in nanoseconds.
type cost struct {
	loop float64 // of the loop's thread
	all  float64 // time that passed
}

func ordered(list []cost, of func(*cost) float64) (values []float64) {
	for i := range list {
		values = append(values, of(&list[i]))
	}
	slices.Sort(values)
	return values
}

// round is the cost of a delivery in a steady state.
func round(b *testing.B, s Scenario, rec *broker.Recording) cost {
	thread := make(chan int, 1)
	br, stop := serve(b, rec, func(run func()) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		thread <- unix.Gettid()
		run()
	})
	defer stop()
	tid := <-thread
	o := Options{Addr: addrOf(br), WarmUp: 100 * time.Millisecond, Measure: 400 * time.Millisecond, Core: -1}
	if _, err := Run(s, o); err != nil { // all memory is there then
		b.Fatal(err)
	}
	before := loopTime(b, tid)
	res, err := Run(s, o)
	if err != nil || res.Share() != 1 {
		b.Fatalf("%d of %d deliveries arrived, %v", res.Received, res.Wanted, err)
	}
	spent := loopTime(b, tid) - before
	return cost{loop: float64(spent) / float64(res.Received), all: float64(res.Elapsed) / float64(res.Deliveries)}
}

// loopTime is the processor time of a thread so far.
func loopTime(b *testing.B, thread int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/schedstat", thread))
	if err != nil {
		b.Fatal(err)
	}
	var ns time.Duration
	if _, err := fmt.Sscan(string(text), &ns); err != nil {
		b.Fatal(err)
	}
	return ns
}
