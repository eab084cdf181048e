package record_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/broker/record"
	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/internal/testkit"
	"github.com/loopmq/loopmq/router"
)

// shelfStore is a store in memory. Commits and reads end when the test says so.
type shelfStore struct {
	durable, open map[uint64][]byte
	sealed        map[uint64]bool // keys that ever were
	commit        func(error)
	reads         []func()
	err           error // of Err
	busy          bool  // takes no reads
	crowded       bool
	unread        error // what reads end with
}

func newShelfStore() *shelfStore {
	return &shelfStore{durable: map[uint64][]byte{}, open: map[uint64][]byte{}, sealed: map[uint64]bool{}}
}

func (s *shelfStore) Put(key uint64, head, body []byte) {
	s.open[key] = append(slices.Clone(head), body...)
}

func (s *shelfStore) PutShared(key uint64, head []byte, body *buf.Ref) {
	s.Put(key, head, body.Bytes())
	body.Release()
}

// Delete says that nothing is left to be written of what was never sealed.
func (s *shelfStore) Delete(key uint64) bool {
	if s.sealed[key] {
		s.open[key] = nil
		return true
	}
	_, put := s.open[key]
	delete(s.open, key)
	return !put
}

func (s *shelfStore) DeleteRange(first, last uint64) {
	for _, m := range []map[uint64][]byte{s.durable, s.open} {
		for k := range m {
			if k >= first && k <= last {
				s.open[k] = nil
			}
		}
	}
}
func (s *shelfStore) Room(int) bool { return !s.crowded && s.err == nil }
func (s *shelfStore) Err() error    { return s.err }
func (s *shelfStore) Memory() int64 { return 0 }

func (s *shelfStore) Seal(done func(error)) bool {
	if s.commit != nil {
		return false
	}
	batch := s.open
	for k := range batch {
		s.sealed[k] = true
	}
	s.open = map[uint64][]byte{}
	s.commit = func(err error) {
		s.commit = nil
		for k, v := range batch {
			switch _, newer := s.open[k]; {
			case err != nil && !newer:
				s.open[k] = v // goes with the next
			case v == nil:
				delete(s.durable, k)
			case err == nil:
				s.durable[k] = v
			}
		}
		done(err)
	}
	return true
}

func (s *shelfStore) Load(each func(key uint64, value []byte) error) error {
	var keys []uint64
	for k := range s.durable {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		value := s.durable[k]
		if k>>56 >= 0x80 {
			value = nil
		}
		if err := each(k, value); err != nil {
			return err
		}
	}
	return nil
}

func (s *shelfStore) Fetch(keys []uint64) (values []router.StoreValue) {
	for _, k := range keys {
		v := router.StoreValue{Data: slices.Clone(s.durable[k]), Err: s.unread}
		if _, there := s.durable[k]; !there && v.Err == nil {
			v.Err = router.ErrLost
		}
		values = append(values, v)
	}
	return values
}

func (s *shelfStore) Read(keys []uint64, done func([]router.StoreValue)) bool {
	if s.busy {
		return false
	}
	keys = slices.Clone(keys)
	s.reads = append(s.reads, func() { done(s.Fetch(keys)) })
	return true
}

// end ends the commit, if there is one, and all reads.
func (s *shelfStore) end(w *world, err error) {
	w.pass(func() {
		if s.commit != nil {
			s.commit(err)
		}
		list := s.reads
		s.reads = nil
		for _, done := range list {
			done()
		}
	})
}

// keepingWorld is one with a store that has something in it.
func keepingWorld(t *testing.T, s *shelfStore) *world {
	wall := int64(1.7e18)
	w := newWorld(t, record.Options{}, router.Config{
		Store: s, Wall: func() int64 { wall += 1e8 + 7; return wall }, Limits: router.Limits{QueuedWindowMax: 2, InflightMax: 2},
	})
	if _, err := w.r.Restore(5); err != nil {
		t.Fatal(err)
	}
	w.rec.Restored(5)
	return w
}

// settle ends commits and reads until there is none.
func (s *shelfStore) settle(w *world) {
	for range 100 {
		s.end(w, nil)
		if s.commit == nil && len(s.reads) == 0 {
			w.now += 2e9 // for what is lazy
			w.pass(func() {})
			if s.commit == nil && len(s.reads) == 0 {
				return
			}
		}
	}
	w.t.Fatal("the store does not come to rest")
}

// same replays what was recorded and wants the same to be sent.
func (w *world) same() *record.Report {
	w.t.Helper()
	sent, rep := w.replayed()
	if strings.Join(sent, "\n") != strings.Join(w.sent, "\n") || len(rep.Differs) > 0 {
		w.t.Errorf("then\n%s\nnow\n%s\n%q", strings.Join(w.sent, "\n"), strings.Join(sent, "\n"), rep.Differs)
	}
	return rep
}

const durableS = "10 0d 0004 'MQTT' 04 00 0000 0001 's'"

// A store that is full for a while, that reads nothing for a while, and that fails in the end, answers the same in a
// replay, and so does one that something was left in.
func TestReplayOfAStore(t *testing.T) {
	store := newShelfStore()
	w := keepingWorld(t, store)
	s, p := w.dial(nil), w.dial(nil)
	s.send(durableS)
	s.send("82 06 0001 0001 't' 02")
	store.settle(w)
	s.send("e0 00")
	s.close(nil)
	p.send(connectB5)
	for i := range 9 {
		p.send(fmt.Sprintf("34 08 0001 't' %04x 00 'm%d'", i+1, i))
		if i == 3 {
			store.end(w, fmt.Errorf("%w: no room", router.ErrStoreFull))
			w.now += 2e9
			store.settle(w)
			store.err = fmt.Errorf("%w: at its limit", router.ErrStoreFull)
			p.send("34 08 0001 't' 0077 00 'no'") // is refused
			store.err = nil
			store.settle(w)
		}
		store.end(w, nil)
	}
	store.settle(w)
	if last := w.sent[len(w.sent)-1]; !strings.HasPrefix(last, "2< 50") {
		t.Fatalf("the last is no PUBREC: %s", last)
	}
	w.same()

	store = &shelfStore{durable: store.durable, open: map[uint64][]byte{}, sealed: store.sealed, unread: errDisk}
	w = keepingWorld(t, store) // begins with messages that wait
	s = w.dial(nil)
	s.send(durableS)
	store.end(w, nil) // nothing can be read
	store.unread, store.busy = nil, true
	w.now += 2e9
	w.pass(func() {}) // reads again, but too many wait
	store.busy = false
	store.settle(w)
	store.busy = true
	s.send("50 02 0001")
	store.end(w, nil)
	s.send("70 02 0001")
	store.end(w, nil) // the next would be read
	store.busy = false
	s.send("c0 00") // is answered before it comes
	store.settle(w)
	for id := 1; id < 3; id++ { // the window is two
		s.send(fmt.Sprintf("50 02 %04x", id+1))
		store.settle(w)
		s.send(fmt.Sprintf("70 02 %04x", id+1))
		store.settle(w)
	}
	for k := range store.durable {
		if k>>56 == 0x80 {
			delete(store.durable, k) // all messages are lost
		}
	}
	s.send("50 02 0004 70 02 0004")
	store.settle(w)
	store.crowded = true
	s.send("32 06 0001 't' 0001 'x'") // is held back
	store.crowded = false
	store.settle(w)
	s.send("32 06 0001 't' 0002 'y'")
	store.end(w, errDisk) // it has failed
	s.close(nil)
	rep := w.same()
	if rep.Stats.Delivered[2] < 4 || rep.Stats.Dropped[router.DropUnreadable] == 0 {
		t.Errorf("%d deliveries, %d unreadable", rep.Stats.Delivered[2], rep.Stats.Dropped[router.DropUnreadable])
	}
	if all := strings.Join(w.sent, "\n"); !strings.Contains(all, "1< 40020001") || strings.Contains(all, "1< 40020002") {
		t.Errorf("acknowledged, or not:\n%s", all)
	}
}

// A recording remembers some thousands of users of whom it is known as what they are kept, and no long names; a replay
// forgets them at the same places.
func TestUsersThatAreKeptAreForgotten(t *testing.T) {
	wall := int64(1.7e18)
	store := newShelfStore()
	w := newWorld(t, record.Options{}, router.Config{
		Store: store, Wall: func() int64 { wall += 1e8; return wall },
		SaveIdentity: func(id *router.Identity) []byte { return []byte("<" + id.User + ">") },
	})
	if _, err := w.r.Restore(5); err != nil {
		t.Fatal(err)
	}
	w.rec.Restored(5)
	long := strings.Repeat("n", 257)
	visit := func(users ...string) {
		w.pass(func() {
			for _, user := range users {
				c := &conn{w: w, n: len(w.tap) + 1}
				id := user[:min(len(user), 100)]
				w.tap[c] = w.rec.Attach(w.r, c, router.Peer{Identity: &router.Identity{User: user}})
				_, _ = w.tap[c].Data(append(testkit.Bytes(fmt.Sprintf("10 %02x 0004 'MQTT' 04 00 0000 00 %02x", 12+len(id), len(id))), id...))
				w.tap[c].Closed(nil)
			}
		})
		store.end(w, nil)
	}
	visit("first", long, "first")
	var others []string
	for i := range 4096 {
		others = append(others, fmt.Sprintf("u%d", i))
	}
	visit(others...)
	visit("first")
	sent, rep := w.replayed()
	if w.end != nil || len(rep.Differs) > 0 || !slices.Equal(sent, w.sent) {
		t.Errorf("sent %d packets, then %d; %v, %v", len(sent), len(w.sent), rep.Differs, w.end)
	}
	for user, want := range map[string]int{"first": 2, long: 2, "u0": 1} { // long: as it came, and as it went
		if n := strings.Count(string(w.file.Bytes()), "<"+user+">"); n != want {
			t.Errorf("%.9s is written down %d times, want %d", user, n, want)
		}
	}
}

var errDisk = errors.New("disk")
