package router_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/router"
)

// Where cutting does not help, publishers go on all the same, each with a message
// a second, until the next level; what takes long is not for ever.
func TestHeldPublishersTakeTurns(t *testing.T) {
	w := newWorld(t, million)
	const n = 20
	var all []*fakeConn
	for i := range n {
		all = append(all, w.join(fmt.Sprint(i)))
	}
	w.pass(func() { w.r.SetMemoryElsewhere(810_000 - w.r.MemoryUsed()) })
	publish := func(id int) []byte {
		return packet(0x32, str("t"), "\x00", string(rune(id)), "x")
	}
	for _, p := range all {
		p.feed(append(publish(1), append(publish(2), publish(3)...)...))
		p.expect("40 02 0001")
	}
	all[0].reset() // one of them does not wait for that
	w.sleep(1.01)
	resumed := func(times int) (count int) {
		for _, p := range all[1:] {
			if p.resumed >= times {
				count++
			}
		}
		return count
	}
	if got := resumed(1); got == 0 || got > 16 {
		t.Errorf("%d of %d are read from again after a second", got, n-1)
	}
	w.sleep(0.2)
	if got := resumed(1); got != n-1 {
		t.Errorf("%d of %d are read from again", got, n-1)
	}
	for _, p := range all[1:] {
		p.feed(nil) // the loop hands over what waited
		p.expect("40 02 0002")
	}
	w.sleep(0.5)
	if got := resumed(2); got != 0 {
		t.Errorf("%d are read from before their turn", got)
	}
	w.sleep(0.6)
	w.sleep(0.2) // the next look
	if s := w.r.Stats(); resumed(2) != n-1 || s.HeldTurns != 2*(n-1) {
		t.Errorf("%d of %d are read from once more; %d turns are counted", resumed(2), n-1, s.HeldTurns)
	}
	for _, p := range all[1:] {
		p.feed(nil)
		p.expect("40 02 0003")
	}
	w.pass(func() { w.r.SetMemoryElsewhere(950_000) })
	w.sleep(5)
	if got := resumed(3); got != 0 {
		t.Errorf("%d are read from at the limit", got)
	}
	w.pass(func() { w.r.SetMemoryElsewhere(0) })
	if got := resumed(3); got != n-1 {
		t.Errorf("%d of %d are read from when there is memory", got, n-1)
	}
	if e := w.lastEvent(router.EventMemory); e.Detail != "new connections are refused" {
		t.Errorf("told %q last", e.Detail)
	}
}

// Without a limit nobody is held back any more.
func TestHeldUntilTheLimitIsGone(t *testing.T) {
	w := newWorld(t, million)
	p := w.join("p")
	w.pass(func() { w.r.SetMemoryElsewhere(950_000) })
	p.feed(packet(0x32, str("t"), "\x00\x01", "x"))
	p.expect("40 02 0001")
	w.sleep(5)
	if p.resumed != 0 {
		t.Fatal("is read from at the limit")
	}
	w.pass(func() { w.r.Change(router.Config{}) })
	if p.resumed != 1 {
		t.Error("is not read from when there is no limit")
	}
	w.sleep(61)
	if e := w.lastEvent(router.EventMemory); e.Detail != "enough again" {
		t.Errorf("told %q last", e.Detail)
	}
}

// At the limit a publisher of 5.0 is answered after hold-timeout, each message, until there is memory; one of 3.x cannot be
// told, and waits.
func TestHeldPublishersAreTold(t *testing.T) {
	w := newWorld(t, router.Limits{MemoryBytesMax: 1_000_000, HoldTimeout: 20 * time.Second})
	p, three, second := w.join5("p", ""), w.join("three"), w.join5("second", "")
	w.pass(func() { w.r.SetMemoryElsewhere(950_000) })
	for _, c := range []*fakeConn{three, p} {
		id := "\x00\x01"
		if c == p {
			id += "\x00"
		}
		c.feed(packet(0x32, str("t"), id, "x"))
	}
	three.expect("40 02 0001")
	p.expect("40 03 0001 10") // nobody is subscribed
	w.sleep(1)
	second.feed(packet(0x32, str("t"), "\x00\x01\x00", "x"))
	second.take()
	w.sleep(18.9)
	if p.resumed != 0 || w.wake > w.now+1e8 {
		t.Fatalf("is read from %d times, before its time; the router wants to be called in %d ns", p.resumed, w.wake-w.now)
	}
	w.sleep(0.1)
	if p.resumed != 1 || three.resumed != 0 || second.resumed != 0 {
		t.Fatalf("read from: %d, 3.x %d, the later one %d", p.resumed, three.resumed, second.resumed)
	}
	p.feed(append(packet(0x32, str("t"), "\x00\x02\x00", "x"), packet(0x34, str("t"), "\x00\x03\x00", "x")...))
	for i, out := range packets(p.take()) {
		if want := [...]byte{0x40, 0x50}[i]; out[0] != want || codec.Reason(rest(out)[2]) != codec.QuotaExceeded {
			t.Errorf("answered % x, want 0x97", out)
		}
	}
	p.feed([]byte("\xc0\x00")) // it is read from
	p.expect("d0 00")
	w.sleep(1)
	if second.resumed != 1 {
		t.Errorf("the later one is not read from a second later")
	}
	st := w.r.Stats()
	if st.LimitHits[router.LimitHoldTimeout] != 2 || st.HeldTooLong != 2 || w.lastEvent(router.EventHeld).ClientID != "second" {
		t.Errorf("%d messages refused, %d publishers told", st.LimitHits[router.LimitHoldTimeout], st.HeldTooLong)
	}
	w.sleep(100)
	three.feed(nil)
	three.expect("")
	w.pass(func() { w.r.SetMemoryElsewhere(0) })
	if three.resumed != 1 {
		t.Error("3.x is not read from when there is memory")
	}
	p.feed(packet(0x32, str("t"), "\x00\x02\x00", "x"))
	p.expect("40 03 0002 10")
	w.pass(func() { w.r.SetMemoryElsewhere(950_000) }) // its time begins anew
	p.feed(append(packet(0x32, str("t"), "\x00\x04\x00", "x"), packet(0x32, str("t"), "\x00\x05\x00", "x")...))
	p.expect("40 03 0004 10")
	w.sleep(19)
	p.feed(nil)
	p.expect("")
}

// Those of 3.x, who cannot be told, do not stand before those who can; and who has gone is not read from.
func TestHeldPublishersAreToldBehindOthers(t *testing.T) {
	w := newWorld(t, router.Limits{MemoryBytesMax: 1_000_000, HoldTimeout: 20 * time.Second})
	var all []*fakeConn
	for i := range 60 {
		if i%2 == 0 {
			all = append(all, w.join(fmt.Sprint(i)))
		} else {
			all = append(all, w.join5(fmt.Sprint(i), ""))
		}
	}
	w.pass(func() { w.r.SetMemoryElsewhere(900_000) })
	for i, p := range all {
		id := "\x00\x01"
		if i%2 == 1 {
			id += "\x00"
		}
		p.feed(packet(0x32, str("t"), id, "x"))
		p.take()
		w.sleep(0.5)
	}
	all[1].reset()
	all[59].reset()
	w.sleep(20)
	w.sleep(20)
	for i, p := range all {
		want := i % 2
		if i == 59 || i == 1 && p.resumed == 0 {
			want = 0
		}
		if p.resumed != want {
			t.Errorf("number %d is read from %d times, want %d", i, p.resumed, want)
		}
	}
	w.pass(func() { w.r.SetMemoryElsewhere(0) })
	if all[0].resumed != 1 || all[3].resumed != 1 {
		t.Errorf("read from: 3.x %d, 5.0 %d", all[0].resumed, all[3].resumed)
	}
}

// Answers come in their order: who waits for the disk to take what he sent before is not told before that.
func TestHeldByTheStoreAreToldInOrder(t *testing.T) {
	d := newDurable(t, router.Limits{HoldTimeout: 20 * time.Second, MemoryBytesMax: 10 << 20})
	d.away("s", "t")
	p, q := d.join5("p", ""), d.join5("q", "")
	d.mem.BatchBytes = 1000
	for id := range 6 { // no commit ends
		p.feed(longPacket(0x32, lengthed("t"), []byte{0, byte(id + 1), 0}, make([]byte, 400)))
	}
	if held := d.r.Lists().Held; held != 1 {
		t.Fatal("nobody is held back")
	}
	d.sleep(21)
	d.sleep(21)
	if p.resumed != 0 || d.wake != 0 && d.wake < d.now+15e9 {
		t.Fatalf("read from %d times; the next call is to come in %d ns", p.resumed, d.wake-d.now)
	}
	p.expect("")
	d.pass(func() { d.r.SetMemoryElsewhere(10 << 20) })
	d.flush()
	if out := packets(p.take()); len(out) != 4 || p.resumed != 0 {
		t.Errorf("read from %d times, answered % x", p.resumed, out)
	}
	d.sleep(20)
	p.feed(nil) // the loop hands over what waited
	for _, out := range packets(p.take()) {
		if codec.Reason(rest(out)[2]) != codec.QuotaExceeded {
			t.Errorf("answered % x, want 0x97", out)
		}
	}
	q.feed(packet(0x32, str("t"), "\x00\x01\x00", "x")) // has not waited
	d.flush()
	q.expect("40 02 0001")
	d.pass(func() { d.r.SetMemoryElsewhere(0) })
	p.feed(packet(0x32, str("t"), "\x00\x07\x00", "x"))
	d.flush()
	p.expect("40 02 0007")
}

// TestManyHeldPublishersGoOnInPieces: those who have waited longest first, and no more
// than that when memory gets short again; so do those who are told that there is none.
func TestManyHeldPublishersGoOnInPieces(t *testing.T) {
	const n, most = 500, 100
	w := newWorld(t, router.Limits{MemoryBytesMax: 1_000_000, HoldTimeout: 20 * time.Second})
	var all []*fakeConn
	for i := range n {
		all = append(all, w.join5(fmt.Sprint(i), ""))
	}
	resumed := func(times int) (count int) {
		for i, c := range all {
			if c.resumed >= times {
				if count++; count != i+1 {
					t.Fatalf("number %d is read from, but not all before it", i)
				}
			}
		}
		return count
	}
	w.pass(func() { w.r.SetMemoryElsewhere(950_000) })
	for i, c := range all {
		c.feed(packet(0x32, str("t"), "\x00\x01\x00", "x"))
		if i == n/2 {
			w.sleep(0.01)
		}
	}
	w.pass(func() { w.r.SetMemoryElsewhere(0) })
	if got := resumed(1); got == 0 || got > most || w.wake != w.now {
		t.Fatalf("%d of %d are read from in the pass that finds memory; the next one comes in %d ns", got, n, w.wake-w.now)
	}
	w.pass(func() {})
	some := resumed(1)
	w.pass(func() { w.r.SetMemoryElsewhere(950_000) })
	w.sleep(1)
	if got := resumed(1); got != some {
		t.Errorf("%d are read from, %d when memory got short again", got, some)
	}
	w.sleep(20)
	if got := resumed(1); got == some || got > some+most {
		t.Errorf("%d are read from when %d waited for hold-timeout", got, n-some)
	}
	w.settle()
	if got := resumed(1); got != n {
		t.Errorf("%d of %d are read from after hold-timeout", got, n)
	}
	last := all[n-1]
	last.take()
	last.feed(packet(0x32, str("t"), "\x00\x02\x00", "x"))
	if out := packets(last.take()); len(out) != 1 || codec.Reason(rest(out[0])[2]) != codec.QuotaExceeded {
		t.Errorf("answered % x, want 0x97", out)
	}
	w.pass(func() { w.r.SetMemoryElsewhere(0) })
	last.feed(packet(0x32, str("t"), "\x00\x03\x00", "x"))
	last.expect("40 03 0003 10")
}
