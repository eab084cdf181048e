package router_test

import (
	"bytes"
	"testing"

	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/router"
)

// sinkConn takes everything and keeps nothing.
type sinkConn struct{ bytes int }

func (c *sinkConn) ID() uint64                              { return 1 }
func (c *sinkConn) Queued() int                             { return 0 }
func (c *sinkConn) Taken() uint64                           { return uint64(c.bytes) }
func (c *sinkConn) Pause()                                  {}
func (c *sinkConn) Resume()                                 {}
func (c *sinkConn) Close(error)                             {}
func (c *sinkConn) Send(f []byte) bool                      { c.bytes += len(f); return true }
func (c *sinkConn) SendView(f []byte) bool                  { c.bytes += len(f); return true }
func (c *sinkConn) SendControl(f []byte) bool               { c.bytes += len(f); return true }
func (c *sinkConn) SendShared(head []byte, b *buf.Ref) bool { c.bytes += len(head); return true }

// The packets of the benchmarks: CONNECT of both versions, and one PUBLISH
// with QoS 0 of 64 bytes.
var (
	benchConnect3   = []byte("\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c")
	benchConnect5   = []byte("\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01c")
	benchSubscribe3 = []byte("\x82\x0a\x00\x01\x00\x05bench\x00")
	benchSubscribe5 = []byte("\x82\x0b\x00\x01\x00\x00\x05bench\x00")
	benchPublish3   = append([]byte("\x30\x47\x00\x05bench"), make([]byte, 64)...)
	benchPublish5   = append([]byte("\x30\x48\x00\x05bench\x00"), make([]byte, 64)...)
)

// BenchmarkRoute is what the router does for one delivery, without any socket.
func BenchmarkRoute(b *testing.B) {
	rows := []struct {
		name                string
		publish             []byte
		from, to, subscribe []byte
		subscribers         int
	}{
		{"3 to 3, 1", benchPublish3, benchConnect3, benchConnect3, benchSubscribe3, 1},
		{"3 to 3, 100", benchPublish3, benchConnect3, benchConnect3, benchSubscribe3, 100},
		{"5 to 5, 1", benchPublish5, benchConnect5, benchConnect5, benchSubscribe5, 1},
		{"5 to 3, 1", benchPublish5, benchConnect5, benchConnect3, benchSubscribe3, 1},
		{"3 to 5, 100", benchPublish3, benchConnect3, benchConnect5, benchSubscribe5, 100},
	}
	for _, row := range rows {
		b.Run(row.name, func(b *testing.B) {
			r := router.New(router.Config{Rand: func() uint64 { return 1 }})
			r.BeginPass(1)
			join := func(connect []byte, id byte) *router.Client {
				c := r.Attach(new(sinkConn), router.Peer{})
				hello := bytes.Clone(connect)
				hello[len(hello)-1] = id
				if _, err := c.Data(hello); err != nil {
					b.Fatal(err)
				}
				return c
			}
			for i := range row.subscribers {
				if _, err := join(row.to, byte(i+1)).Data(row.subscribe); err != nil {
					b.Fatal(err)
				}
			}
			p := join(row.from, 126)
			const batch = 200
			view := bytes.Repeat(row.publish, batch)
			b.ReportAllocs()
			for n := 0; n < b.N; n += batch * row.subscribers {
				if used, err := p.Data(view); used != len(view) || err != nil {
					b.Fatal(used, err)
				}
			}
			if got := r.Stats().Delivered[0]; got < uint64(b.N) {
				b.Fatalf("%d delivered of %d", got, b.N)
			}
		})
	}
}
