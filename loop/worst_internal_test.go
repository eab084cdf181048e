//go:build linux

package loop

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkWorstPass is the longest pass after a message to 9,000 connections, in processor time of its thread.
func BenchmarkWorstPass(b *testing.B) {
	const all = 1 << 30
	for _, size := range []int{100, 1 << 10, 16 << 10} {
		for _, conns := range []int{all, 256, 128, 64} {
			b.Run(fmt.Sprintf("%d bytes/%d at one go", size, conns), func(b *testing.B) {
				x := newFanOut(b, 9000, size, 1, (*conn).SendView)
				x.l.lim.FlushConns = conns
				if conns == all {
					x.l.lim.FlushBytes = all
				}
				most, sum, passes := time.Duration(0), time.Duration(0), 0
				for b.Loop() {
					calls{}.write(x.source, x.message)
					for {
						from := processorTime(b)
						x.l.pass()
						took := processorTime(b) - from
						most, sum = max(most, took), sum+took
						if passes++; !x.l.busy() {
							break
						}
					}
					for _, fd := range x.readers {
						calls{}.read(fd, x.scratch)
					}
				}
				b.ReportMetric(float64(most.Microseconds())/1000, "ms/longest")
				b.ReportMetric(float64(sum.Microseconds())/float64(b.N)/1000, "ms/all")
				b.ReportMetric(float64(passes)/float64(b.N), "passes")
			})
		}
	}
}

// processorTime is that of this thread: what others do on the machine does not count.
func processorTime(tb testing.TB) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(t.Nano())
}
