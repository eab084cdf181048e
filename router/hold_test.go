package router_test

import (
	"fmt"
	"testing"

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
