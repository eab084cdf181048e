package record_test

import (
	"strings"
	"testing"

	"github.com/loopmq/loopmq/broker/record"
	"github.com/loopmq/loopmq/internal/testkit"
	"github.com/loopmq/loopmq/router"
)

// What the memory limit does follows from more than the router knows of: what others hold is in the recording, too.
func TestReplayAtTheMemoryLimit(t *testing.T) {
	const limit = 1_000_000
	w := newWorld(t, record.Options{}, router.Config{Limits: router.Limits{MemoryBytesMax: limit, QueuedMessagesMax: 10_000}})
	away, from := w.dial(nil), w.dial(nil)
	away.send("10 0d 0004 'MQTT' 04 00 003c 0001 'a'")
	away.send("82 06 0001 0001 't' 00")
	away.send("82 06 0002 0001 'u' 01")
	away.send("e0 00")
	away.close(nil)
	from.send(connectB5)
	message := testkit.Bytes("32 e7 07 0001 'u' 0001 00" + strings.Repeat("78", 993))
	for range 500 {
		w.pass(func() { _, _ = w.tap[from].Data(message) })
	}
	elsewhere := func(used int64) {
		w.pass(func() { w.r.SetMemoryElsewhere(used - w.r.MemoryUsed()) })
		w.r.SetMemoryElsewhere(0)
	}
	elsewhere(limit / 100 * 75) // what waits is cut
	for range 20 {
		w.pass(func() {})
	}
	elsewhere(limit / 100 * 95)
	refused := w.dial(nil)
	w.pass(func() { w.r.SetMemoryElsewhere(limit) })
	refused.send(connectA)
	w.r.SetMemoryElsewhere(0)
	w.pass(func() {})
	w.dial(nil).send("10 0d 0004 'MQTT' 04 02 003c 0001 'c'")

	st := *w.r.Stats()
	sent, rep := w.replayed()
	if st.Trims == 0 || refused.closing == nil || strings.Join(w.sent[len(w.sent)-2:], " ") != "3< 20020003 4< 20020000" {
		t.Errorf("%d messages cut, %v, %q", st.Trims, refused.closing, w.sent[len(w.sent)-2:])
	}
	if len(rep.Differs) > 0 || rep.Stats.Trims != st.Trims || strings.Join(sent, "\n") != strings.Join(w.sent, "\n") {
		t.Errorf("%d messages cut then, %d now: %q", st.Trims, rep.Stats.Trims, rep.Differs)
	}
}
