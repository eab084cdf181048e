package router_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// TestCrashesLoseNothing lets clients that keep their state talk through
// crashes, full disks and lost connections. At the end each has what was
// acknowledged: of QoS 1 at least once, of QoS 2 exactly once, in order.
func TestCrashesLoseNothing(t *testing.T) {
	seeds := uint64(300)
	if testing.Short() {
		seeds = 30
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 3))
			k := &talk{rng: rng, d: startDurable(t, router.Config{
				Limits: router.Limits{
					InflightMax: 1 + rng.IntN(8), QueuedMessagesMax: 100_000, QueuedWindowMax: 1 + rng.IntN(10),
				},
				Durability: []router.DurabilityRule{
					{Filter: "t/lazy", Class: router.DurabilityLazy}, {Filter: "t/none", Class: router.DurabilityNone},
				},
			}, store.NewMem(), 1_700_000_000e9)}
			noise := int(seed%3) * 60
			for i := range 2 {
				k.all = append(k.all, &talker{k: k, id: fmt.Sprint("p", i)})
			}
			for i := range 2 {
				k.all = append(k.all, &talker{k: k, id: fmt.Sprint("s", i), filter: "t/+"})
			}
			for _, c := range k.all { // subscribed before the first message
				for c.conn == nil || c.filter != "" && !c.subscribed {
					c.step()
					k.d.flush()
				}
			}
			crash, reset := 1+rng.IntN(40), 1+rng.IntN(20)
			for range 1500 {
				switch n := rng.IntN(1000); {
				case n < crash:
					k.crash()
				case n < crash+reset:
					k.all[rng.IntN(4)].reset()
				case n < crash+reset+20:
					k.d.pass(func() { k.d.mem.Complete(store.ErrFull) })
				case n < 300:
					k.d.commit()
				case n < 310:
					k.d.spoils = func(store.Key) bool { return rng.IntN(8) == 0 }
					k.d.answer()
				case n >= 1000-noise:
					k.noise()
				case n < 330:
					k.d.sleep(rng.Float64() * 2)
				default:
					k.all[rng.IntN(4)].step()
				}
			}
			k.heal()
			k.judge(t)
		})
	}
}

// talk is all that takes part.
type talk struct {
	rng  *rand.Rand
	d    *durable
	all  []*talker
	last bool // nothing new is published

	noises int
}

func (k *talk) crash() {
	k.d = k.d.crash(store.Flight(k.rng.IntN(2)), k.rng.Float64())
	for _, c := range k.all {
		c.lost()
	}
}

// noise publishes what may be lost, to the same subscribers: nothing that was
// acknowledged may be lost for it, nor a PacketID be taken for another.
func (k *talk) noise() {
	c := k.d.connect("noise", true)
	name := [2]string{"t/lazy", "t/none"}[k.rng.IntN(2)]
	k.noises++
	c.feed(packet(0x32+byte(k.rng.IntN(2))<<1, str(name), "\x00\x01", strconv.Itoa(k.noises)))
	c.reset()
}

// heal lets everything come to its end.
func (k *talk) heal() {
	k.last, k.d.spoils = true, nil
	for range 20_000 {
		busy := false
		for _, c := range k.all {
			c.step()
			busy = busy || c.conn == nil || len(c.inbox)+len(c.open) > 0
		}
		k.d.sleep(1.1)
		busy = k.d.commit() || busy
		busy = k.d.answer() || busy
		if st := k.d.r.Stats(); !busy && st.Queued+st.Inflight == 0 {
			return
		}
	}
	k.d.t.Fatalf("it does not come to rest: %+v", k.d.r.Stats())
}

func (k *talk) judge(t *testing.T) {
	total := 0
	for _, p := range k.all[:2] {
		for _, s := range k.all[2:] {
			for qos := 1; qos <= 2; qos++ {
				total += p.sent[qos]
				p.compare(t, s, qos)
			}
		}
	}
	if total == 0 {
		t.Error("nothing was published")
	}
	for _, s := range k.all[2:] {
		for _, from := range []string{"lazy 1", "lazy 2", "none 1", "none 2"} {
			if got := s.got[from]; !slices.IsSorted(firsts(got)) || from[5] == '2' && len(firsts(got)) < len(got) {
				t.Errorf("%s got of %s: %v", s.id, from, got)
			}
		}
	}
}

// firsts leaves out copies.
func firsts(list []int) (first []int) {
	for _, n := range list {
		if !slices.Contains(first, n) {
			first = append(first, n)
		}
	}
	return first
}

// compare holds what s got of p against what p sent.
func (c *talker) compare(t *testing.T, s *talker, qos int) {
	got := s.got[fmt.Sprint(c.id, " ", qos)]
	if qos == 1 { // copies may come again, after the first of each came in order
		got = firsts(got)
	}
	for i := range max(c.sent[qos], len(got)) {
		if i >= len(got) || got[i] != i+1 {
			t.Fatalf("%s got of %s with QoS %d: %v, want 1 to %d", s.id, c.id, qos, got, c.sent[qos])
		}
	}
}

// talker is a client that keeps its state whatever happens.
type talker struct {
	k          *talk
	id         string
	filter     string
	conn       *fakeConn
	there      bool // CONNACK came
	subscribed bool
	inbox      []string // packets not looked at
	nextID     byte

	sent     [3]int // by QoS
	open     []*sentMessage
	received map[string]bool // PacketIDs of QoS 2 that wait for PUBREL
	got      map[string][]int
}

type sentMessage struct {
	id       byte
	qos      byte
	n        int
	released bool // PUBREC came
}

func (c *talker) lost() { c.conn, c.there, c.inbox = nil, false, nil }

func (c *talker) reset() {
	if c.conn != nil {
		c.conn.reset()
	}
	c.lost()
}

// step connects, or looks at a packet, or publishes.
func (c *talker) step() {
	if c.conn == nil {
		c.conn = c.k.d.connect(c.id, false)
		return
	}
	if c.conn.closing {
		c.lost()
		return
	}
	if len(c.conn.tail) > 0 { // it was paused, and perhaps is no more
		c.conn.feed(nil)
	}
	c.inbox = append(c.inbox, frames(c.conn.take())...)
	switch {
	case len(c.inbox) > 0:
		p := c.inbox[0]
		c.inbox = c.inbox[1:]
		c.handle(p)
	case c.there && c.filter == "" && !c.k.last && len(c.open) < 6:
		c.publish()
	}
}

func (c *talker) publish() {
	m := &sentMessage{qos: byte(1 + c.k.rng.IntN(2))}
	for used := true; used; {
		c.nextID = c.nextID%8 + 1
		used = slices.ContainsFunc(c.open, func(o *sentMessage) bool { return o.id == c.nextID })
	}
	c.sent[m.qos]++
	m.id, m.n = c.nextID, c.sent[m.qos]
	c.open = append(c.open, m)
	c.send(m, 0)
}

func (c *talker) send(m *sentMessage, dup byte) {
	c.conn.feed(packet(0x30|m.qos<<1|dup, str("t/"+c.id), string([]byte{0, m.id}), strconv.Itoa(m.n)))
}

func (c *talker) handle(p string) {
	switch p[0] >> 4 {
	case 2:
		c.connected(p)
	case 3:
		c.message(p)
	case 4, 5, 7:
		c.acknowledged(p)
	case 6:
		delete(c.received, p[2:4])
		c.conn.feed([]byte{0x70, 2, p[2], p[3]})
	case 9:
		c.subscribed = true
	}
}

func (c *talker) connected(p string) {
	if c.there || p[3] != 0 {
		c.k.d.t.Fatalf("%s: CONNACK % x", c.id, p)
	}
	c.there = true
	if c.filter != "" && !c.subscribed {
		c.conn.feed(packet(0x82, "\x00\x01", str(c.filter), "\x02"))
	} else if c.filter != "" && p[2] != 1 {
		c.k.d.t.Fatalf("%s: the session is gone", c.id)
	}
	for _, m := range c.open {
		if m.released {
			c.conn.feed([]byte{0x62, 2, 0, m.id})
		} else {
			c.send(m, 8)
		}
	}
}

func (c *talker) message(p string) {
	n := 4 + int(p[3])
	from, id := strings.TrimPrefix(p[4:n], "t/"), p[n:n+2]
	qos := p[0] >> 1 & 3
	number, _ := strconv.Atoi(p[n+2:])
	if !c.received[id] {
		if c.got == nil {
			c.got, c.received = map[string][]int{}, map[string]bool{}
		}
		key := fmt.Sprint(from, " ", qos)
		c.got[key] = append(c.got[key], number)
	}
	if qos == 2 {
		c.received[id] = true
	}
	c.conn.feed([]byte{0x30 + qos<<4, 2, id[0], id[1]})
}

func (c *talker) acknowledged(p string) {
	i := slices.IndexFunc(c.open, func(o *sentMessage) bool { return o.id == p[3] })
	if i < 0 {
		return
	}
	m := c.open[i]
	switch kind := p[0] >> 4; {
	case kind == 5 && m.qos == 2:
		m.released = true
		c.conn.feed([]byte{0x62, 2, 0, m.id})
	case kind == 4 && m.qos == 1, kind == 7 && m.qos == 2:
		c.open = slices.Delete(c.open, i, i+1)
	}
}
