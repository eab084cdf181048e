package router_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/router"
)

// grows has f done by a client until the router is at its limit: what f makes it
// hold is in the account, with at least so many bytes each time. It returns how
// often f was done.
func grows(t *testing.T, w *world, least int, f func(i int)) (n int) {
	t.Helper()
	for w.r.MemoryUsed() < 900_000 {
		before := w.r.MemoryUsed()
		f(n)
		if n++; n > 5000 || int(w.r.MemoryUsed()-before) < least {
			t.Fatalf("%d bytes are counted for number %d, want %d", w.r.MemoryUsed()-before, n, least)
		}
	}
	w.settle()
	return n
}

// wantNothing expects that nothing is counted when all are gone.
func (w *world) wantNothing() {
	w.t.Helper()
	w.settle()
	if n := w.r.MemoryUsed(); n != 0 {
		w.t.Errorf("%d bytes when all are gone", n)
	}
}

var million = router.Limits{MemoryBytesMax: 1_000_000} // table: the limit of these tests

// What a filter takes is counted, its text and its levels, and at the limit no
// more are taken.
func TestMemoryOfFilters(t *testing.T) {
	for _, rest := range []string{strings.Repeat("/a", 120) + "/+", strings.Repeat("l", 4000)} {
		w := newWorld(t, million)
		a, b := w.connect5("a", true, ""), w.connect("b", true)
		a.take()
		b.take()
		subscribe := func(c *fakeConn, id int, rest5 string) byte {
			c.send(hexOf(longPacket(0x82, []byte{byte(id >> 8), byte(id)}, []byte(rest5), lengthed(fmt.Sprint(id, rest)), []byte{0})))
			w.settle()
			out := c.take()
			return out[len(out)-1]
		}
		w.pass(func() { w.r.SetMemoryElsewhere(650_000) }) // one session gets few more from 70 % on
		grows(t, w, 4000, func(i int) { subscribe(a, i+1, "\x00") })
		if code := subscribe(a, 5001, "\x00"); codec.Reason(code) != codec.QuotaExceeded {
			t.Errorf("SUBACK %#x, want 0x97", code)
		}
		if code := subscribe(b, 5002, ""); code != 0x80 {
			t.Errorf("SUBACK %#x, want 0x80", code)
		}
		if code := subscribe(a, 1, "\x00"); code != 0 {
			t.Errorf("SUBACK %#x for a filter that is there", code)
		}
		a.reset()
		b.reset()
		w.pass(func() { w.r.SetMemoryElsewhere(0) })
		w.wantNothing()
	}
}

// endAll ends all connections. No session outlives them, so nothing is counted then.
func (w *world) endAll() {
	w.t.Helper()
	for _, c := range w.conns {
		if !c.closing {
			c.reset()
		}
	}
	w.settle()
	if n := w.r.MemoryUsed(); n != 0 {
		w.t.Errorf("%d bytes are counted when all are gone", n)
	}
}

// lengthed is a string with its length.
func lengthed(s string) []byte { return append([]byte{byte(len(s) >> 8), byte(len(s))}, s...) }

// What a retained topic takes is counted, however many levels it has; at the
// limit no topic is added, and with QoS 0 none gets a longer value.
func TestMemoryOfRetainedTopics(t *testing.T) {
	w := newWorld(t, million)
	p := w.join("p")
	deep := strings.Repeat("/a", 120)
	w.pass(func() { w.r.SetMemoryElsewhere(600_000) }) // retained messages have a part only
	grows(t, w, 9000, func(i int) { p.send(hexOf(longPacket(0x31, lengthed(fmt.Sprint(i, deep)), []byte("x")))) })
	topics, hits := w.r.Stats().Retained, w.r.Stats().LimitHits[router.LimitMemory]
	p.send(hexOf(longPacket(0x31, lengthed("new"), []byte("x"))))
	p.send(hexOf(longPacket(0x31, lengthed(fmt.Sprint(0, deep)), []byte("y")))) // no longer than before
	if s := w.r.Stats(); s.Retained != topics || s.LimitHits[router.LimitMemory] != hits+1 {
		t.Errorf("%d topics, %d before; the limit counts %d, %d before", s.Retained, topics, s.LimitHits[router.LimitMemory], hits)
	}
	p.send(hexOf(longPacket(0x31, lengthed(fmt.Sprint(2, deep)), []byte(strings.Repeat("y", 10_000)))))
	if s := w.r.Stats(); s.Retained != topics-1 || s.LimitHits[router.LimitMemory] != hits+2 {
		t.Errorf("%d topics, %d before; the limit counts %d, %d before", s.Retained, topics, s.LimitHits[router.LimitMemory], hits)
	}
}

// Topic Aliases are counted, both ways, as long as the connection lasts.
func TestMemoryOfAliases(t *testing.T) {
	w := newWorld(t, million)
	p, s := w.join5("p", ""), w.join5("s", "22 0020").sub5("#", "00", "")
	long := strings.Repeat("t", 3000)
	before := w.r.MemoryUsed()
	for i := range 20 {
		props := fmt.Sprintf("\x03\x23\x00%c", i+1)
		p.send(hexOf(longPacket(0x30, lengthed(fmt.Sprint(i, long)), []byte(props), []byte("x"))))
		p.send(hexOf(longPacket(0x30, lengthed(fmt.Sprint(i, long)), []byte("\x00x"))))
	}
	s.take()
	if n := int(w.r.MemoryUsed() - before); n < 40*3000 || n > 50*3000 {
		t.Errorf("%d bytes for 40 aliases of 3000", n)
	}
	p.reset()
	s.reset()
	w.wantNothing()
}

// TestAliasesOfWhoIsNotLetIn: a table of aliases is as long as it is used, however many
// a client takes; who only says so has none, and all that are allowed are used in time.
func TestAliasesOfWhoIsNotLetIn(t *testing.T) {
	const most = 3000
	w := newWorld(t, router.Limits{TopicAliasOutMax: most})
	w.listener.Authenticator = judge(func(func(router.Verdict)) {})
	before, heap := w.r.MemoryUsed(), heapNow()
	for i := range 100 {
		w.dial().send(fmt.Sprintf("10 12 0004 'MQTT' 05 02 0000 03 22 ffff 0002 '%02d'", i))
	}
	if n, real := int(w.r.MemoryUsed()-before)/100, int(heapNow()-heap)/100; n > 3000 || real > 10_000 {
		t.Errorf("who waits to be let in takes %d bytes, by the account %d", real, n)
	}
	w.listener = &router.Listener{}
	s, p := w.join5("s", "22 ffff").sub5("#", "00", ""), w.join("p")
	for i := range most + 1 {
		for range 2 {
			p.feed(packet(0x30, str(fmt.Sprint("topic/", i)), "x"))
		}
	}
	aliases := map[byte]int{}
	for _, f := range packets(s.take()) {
		body := rest(f)
		aliases[body[2+int(body[0])<<8+int(body[1])]]++
	}
	if aliases[3] != most {
		t.Errorf("properties by length: %v; want %d with an alias", aliases, most)
	}
}

// A CONNECT that waits for a verdict is counted, whatever becomes of its client.
func TestMemoryOfConnectsThatWait(t *testing.T) {
	w := newWorld(t, router.Limits{})
	var verdicts []func(router.Verdict)
	w.listener.Authenticator = judge(func(done func(router.Verdict)) { verdicts = append(verdicts, done) })
	connect := longPacket(0x10, []byte("\x00\x04MQTT\x04\xc2\x00\x00\x00\x01c"), lengthed("user"), lengthed(strings.Repeat("p", 60_000)))
	var all []*fakeConn
	for range 3 {
		c := w.dial()
		c.send(hexOf(connect))
		all = append(all, c)
	}
	if n := w.r.MemoryUsed(); n < 3*2*60_000 {
		t.Errorf("%d bytes for three that wait", n)
	}
	all[0].reset()
	for _, done := range verdicts {
		w.pass(func() { done(router.Verdict{}) })
	}
	for _, c := range all[1:] {
		c.reset()
	}
	w.wantNothing()
}

// judge is an Authenticator that answers later.
type judge func(done func(router.Verdict))

func (j judge) Authenticate(_ *router.Credentials, done func(router.Verdict)) { j(done) }

// What the loop keeps of packets that are not whole is counted, and is not made longer at the limit: a hundred clients
// that never finish what they have begun could have as many of the longest packets there.
func TestPartsOfPacketsAtTheLimit(t *testing.T) {
	w := newWorld(t, million)
	old, new5, short := w.join("o"), w.join5("n", "17 00"), w.join("s")
	first := w.dial()
	old.feed(longPacket(0x30, []byte("\x00\x01t"), make([]byte, 100_000))[:20_000])
	w.r.SetMemoryElsewhere(950_000)
	w.settle()
	new5.feed(longPacket(0x30, []byte("\x00\x01t\x00"), make([]byte, 100_000))[:20_000])
	new5.expect("e0 01 89")
	new5.expectClosed()
	first.feed(longPacket(0x10, []byte("\x00\x04MQTT\x04\x02\x00\x00"), make([]byte, 100_000))[:20_000])
	first.expectClosed()
	old.feed([]byte("more"))
	old.expectClosed()
	short.feed(longPacket(0x30, []byte("\x00\x01t"), make([]byte, 100_000))[:15_000])
	w.r.SetMemoryElsewhere(0)
	w.settle()
	short.feed(make([]byte, 100_007-15_000))
	short.feed([]byte("\xc0\x00"))
	short.expect("d0 00")
}

// While memory is short, who has begun a packet and does not go on with it is
// disconnected after slow-timeout; who goes on, however slowly, or is not read from is not.
func TestPartsOfPacketsThatDoNotGrow(t *testing.T) {
	w := newWorld(t, router.Limits{MemoryBytesMax: 1_000_000, SlowTimeout: 10 * time.Second})
	stalls, drips, idle, held, later := w.join("a"), w.join("b"), w.join("c"), w.join("d"), w.join5("e", "")
	long := longPacket(0x32, []byte("\x00\x01t\x00\x01"), make([]byte, 100_000))
	stalls.feed(long[:12_000])
	drips.feed(long[:12_000])
	later.feed(long[:12_000])
	w.sleep(1000)
	for _, c := range []*fakeConn{stalls, drips, later} {
		if c.closing {
			t.Fatal("somebody is disconnected while there is memory")
		}
	}
	later.feed([]byte("x"))
	drips.feed([]byte("x"))
	w.pass(func() { w.r.SetMemoryElsewhere(850_000 - w.r.MemoryUsed()) })
	w.settle()
	stalls.expectClosed()
	idle.feed([]byte("\xc0\x00"))
	held.feed(append(packet(0x32, str("t"), "\x00\x01", "x"), long[:1000]...)) // is not read from now
	for range 15 {
		drips.feed([]byte("x"))
		w.sleep(1)
		w.settle()
	}
	later.expectClosed()
	if out := later.take(); len(out) < 3 || out[0] != 0xe0 || out[2] != byte(codec.ServerBusy) {
		t.Errorf("told % x", out)
	}
	for i, c := range []*fakeConn{drips, idle, held} {
		if c.closing {
			t.Errorf("number %d is disconnected: %v", i, c.why)
		}
	}
	if n := w.r.Stats().LimitHits[router.LimitSlowTimeout]; n != 2 {
		t.Errorf("the limit counts %d", n)
	}
}

// TestPoolMax: what is left until publishers are held back is there for the output of all.
func TestPoolMax(t *testing.T) {
	w := newWorld(t, million)
	for _, row := range []struct{ beside, most int64 }{{320_000, 480_000}, {780_000, 20_000}, {950_000, 1}} {
		w.pass(func() {
			w.r.SetMemoryElsewhere(0)
			w.r.SetMemoryElsewhere(row.beside - w.r.MemoryUsed()) // of the pool nothing is in use
		})
		if n := w.r.PoolMax(); n != row.most {
			t.Errorf("%d bytes of the pool with %d in use elsewhere, want %d", n, row.beside, row.most)
		}
	}
	w.pass(func() { w.r.Change(router.Config{}) })
	if n := w.r.PoolMax(); n != 0 {
		t.Errorf("%d bytes of the pool without a limit", n)
	}
}
