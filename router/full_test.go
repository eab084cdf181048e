package router_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// full is a router with a policy, and room for two messages in a queue.
func full(t *testing.T, policy router.QueueFull) *world {
	t.Helper()
	return newWorldOf(t, router.Config{QueueFull: policy, Limits: router.Limits{QueuedMessagesMax: 2, InflightMax: 1}})
}

// publishAll has a new client publish these payloads with QoS 1; each is
// acknowledged as if nothing were lost.
func publishAll(w *world, payloads ...string) {
	w.t.Helper()
	p := w.join5("p", "")
	for _, x := range payloads {
		p.feed(packet(0x32, str("t"), "\x00\x01\x00", x))
		p.expect("40 02 0001")
	}
	p.reset()
	w.settle()
}

// received has a client acknowledge all that comes, and returns the payloads.
func (c *fakeConn) received() (payloads []string) {
	for range 100 {
		out := packets(c.take())
		if len(out) == 0 {
			return payloads
		}
		for _, p := range out {
			if p[0]&0xf0 == 0x30 {
				body := rest(p)
				payloads = append(payloads, string(body[5:]))
				c.feed(packet(0x40, string(body[3:5])))
			}
		}
	}
	return payloads
}

// What a full queue loses is what the policy says; the publisher is told nothing.
func TestQueueFull(t *testing.T) {
	for _, row := range []struct {
		policy router.QueueFull
		want   string
	}{
		{router.QueueDropOldest, "[1 4 5]"},
		{router.QueueDropNewest, "[1 2 3]"},
	} {
		w := full(t, row.policy)
		s := w.join("s")
		s.send("82 06 0001 0001 't' 01")
		s.expect("90 03 0001 01")
		publishAll(w, "1", "2", "3", "4", "5")
		st := w.r.Stats()
		if got := fmt.Sprint(s.received()); got != row.want || st.Dropped[router.DropQueueFull] != 2 || st.LimitHits[router.LimitQueuedMessages] != 2 {
			t.Errorf("policy %d: %s, want %s; %d dropped, the limit counts %d", row.policy, got, row.want,
				st.Dropped[router.DropQueueFull], st.LimitHits[router.LimitQueuedMessages])
		}
	}
}

// A client is disconnected when too much waits for it, and absent it loses the
// oldest.
func TestQueueFullDisconnects(t *testing.T) {
	w := full(t, router.QueueDisconnect)
	s := w.connect5("s", false, "11 000000ff")
	s.take()
	s.sub5("t", "01", "")
	three := w.join("three")
	three.send("82 06 0001 0001 't' 01")
	three.expect("90 03 0001 01")
	publishAll(w, "1", "2", "3", "4")
	out := packets(s.take())
	if last := out[len(out)-1]; last[0] != 0xe0 || codec.Reason(last[2]) != codec.QuotaExceeded {
		t.Errorf("the last packet is % x, want DISCONNECT 0x97", last)
	}
	s.expectClosed()
	three.take()
	three.expectClosed()
	publishAll(w, "5")
	if st := w.r.Stats(); st.ThrownOut != 2 || st.Sessions != 1 {
		t.Errorf("%d thrown out, %d sessions", st.ThrownOut, st.Sessions)
	}
	s = w.connect("s", false)
	if got := fmt.Sprint(s.received()); got != "[1 4 5]" {
		t.Errorf("after it is back %s, want [1 4 5]", got)
	}
	self := w.join("self") // throws itself out
	self.send("82 06 0001 0001 'u' 01")
	self.take()
	for id := range 4 {
		self.feed(packet(0x32, str("u"), "\x00", string(rune(id+1)), "x"))
	}
	self.take()
	self.expectClosed()
}

// Who has not been told yet that he is in, because his session is being written
// down, is not thrown out for what waited while he was away: he would never come in.
func TestQueueFullWhileConnackWaits(t *testing.T) {
	d := startDurable(t, router.Config{QueueFull: router.QueueDisconnect, Limits: router.Limits{
		QueuedMessagesMax: 2, InflightMax: 1,
	}}, store.NewMem(), 1_700_000_000e9)
	d.away("s", "t")
	p := d.connect("p", true)
	publish := func(payload string) { p.feed(packet(0x32, str("t"), "\x00\x01", payload)) }
	for i := range 3 {
		publish(strconv.Itoa(i))
	}
	d.flush()
	s := d.connect("s", false)
	s.expect("")
	publish("3")
	if s.closing {
		t.Fatalf("closed before CONNACK: %v", s.why)
	}
	d.flush()
	s.expect("20 02 01 00 32 06 0001 't' 0001 '2'")
	publish("4") // there is room for one more
	publish("5")
	d.flush()
	s.expectClosed()
	if n := d.r.Stats().ThrownOut; n != 1 {
		t.Errorf("%d thrown out", n)
	}
}

// The policy is live.
func TestQueueFullChanges(t *testing.T) {
	w := full(t, router.QueueDropOldest)
	w.pass(func() {
		w.r.Change(router.Config{QueueFull: router.QueueDropNewest, Limits: router.Limits{QueuedMessagesMax: 1, InflightMax: 1}})
	})
	s := w.join("s")
	s.send("82 06 0001 0001 't' 01")
	s.expect("90 03 0001 01")
	publishAll(w, "1", "2", "3")
	if got := fmt.Sprint(s.received()); got != "[1 2]" {
		t.Errorf("%s, want [1 2]", got)
	}
}

// Near the memory limit the largest backlog loses what the policy says.
func TestQueueFullUnderMemoryPressure(t *testing.T) {
	for policy, want := range map[router.QueueFull][2]string{
		router.QueueDropOldest: {"0", "last"}, // it was sent before anything waited
		router.QueueDropNewest: {"0", "1"},
		router.QueueDisconnect: {},
	} {
		w := newWorldOf(t, router.Config{QueueFull: policy, Limits: router.Limits{MemoryBytesMax: 1_000_000, InflightMax: 1}})
		s := w.join("s")
		s.send("82 06 0001 0001 't' 01")
		s.expect("90 03 0001 01")
		p, body := w.join("p"), strings.Repeat("x", 100)
		publish := func(payload string) {
			p.feed(packet(0x32, str("t"), "\x00\x01", payload))
			p.expect("40 02 0001")
		}
		for i := range 400 {
			publish(fmt.Sprintf("%d %s", i, body))
		}
		publish("last " + body)
		w.pass(func() { w.r.SetMemoryElsewhere(750_000 - w.r.MemoryUsed()) })
		w.sleep(0.2)
		w.settle()
		st := w.r.Stats()
		if policy == router.QueueDisconnect {
			if st.ThrownOut != 1 || st.Queued != 0 || st.Sessions != 1 {
				t.Errorf("%d thrown out, %d messages wait, %d sessions", st.ThrownOut, st.Queued, st.Sessions)
			}
			continue
		}
		if st.Dropped[router.DropMemory] == 0 || st.ThrownOut != 0 {
			t.Errorf("policy %d: %d dropped, %d thrown out", policy, st.Dropped[router.DropMemory], st.ThrownOut)
		}
		w.pass(func() { w.r.SetMemoryElsewhere(0) })
		var words []string
		for {
			got := s.received()
			if len(got) == 0 {
				break
			}
			for _, x := range got {
				words = append(words, strings.Fields(x)[0])
			}
		}
		first, last := words[0], words[len(words)-1]
		if policy == router.QueueDropNewest {
			last = words[1]
		}
		if first != want[0] || last != want[1] {
			t.Errorf("policy %d: %s … %s of %d, want %s … %s", policy, words[0], last, len(words), want[0], want[1])
		}
	}
}

// Where the store takes nothing, what is not on the disk is cut as the policy
// says, too.
func TestQueueFullWithAFullStore(t *testing.T) {
	for policy, want := range map[router.QueueFull]string{
		router.QueueDropOldest: "8",
		router.QueueDropNewest: "1",
	} {
		d := startDurable(t, router.Config{QueueFull: policy, Limits: router.Limits{
			MemoryBytesMax: 100_000, QueuedWindowMax: 1, InflightMax: 1,
		}}, store.NewMem(), 1_700_000_000e9)
		d.away("s", "t")
		p := d.connect("p", true)
		p.take()
		for i := range 8 {
			p.feed(packet(0x32, str("t"), "\x00", string(rune(i+1)), strconv.Itoa(i+1)+strings.Repeat("x", 100)))
		}
		d.pass(func() { d.mem.Complete(store.ErrFull) })
		d.pass(func() { d.r.SetMemoryElsewhere(70_200 - d.r.MemoryUsed()) })
		d.sleep(0.2)
		if n := d.r.Stats().Dropped[router.DropMemory]; n == 0 {
			t.Fatalf("policy %d: nothing is cut", policy)
		}
		d.r.SetMemoryElsewhere(0)
		d.sleep(1.1)
		d.flush()
		s := d.connect("s", false)
		var got []string
		for range 10 {
			for _, x := range s.received() {
				got = append(got, x[:1])
			}
			d.flush()
		}
		if !slices.Contains(got, want) || len(got) >= 8 {
			t.Errorf("policy %d: %s are left, want %s among them", policy, got, want)
		}
	}
}
