package router_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// club is the members of a shared subscription. b stays for ever, the sessions of
// the others end now and then.
type club struct {
	d     *durable
	rng   *rand.Rand
	conns map[string]*fakeConn
	sent  int
	acked map[int]bool // by PUBACK
	got   map[int]bool
}

// TestHeirsGetEverything: sessions of a shared subscription end with much on
// disk, through power cuts and reads that fail. What was acknowledged reaches
// somebody.
func TestHeirsGetEverything(t *testing.T) {
	seeds := 200
	if testing.Short() {
		seeds = 20
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 9))
			k := &club{
				rng: rng, conns: map[string]*fakeConn{}, acked: map[int]bool{}, got: map[int]bool{},
				d: newDurable(t, router.Limits{InflightMax: 1 + rng.IntN(3), QueuedWindowMax: 1 + rng.IntN(4), QueuedMessagesMax: 100_000}),
			}
			k.join("b")
			k.d.flush()
			for range 300 {
				k.step()
			}
			k.wantAll()
		})
	}
}

func (k *club) member() string { return string("abc"[k.rng.IntN(3)]) }

func (k *club) step() {
	switch n := k.rng.IntN(100); {
	case n < 30:
		k.publish()
	case n < 35:
		k.join(k.member())
	case n < 45:
		k.leave(k.member())
	case n < 49:
		k.end(string("ac"[k.rng.IntN(2)]))
	case n < 60:
		k.take(k.member())
	case n < 75:
		k.d.commit()
	case n < 85:
		k.d.spoils = func(store.Key) bool { return k.rng.IntN(6) == 0 }
		k.d.answer()
	case n < 95:
		k.d.sleep(k.rng.Float64())
	case n < 97:
		k.d = k.d.crash(store.Flight(k.rng.IntN(2)), k.rng.Float64())
		clear(k.conns)
	}
}

// publish sends the next message, and notes which were acknowledged.
func (k *club) publish() {
	p := k.conns["p"]
	if p == nil {
		p = k.d.connect("p", true)
		k.conns["p"] = p
	}
	k.sent++
	p.feed(packet(0x32, str("t"), string([]byte{byte(k.sent >> 8), byte(k.sent)}), fmt.Sprint(k.sent)))
	k.noteAcks()
}

func (k *club) noteAcks() {
	if p := k.conns["p"]; p != nil {
		for _, f := range frames(p.take()) {
			if f[0] == 0x40 {
				k.acked[int(f[2])<<8|int(f[3])] = true
			}
		}
	}
}

func (k *club) join(id string) {
	if k.conns[id] == nil {
		k.conns[id] = k.d.connect(id, false)
		k.conns[id].feed(packet(0x82, "\x00\x01", str("$share/g/t"), "\x01"))
	}
}

func (k *club) leave(id string) {
	if c := k.conns[id]; c != nil {
		k.take(id)
		c.reset()
		delete(k.conns, id)
	}
}

// end ends the session of id.
func (k *club) end(id string) {
	k.leave(id)
	k.d.connect(id, true).reset()
}

// take acknowledges some of what came.
func (k *club) take(id string) {
	c := k.conns[id]
	if c == nil {
		return
	}
	for _, f := range frames(c.take()) {
		if f[0]>>4 != 3 || k.rng.IntN(4) == 0 {
			continue
		}
		var n int
		if _, err := fmt.Sscan(f[7:], &n); err != nil {
			k.d.t.Fatal(err)
		}
		k.got[n] = true
		c.feed([]byte{0x40, 2, f[5], f[6]})
	}
}

// wantAll ends all sessions but that of b, which inherits what there is.
func (k *club) wantAll() {
	k.noteAcks()
	k.d.spoils = nil
	for _, id := range []string{"a", "b", "c"} {
		k.leave(id)
	}
	k.end("a")
	k.end("c")
	b := k.d.connect("b", false)
	for quiet := 0; quiet < 5; quiet++ {
		k.d.sleep(1.1)
		k.d.flush()
		for _, f := range frames(b.take()) {
			if f[0]>>4 != 3 {
				continue
			}
			quiet = 0
			var n int
			_, _ = fmt.Sscan(f[7:], &n)
			k.got[n] = true
			b.feed([]byte{0x40, 2, f[5], f[6]})
		}
	}
	for n := range k.acked {
		if !k.got[n] {
			k.d.t.Errorf("message %d of %d was acknowledged and reached nobody", n, k.sent)
		}
	}
	if st := k.d.r.Stats(); len(k.acked) == 0 || st.Queued+st.Inflight != 0 {
		k.d.t.Errorf("%d acknowledged, %d wait, %d in flight", len(k.acked), st.Queued, st.Inflight)
	}
}
