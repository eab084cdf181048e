package broker_test

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/loopmq/loopmq/broker"
)

// BenchmarkStart is a start with messages of 256 bytes that wait for a client:
// from New to the first listener.
func BenchmarkStart(b *testing.B) {
	for _, waiting := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprint(waiting), func(b *testing.B) {
			cfg := broker.Config{StateDir: filepath.Join(b.TempDir(), "state"), Limits: broker.DefaultLimits()}
			cfg.Limits.QueuedMessagesMax, cfg.Limits.QueuedBytesMax = 2*waiting, 1000*waiting
			fill(b, cfg, waiting)
			used := time.Duration(0)
			for b.Loop() {
				before := processorTime(b)
				_, stop := run(b, cfg)
				b.StopTimer()
				used += processorTime(b) - before
				stop()
				b.StartTimer()
			}
			b.ReportMetric(used.Seconds()/float64(b.N), "processor-s/op")
		})
	}
}

// fill has messages wait for a session that is away.
func fill(b *testing.B, cfg broker.Config, waiting int) {
	b.Helper()
	br, stop := run(b, cfg)
	defer stop()
	s, p := dial(b, br, 0), dial(b, br, 0)
	_ = p.SetDeadline(time.Now().Add(10 * time.Minute))
	expect(b, s, durable3+"\x82\x06\x00\x01\x00\x01t\x01", "\x20\x02\x00\x00\x90\x03\x00\x01\x01")
	s.Close()
	expect(b, p, clean3, "\x20\x02\x00\x00")
	const batch = 2000
	var out strings.Builder
	for i := range batch {
		fmt.Fprintf(&out, "\x32\x85\x02\x00\x01t%s%0256d", []byte{byte(1 + i>>8), byte(i)}, i)
	}
	acks := make([]byte, 4*batch)
	for range waiting / batch {
		if _, err := io.WriteString(p, out.String()); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(p, acks); err != nil {
			b.Fatal(err)
		}
	}
}

// processorTime is what this process has used: it tells more than the clock
// where others work too.
func processorTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
