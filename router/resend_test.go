package router_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/router"
)

// TestManyInFlightAreRepeatedInPieces: a client comes back taking short messages
// only; of the tens of thousands in flight those are repeated in their order, with
// their PacketIDs, and the others are let go.
func TestManyInFlightAreRepeatedInPieces(t *testing.T) {
	const messages = 20_000
	for _, disk := range []bool{false, true} {
		l := router.Limits{InflightMax: 60_000, QueuedMessagesMax: messages, QueuedWindowMax: messages, QueuedBytesMax: 64 << 20}
		d := newDurable(t, l)
		if !disk {
			d.world = newWorld(t, l)
		}
		connect := func(props string) *fakeConn {
			c := d.dial()
			c.feed(packet(0x10, str("MQTT"), "\x05\x00\x00\x00"+props, str("s")))
			d.flush()
			return c
		}
		s := connect("\x05\x11\xff\xff\xff\xff")
		s.feed(packet(0x82, "\x00\x01\x00", str("t"), "\x01"))
		d.flush()
		p := d.connect("p", true)
		long := strings.Repeat("x", 100)
		d.pass(func() {
			for i := range messages {
				payload := "x"
				if i%2 == 1 || i > messages/2 && i < messages*3/4 {
					payload = long
				}
				if _, err := p.handler.Data(packet(0x32, str("t"), "\x00\x01", payload)); err != nil {
					t.Fatal(err)
				}
			}
		})
		d.flush()
		if n := d.r.Stats().Inflight; n != messages {
			t.Fatalf("%d in flight", n)
		}
		var want []byte
		for _, f := range frames(s.take()) {
			if f[0]>>4 == 3 && len(f) < 50 {
				want = append(want, 0x3a)
				want = append(want, f[1:]...)
			}
		}
		s.reset()
		d.flush()
		s = d.dial()
		s.feed(packet(0x10, str("MQTT"), "\x05\x00\x00\x00\x0a\x11\xff\xff\xff\xff\x27\x00\x00\x00\x32", str("s")))
		most, left := 0, messages
		step := func() {
			n := d.r.Stats().Inflight
			most, left = max(most, left-n), n
		}
		step()
		for range 100 {
			d.sleep(0)
			step()
			if disk {
				d.mem.Complete(nil)
			}
		}
		out := s.take()
		if at := bytes.IndexByte(out, 0x3a); at < 0 || !bytes.Equal(out[at:], want) {
			t.Errorf("disk %v: %d bytes, %d are owed", disk, len(out), len(want))
		}
		if n := len(want) / 9; left != n || most > 5000 {
			t.Errorf("disk %v: %d are in flight, want %d; %d at one go", disk, left, n, most)
		}
	}
}
