package router_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// narrow is a start with topics sync, lazy and none, in a store that is empty.
func narrow(t *testing.T, l router.Limits) *durable {
	t.Helper()
	return startDurable(t, router.Config{Limits: l, Durability: []router.DurabilityRule{
		{Filter: "lazy", Class: router.DurabilityLazy}, {Filter: "none", Class: router.DurabilityNone},
	}}, store.NewMem(), 1_700_000_000e9)
}

// mix publishes numbers from first to last, each to the next topic.
func (d *durable) mix(qos byte, first, last int, topics ...string) {
	for i := first; i <= last; i++ {
		d.fill(topics[i%len(topics)], qos, i, i)
	}
}

// payloads are the last part of each message that drain has taken.
func payloads(drained string) string {
	var list []string
	for f := range strings.FieldsSeq(drained) {
		list = append(list, f[strings.LastIndexByte(f, ':')+1:])
	}
	return strings.Join(list, " ")
}

// TestNoneKeepsItsPlaceBehindTheWindow: it stays in memory between what waits on
// disk only, and neither overtakes nor holds up.
func TestNoneKeepsItsPlaceBehindTheWindow(t *testing.T) {
	for qos := byte(1); qos <= 2; qos++ {
		d := narrow(t, router.Limits{QueuedWindowMax: 3, InflightMax: 2})
		d.away("s", "#")
		d.mix(qos, 1, 12, "none", "none", "sync", "lazy")
		d.fill("sync", qos, 13, 13)
		d.wantDisk(5)
		if s := d.r.Stats(); s.Queued != 13 {
			t.Errorf("%d wait", s.Queued)
		}
		if got, want := payloads(d.drain(d.connect("s", false))), "1 2 3 4 5 6 7 8 9 10 11 12 13"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		d.wantNothingLeft()
	}
}

// TestARestartLosesOnlyNone of what waits behind the window.
func TestARestartLosesOnlyNone(t *testing.T) {
	d := narrow(t, router.Limits{QueuedWindowMax: 2})
	d.away("s", "#")
	d.mix(1, 1, 9, "none", "sync", "sync")
	d = d.crash(store.FlightLost, 1)
	if got, want := payloads(d.drain(d.connect("s", false))), "1 2 4 5 7 8"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestOldestGoesWhateverItsClass: at a limit, and while the disk reads.
func TestOldestGoesWhateverItsClass(t *testing.T) {
	d := narrow(t, router.Limits{QueuedWindowMax: 2, QueuedMessagesMax: 6})
	d.away("s", "#")
	d.mix(1, 1, 12, "none", "sync")
	s := d.connect("s", false)
	d.commit() // the messages are being read
	d.mix(1, 13, 16, "none", "sync")
	got := payloads(d.drain(s))
	list := strings.Fields(got)
	if len(list) < 6 || list[len(list)-1] != "16" {
		t.Errorf("got %s", got)
	}
	if n := d.r.Stats().Dropped[router.DropQueueFull]; int(n)+len(list) != 16 {
		t.Errorf("%d dropped, got %s", n, got)
	}
}

// TestMemoryLimitCutsNone: what can go nowhere else is dropped, and what can go
// to the disk is not.
func TestMemoryLimitCutsNone(t *testing.T) {
	for _, topics := range [][]string{{"none", "sync", "sync"}, {"none"}, {"sync", "none", "lazy", "none"}} {
		d := narrow(t, router.Limits{QueuedWindowMax: 4, InflightMax: 2, MemoryBytesMax: 100 << 10})
		d.away("s", "#")
		d.mix(1, 1, 30, topics...)
		c := d.connect("s", false)
		d.commit() // the messages are being read
		c.reset()
		d.r.SetMemoryElsewhere(75 << 10)
		for range 20 {
			d.sleep(1)
		}
		d.r.SetMemoryElsewhere(0)
		dropped := int(d.r.Stats().Dropped[router.DropMemory])
		got := payloads(d.drain(d.connect("s", false)))
		for i := 1; i <= 30; i++ {
			if topics[i%len(topics)] != "none" && !slices.Contains(strings.Fields(got), fmt.Sprint(i)) {
				t.Errorf("%d is not there: %s", i, got)
			}
		}
		if n := len(strings.Fields(got)); dropped == 0 || n+dropped != 30 || !slices.IsSortedFunc(strings.Fields(got), byNumber) {
			t.Errorf("%d dropped, got %s", dropped, got)
		}
	}
}

// TestEndedSessionPassesOnWhatStays in memory, like the rest.
func TestEndedSessionPassesOnWhatStays(t *testing.T) {
	d := narrow(t, router.Limits{QueuedWindowMax: 2})
	d.away("a", "$share/g/+")
	d.mix(1, 1, 12, "none", "sync", "none")
	d.away("b", "$share/g/+")
	d.connect("a", true).reset()
	for range 5 {
		d.flush()
	}
	list := strings.Fields(payloads(d.drain(d.connect("b", false))))
	slices.Sort(list)
	if got, want := strings.Join(list, " "), "1 10 11 12 2 3 4 5 6 7 8 9"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestOrderOfAllClasses: whatever their class, messages come as they were
// published, however the client comes and goes and the disk answers.
func TestOrderOfAllClasses(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 9))
		d := narrow(t, router.Limits{
			QueuedWindowMax: 1 + rng.IntN(6), InflightMax: 1 + rng.IntN(4), QueuedMessagesMax: 10_000,
		})
		d.away("s", "#")
		p := d.connect("p", true)
		var s *fakeConn
		var got []string
		n := 0
		for range 400 {
			switch what := rng.IntN(20); {
			case what < 9:
				n++
				topic := [3]string{"sync", "lazy", "none"}[rng.IntN(3)]
				p.feed(packet(0x32, str(topic), "\x00\x01", fmt.Sprint(n)))
			case what < 12:
				d.commit()
			case what < 15:
				d.answer()
			case what < 16:
				d.sleep(rng.Float64() * 2)
			case s == nil:
				s = d.connect("s", false)
			case what < 17:
				s.reset()
				s = nil
			default:
				for _, f := range frames(s.take()) {
					if f[0]>>4 == 3 {
						at := 4 + int(f[3])
						got = append(got, f[at+2:])
						s.feed([]byte{0x40, 2, f[at], f[at+1]})
					}
				}
			}
		}
		if s == nil {
			s = d.connect("s", false)
		}
		got = append(got, strings.Fields(payloads(d.drain(s)))...)
		if first := firstTexts(got); len(first) != n || !slices.IsSortedFunc(first, byNumber) {
			t.Fatalf("seed %d: %d were published, got %v", seed, n, got)
		}
	}
}

func byNumber(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func firstTexts(list []string) (first []string) {
	for _, s := range list {
		if !slices.Contains(first, s) {
			first = append(first, s)
		}
	}
	return first
}
