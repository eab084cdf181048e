package record_test

import (
	"bytes"
	"testing"

	"github.com/loopmq/loopmq/broker/record"
	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/router"
)

// sink takes everything.
type sink struct{ bytes int }

func (c *sink) ID() uint64                              { return 1 }
func (c *sink) Send(f []byte) bool                      { c.bytes += len(f); return true }
func (c *sink) SendView(f []byte) bool                  { c.bytes += len(f); return true }
func (c *sink) SendControl(f []byte) bool               { c.bytes += len(f); return true }
func (c *sink) SendShared(head []byte, b *buf.Ref) bool { c.bytes += len(head); return true }
func (c *sink) Queued() int                             { return 0 }
func (c *sink) Pause()                                  {}
func (c *sink) Resume()                                 {}
func (c *sink) Close(error)                             {}

// nowhere takes what is written.
type nowhere struct{}

func (nowhere) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }

// BenchmarkMessage is what a message of QoS 0 to one subscriber costs the loop beside reading and writing, without and
// with a recording.
func BenchmarkMessage(b *testing.B) {
	const batch = 1000
	packet := append([]byte("\x30\x3e\x00\x06sensor"), bytes.Repeat([]byte("x"), 54)...)
	view := bytes.Repeat(packet, batch)
	connect := []byte("\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a")
	rc := router.Config{Rand: func() uint64 { return 4 }}
	for _, recorded := range []bool{false, true} {
		name := "plain"
		if recorded {
			name = "recorded"
		}
		b.Run(name, func(b *testing.B) {
			cfg := rc
			rec := record.New(nowhere{}, &cfg, record.Options{BytesMax: 1 << 60, Redact: record.Passwords})
			r := router.New(cfg)
			rec.Start(r)
			defer rec.Close()
			var in interface {
				Data([]byte) (int, error)
			} = r.Attach(&sink{}, router.Peer{})
			if recorded {
				in = rec.Attach(r, &sink{}, router.Peer{})
			}
			if _, err := in.Data(connect); err != nil {
				b.Fatal(err)
			}
			if _, err := in.Data([]byte("\x82\x0b\x00\x01\x00\x06sensor\x00")); err != nil {
				b.Fatal(err)
			}
			now := int64(1)
			for b.Loop() {
				now += 1e5
				if recorded {
					rec.BeginPass(now)
				}
				r.BeginPass(now)
				if _, err := in.Data(view); err != nil {
					b.Fatal(err)
				}
				wake := r.EndPass()
				if recorded {
					rec.EndPass(wake)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/message")
		})
	}
}
