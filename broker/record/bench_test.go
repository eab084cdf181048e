//go:build linux

package record_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/loopmq/loopmq/broker/record"
	"github.com/loopmq/loopmq/router"
)

// nowhere takes what is written.
type nowhere struct{}

func (nowhere) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }

// path is a router with a subscriber to sensor, and a publisher, which is the same client.
type path struct {
	r    *router.Router
	rec  *record.Recorder
	in   interface{ Data([]byte) (int, error) }
	view []byte
	now  int64
}

// newPath makes one; without w nothing is recorded.
func newPath(b *testing.B, size, batch int, w io.WriterAt) *path {
	cfg := router.Config{Rand: func() uint64 { return 4 }}
	p := &path{view: bytes.Repeat(publishTo("sensor", size), batch), now: 1}
	if w != nil {
		p.rec = record.New(w, &cfg, record.Options{BytesMax: 1 << 60, Redact: record.Passwords, Ended: func(why error) { b.Fatal(why) }})
	}
	p.r = router.New(cfg)
	if w != nil {
		p.rec.Start(p.r)
		b.Cleanup(func() { p.rec.Close() })
		p.in = p.rec.Attach(p.r, &sink{}, router.Peer{})
	} else {
		p.in = p.r.Attach(&sink{}, router.Peer{})
	}
	for _, packet := range []string{"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a", "\x82\x0b\x00\x01\x00\x06sensor\x00"} {
		if _, err := p.in.Data([]byte(packet)); err != nil {
			b.Fatal(err)
		}
	}
	return p
}

// pass hands over one view.
func (p *path) pass(b *testing.B) {
	p.now += 1e5
	p.r.BeginPass(p.now)
	if p.rec != nil {
		p.rec.BeginPass(p.now)
	}
	if _, err := p.in.Data(p.view); err != nil {
		b.Fatal(err)
	}
	wake := p.r.EndPass()
	if p.rec != nil {
		p.rec.EndPass(wake)
	}
}

// threadTime is the processor time of this thread.
func threadTime(b *testing.B) int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return t.Nano()
}

// BenchmarkMessage is what a message of QoS 0 to one subscriber costs the loop beside reading and writing, without and
// with a recording, which take turns: processor time of the thread, medians. One operation is 64 KiB each.
func BenchmarkMessage(b *testing.B) {
	for _, size := range []int{64, 1 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			batch := (64 << 10) / (size + 11)
			paths := []*path{newPath(b, size, batch, nil), newPath(b, size, batch, nowhere{})}
			times := make([][]float64, len(paths))
			for b.Loop() {
				for i, p := range paths {
					began := threadTime(b)
					for range 4 {
						p.pass(b)
					}
					times[i] = append(times[i], float64(threadTime(b)-began)/float64(4*batch))
				}
			}
			for _, list := range times {
				slices.Sort(list)
			}
			without, with := times[0][len(times[0])/2], times[1][len(times[1])/2]
			b.ReportMetric(without, "ns/plain")
			b.ReportMetric(with, "ns/recorded")
			b.ReportMetric(with-without, "ns/more")
		})
	}
}

// publishTo is a PUBLISH with so many bytes of payload.
func publishTo(topic string, n int) []byte {
	b := binary.AppendUvarint([]byte{0x30}, uint64(2+len(topic)+n))
	return append(append(append(b, 0, byte(len(topic))), topic...), make([]byte, n)...)
}
