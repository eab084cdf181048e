package router_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// away makes a durable session of filter that has left.
func (d *durable) away(id, filter string) {
	d.t.Helper()
	s := d.session(id)
	s.feed(packet(0x82, "\x00\x01", str(filter), "\x02"))
	d.flush()
	s.reset()
	d.flush()
}

// fill publishes numbers from first to last to topic.
func (d *durable) fill(topic string, qos byte, first, last int) {
	d.t.Helper()
	p := d.connect("p", true)
	for i := first; i <= last; i++ {
		p.feed(packet(0x30|qos<<1, str(topic), "\x00\x01", fmt.Sprint(i)))
		if qos == 2 {
			p.feed([]byte{0x62, 2, 0, 1})
		}
		d.flush()
	}
	p.reset()
}

// burst publishes many messages to t in one pass: the state is checked once, which is slow.
func (d *durable) burst(messages int) *fakeConn {
	d.t.Helper()
	p := d.connect("p", true)
	d.pass(func() {
		for i := range messages {
			if _, err := p.handler.Data([]byte{0x32, 6, 0, 1, 't', 0, 1, byte(i)}); err != nil {
				d.t.Fatal(err)
			}
		}
	})
	d.flush()
	return p
}

// wantNothingLeft is what is left of queues that were emptied, when that is written down.
func (d *durable) wantNothingLeft() {
	d.t.Helper()
	d.flush()
	if s := d.r.Stats(); s.Queued+s.Inflight+s.QueuedOnDisk != 0 || s.QueuedBytes != 0 || s.QueuedDiskBytes != 0 {
		d.t.Errorf("left: %+v", s)
	}
}

// drain has a client take and acknowledge all that comes, and tells what that
// was: QoS, PacketID and payload.
func (d *durable) drain(c *fakeConn) string {
	d.t.Helper()
	var got []string
	for quiet := false; !quiet; {
		d.sleep(1.1)
		d.flush()
		quiet = true
		for _, f := range frames(c.take()) {
			quiet = false
			switch f[0] >> 4 {
			case 3:
				at := 4 + int(f[3])
				got = append(got, fmt.Sprintf("%d:%d:%s", f[0]>>1&3, f[at+1], f[at+2:]))
				c.feed([]byte{0x30 + f[0]>>1&3<<4, 2, f[at], f[at+1]})
			case 6:
				c.feed([]byte{0x70, 2, f[2], f[3]})
			}
		}
	}
	return strings.Join(got, " ")
}

func (d *durable) wantDisk(onDisk int) {
	d.t.Helper()
	if n := d.r.Stats().QueuedOnDisk; n != onDisk {
		d.t.Errorf("%d messages are on disk only, want %d", n, onDisk)
	}
}

// TestWindow: what is behind the window waits on disk, and comes from there in
// its order, with the PacketIDs that it would have had.
func TestWindow(t *testing.T) {
	limits := router.Limits{QueuedWindowMax: 3, InflightMax: 2}
	for qos := byte(1); qos <= 2; qos++ {
		d := newDurable(t, limits)
		d.away("s", "t")
		d.fill("t", qos, 1, 8)
		d.wantDisk(5)
		if s := d.r.Stats(); s.Queued != 8 || s.QueuedBytes != 6 || s.QueuedDiskBytes != 10 {
			t.Errorf("%d queued, %d bytes in memory, %d on disk", s.Queued, s.QueuedBytes, s.QueuedDiskBytes)
		} else if s.LimitHits[router.LimitQueuedWindow] != 5 {
			t.Errorf("the limit counts %d", s.LimitHits[router.LimitQueuedWindow])
		}
		d = d.crash(store.FlightLost, 1)
		d.wantDisk(8) // a start reads none of them
		if s := d.r.Stats(); s.QueuedDiskBytes != 16 || d.mem.Stats().Reads != 0 {
			t.Errorf("%d bytes on disk, %d reads", s.QueuedDiskBytes, d.mem.Stats().Reads)
		}
		d.fill("t", qos, 9, 9)
		s := d.session("s")
		s.take()
		s.reset()
		d.flush()
		want := strings.ReplaceAll("Q:1:1 Q:2:2 Q:3:3 Q:4:4 Q:5:5 Q:6:6 Q:7:7 Q:8:8 Q:9:9", "Q", fmt.Sprint(qos))
		if got := d.drain(d.connect("s", false)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		d.wantNothingLeft()
	}
}

// TestSysTellsOfTheDisk: what is in memory and what is on disk only are two
// topics.
func TestSysTellsOfTheDisk(t *testing.T) {
	d := newDurable(t, router.Limits{QueuedWindowMax: 3})
	d.away("s", "t")
	d.fill("t", 1, 1, 8)
	c := d.connect("c", true)
	c.take()
	c.feed(packet(0x82, "\x00\x01", str("$SYS/broker/packet/disk/count"), "\x00", str("$SYS/broker/packet/out/count"), "\x00"))
	d.sleep(11)
	out := string(c.take())
	for _, want := range []string{"$SYS/broker/packet/disk/count5", "$SYS/broker/packet/out/count3"} {
		if !strings.Contains(out, want) {
			t.Errorf("got %q, want %q", out, want)
		}
	}
}

// TestOldestOnDiskGoesWithoutARead: at a limit what waits longest goes.
func TestOldestOnDiskGoesWithoutARead(t *testing.T) {
	d := newDurable(t, router.Limits{QueuedWindowMax: 2, QueuedMessagesMax: 5})
	d.away("s", "t")
	d.fill("t", 1, 1, 9)
	if st, reads := d.r.Stats(), d.mem.Stats().Reads; st.Queued != 5 || st.Dropped[router.DropQueueFull] != 4 || reads != 0 {
		t.Errorf("%d wait, %d dropped, %d reads", st.Queued, st.Dropped[router.DropQueueFull], reads)
	}
	if got, want := d.drain(d.connect("s", false)), "1:1:5 1:2:6 1:3:7 1:4:8 1:5:9"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	d = newDurable(t, router.Limits{QueuedWindowBytesMax: 4, QueuedBytesMax: 10})
	d.away("s", "t")
	d.fill("t", 1, 1, 9) // of two bytes
	if n := d.r.Stats().LimitHits[router.LimitQueuedWindowBytes]; n != 7 {
		t.Errorf("the limit counts %d", n)
	}
	if got, want := d.drain(d.connect("s", false)), "1:1:5 1:2:6 1:3:7 1:4:8 1:5:9"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestReadsThatComeLate: while the disk reads, the client goes, another comes
// in its place, the oldest are dropped, the session ends.
func TestReadsThatComeLate(t *testing.T) {
	start := func(t *testing.T) (*durable, *fakeConn) {
		d := newDurable(t, router.Limits{QueuedWindowMax: 3, QueuedMessagesMax: 6})
		d.away("s", "t")
		d.fill("t", 1, 1, 6)
		d = d.crash(store.FlightLost, 1)
		s := d.connect("s", false)
		d.commit()
		s.expect("20 02 01 00") // the messages are being read
		return d, s
	}
	all := "1:1:1 1:2:2 1:3:3 1:4:4 1:5:5 1:6:6"
	t.Run("client gone", func(t *testing.T) {
		d, s := start(t)
		s.reset()
		d.answer()
		d.wantDisk(3)
		if got := d.drain(d.connect("s", false)); got != all {
			t.Errorf("got %s, want %s", got, all)
		}
	})
	t.Run("taken over", func(t *testing.T) {
		d, _ := start(t)
		s := d.connect("s", false)
		if got := d.drain(s); got != all {
			t.Errorf("got %s, want %s", got, all)
		}
	})
	t.Run("dropped", func(t *testing.T) {
		d, s := start(t)
		p := d.connect("p", true)
		p.send("32 06 00 01 't' 00 01 '7' 32 06 00 01 't' 00 01 '8'")
		if got, want := d.drain(s), "1:1:3 1:2:4 1:3:5 1:4:6 1:5:7 1:6:8"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
	t.Run("session ended", func(t *testing.T) {
		d, _ := start(t)
		s := d.connect("s", true)
		d.flush()
		d.sleep(1.1)
		d.flush()
		s.expect("20 02 00 00")
		if st := d.r.Stats(); st.Queued != 0 || d.mem.Stats().LiveRecords != 1 { // the beat
			t.Errorf("%d wait, %d records", st.Queued, d.mem.Stats().LiveRecords)
		}
	})
	t.Run("power cut", func(t *testing.T) {
		d, _ := start(t)
		d = d.crash(store.FlightLost, 1)
		if got := d.drain(d.connect("s", false)); got != all {
			t.Errorf("got %s, want %s", got, all)
		}
	})
}

// TestUnreadableMessage: one that is lost is passed over, and said so.
func TestUnreadableMessage(t *testing.T) {
	d := newDurable(t, router.Limits{QueuedWindowMax: 1})
	d.away("s", "t")
	d.fill("t", 1, 1, 4)
	d.mem.Delete(store.KeyOf(0x80, 3)) // the disk lost it
	d.fill("t", 1, 5, 5)
	if got, want := d.drain(d.connect("s", false)), "1:1:1 1:2:2 1:3:4 1:4:5"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	e := d.lastEvent(router.EventUnreadable)
	if e.ClientID != "s" || e.Err == nil || d.r.Stats().Dropped[router.DropUnreadable] != 1 {
		t.Errorf("event %+v, %d dropped", e, d.r.Stats().Dropped[router.DropUnreadable])
	}
}

// TestFormThroughTheDisk: retain flag, Subscription Identifiers, properties and
// what is left of the expiry.
func TestFormThroughTheDisk(t *testing.T) {
	for _, restart := range []bool{false, true} {
		d := newDurable(t, router.Limits{QueuedWindowMax: 1})
		connect := func() *fakeConn {
			c := d.dial()
			c.send("10 13 00 04 'MQTT' 05 00 00 00 05 11 00 00 10 00 00 01 's'")
			return c
		}
		s := connect()
		d.flush()
		s.send("82 0b 00 01 02 0b 07 00 03 'a/#' 09") // identifier 7, retain as published, QoS 1
		d.flush()
		s.reset()
		d.flush()
		p := d.connect("p", true)
		p.send("32 07 00 02 'a/' 00 01 'x'")
		d.flush()
		q := d.five("q")
		q.send("33 12 00 03 'a/b' 00 02 09 02 00 00 00 64 03 00 01 'c' 'y'")
		q.send("32 0d 00 03 'a/c' 00 03 05 02 00 00 00 05")
		d.flush()
		d.flush()
		if restart {
			d = d.crash(store.FlightLost, 10)
		} else {
			d.sleep(10)
		}
		s = connect()
		d.flush()
		out := s.take()
		if len(out) < 2 || out[0] != 0x20 {
			t.Fatalf("got % x", out)
		}
		s.out = out[2+out[1]:]
		s.expect("32 0a 00 02 'a/' 00 01 02 0b 07 'x' 33 14 00 03 'a/b' 00 02 0b 02 00 00 00 5a 0b 07 03 00 01 'c' 'y'")
	}
}

// TestSharedFromTheDisk: messages of a shared subscription that are on disk only
// go to another member when their session ends, also through a power cut.
func TestSharedFromTheDisk(t *testing.T) {
	for _, cut := range []bool{false, true} {
		d := newDurable(t, router.Limits{QueuedWindowMax: 2})
		d.away("a", "$share/g/t")
		d.fill("t", 1, 1, 7)
		d.away("b", "$share/g/t")
		a := d.connect("a", true) // ends the session
		for d.commit() {
			d.pass(func() {})
		}
		if cut {
			d = d.crash(store.FlightLost, 1)
		} else {
			a.expect("20 02 00 00")
		}
		for range 4 {
			d.sleep(1.1)
			d.flush()
		}
		if got, want := d.drain(d.connect("b", false)), "1:1:1 1:2:2 1:3:3 1:4:4 1:5:5 1:6:6 1:7:7"; got != want {
			t.Errorf("cut %v: got %s, want %s", cut, got, want)
		}
	}
}

// TestEstateInPieces: a long queue goes in pieces, and nothing is left of it.
func TestEstateInPieces(t *testing.T) {
	const messages = 12_000
	d := newDurable(t, router.Limits{QueuedWindowMax: 1, QueuedMessagesMax: messages})
	d.away("s", "t")
	d.burst(messages)
	d.wantDisk(messages - 1)
	d.connect("s", true)
	if n := d.r.Stats().Queued; n < messages/2 || d.wake != d.now {
		t.Errorf("%d wait after one pass, which wants to be called again at %d", n, d.wake-d.now)
	}
	for range 20 {
		d.sleep(1.1)
		d.flush()
	}
	if st := d.r.Stats(); st.Queued != 0 || d.mem.Stats().LiveRecords != 1 { // the beat
		t.Errorf("%d wait, %d records", st.Queued, d.mem.Stats().LiveRecords)
	}
}

// TestMemoryLimitSparesTheDisk: what is durable is put on disk only before
// anything is dropped.
func TestMemoryLimitSparesTheDisk(t *testing.T) {
	d := newDurable(t, router.Limits{MemoryBytesMax: 10_000, QueuedMessagesMax: 1000})
	d.away("s", "t")
	p := d.connect("p", true)
	for range 60 {
		p.send("32 06 00 01 't' 00 01 'x'")
		d.flush()
		d.sleep(0.2)
	}
	st := d.r.Stats()
	if st.Trims == 0 || st.QueuedOnDisk == 0 || st.Dropped[router.DropMemory] != 0 || st.Queued != 60 {
		t.Errorf("%d trims, %d on disk, %d dropped, %d wait", st.Trims, st.QueuedOnDisk, st.Dropped[router.DropMemory], st.Queued)
	}
}

// TestMemoryLimitWithAllOnDisk: when only what is on disk is left, and nobody is
// let in any more, the oldest of that goes.
func TestMemoryLimitWithAllOnDisk(t *testing.T) {
	d := newDurable(t, router.Limits{MemoryBytesMax: 100_000})
	d.away("s", "t")
	d.fill("t", 1, 1, 100)
	d.pass(func() { d.r.SetMemoryElsewhere(82_000) })
	for range 4 {
		d.sleep(1)
	}
	if st := d.r.Stats(); st.QueuedOnDisk != 100 || st.Dropped[router.DropMemory] != 0 {
		t.Errorf("%d on disk, %d dropped", st.QueuedOnDisk, st.Dropped[router.DropMemory])
	}
	d.pass(func() { d.r.SetMemoryElsewhere(95_000) })
	for range 4 {
		d.sleep(1)
		d.flush()
	}
	if st := d.r.Stats(); st.Queued >= 60 || st.Queued == 0 || int(st.Dropped[router.DropMemory]) != 100-st.Queued {
		t.Errorf("%d wait, %d dropped", st.Queued, st.Dropped[router.DropMemory])
	}
}

// TestManyReaders: more sessions than reads may wait.
func TestManyReaders(t *testing.T) {
	d := newDurable(t, router.Limits{QueuedWindowMax: 1})
	const sessions = 70
	for i := range sessions {
		d.away(fmt.Sprint("s", i), "t")
	}
	d.fill("t", 1, 1, 3)
	d = d.crash(store.FlightLost, 1)
	list := make([]*fakeConn, sessions)
	for i := range list {
		list[i] = d.connect(fmt.Sprint("s", i), false)
	}
	for i, c := range list {
		if got, want := d.drain(c), "1:1:1 1:2:2 1:3:3"; got != want {
			t.Errorf("session %d: got %s, want %s", i, got, want)
		}
	}
	d.flush()
	if n := d.mem.Stats().LiveRecords; n != 2*sessions+1 { // sessions, filters and the beat
		t.Errorf("%d records are left", n)
	}
}

// TestWindowAtEveryCommit takes the power at every commit and at every read
// while a client takes a queue that outgrew its window: each message comes once.
func TestWindowAtEveryCommit(t *testing.T) {
	eachFlight(t, func(t *testing.T, flight store.Flight) {
		cuts := 0
		for cut := range 100 {
			d := newDurable(t, router.Limits{QueuedWindowMax: 2, InflightMax: 2})
			d.away("s", "t")
			d.fill("t", 2, 1, 7)
			l := &loner{d: d, cut: cut, flight: flight, open: map[byte]bool{}}
			for range 200 {
				l.step()
			}
			if got := strings.Join(l.got, ""); got != "1234567" {
				t.Fatalf("power cut at event %d: got %s", cut, got)
			}
			l.d.flush()
			if st := l.d.r.Stats(); st.Queued+st.Inflight+st.QueuedOnDisk != 0 {
				t.Fatalf("power cut at event %d: left %+v", cut, st)
			}
			if l.cut >= 0 {
				break // all was over before
			}
			cuts++
		}
		if cuts < 10 {
			t.Errorf("only %d events", cuts)
		}
	})
}

// loner takes messages of QoS 2 until there are no more.
type loner struct {
	d      *durable
	c      *fakeConn
	cut    int // events until the power goes
	flight store.Flight
	open   map[byte]bool // PacketIDs that wait for PUBREL
	got    []string
}

// step answers what came, or has the disk do one thing, or cuts the power.
func (l *loner) step() {
	if l.c == nil {
		l.c = l.d.connect("s", false)
	}
	for _, f := range frames(l.c.take()) {
		switch f[0] >> 4 {
		case 3:
			if id := f[6]; !l.open[id] {
				l.open[id] = true
				l.got = append(l.got, f[7:])
			}
			l.c.feed([]byte{0x50, 2, 0, f[6]})
		case 6:
			delete(l.open, f[3])
			l.c.feed([]byte{0x70, 2, 0, f[3]})
		}
	}
	if !l.d.mem.Committing() && !l.d.answer() {
		l.d.sleep(1.1)
		return
	}
	if l.cut == 0 {
		l.d, l.c = l.d.crash(l.flight, 1), nil
	} else {
		l.d.commit()
	}
	l.cut--
}
