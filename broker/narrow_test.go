package broker_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/router"
)

// TestOutputIsWithinTheMemoryLimit: clients that do not read have their share of the memory that is left, and not what
// each of them could have alone, 50 MB. It may be some more than the limit for a moment: buffers are rounded up.
func TestOutputIsWithinTheMemoryLimit(t *testing.T) {
	const limit = 16 << 20
	b, _ := run(t, broker.Config{Limits: broker.Limits{MemoryBytesMax: limit}})
	for i := range 200 {
		c := dial(t, b, 0)
		_ = c.(*net.TCPConn).SetReadBuffer(4096)
		expect(t, c, fmt.Sprintf("\x10\x0f\x00\x04MQTT\x04\x02\x00\x00\x00\x03%03d", i), "\x20\x02\x00\x00")
		expect(t, c, "\x82\x06\x00\x01\x00\x01t\x00", "\x90\x03\x00\x01\x00")
	}
	p := dial(t, b, 0)
	expect(t, p, clean3, "\x20\x02\x00\x00")
	message := "\x30\xeb\x07\x00\x01t" + strings.Repeat("x", 1000)
	for range 60 {
		if _, err := io.WriteString(p, strings.Repeat(message, 100)); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, p, "\xc0\x00", "\xd0\x00")
	var used int64
	var dropped uint64
	err := b.Do(context.Background(), func(r *router.Router, _ *loop.Stats) {
		used, dropped = r.MemoryUsed(), r.Stats().Dropped[router.DropOutputFull]
	})
	if err != nil || used > limit*5/4 || dropped == 0 {
		t.Errorf("%d bytes are held, the limit is %d; %d messages were dropped; %v", used, limit, dropped, err)
	}
}
