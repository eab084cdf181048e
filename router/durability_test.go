package router_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// classed is a start with a class for lazy/# and one for none/#, in a store
// that is empty.
func classed(t *testing.T) *durable {
	t.Helper()
	return startDurable(t, router.Config{Durability: []router.DurabilityRule{
		{Filter: "lazy/sync", Class: router.DurabilitySync},
		{Filter: "lazy/#", Class: router.DurabilityLazy},
		{Filter: "none/#", Class: router.DurabilityNone},
		{Filter: "none/late", Class: router.DurabilitySync}, // never: the one before matches
	}}, store.NewMem(), 1_700_000_000e9)
}

func TestClassOfATopicIsTheFirstThatMatches(t *testing.T) {
	for name, class := range map[string]string{"lazy/sync": "sync", "lazy/a": "lazy", "none/a": "none", "none/late": "none", "x": "sync"} {
		d := classed(t)
		d.away("s", "#")
		p := d.connect("p", true)
		p.take()
		p.feed(packet(0x32, str(name), "\x00\x01", "a"))
		if got := string(p.take()) == ""; got != (class == "sync") {
			t.Errorf("%s: PUBACK waits: %v, class %s", name, got, class)
		}
		d.flush()
		d = d.crash(store.FlightLost, 0)
		if n := d.r.Stats().Queued; (n == 1) != (class == "sync") {
			t.Errorf("%s, class %s: %d messages after a crash at once", name, class, n)
		}
	}
}

func TestLazyIsWrittenWithinTheInterval(t *testing.T) {
	d := classed(t)
	d.away("s", "#")
	p := d.connect("p", true)
	p.take()
	p.feed(packet(0x33, str("lazy/a"), "\x00\x01", "1"))
	p.expect("40 02 00 01") // at once
	p.feed(packet(0x34, str("lazy/b"), "\x00\x02", "2"))
	p.expect("50 02 00 02")
	p.send("62 02 00 02")
	p.expect("70 02 00 02")
	if d.commit() {
		t.Fatal("it did not wait for company")
	}
	if n := d.crash(store.FlightLost, 0).r.Stats().Queued; n != 0 {
		t.Errorf("%d messages after a crash at once", n)
	}
	d.sleep(1.1)
	d.commit()
	d = d.crash(store.FlightLost, 0)
	if st := d.r.Stats(); st.Queued != 2 || st.Retained != 1 {
		t.Errorf("after the interval a crash left %d messages, %d retained", st.Queued, st.Retained)
	}
}

func TestSyncTakesLazyAlong(t *testing.T) {
	d := classed(t)
	d.away("s", "#")
	p := d.connect("p", true)
	p.take()
	p.feed(packet(0x33, str("lazy/a"), "\x00\x01", "1"))
	p.feed(packet(0x32, str("x"), "\x00\x02", "2"))
	p.expect("40 02 00 01")
	d.commit()
	p.expect("40 02 00 02")
	if st := d.crash(store.FlightLost, 0).r.Stats(); st.Queued != 2 || st.Retained != 1 {
		t.Errorf("%d messages, %d retained", st.Queued, st.Retained)
	}
}

func TestLazyDeliveredInTimeIsNeverWritten(t *testing.T) {
	d := classed(t)
	s, p := d.session("s"), d.connect("p", true)
	s.send("82 06 00 01 00 01 '#' 01")
	d.flush()
	d.sleep(1.1)
	d.flush()
	s.take()
	p.take()
	for i := range 100 {
		id := string([]byte{0, byte(1 + i)})
		p.feed(packet(0x32, str("lazy/a"), id, "1"))
		p.expect(fmt.Sprintf("40 02 00 %02x", 1+i))
		out := s.take()
		s.feed([]byte{0x40, 2, out[10], out[11]})
	}
	d.sleep(1.1)
	live := d.mem.Stats().LiveRecords
	d.flush()
	if n := d.mem.Stats().LiveRecords; n != live {
		t.Errorf("%d records, before %d", n, live)
	}
}

func TestNoneIsNeverWritten(t *testing.T) {
	d := classed(t)
	d.away("s", "#")
	d.sleep(2)
	d.flush()
	before := d.mem.Stats()
	p := d.connect("p", true)
	p.take()
	p.feed(packet(0x33, str("none/a"), "\x00\x01", "1"))
	p.feed(packet(0x31, str("none/b"), "2"))
	p.feed(packet(0x34, str("none/c"), "\x00\x02", "3"))
	p.send("62 02 00 02")
	p.expect("40 02 00 01 50 02 00 02 70 02 00 02")
	d.sleep(2)
	d.flush()
	if st := d.mem.Stats(); st.Records != before.Records || d.mem.Pending() > 0 {
		t.Errorf("%d records more were written, %d bytes wait", st.Records-before.Records, d.mem.Pending())
	}
	s := d.connect("s", false)
	d.flush()
	s.expect("20 02 01 00 32 0b 00 06 'none/a' 00 01 '1' 34 0b 00 06 'none/c' 00 02 '3'")
	if st := d.crash(store.FlightKept, 0).r.Stats(); st.Queued+st.Retained != 0 {
		t.Errorf("after a crash there were %d messages, %d retained", st.Queued, st.Retained)
	}
}

// TestNoneKeepsPacketIDs: the client holds a PacketID of QoS 2 whose message is
// gone with a crash; another message must not have it.
func TestNoneKeepsPacketIDs(t *testing.T) {
	d := classed(t)
	s, p := d.session("s"), d.connect("p", true)
	s.send("82 06 00 01 00 01 '#' 02")
	d.flush()
	s.take()
	p.take()
	p.feed(packet(0x34, str("none/c"), "\x00\x02", "3"))
	p.expect("50 02 00 02")
	s.expect("")
	d.commit()
	s.expect("34 0b 00 06 'none/c' 00 01 '3'")
	d = d.crash(store.FlightLost, 0)
	s, p = d.connect("s", false), d.connect("p", true)
	p.feed(packet(0x34, str("x"), "\x00\x01", "4"))
	d.flush()
	s.expect("20 02 01 00 62 02 00 01 34 06 00 01 'x' 00 02 '4'")
}

func TestNoneIsTakenWhenTheStoreIsFull(t *testing.T) {
	d := classed(t)
	d.away("s", "#")
	p := d.connect("p", true)
	p.take()
	p.feed(packet(0x32, str("x"), "\x00\x01", "1"))
	d.pass(func() { d.mem.Complete(store.ErrFull) })
	q := d.connect("q", true)
	q.take()
	q.feed(packet(0x33, str("none/a"), "\x00\x01", "1"))
	q.expect("40 02 00 01")
	p.expect("")
}

func TestWillFollowsItsClass(t *testing.T) {
	for name, kept := range map[string]bool{"x": true, "lazy/w": true, "none/w": false} {
		d := classed(t)
		c := d.dial()
		c.five = true
		c.feed(packet(0x10, str("MQTT"), "\x05\x06\x00\x00", "\x05\x11\x00\x00\x0f\x00", str("w"), "\x05\x18\x00\x00\x00\x64", str(name), str("gone")))
		d.flush()
		d.sleep(2)
		d.flush()
		d = d.crash(store.FlightLost, 0)
		s := d.connect("s", true)
		s.send("82 06 00 01 00 01 '#' 00")
		s.take()
		d.sleep(800)
		if got := len(s.take()) > 0; got != kept {
			t.Errorf("will on %s came after a crash: %v", name, got)
		}
	}
}

// TestReloadedClass: what was written goes when its topic is not to be kept any
// more, and what is in queues stays what it was.
func TestReloadedClass(t *testing.T) {
	d := newDurable(t, router.Limits{})
	d.away("s", "#")
	p := d.connect("p", true)
	p.take()
	p.feed(packet(0x33, str("t"), "\x00\x01", "1"))
	d.flush()
	cfg := router.Config{Durability: []router.DurabilityRule{{Filter: "t", Class: router.DurabilityNone}}, LazyInterval: time.Second}
	d.pass(func() { d.r.Change(cfg) })
	p.feed(packet(0x33, str("t"), "\x00\x02", "2"))
	p.expect("40 02 00 01 40 02 00 02")
	d.sleep(1.1)
	d.flush()
	d.cfg.Durability = cfg.Durability
	d = d.crash(store.FlightLost, 0)
	if st := d.r.Stats(); st.Queued != 1 || st.Retained != 0 {
		t.Errorf("%d messages, %d retained", st.Queued, st.Retained)
	}
}

// TestNoneGoesOnWithAFailedStore to its end: nobody waits for what is not written.
func TestNoneGoesOnWithAFailedStore(t *testing.T) {
	d := classed(t)
	p := d.connect("p", false)
	d.flush()
	p.take()
	d.session("s").send("82 06 00 01 00 01 '#' 02")
	d.pass(func() { d.mem.Complete(errors.New("input/output error")) })
	p = d.connect("p", false)
	p.expect("20 02 01 00")
	p.feed(packet(0x34, str("none/a"), "\x00\x01", "a"))
	p.expect("50 02 00 01")
	p.feed(packet(0x3c, str("none/a"), "\x00\x01", "a"))
	p.expect("50 02 00 01")
	p.send("62 02 00 01")
	p.expect("70 02 00 01")
	p.send("62 02 00 02") // of what may have been written before
	p.expect("")
}

// TestRandomClasses is TestRandomCrashes with classes.
func TestRandomClasses(t *testing.T) {
	for seed := range uint64(150) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 8))
			v := &visitors{r: r}
			cfg := router.Config{QueueFull: router.QueueFull(seed % 3), Limits: router.Limits{
				InflightMax: 1 + r.IntN(4), QueuedMessagesMax: 1 + r.IntN(12), QueuedWindowMax: 1 + r.IntN(4), SubscriptionsMax: 3, RetainedMessagesMax: 3,
				MemoryBytesMax: []int{0, 9_000, 20_000}[int(seed)/3%3], SessionExpiry: time.Hour, ReceiveMaximum: 1 + r.IntN(3), TopicAliasMax: 3, TopicAliasOutMax: 2,
			}}
			rules := func() (list []router.DurabilityRule) {
				for range r.IntN(4) {
					list = append(list, router.DurabilityRule{Filter: v.pick("#", "a/#", "+", "a/b"), Class: router.DurabilitySync + router.Durability(r.IntN(3))})
				}
				return list
			}
			cfg.Durability = rules()
			d := startDurable(t, cfg, store.NewMem(), 1_700_000_000e9)
			v.w = d.world
			for range 200 {
				v.step()
				switch r.IntN(12) {
				case 0, 1, 2, 3:
					d.commit()
				case 4:
					d.pass(func() { d.mem.Complete(store.ErrFull) })
				case 5:
					d.compare()
				case 6:
					if r.IntN(4) == 0 {
						d = d.crash(store.Flight(r.IntN(2)), 100*r.Float64())
						v.w = d.world
					}
				case 7:
					if r.IntN(8) == 0 {
						d.cfg.Durability = rules()
						d.pass(func() { d.r.Change(d.cfg) })
					}
				case 8:
					d.answer()
				}
			}
			d.compare()
		})
	}
}
