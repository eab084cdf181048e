package router_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// TestFaultAtEachCall lets a call of the disk fail, each in turn, once or for a
// while, with an error or for want of space. Nothing that was acknowledged is
// lost; a full disk is left behind without a restart, and each change of the
// store's state is one event.
func TestFaultAtEachCall(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		long int // calls
	}{
		{"EIO once", syscall.EIO, 1},
		{"EIO from then on", syscall.EIO, 1 << 30},
		{"ENOSPC once", syscall.ENOSPC, 1},
		{"ENOSPC for a while", syscall.ENOSPC, 40},
		{"ENOSPC until the end", syscall.ENOSPC, 1 << 30},
	} {
		t.Run(c.name, func(t *testing.T) {
			seeds, many := moreSeeds(1)
			stride := 23
			if many {
				stride, seeds = 1, 1+seeds/20
			}
			sum := faultSum{}
			for seed := range uint64(seeds) {
				for n, reached := 1, true; reached && !t.Failed(); n += stride {
					synctest.Test(t, func(t *testing.T) {
						rng := rand.New(rand.NewPCG(seed, uint64(n)))
						reached = faulted(t, seed, n, n+c.long, c.err, rng, &sum)
						if t.Failed() {
							t.Logf("seed %d, call %d", seed, n)
						}
					})
				}
			}
			t.Logf("%+v", sum)
			if sum.full+sum.failed == 0 || sum.refusals == 0 && c.long > 1 {
				t.Error("nobody met the fault")
			}
		})
	}
}

type faultSum struct{ runs, full, failed, refusals, messages int }

// faulted is one run in which the calls from..to of the disk fail. It tells
// whether there was such a call.
func faulted(t *testing.T, seed uint64, from, to int, cause error, rng *rand.Rand, sum *faultSum) bool {
	k := newTown(t, seed)
	calls := 0
	k.faulty = true
	for _, c := range k.all {
		c.goneAt = k.m.clock() // or later
	}
	k.m.disk.Fail = func(what string) error {
		calls++
		if calls >= from && calls < to {
			return fmt.Errorf("%s: %w", what, cause)
		}
		return nil
	}
	k.live(400)
	k.qos0()
	k.flush()
	synctest.Wait() // the writer may be at it still
	k.m.disk.Fail = nil
	failed := k.loudness(sum)
	if !failed && rng.IntN(2) == 0 {
		k.heal() // by itself
		if err := k.judge(); err != nil {
			t.Errorf("without a restart: %v", err)
		}
		k.m.sleep(61) // there was room for a minute
		if k.loudness(nil); k.m.r.Stats().Clients == 0 {
			t.Error("nobody is there")
		}
		for _, e := range k.storeEvents() {
			failed = e.Err != nil
		}
		if failed {
			t.Error("the log says that the store is still full")
		}
	}
	k.shoot()
	k.m.off()
	after := k.resume(k.shots[len(k.shots)-1], k.m.disk.Cut(k.m.disk.Changes(), survival(rng)), rng)
	after.heal()
	if err := after.judge(); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	after.m.off()
	if k.led.wrong != nil {
		t.Error(k.led.wrong)
	}
	sum.runs++
	sum.refusals += k.refusals
	sum.messages += len(k.led.posted)
	return calls >= from
}

func (k *town) storeEvents() (list []router.Event) {
	for _, e := range k.m.events {
		if e.Kind == router.EventStore {
			list = append(list, e)
		}
	}
	return list
}

// loudness checks that each change of the store's state is one event, and tells
// whether it has failed.
func (k *town) loudness(sum *faultSum) (failed bool) {
	full := false
	for i, e := range k.storeEvents() {
		now := errors.Is(e.Err, router.ErrStoreFull)
		if failed || now && full || e.Err == nil && !full {
			k.t.Errorf("event %d of %v says nothing new", i, k.storeEvents())
		}
		full, failed = now, e.Err != nil && !now
		if sum != nil && now {
			sum.full++
		} else if sum != nil && failed {
			sum.failed++
		}
	}
	return failed
}

// qos0 looks whether QoS 0 goes on, whatever the disk does.
func (k *town) qos0() {
	s, p := k.m.connect("z", true), k.m.connect("y", true)
	s.feed(wire(0x82, "\x00\x01", str("z"), "\x00"))
	p.feed(wire(0x30, str("z"), "0"))
	if out := packets(s.take()); len(out) != 3 || rest(out[2]) != str("z")+"0" {
		k.t.Errorf("QoS 0 is not delivered: %q", out)
	}
	s.reset()
	p.reset()
}

// TestRoomAgain: a store says that it is full while deletions still find room,
// so no commit fails. The broker finds out by itself that there is space.
func TestRoomAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := townLimits
		limits.QueuedWindowMax = 2
		m := power(t, router.Config{Limits: limits}, store.NewDisk(), 1_700_000_000e9)
		defer m.off()
		p := m.dial()
		p.feed(wire(0x10, str("MQTT"), "\x05\x02\x00\x00\x00", str("p")))
		m.disk.Fail = func(what string) error {
			if what == "allocate" {
				return syscall.ENOSPC
			}
			return nil
		}
		publish := func() (code byte) {
			p.take()
			p.feed(wire(0x33, str("t"), "\x00\x01\x00", strings.Repeat(".", 1000)))
			for m.answer() {
			}
			out := packets(p.take())
			if len(out) != 1 {
				t.Fatalf("no PUBACK: %q", out)
			}
			if body := rest(out[0]); len(body) > 2 {
				code = body[2]
			}
			return code
		}
		for n := 0; publish() < 0x80; n++ {
			if n > 200 {
				t.Fatal("the disk never got full")
			}
		}
		synctest.Wait()
		m.disk.Fail = nil
		for range 3 {
			m.sleep(1.1)
			m.answer()
		}
		m.sleep(61)
		if code := publish(); code >= 0x80 {
			t.Errorf("there is room, and PUBACK says 0x%02x", code)
		}
		if k := (&town{t: t, m: m}); k.loudness(nil) || len(k.storeEvents()) != 2 {
			t.Errorf("events %v, want full and room again", k.storeEvents())
		}
	})
}
