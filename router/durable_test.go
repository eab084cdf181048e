package router_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/loopmq/loopmq/internal/buf"

	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// memStore is a store in memory for a router.
type memStore struct {
	*store.Mem
	fails func(store.Key) error // of a read; nil: none does
	asked *int                  // calls of Room; nil: nobody counts
}

func (m memStore) Room(n int) bool {
	if m.asked != nil {
		*m.asked++
	}
	return m.Mem.Room(n)
}

func (m memStore) Put(key uint64, head, body []byte) { m.Mem.Put(store.Key(key), head, body) }
func (m memStore) Delete(key uint64) bool            { return m.Mem.Delete(store.Key(key)) }
func (m memStore) PutShared(key uint64, head []byte, body *buf.Ref) {
	m.Mem.PutShared(store.Key(key), head, body)
}

func (m memStore) DeleteRange(first, last uint64) {
	m.Mem.DeleteRange(store.Key(first), store.Key(last))
}
func (m memStore) Err() error { return storeErr(m.Mem.Err()) }

func storeErr(err error) error {
	if errors.Is(err, store.ErrFull) {
		return fmt.Errorf("%w: %w", router.ErrStoreFull, err)
	}
	return err
}

func (m memStore) Seal(done func(error)) bool {
	return m.Mem.Seal(func(err error) { done(storeErr(err)) })
}

func (m memStore) Load(each func(key uint64, value []byte) error) error {
	return m.Mem.Load(func(k store.Key, _ int, value []byte) error { return each(uint64(k), value) })
}

func (m memStore) Read(keys []uint64, done func([]router.StoreValue)) bool {
	return m.Mem.Read(storeKeys(keys), func(values []store.Value) {
		for i := range values {
			if m.fails == nil {
				break
			}
			if err := m.fails(values[i].Key); err != nil {
				values[i].Data, values[i].Err = nil, err
			}
		}
		done(inRouterWords(values))
	})
}

func storeKeys(keys []uint64) []store.Key {
	list := make([]store.Key, len(keys))
	for i, k := range keys {
		list[i] = store.Key(k)
	}
	return list
}

func inRouterWords(values []store.Value) []router.StoreValue {
	answer := make([]router.StoreValue, len(values))
	for i, v := range values {
		answer[i] = router.StoreValue{Data: v.Data, Err: v.Err}
		var damage *store.DamageError
		if errors.As(v.Err, &damage) || errors.Is(v.Err, store.ErrNotFound) {
			answer[i].Err = fmt.Errorf("%w: %w", router.ErrLost, v.Err)
		}
	}
	return answer
}

func (m memStore) Memory() int64 { return 0 }

// Fetch does not stand in the row of reads.
func (m memStore) Fetch(keys []uint64) (answer []router.StoreValue) {
	memStore{Mem: m.Crash(store.FlightLost)}.readAll(keys, func(v []router.StoreValue) { answer = v })
	return answer
}

func (m memStore) readAll(keys []uint64, done func([]router.StoreValue)) {
	m.Read(keys, done)
	m.Answer()
}

// durable is a world with a disk and a wall clock.
type durable struct {
	*world
	mem  *store.Mem
	wall int64 // ns between the clocks
	cfg  router.Config

	spoils func(store.Key) bool // which reads fail; nil: none
	asked  int                  // for room
}

func newDurable(t *testing.T, l router.Limits) *durable {
	return startDurable(t, router.Config{Limits: l}, store.NewMem(), 1_700_000_000e9)
}

// startDurable is a start of the broker.
func startDurable(t *testing.T, cfg router.Config, mem *store.Mem, wall int64) *durable {
	t.Helper()
	d := &durable{mem: mem, wall: wall, cfg: cfg}
	cfg.Store, cfg.Wall = memStore{mem, d.spoilt, &d.asked}, func() int64 { return d.wall + d.now }
	d.world = &world{now: 1} // for the clock
	d.world = newWorldOf(t, cfg)
	if _, err := d.r.Restore(d.now); err != nil {
		t.Fatal(err)
	}
	d.check()
	return d
}

// spoilt is how a read fails that may succeed the next time.
func (d *durable) spoilt(k store.Key) error {
	if d.spoils != nil && d.spoils(k) {
		return fmt.Errorf("read: %w", syscall.EIO)
	}
	return nil
}

// commit lets the disk finish what is on its way, and tells whether there was
// something.
func (d *durable) commit() bool {
	any := false
	d.pass(func() { any = d.mem.Complete(nil) })
	return any
}

// answer lets the disk answer a read, and tells whether there was one.
func (d *durable) answer() bool {
	any := false
	d.pass(func() { any = d.mem.Answer() })
	return any
}

// flush commits and reads until nothing is on its way.
func (d *durable) flush() {
	for d.pass(func() {}); d.commit() || d.answer(); {
	}
}

// crash is the power going and coming back after a while.
func (d *durable) crash(flight store.Flight, seconds float64) *durable {
	d.t.Helper()
	return startDurable(d.t, d.cfg, d.mem.Crash(flight), d.wall+d.now+int64(seconds*1e9))
}

// TestRandomCrashes lets clients do random things and takes the power away at
// random instants. What a start finds must be what was there.
func TestRandomCrashes(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 2))
			d := newDurable(t, router.Limits{
				InflightMax: 1 + r.IntN(4), QueuedMessagesMax: 1 + r.IntN(9), QueuedBytesMax: 20 + r.IntN(200),
				QueuedWindowMax: 1 + r.IntN(4), QueuedWindowBytesMax: 1 + r.IntN(100),
				SubscriptionsMax: 3, RetainedMessagesMax: 3, RetainedBytesMax: 100, RetainedPassMax: 1 + r.IntN(3),
				TopicLevelsMax: 4, SessionExpiry: time.Hour, ReceiveMaximum: 1 + r.IntN(3), TopicAliasMax: 3, TopicAliasOutMax: 2,
			})
			v := &visitors{w: d.world, r: r}
			for range 200 {
				v.step()
				switch r.IntN(14) {
				case 0, 1, 2, 3:
					d.commit()
				case 4:
					d.pass(func() { d.mem.Complete(store.ErrFull) })
				case 5:
					d.compare()
				case 7, 8:
					d.spoils = func(store.Key) bool { return r.IntN(4) == 0 }
					d.answer()
				case 6:
					if r.IntN(4) == 0 {
						d = d.crash(store.Flight(r.IntN(2)), 100*r.Float64())
						v.w = d.world
					}
				}
			}
			d.compare()
		})
	}
}

// compare starts from what the disk has once all is written.
func (d *durable) compare() {
	d.t.Helper()
	d.spoils = nil
	for i := 0; i < 10 || d.mem.Pending() > 0 && i < 20; i++ { // also what nobody waits for, and what found no room
		d.sleep(1.1)
		d.flush()
	}
	if d.mem.Pending() > 0 {
		d.t.Fatalf("%d bytes are never written", d.mem.Pending())
	}
	if d.r.EndsAtRestart() {
		return
	}
	want := d.r.Picture()
	if got := d.crash(store.FlightLost, 0).r.Picture(); got != want {
		d.t.Fatalf("a start found:\n%s\nwant:\n%s", got, want)
	}
}
