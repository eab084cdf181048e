package router_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/router"
)

// subscribed is a client with a filter.
func (w *world) subscribed(id, filter, qos string) *fakeConn {
	w.t.Helper()
	c := w.join(id)
	c.send(frame5(w.t, "82", fmt.Sprintf("0001 %04x '%s' %s", len(filter), filter, qos)))
	c.expect("90 03 0001 " + qos)
	return c
}

// Of what a slow reader does not take the oldest goes, nothing overtakes, and a
// reader beside it gets all.
func TestSlowReaderGetsTheLatest(t *testing.T) {
	w := newWorld(t, router.Limits{LateBytesMax: 3 * (64 + 3)})
	slow, quick := w.subscribed("slow", "t", "00"), w.subscribed("quick", "t", "00")
	p := w.join("p")
	slow.limit = 14 // two packets
	for i := range 8 {
		p.send(fmt.Sprintf("30 05 0001 't' '0%d'", i))
	}
	if n := len(quick.take()); n != 8*7 {
		t.Errorf("the quick reader got %d bytes, want all", n)
	}
	if n := w.r.Stats().Dropped[router.DropOutputFull]; n != 3 {
		t.Errorf("%d dropped, want 3", n)
	}
	// 0 and 1 had left; of the others 5, 6 and 7 are kept. As there is room for
	// two again, 8 must not pass 7.
	slow.expect("30 05 0001 't' '00' 30 05 0001 't' '01'")
	p.send("30 05 0001 't' '08'")
	slow.expect("30 05 0001 't' '05' 30 05 0001 't' '06'")
	slow.limit = 0
	slow.expect("30 05 0001 't' '07' 30 05 0001 't' '08'")
	p.send("30 05 0001 't' '09'")
	slow.expect("30 05 0001 't' '09'")
	if n := w.r.Stats().Late; n != 0 {
		t.Errorf("%d messages still late", n)
	}
}

// If the policy says so, it is the newest that goes.
func TestSlowReaderGetsTheOldest(t *testing.T) {
	w := newWorldOf(t, router.Config{QueueFull: router.QueueDropNewest, Limits: router.Limits{LateBytesMax: 3 * (64 + 3), MemoryBytesMax: 1_000_000}})
	slow, p := w.subscribed("slow", "t", "00"), w.join("p")
	slow.limit = 14 // two packets
	for i := range 8 {
		p.send(fmt.Sprintf("30 05 0001 't' '0%d'", i))
	}
	if s := w.r.Stats(); s.Dropped[router.DropOutputFull] != 3 || s.LimitHits[router.LimitLateBytes] != 3 {
		t.Errorf("%d dropped, the limit counts %d, want 3", s.Dropped[router.DropOutputFull], s.LimitHits[router.LimitLateBytes])
	}
	slow.expect("30 05 0001 't' '00' 30 05 0001 't' '01'")
	slow.expect("30 05 0001 't' '02' 30 05 0001 't' '03'")
	slow.expect("30 05 0001 't' '04'")
}

// Near the memory limit, too, late messages go as the policy says.
func TestLateMessagesUnderMemoryPressure(t *testing.T) {
	for policy, want := range map[router.QueueFull]string{router.QueueDropOldest: "09", router.QueueDropNewest: "02"} {
		w := newWorldOf(t, router.Config{QueueFull: policy, Limits: router.Limits{MemoryBytesMax: 20_000}})
		slow, p := w.subscribed("slow", "t", "00"), w.join("p")
		slow.limit = 14
		for i := range 10 {
			p.send(fmt.Sprintf("30 05 0001 't' '0%d'", i))
		}
		w.pass(func() { w.r.SetMemoryElsewhere(14_200 - w.r.MemoryUsed()) })
		w.sleep(0.2)
		w.pass(func() { w.r.SetMemoryElsewhere(0) })
		n := w.r.Stats().Dropped[router.DropMemory]
		slow.limit = 0
		slow.take() // what had left
		if out := string(slow.take()); n == 0 || n > 6 || !strings.Contains(out, "t"+want) {
			t.Errorf("policy %d: %d dropped, %q", policy, n, out)
		}
	}
}

func TestLateMessagesEndWithTheConnection(t *testing.T) {
	w := newWorld(t, router.Limits{})
	c := w.connect("c", false)
	c.expect("20 02 00 00")
	c.send("82 06 0001 0001 't' 00")
	c.expect("90 03 0001 00")
	p := w.join("p")
	c.limit = 7
	p.send("30 05 0001 't' '00' 30 05 0001 't' '01'")
	c.reset()
	w.connect("c", false).expect("20 02 01 00")
	if s := w.r.Stats(); s.Late != 0 || s.LateBytes != 0 || s.Dropped[router.DropOutputFull] != 1 {
		t.Errorf("late %d, %d bytes, dropped %d", s.Late, s.LateBytes, s.Dropped[router.DropOutputFull])
	}
}

// Answers that pile up are no sign of life of whoever does not read them.
func TestSlowTimeoutOfWhoSendsPingreq(t *testing.T) {
	w := newWorld(t, router.Limits{SlowTimeout: 20 * time.Second})
	c := w.subscribed("c", "t", "00")
	c.limit = 7
	p := w.join("p")
	for range 3 {
		p.send("30 05 0001 't' 'xx'")
	}
	for range 13 {
		w.sleep(2)
		if !c.closing {
			c.send("c0 00")
		}
	}
	if !c.closing {
		t.Error("still connected although it took nothing for 26 s")
	}
}

// Whoever takes nothing for slow-timeout is disconnected; whoever takes a
// little now and then is not.
func TestSlowTimeout(t *testing.T) {
	w := newWorld(t, router.Limits{SlowTimeout: 20 * time.Second})
	dead, slow := w.join5("dead", "").sub5("t", "00", ""), w.subscribed("slow", "t", "00")
	p := w.join("p")
	dead.limit, slow.limit = 7, 7
	for range 10 {
		p.send("30 05 0001 't' 'xx'")
		w.sleep(4)
		if len(slow.out) > 1 {
			slow.out = slow.out[1:]
		}
	}
	dead.expectClosed()
	if !bytes.Contains(dead.out, bytesOf(t, "e0")) || !strings.Contains(dead.why.Error(), "slow-timeout") {
		t.Errorf("ended with % x, %v", dead.out, dead.why)
	}
	if slow.closing {
		t.Error("a slow reader that goes on reading was disconnected")
	}
	if n := w.r.Stats().LimitHits[router.LimitSlowTimeout]; n != 1 {
		t.Errorf("counted %d times", n)
	}
}

func TestClientThatDoesNotAcknowledgeIsReported(t *testing.T) {
	w := newWorld(t, router.Limits{InflightMax: 2, AckTimeout: 20 * time.Second})
	c := w.subscribed("c", "t", "01")
	p := w.join("p")
	for i := range 4 {
		p.send(fmt.Sprintf("32 06 0001 't' %04x 'x'", i+1))
	}
	for range 10 {
		w.sleep(4)
	}
	e := w.lastEvent(router.EventUnacked)
	if e.ClientID != "c" || e.Count != 2 || e.Waiting != 2 || w.r.Stats().LimitHits[router.LimitAckTimeout] != 1 {
		t.Errorf("event %+v, counted %d times", e, w.r.Stats().LimitHits[router.LimitAckTimeout])
	}
	if c.closing {
		t.Error("it was disconnected")
	}
	c.send("40 02 0001 40 02 0002")
	c.send("40 02 0003 40 02 0004")
	w.events = nil
	w.sleep(100)
	for _, e := range w.events {
		if e.Kind == router.EventUnacked {
			t.Error("reported although all is acknowledged")
		}
	}
}

func TestDuel(t *testing.T) {
	w := newWorld(t, router.Limits{TakeoversMax: 2})
	var last *fakeConn
	for range 3 { // the first, and two takeovers
		last = w.connect("c", true)
		last.expect("20 02 00 00")
	}
	waits := w.connect("c", true)
	waits.expect("")
	last.send("c0 00")
	last.expect("d0 00")
	e := w.lastEvent(router.EventDuel)
	if e.ClientID != "c" || e.Count != 3 {
		t.Errorf("event %+v", e)
	}
	if n := waits.handler.HeldBytes(); n != 15 {
		t.Errorf("%d bytes are kept of its CONNECT", n)
	}
	w.sleep(1)
	waits.expect("20 02 00 00")
	if n := waits.handler.HeldBytes(); n != 0 {
		t.Errorf("%d bytes are still kept of its CONNECT", n)
	}
	last.expectClosed()
	w.sleep(11) // and all is forgotten
	w.connect("c", true).expect("20 02 00 00")
	gone := w.connect("d", true)
	gone.expect("20 02 00 00")
	for range 2 {
		w.connect("d", true).expect("20 02 00 00")
	}
	impatient := w.connect("d", true)
	impatient.reset() // before its turn
	w.sleep(1)
	w.endAll()
}

// TestSlowTimeoutLowered: a shorter one also ends who is stuck already.
func TestSlowTimeoutLowered(t *testing.T) {
	w := newWorld(t, router.Limits{SlowTimeout: time.Hour, AckTimeout: time.Hour})
	c, p := w.subscribed("c", "t", "00"), w.join("p")
	c.limit = 1
	for range 2 {
		p.send("30 03 0001 't'")
	}
	w.pass(func() { w.r.Change(router.Config{Limits: router.Limits{SlowTimeout: time.Minute}}) })
	for range 6 {
		w.sleep(15)
	}
	c.expectClosed()
}

// memory-limit: first the largest backlog is cut, then publishers wait, then
// nobody new is let in; and all of it ends again.
func TestMemoryLimit(t *testing.T) {
	w := newWorld(t, router.Limits{MemoryBytesMax: 100_000, QueuedMessagesMax: 100_000, QueuedBytesMax: 1 << 30})
	large := w.connect("large", false)
	large.take()
	large.send("82 06 0001 0001 't' 01")
	large.take()
	large.reset()
	small := w.connect("small", false)
	small.take()
	small.send("82 06 0001 0001 's' 01")
	small.take()
	small.reset()
	p := w.join("p")
	p.send("32 06 0001 's' 0001 'x'")
	p.expect("40 02 0001")
	body := strings.Repeat("61", 500)
	for i := 0; w.r.Stats().Trims == 0; i++ {
		if i > 1000 {
			t.Fatal("never cut")
		}
		p.send("32 f9 03 0001 't' 0002 " + body)
		w.sleep(0.2)
	}
	p.take()
	if s := w.r.Stats(); s.Dropped[router.DropMemory] == 0 || w.r.MemoryUsed() > 70_000 {
		t.Errorf("%d dropped, %d bytes in use", s.Dropped[router.DropMemory], w.r.MemoryUsed())
	}
	w.connect("small", false).expect("20 02 01 00 32 06 0001 's' 0001 'x'") // the small one lost nothing

	w.pass(func() { w.r.SetMemoryElsewhere(60_000) }) // cutting does not help
	p.send("32 06 0001 'u' 0003 'x' 32 06 0001 'u' 0004 'x'")
	p.expect("40 02 0003")
	w.sleep(1)
	p.expect("")
	if n := w.r.Stats().Held; n != 1 {
		t.Errorf("%d publishers held, want 1", n)
	}
	hits := w.r.Stats().LimitHits[router.LimitMemory]
	w.pass(func() { w.r.SetMemoryElsewhere(95_000) })
	late := w.connect("late", true)
	late.expect("20 02 00 03")
	late5 := w.connect5("late5", true, "")
	if out := late5.take(); len(out) < 4 || out[3] != 0x89 {
		t.Errorf("CONNACK % x, want reason 89", out)
	}
	if n := w.r.Stats().LimitHits[router.LimitMemory] - hits; n != 2 { // both who are not let in
		t.Errorf("the limit counts %d more, want 2", n)
	}
	w.pass(func() { w.r.SetMemoryElsewhere(0) })
	p.feed(nil) // the loop hands over what waited
	p.expect("40 02 0004")
	w.join("again")
	w.sleep(59)
	w.pass(func() { w.r.SetMemoryElsewhere(75_000) })
	w.pass(func() { w.r.SetMemoryElsewhere(0) }) // the time begins anew
	w.sleep(59)
	if w.wake != w.now+1e9 {
		t.Errorf("wants to wake in %d ns, want a second", w.wake-w.now)
	}
	w.sleep(1)
	var told []string
	for _, e := range w.events {
		if e.Kind == router.EventMemory {
			told = append(told, e.Detail)
		}
	}
	want := []string{"the largest backlogs are cut", "new connections are refused", "enough again"}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// Who is stuck is found out in pieces: the kernel is asked for each, and thousands may have become stuck together.
func TestStuckClientsAreLookedAtInPieces(t *testing.T) {
	const stuck = 600
	w := newWorld(t, router.Limits{SlowTimeout: time.Minute})
	for i := range stuck {
		w.subscribed(fmt.Sprint("s", i), "t", "00").limit = 1
	}
	w.join("p").send("30 04 0001 't' 'x' 30 04 0001 't' 'y'") // the first is taken
	closed := func() (n int) {
		for _, c := range w.conns {
			if c.closing {
				n++
			}
		}
		return n
	}
	for range 3 {
		w.sleep(15)
		w.now++
		w.pass(func() {})
	}
	w.sleep(16)
	if n := closed(); n == 0 || n == stuck {
		t.Errorf("%d of %d are closed in one pass", n, stuck)
	}
	if w.wake != w.now+1 {
		t.Errorf("wants to be called in %d ns", w.wake-w.now)
	}
	w.now++
	w.pass(func() {})
	if n := closed(); n != stuck {
		t.Errorf("%d of %d are closed in two", n, stuck)
	}
}

// TestRepeatedReleasesWaitForRoom: who comes back to more PUBRELs than the output has
// room for gets them as he reads, and is not disconnected each time he comes.
func TestRepeatedReleasesWaitForRoom(t *testing.T) {
	const n = 1000
	w := newWorld(t, router.Limits{InflightMax: n})
	s, p := w.connect("s", false), w.connect("p", true)
	s.send("82 06 0001 0001 't' 02")
	s.take()
	want := []byte{0x20, 2, 1, 0}
	for i := range n {
		p.send(fmt.Sprintf("34 06 0001 't' %04x 'x'", i+1))
		s.send(fmt.Sprintf("50 02 %04x", i+1))
		want = append(want, 0x62, 2, byte((i+1)>>8), byte(i+1))
	}
	s.reset()
	s = w.dial()
	s.limit = 100
	s.send("10 0d 0004 'MQTT' 04 00 0000 0001 's'")
	var got []byte
	for out := s.take(); len(out) > 0; out = s.take() {
		got = append(got, out...)
	}
	if s.closing {
		t.Fatal("disconnected:", s.why)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
}

// TestSlowTimeoutAfterAPause: while the machine stood still nobody could take anything.
// Who does not go on afterwards is disconnected in its time, and so it is with packets
// that do not grow.
func TestSlowTimeoutAfterAPause(t *testing.T) {
	w := newWorld(t, router.Limits{SlowTimeout: 20 * time.Second, AckTimeout: 20 * time.Second, InflightMax: 1, MemoryBytesMax: 1_000_000})
	slow, p := w.subscribed("s", "t", "00"), w.connect("p", true)
	slow.limit = 10
	unacked, stalls := w.subscribed("u", "q", "01"), w.connect("z", true)
	p.take()
	for range 3 {
		p.send("30 04 0001 't' 'x' 32 06 0001 'q' 0001 'x'")
	}
	stalls.feed(longPacket(0x30, []byte("\x00\x01t"), make([]byte, 100_000))[:100])
	w.pass(func() { w.r.SetMemoryElsewhere(850_000 - w.r.MemoryUsed()) })
	w.settle()
	told := func() (n int) {
		for _, e := range w.events {
			if e.Kind == router.EventUnacked {
				n++
			}
		}
		return n
	}
	step := func(seconds int) {
		for range seconds {
			w.sleep(1)
			w.settle()
		}
	}
	step(3)
	w.sleep(600)
	w.settle()
	step(15)
	if slow.closing || stalls.closing || told() > 0 {
		t.Errorf("the pause counts: closed %v, %v; %d are said not to acknowledge", slow.why, stalls.why, told())
	}
	step(15)
	slow.expectClosed()
	stalls.expectClosed()
	if n := told(); n != 1 || unacked.closing {
		t.Errorf("%d clients are said not to acknowledge", n)
	}
}
