package transport_test

import (
	"testing"

	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/loop/transport"
)

// discard is a connection that takes everything.
type discard struct{ fakeConn }

func (d *discard) Send([]byte) bool                 { return true }
func (d *discard) SendControl([]byte) bool          { return true }
func (d *discard) SendShared([]byte, *buf.Ref) bool { return true }

// BenchmarkWebSocket is what the filter adds to a packet of 64 bytes in, and the same out.
func BenchmarkWebSocket(b *testing.B) {
	c := &discard{}
	var inner loop.Conn
	w := newDoor(b, transport.Options{}).WebSocket(c, func(c loop.Conn, _ *transport.Request) loop.Handler {
		inner = c
		return &quietHandler{}
	}, nil)
	if _, err := w.Data([]byte(request)); err != nil {
		b.Fatal(err)
	}
	payload := make([]byte, 64)
	var in []byte
	const frames = 100
	for range frames {
		in = append(in, masked(binaryFrame, payload)...)
	}
	b.Run("in", func(b *testing.B) {
		view := make([]byte, len(in))
		b.ReportAllocs()
		for n := 0; n < b.N; n += frames {
			copy(view, in)
			if used, err := w.Data(view); used != len(view) || err != nil {
				b.Fatal(used, err)
			}
		}
	})
	b.Run("out", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			inner.Send(payload)
		}
	})
}
