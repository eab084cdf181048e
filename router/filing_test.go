package router_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/loopmq/loopmq/router"
)

// hexOf is for packets that are not written as text.
func hexOf(b []byte) string { return fmt.Sprintf("%x", b) }

// longPacket is a packet of any length.
func longPacket(first byte, parts ...[]byte) []byte {
	var body []byte
	for _, p := range parts {
		body = append(body, p...)
	}
	out := []byte{first}
	n := len(body)
	for ; n >= 0x80; n >>= 7 {
		out = append(out, byte(n)|0x80)
	}
	return append(append(out, byte(n)), body...)
}

// filters are so many different ones, each with tail behind it.
func filters(from, n int, tail string) (b []byte) {
	for i := from; i < from+n; i++ {
		name := fmt.Sprintf("%x", i)
		b = append(append(binary.BigEndian.AppendUint16(b, uint16(len(name))), name...), tail...)
	}
	return b
}

// A long SUBSCRIBE goes on between the turns of others, and is answered once,
// in the order of its filters; so is a long UNSUBSCRIBE.
func TestLongSubscribeLeavesOthersTheirTurns(t *testing.T) {
	const n = 5000
	w := newWorld(t, router.Limits{SubscriptionsMax: n - 1})
	a, b := w.connect("a", true), w.connect("b", true)
	a.expect("20 02 00 00")
	b.expect("20 02 00 00")
	a.send(hexOf(longPacket(0x82, []byte{0, 9}, filters(0, n, "\x01"))) + "c0 00")
	for passes := 0; len(a.out) == 0; passes++ {
		b.send("c0 00")
		b.expect("d0 00")
		if passes > n {
			t.Fatal("no SUBACK")
		}
	}
	codes := bytes.Repeat([]byte{1}, n)
	codes[n-1] = 0x80 // one too many
	a.expect(hexOf(longPacket(0x90, []byte{0, 9}, codes)))
	a.send("") // what came behind it
	a.expect("d0 00")
	b.send("30 07 0004 '1386' 'x'") // 4998
	a.expect("30 07 0004 '1386' 'x'")

	a.send(hexOf(longPacket(0xa2, []byte{0, 10}, filters(0, n, ""))))
	a.expect("")
	w.settle()
	a.expect("b0 02 000a")
	b.send("30 07 0004 '1386' 'x'")
	a.expect("")
	if s := w.r.Stats(); s.Queued != 0 {
		t.Errorf("%+v", s)
	}
}

// All filters are looked at before the first one is granted or taken out, however many.
func TestLongPacketsAreCheckedFirst(t *testing.T) {
	for name, test := range map[string]struct {
		first byte
		tail  string // of each filter
		last  string
	}{
		"wildcard":        {0x82, "\x01", "\x00\x03a#b\x01"},
		"empty":           {0x82, "\x01", "\x00\x00\x01"},
		"not UTF-8":       {0x82, "\x01", "\x00\x01\xff\x01"},
		"cut":             {0x82, "\x01", "\x00\x04abc"},
		"no options":      {0x82, "\x01", "\x00\x01a"},
		"reserved bits":   {0x82, "\x01", "\x00\x01a\x81"},
		"QoS 3":           {0x82, "\x01", "\x00\x01a\x03"},
		"out, wildcard":   {0xa2, "", "\x00\x03a#b"},
		"out, empty":      {0xa2, "", "\x00\x00"},
		"out, not UTF-8":  {0xa2, "", "\x00\x01\xff"},
		"out, cut":        {0xa2, "", "\x00\x04abc"},
		"out, cut length": {0xa2, "", "\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, router.Limits{})
			a, b := w.connect("a", false), w.connect("b", true)
			b.take()
			a.send("82 08 0001 0003 '456' 01")
			a.take()
			a.send(hexOf(longPacket(test.first, []byte{0, 9}, filters(0, 5000, test.tail), []byte(test.last))))
			w.settle()
			a.expectClosed()
			b.send("32 07 0003 '123' 0001 32 07 0003 '456' 0002")
			b.expect("40 02 0001 40 02 0002")
			a = w.connect("a", false)
			a.expect("20 02 01 00 32 07 0003 '456' 0001")
		})
	}
}

// A client that goes in the middle leaves nothing under way.
func TestLongSubscribeOfAClientThatGoes(t *testing.T) {
	w := newWorld(t, router.Limits{})
	a := w.connect("a", true)
	a.send(hexOf(longPacket(0x82, []byte{0, 9}, filters(0, 5000, "\x01"))))
	a.reset()
	w.settle()
	if used := w.r.MemoryUsed(); used != 0 {
		t.Errorf("%d bytes are left", used)
	}
}

// A session that has ended gets nothing, while its filters are still taken out
// of the index; a new one with its name is another.
func TestEndedSessionGetsNothing(t *testing.T) {
	w := newWorld(t, router.Limits{})
	a, b := w.connect("a", false), w.connect("b", true)
	a.take()
	b.take()
	a.send(hexOf(longPacket(0x82, []byte{0, 9}, filters(0, 5000, "\x01"), []byte("\x00\x0a$share/g/t\x01"))))
	w.settle()
	a.take()
	a.reset()
	w.pass(func() { // all in one, so that nothing is taken out before
		_, _ = b.handler.Data(bytesOf(t, "32 07 0003 '123' 0001"))
	})
	if s := w.r.Stats(); s.Queued != 1 {
		t.Fatalf("%d messages wait for a session that is away", s.Queued)
	}
	a = w.connect("a", true)
	a.expect("20 02 00 00")
	if s := w.r.Stats(); s.Queued != 0 || s.Subscriptions != 0 {
		t.Fatalf("%d messages wait for a session that has ended, %d filters are counted", s.Queued, s.Subscriptions)
	}
	for _, p := range []string{"32 07 0003 '123' 0002", "32 05 0001 't' 0003", "32 07 0003 '456' 0004"} {
		b.send(p)
	}
	a.send("82 08 0001 0003 '123' 01")
	b.send("32 07 0003 '123' 0005")
	a.expect("90 03 0001 01  32 07 0003 '123' 0001")
	w.settle()
	if s := w.r.Stats(); s.Queued != 0 || s.Inflight != 1 {
		t.Errorf("%d messages wait, %d are in flight", s.Queued, s.Inflight)
	}
}

// Filters that are subscribed to again and again owe retained messages once.
func TestRetainedAgainAndAgain(t *testing.T) {
	w := newWorld(t, router.Limits{RetainedPassMax: 1})
	b := w.connect("b", true)
	b.send("31 04 0001 't' '1' 31 04 0001 'u' '2'")
	a := w.connect("a", true)
	a.take()
	a.limit = 1
	for range 100 {
		a.send("82 0a 0001 0001 't' 00 0001 'u' 00")
	}
	a.limit = 0
	a.take()
	w.settle()
	if got := a.take(); bytes.Count(got, []byte("\x31\x04\x00\x01t1")) > 1 || bytes.Count(got, []byte("\x31\x04\x00\x01u2")) != 1 {
		t.Errorf("got % x", got)
	}
}

// TestLongSubscribeWhileOthersCommit: what others wrote between its pieces is on
// the disk by the time of its answer, or is not yet.
func TestLongSubscribeWhileOthersCommit(t *testing.T) {
	for _, lasts := range []bool{false, true} {
		for _, commits := range []bool{false, true} {
			d := newDurable(t, router.Limits{})
			s, q := d.session("s"), d.connect("q", !lasts)
			d.flush()
			q.take()
			run := func(packet []byte, between string, answer string) {
				t.Helper()
				q.send(hexOf(packet))
				s.send(between)
				if commits {
					d.commit()
				}
				d.settle()
				d.flush()
				q.expect(answer)
			}
			run(longPacket(0x82, []byte{0, 9}, filters(0, 1000, "\x01")), "82 06 0001 0001 't' 01",
				hexOf(longPacket(0x90, []byte{0, 9}, bytes.Repeat([]byte{1}, 1000))))
			run(longPacket(0xa2, []byte{0, 10}, filters(5000, 1000, "")), "82 06 0002 0001 'u' 01", "b0 02 000a")
		}
	}
}

// TestLongSubscribeWhileTheStoreFails: what was granted before is not promised any
// more; who wants no more than this connection is not concerned.
func TestLongSubscribeWhileTheStoreFails(t *testing.T) {
	d := newDurable(t, router.Limits{})
	s, q, p := d.session("s"), d.connect("q", true), d.connect("p", true)
	s.take()
	q.take()
	for _, c := range []*fakeConn{s, q} {
		c.send(hexOf(longPacket(0x82, []byte{0, 9}, filters(0, 1000, "\x01"))))
	}
	p.send("33 06 0001 'r' 0001 '1'")
	d.pass(func() { d.mem.Complete(errors.New("input/output error")) })
	d.settle()
	s.expect("")
	s.expectClosed()
	q.expect(hexOf(longPacket(0x90, []byte{0, 9}, bytes.Repeat([]byte{1}, 1000))))
}

// What is retained while a long SUBSCRIBE is under way comes once: as it is
// published where its filter has been entered, and as a retained message where its
// filter comes later.
func TestRetainedWhileALongSubscribeGoesOn(t *testing.T) {
	const n = 600
	w := newWorld(t, router.Limits{})
	a, p := w.connect("a", true), w.connect("p", true)
	a.expect("20 02 00 00")
	p.send("31 04 0001 '5' 'o'")
	a.send(hexOf(longPacket(0x82, []byte{0, 9}, filters(0, n, "\x00"))))
	p.send("31 04 0001 '5' 'n' 31 06 0003 '256' 'x'") // 598
	a.expect("30 04 0001 '5' 'n'")
	w.settle()
	a.expect(hexOf(longPacket(0x90, []byte{0, 9}, make([]byte, n))) + "31 06 0003 '256' 'x'")
}
