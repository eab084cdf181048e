package record_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/loopmq/loopmq/broker/record"
	"github.com/loopmq/loopmq/internal/testkit"
	"github.com/loopmq/loopmq/router"
)

// Connections of all versions that take little at a time, also by a quota, refuse in a replay what they refused then.
func TestReplayOfRefusals(t *testing.T) {
	refused := uint64(0)
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 9))
		w := newWorld(t, record.Options{}, router.Config{Limits: router.Limits{LateBytesMax: 3000}})
		l := &router.Listener{Name: "l", Authenticator: slow{w, rng}}
		var open []*conn
		for i := range 8 {
			c := w.dial(l)
			packet := fmt.Sprintf("10 0d 0004 'MQTT' 04 02 003c 0001 '%d'", i)
			filter := []string{"0001 't'", "0001 '#'", "0001 '+'"}[rng.IntN(3)*int(seed%2)] // one for all takes a way of its own
			subscribe := fmt.Sprintf("82 06 0001 %s %02x", filter, rng.IntN(3))
			if c.five = rng.IntN(2) == 0; c.five {
				packet = fmt.Sprintf("10 14 0004 'MQTT' 05 02 003c 06 22 0003 21 0004 0001 '%d'", i) // aliases, and a window of 4
				if rng.IntN(2) == 0 {
					filter = "000a '$share/g/t'"
				}
				subscribe = fmt.Sprintf("82 %02x 0001 00 %s %02x", 6+len(testkit.Bytes(filter))-2, filter, rng.IntN(3))
			}
			c.send(packet)
			c.send(subscribe)
			c.limit = c.taken + rng.IntN(6000)
			open = append(open, c)
		}
		for range 300 {
			i := rng.IntN(len(open))
			c := open[i]
			if c.closing != nil {
				c.close(c.closing)
				if open = slices.Delete(open, i, i+1); len(open) < 2 {
					break
				}
				continue
			}
			switch n := rng.IntN(10); {
			case n < 7:
				w.pass(func() { _, _ = w.tap[c].Data(bytes.Repeat(publishAs(t, c.five, rng), 1+rng.IntN(5))) })
			case n == 7:
				w.now += rng.Int64N(2e9)
				c.drain()
			default:
				c.drain()
			}
		}
		for _, c := range open {
			refused += c.refused
		}
		w.same()
	}
	if refused < 500 {
		t.Errorf("only %d sends were refused", refused)
	}
}

// slow lets everybody in, and gives some a quota.
type slow struct {
	w   *world
	rng *rand.Rand
}

func (a slow) Authenticate(_ *router.Credentials, done func(router.Verdict)) {
	v := router.Verdict{Identity: &router.Identity{User: "u"}}
	if a.rng.IntN(3) == 0 {
		v.Quota.MessagesOut = 5
	}
	a.w.rec.Verdict(done)(v)
}

// publishAs is a PUBLISH to t with QoS 0 or 1, sometimes so long that its payload is shared.
func publishAs(t *testing.T, five bool, rng *rand.Rand) []byte {
	b := publish(rng.IntN(200))
	switch n := rng.IntN(20); {
	case n == 0:
		b = publish(5000)
	case n < 7 && five:
		return testkit.Bytes("32 09 0001 't' 0001 00 'abc'")
	case n < 7:
		return testkit.Bytes("32 08 0001 't' 0001 'abc'")
	}
	if !five {
		return b
	}
	at := bytes.Index(b, []byte("\x00\x01t")) + 3 // behind the topic stand no properties
	return append(append(append(length([]byte{0x30}, len(b)-at+4), b[at-3:at]...), 0), b[at:]...)
}

// length adds a Remaining Length.
func length(b []byte, n int) []byte {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}
