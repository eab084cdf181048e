package router_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// town is a broker and its clients.
type town struct {
	t    *testing.T
	rng  *rand.Rand
	m    *mains
	all  []*citizen
	led  ledger
	last bool // nothing new is published

	cutAt    int64 // time of day at which the power went; 0 = never
	faulty   bool  // the disk makes trouble: the broker may say no
	refusals int
	shots    []shot
}

// shot is what the clients know while the router knows of no more than the first
// seen changes of the disk. A disk that does nothing from then on is as good an
// explanation of it as any.
type shot struct {
	seen  int
	clock int64
	all   []*citizen
	led   ledger
}

var townLimits = router.Limits{ // table: nothing is dropped
	QueuedMessagesMax: 100_000, QueuedBytesMax: 1 << 30, SessionExpiry: 2_000_000 * time.Second,
}

func newTown(t *testing.T, seed uint64) *town {
	k := &town{t: t, rng: rand.New(rand.NewPCG(seed, 8)), led: newLedger()}
	limits := townLimits
	limits.InflightMax, limits.QueuedWindowMax = 1+k.rng.IntN(8), 1+k.rng.IntN(8)
	k.m = power(t, router.Config{Limits: limits}, store.NewDisk(), 1_700_000_000e9)
	for _, id := range []string{"p0", "p1", "s0", "s1", "e", "w"} {
		c := newCitizen(k, id)
		c.talks, c.five = id[0] == 'p', id != "p0" && id != "s0"
		k.all = append(k.all, c)
	}
	for i, s := range k.subscribers() {
		s.bit = 1 << i
	}
	k.named("e").brief, k.named("e").expiry, k.named("w").mortal = true, 60, true
	for busy := true; busy; {
		busy = false
		for _, c := range k.all {
			c.step()
			busy = busy || !c.there
		}
		k.answer()
	}
	k.named("s0").conn.feed(wire(0x82, "\x00\x01", str("w/+"), "\x02"))
	k.flush()
	return k
}

func (k *town) subscribers() []*citizen { return k.all[2:5] }

func (k *town) named(id string) *citizen {
	for _, c := range k.all {
		if c.id == id {
			return c
		}
	}
	return nil
}

// live lets everybody do something.
func (k *town) live(steps int) {
	for range steps {
		switch n := k.rng.IntN(100); {
		case n < 2:
			anybody(k.rng, k.all).reset()
		case n < 5:
			anybody(k.rng, k.all[2:]).leave(k.rng.IntN(30))
		case n < 6:
			k.m.sleep(k.rng.Float64() * 20)
		case n < 8:
			k.m.sleep(k.rng.Float64() * 2)
		case n < 9:
			k.flush()
		case n < 35:
			k.answer()
		default:
			anybody(k.rng, k.all).step()
		}
	}
}

// answer lets the router hear from the disk.
func (k *town) answer() bool {
	if synctest.Wait(); k.m.disk.Changes() != k.m.seen {
		k.shoot()
	}
	return k.m.answer()
}

func (k *town) shoot() {
	s := shot{seen: k.m.seen, clock: k.m.clock(), led: k.led.clone()}
	for _, c := range k.all {
		s.all = append(s.all, c.clone(nil))
	}
	k.shots = append(k.shots, s)
}

// flush waits for the disk; whoever left has left then.
func (k *town) flush() {
	k.m.pass(func() {})
	for k.answer() {
	}
	for _, c := range k.all {
		c.leftSure = !c.up && !k.faulty
	}
}

// afterCut is the town after the power was away, from the n-th change of the
// disk on.
func (k *town) afterCut(n int, rng *rand.Rand) *town {
	at := 0
	for at+1 < len(k.shots) && k.shots[at+1].seen <= n {
		at++
	}
	s := k.shots[at]
	return k.resume(s, k.m.disk.Cut(n, survival(rng)), rng)
}

// resume starts a broker on what a disk has, beside the clients of a shot.
func (k *town) resume(s shot, disk *store.Disk, rng *rand.Rand) *town {
	after := &town{t: k.t, rng: rng, led: s.led.clone(), cutAt: s.clock, faulty: k.faulty}
	for _, c := range s.all {
		c = c.clone(after)
		if c.up {
			c.left(s.clock)
		}
		after.all = append(after.all, c)
	}
	after.faulty = false
	away := []float64{0.1, 20, 200, 2000}[rng.IntN(4)]
	limits := townLimits
	limits.QueuedWindowMax = 1 + rng.IntN(8)
	after.m = power(k.t, router.Config{Limits: limits}, disk, s.clock+int64(away*1e9))
	after.led.expire(after.m.clock())
	after.bury()
	return after
}

// bury says what must become of the will that was in force.
func (k *town) bury() {
	w, s := k.named("w"), k.named("s0")
	p := k.led.find("w/w 2", w.life)
	switch {
	case p == nil || !w.armed:
	case !w.buried:
		p.wanted = s.bit
	case w.leftSure:
		p.barred = s.bit
	}
}

// heal lets everything come to its end, the one with the will last.
func (k *town) heal() {
	k.last = true
	start := k.m.clock()
	for range 20_000 {
		busy, moved := false, false
		for _, c := range k.all {
			c.idle = 0
			if c.mortal && k.m.clock() < start+20e9 {
				busy = true
				continue
			}
			for c.step(); len(c.inbox) > 0; c.step() {
				moved = true
			}
			busy = busy || !c.there || len(c.open) > 0 || c.asking >= 0
		}
		for k.m.answer() {
			moved = true
		}
		if st := k.m.r.Stats(); !busy && !moved && st.Queued+st.Inflight == 0 {
			return
		}
		if !moved {
			k.m.sleep(5.1)
		}
	}
	k.t.Fatalf("it does not come to rest: %+v", k.m.r.Stats())
}

// judge holds what there is against the ledger, when all is at rest.
func (k *town) judge() error {
	k.led.expire(k.m.clock())
	c := k.m.connect("judge", true)
	c.feed(wire(0x82, "\x00\x01", str("r/#"), "\x00"))
	values := map[string]int{"r/p0": -1, "r/p1": -1}
	for range 20 {
		k.m.pass(func() {})
		k.m.answer()
		for _, p := range packets(c.take()) {
			if body := rest(p); p[0]>>4 == 3 {
				n := 2 + int(body[1])
				text, _, _ := strings.Cut(body[n:], " ")
				values[body[2:n]], _ = strconv.Atoi(text)
			}
		}
	}
	for topic, n := range values {
		k.led.judgeKept(topic, n)
	}
	for group := range groups {
		topic := fmt.Sprintf("t/%d/judge", group)
		p := post{stream: topic + " 1", n: 1, group: group}
		for _, s := range k.subscribers() {
			p.wanted |= s.bit * one(s.subs[group] == on)
			p.barred |= s.bit * one(s.subs[group] != on)
		}
		k.led.enter(p)
		c.feed(wire(0x32, str(topic), string([]byte{0, byte(9 + group)}), "1 "))
	}
	for range 20 { // reading may have been paused
		k.m.answer()
		k.m.sleep(0.2)
		c.feed(nil)
	}
	k.heal()
	return k.led.judge(k.subscribers())
}

// moreSeeds is how many seeds a test takes: LOOPMQ_SEEDS, or few.
func moreSeeds(few int) (seeds int, many bool) {
	if n, err := strconv.Atoi(os.Getenv("LOOPMQ_SEEDS")); err == nil {
		return n, true
	}
	if testing.Short() {
		few = max(1, few/5)
	}
	return few, false
}

// TestPowerCuts lets clients talk to a broker, and then cuts its power after
// every change of the disk, with sectors that were not flushed lost, kept or
// torn. Whatever was acknowledged on the wire is there after the start.
func TestPowerCuts(t *testing.T) {
	seeds, many := moreSeeds(12)
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newTown(t, seed)
				first := k.m.disk.Changes()
				k.live(1200)
				k.shoot()
				stride := 1
				if !many && seed > 0 {
					stride = 24
				}
				k.m.off()
				cuts := 0
				for n := first + int(seed)%stride; n <= k.shots[len(k.shots)-1].seen; n += stride {
					rng := rand.New(rand.NewPCG(seed, uint64(n)))
					after := k.afterCut(n, rng)
					after.heal()
					err := after.judge()
					after.m.off()
					if cuts++; err != nil {
						t.Fatalf("cut at change %d: %v", n, err)
					}
				}
				t.Logf("%d messages, %d commits, %d cuts", len(k.led.posted), len(k.shots), cuts)
				if k.led.wrong != nil {
					t.Fatal(k.led.wrong)
				}
			})
		})
	}
}
