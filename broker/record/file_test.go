package record_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/broker/record"
	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/internal/testkit"
	"github.com/loopmq/loopmq/router"
)

// Events cross the ends of chunks, some are longer than several, passes end in between: in the file they are whole and in
// order, wherever the recording ends.
func TestEventsOverChunks(t *testing.T) {
	for _, most := range []int64{1 << 40, 200_000, 262_144, 262_300, 700_000, 3_000_000} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "recording")
			f, err := record.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			rng := rand.New(rand.NewPCG(1, uint64(most)))
			rc := router.Config{Rand: rng.Uint64, Limits: router.Limits{PacketBytesMax: 4 << 20}}
			var end error
			rec := record.New(f, &rc, record.Options{BytesMax: most, Ended: func(why error) { end = why }})
			r := router.New(rc)
			rec.Start(r)
			c := &counter{}
			in := rec.Attach(r, c, router.Peer{})
			now := int64(1e9)
			sent := uint64(0) // bytes, while the recording went on
			for i := range 400 {
				now += rng.Int64N(3e7)
				r.BeginPass(now)
				rec.BeginPass(now)
				data := testkit.Bytes("c000")
				switch {
				case i == 0:
					data = testkit.Bytes(connectA)
				case i == 1:
					data = testkit.Bytes("82 06 0001 0001 't' 00")
				case rng.IntN(50) == 0:
					data = publish(rng.IntN(2 << 20))
				case rng.IntN(3) > 0:
					data = bytes.Repeat(publish(rng.IntN(500)), 1+rng.IntN(100))
				}
				if n, err := in.Data(data); n != len(data) || err != nil {
					t.Fatalf("%d of %d bytes, %v", n, len(data), err)
				}
				if rec.EndPass(r.EndPass()); end == nil {
					sent = c.bytes
				}
			}
			if err := errors.Join(rec.Close(), f.Close()); err != nil {
				t.Fatal(err)
			}
			file, err := os.ReadFile(name)
			if err != nil || int64(len(file)) > most {
				t.Fatalf("%d bytes in the file, %v", len(file), err)
			}
			_, rep := replay(t, file)
			if len(rep.Differs) > 0 || rep.Ended == "" || strings.Contains(rep.Ended, "limit") != (most < 1<<40) {
				t.Errorf("%q, %q", rep.Ended, rep.Differs)
			}
			if end == nil && rep.Bytes != sent || rep.Bytes > sent || rep.Bytes == 0 {
				t.Errorf("the replay sends %d bytes, then it were %d", rep.Bytes, sent)
			}
		})
	}
}

// publish is a PUBLISH to t with so many bytes of payload.
func publish(n int) []byte {
	b := []byte{0x30}
	for rest := n + 3; ; rest >>= 7 {
		if rest < 0x80 {
			b = append(b, byte(rest))
			break
		}
		b = append(b, byte(rest)|0x80)
	}
	return append(append(b, "\x00\x01t"...), bytes.Repeat([]byte{'x'}, n)...)
}

// sink takes everything.
type sink struct{ bytes int }

func (c *sink) ID() uint64                              { return 1 }
func (c *sink) Send(f []byte) bool                      { c.bytes += len(f); return true }
func (c *sink) SendView(f []byte) bool                  { c.bytes += len(f); return true }
func (c *sink) SendControl(f []byte) bool               { c.bytes += len(f); return true }
func (c *sink) SendShared(head []byte, b *buf.Ref) bool { c.bytes += len(head); return true }
func (c *sink) Queued() int                             { return 0 }
func (c *sink) Taken() uint64                           { return 0 }
func (c *sink) Pause()                                  {}
func (c *sink) Resume()                                 {}
func (c *sink) Close(error)                             {}

// counter takes everything and counts it.
type counter struct {
	sink
	bytes uint64
}

func (c *counter) add(n int) bool                          { c.bytes += uint64(n); return true }
func (c *counter) Send(f []byte) bool                      { return c.add(len(f)) }
func (c *counter) SendView(f []byte) bool                  { return c.add(len(f)) }
func (c *counter) SendControl(f []byte) bool               { return c.add(len(f)) }
func (c *counter) SendShared(head []byte, b *buf.Ref) bool { return c.add(len(head) + len(b.Bytes())) }
