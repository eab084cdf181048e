//go:build linux

package router_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/loopmq/loopmq/router"
)

// TestTheLargestBacklogIsFoundInPieces: with many sessions a look at all of them takes several passes, in which sessions
// come and go; what is cut is the largest backlog all the same, and in pieces.
func TestTheLargestBacklogIsFoundInPieces(t *testing.T) {
	const sessions, limit = 5000, 32 << 20
	w := newWorst(t, router.Limits{MemoryBytesMax: limit, SessionExpiry: time.Hour, QueuedMessagesMax: 10_000, QueuedBytesMax: 1 << 30})
	var connected []*router.Client
	for i := range sessions {
		c := w.join(0)
		topic := "s"
		if i == sessions/2 {
			topic = "b"
		}
		w.data(c, []byte("\x82\x06\x00\x01\x00\x01"+topic+"\x01"))
		if i%2 == 0 {
			c.Closed(nil)
		} else {
			connected = append(connected, c)
		}
	}
	p := w.join(2)
	w.data(p, []byte("\x32\x06\x00\x01s\x00\x01!"))
	const large = 8000
	for range large {
		w.data(p, longPacket(0x32, []byte("\x00\x01b\x00\x01"), make([]byte, 500)))
	}
	queued := w.r.Stats().Queued
	w.r.SetMemoryElsewhere(limit/100*75 - w.r.MemoryUsed())

	w.now += time.Second.Nanoseconds()
	w.r.BeginPass(w.now)
	passes, before := 1, uint64(0)
	cut := func() {
		n := w.r.Stats().Dropped[router.DropMemory]
		if n-before > 1024 {
			t.Errorf("%d messages are cut in a pass", n-before)
		}
		before = n
	}
	for w.r.EndPass() == w.now {
		for _, c := range connected[:200] { // the round stands at one of them
			c.Closed(nil)
		}
		connected = connected[200:]
		if _, err := w.r.Attach(new(sinkConn), router.Peer{}).Data([]byte("\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01n")); err != nil {
			t.Fatal(err)
		}
		passes++
		w.r.BeginPass(w.now)
		cut()
		if err := w.r.CheckInvariants(); err != nil {
			t.Fatal(err)
		}
	}
	cut()
	st := w.r.Stats()
	dropped := int(st.Dropped[router.DropMemory])
	if passes < 5 || st.Trims != 1 || dropped < 100 || dropped > large/2+1 || st.Queued != queued-dropped {
		t.Errorf("%d passes, %d backlogs cut, %d messages dropped, %d of %d wait", passes, st.Trims, dropped, st.Queued, queued)
	}
	want := fmt.Sprintf("%07d", sessions/2+1)
	if b := w.r.Backlogs(1)[0]; b.ClientID != want || b.Messages != large-dropped {
		t.Errorf("the largest backlog is now %+v; want %s with %d messages", b, want, large-dropped)
	}
}

// TestABacklogIsCutOnceInARound, also if its client goes while the others are looked at.
func TestABacklogIsCutOnceInARound(t *testing.T) {
	const sessions, limit, large = 3000, 32 << 20, 8000
	w := newWorst(t, router.Limits{
		MemoryBytesMax: limit, SessionExpiry: time.Hour, QueuedMessagesMax: 10_000, QueuedBytesMax: 1 << 30, InflightMax: 1,
	})
	var last *router.Client // is looked at first
	for range sessions {
		last = w.join(0)
	}
	w.data(last, []byte("\x82\x06\x00\x01\x00\x01b\x01"))
	p := w.join(2)
	for range large {
		w.data(p, longPacket(0x32, []byte("\x00\x01b\x00\x01"), make([]byte, 500)))
	}
	w.r.SetMemoryElsewhere(limit/100*90 - w.r.MemoryUsed())
	w.now += time.Second.Nanoseconds()
	w.r.BeginPass(w.now)
	if w.r.EndPass() != w.now {
		t.Fatal("one pass is enough")
	}
	last.Closed(nil)
	for w.r.EndPass() == w.now {
		w.r.BeginPass(w.now)
	}
	st := w.r.Stats()
	if dropped := int(st.Dropped[router.DropMemory]); st.Trims != 1 || dropped < 100 || dropped > large/2+1 {
		t.Errorf("%d backlogs cut, %d messages dropped of %d", st.Trims, dropped, large)
	}
}
