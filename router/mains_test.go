package router_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/loopmq/loopmq/internal/buf"

	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// mains is a router on a store on a disk whose power can be cut. It lives in a
// bubble of synctest: that tells when the store's goroutines have done all that
// they can, so a seed is a run.
type mains struct {
	*world
	disk   *store.Disk
	store  *store.Store
	posted chan func() // what the store has to tell the router
	wall   int64       // ns between the clocks
	seen   int         // changes of the disk that the router may know of
}

// power starts a broker on what disk holds.
func power(t *testing.T, cfg router.Config, disk *store.Disk, wall int64) *mains {
	t.Helper()
	m := &mains{disk: disk, wall: wall, posted: make(chan func(), 256)}
	s, err := store.OpenDisk(disk, store.Options{
		SegmentBytes: 8192, BatchBytes: 4096, Post: func(f func()) { m.posted <- f },
	})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	m.store = s
	m.world = &world{now: 1} // for the clock
	cfg.Store, cfg.Wall = diskStore{s, m}, m.clock
	m.world = newWorldOf(t, cfg)
	if _, err := m.r.Restore(m.now); err != nil {
		t.Fatalf("restore: %v", err)
	}
	m.pass(func() {})
	m.answer()
	return m
}

// clock is the time of day.
func (m *mains) clock() int64 { return m.wall + m.now }

// answer lets the disk finish what is on its way, and tells whether the router
// has heard of something.
func (m *mains) answer() bool {
	synctest.Wait()
	m.seen = m.disk.Changes()
	select {
	case f := <-m.posted:
		m.pass(f)
		return true
	default:
		return false
	}
}

// off ends the broker. What that still writes comes after every cut.
func (m *mains) off() { m.store.Close() }

// diskStore is a store.Store in the words of the router.
type diskStore struct {
	*store.Store
	m *mains
}

func (s diskStore) Put(key uint64, head, body []byte) { s.Store.Put(store.Key(key), head, body) }
func (s diskStore) Delete(key uint64) bool            { return s.Store.Delete(store.Key(key)) }
func (s diskStore) PutShared(key uint64, head []byte, body *buf.Ref) {
	s.Store.PutShared(store.Key(key), head, body)
}

func (s diskStore) DeleteRange(first, last uint64) {
	s.Store.DeleteRange(store.Key(first), store.Key(last))
}

func (s diskStore) Room(n int) bool {
	synctest.Wait() // else it depends on how far the writer is
	return s.Store.Room(n)
}

func (s diskStore) Err() error {
	synctest.Wait()
	return storeErr(s.Store.Err())
}

func (s diskStore) Seal(done func(error)) bool {
	return s.Store.Seal(func(err error) { done(storeErr(err)) })
}

func (s diskStore) Load(each func(key uint64, value []byte) error) error {
	return s.Store.Load(func(k store.Key, _ int, value []byte) error { return each(uint64(k), value) })
}

func (s diskStore) Read(keys []uint64, done func([]router.StoreValue)) bool {
	return s.Store.Read(storeKeys(keys), func(values []store.Value) { done(inRouterWords(values)) })
}

// Fetch is for a start, when nothing else is posted.
func (s diskStore) Fetch(keys []uint64) (answer []router.StoreValue) {
	s.Read(keys, func(v []router.StoreValue) { answer = v })
	(<-s.m.posted)()
	return answer
}

func (s diskStore) Memory() int64 { return s.Stats().IndexBytes }

// survival says of each unsynced thing whether it survived a power cut.
func survival(rng *rand.Rand) func() bool {
	p := []float64{0, 0.1, 0.5, 0.9, 1}[rng.IntN(5)]
	return func() bool { return rng.Float64() < p }
}
