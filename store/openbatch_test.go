package store

import (
	"bytes"
	"fmt"
	"maps"
	"testing"
)

// TestOpenBatchAgainstMap puts, replaces and deletes records as an owner does who
// numbers them in a row, with gaps and stragglers, and holds what is durable
// against a map.
func TestOpenBatchAgainstMap(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := newRand(seed, 21)
			dir := t.TempDir()
			s, o := open(t, dir, Options{SegmentBytes: 64 << 10})
			want := map[Key]string{}
			var last [3]uint64
			held := 0
			longest := 1 + rng.IntN(2000)*rng.IntN(2)
			for round := range 12 {
				for i := range rng.IntN(300) {
					table := rng.IntN(3)
					k := KeyOf(Table(table*3+1), last[table]-rng.Uint64N(min(last[table], 30)+1))
					switch n := rng.IntN(100); {
					case n < 45:
						last[table]++
						if rng.IntN(20) == 0 {
							last[table] += rng.Uint64N(3 * rowGapMax)
						}
						k = KeyOf(k.Table(), last[table])
						fallthrough
					case n < 55:
						v := fmt.Sprintf("%d.%d.%d", seed, round, i) + string(make([]byte, rng.IntN(longest)))
						if rng.IntN(2) == 0 {
							s.Put(k, []byte(v[:3]), []byte(v[3:]))
						} else {
							held++
							s.PutShared(k, []byte(v[:3]), &lent{[]byte(v[3:]), &held})
						}
						want[k] = v
					case n < 97:
						s.Delete(k)
						delete(want, k)
					default:
						to := k + Key(rng.IntN(10))
						s.DeleteRange(k, to)
						maps.DeleteFunc(want, func(has Key, _ string) bool { return k <= has && has <= to })
					}
				}
				if rng.IntN(4) > 0 {
					if err := o.commit(s); err != nil {
						t.Fatal(err)
					}
				}
				if rng.IntN(6) == 0 {
					s.Close()
					s, o = open(t, dir, Options{SegmentBytes: 64 << 10})
				}
			}
			s.Close()
			if held != 0 {
				t.Errorf("%d bodies were not released", held)
			}
			s, o = open(t, dir, Options{SegmentBytes: 64 << 10})
			defer s.Close()
			n := 0
			err := s.Load(func(k Key, _ int, _ []byte) error {
				n++
				if v := o.read(s, k)[0]; v.Err != nil || string(v.Data) != want[k] {
					t.Errorf("%v is %q, %v; want %q", k, v.Data, v.Err, want[k])
				}
				return nil
			})
			if err != nil || n != len(want) {
				t.Errorf("%d records, %v; want %d", n, err, len(want))
			}
		})
	}
}

// lent is a body that nobody may use after its release.
type lent struct {
	body []byte
	held *int
}

func (l *lent) Bytes() []byte { return l.body }

func (l *lent) Release() {
	clear(l.body)
	l.body = nil
	*l.held--
}

// TestVoidBatchStaysSmall holds that a batch whose records are all taken away
// again neither grows nor has anything to write.
func TestVoidBatchStaysSmall(t *testing.T) {
	s, o := open(t, t.TempDir(), Options{SegmentBytes: 64 << 10})
	defer s.Close()
	body := bytes.Repeat([]byte{'x'}, 100)
	const behind = 50
	held := 0
	for n := uint64(1); n <= 100_000; n++ {
		if n%2 == 0 {
			s.Put(KeyOf(1, n), body, nil)
		} else {
			held++
			s.PutShared(KeyOf(1, n), body[:10], &lent{bytes.Clone(body[10:]), &held})
		}
		if n > behind && s.Delete(KeyOf(1, n-behind)) {
			t.Fatalf("%d was in the batch, and its deletion is to be written", n-behind)
		}
	}
	if n := s.Pending(); n != behind*encodedBytes(len(body)) {
		t.Errorf("%d bytes wait", n)
	}
	if n := cap(s.open.buf); n > 4*sweepBytes {
		t.Errorf("the batch takes %d bytes", n)
	}
	if n := cap(s.open.row(KeyOf(1, 0)).places); n > 4*sweepBytes/encodedBytes(len(body)) {
		t.Errorf("%d places are noted", n)
	}
	if held > behind/2 {
		t.Errorf("%d bodies are held", held)
	}
	for n := uint64(100_000 - behind + 1); n <= 100_000; n++ {
		s.Delete(KeyOf(1, n))
	}
	if err := o.commit(s); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Commits != 0 || st.Elided != 100_000 || st.BytesPut != 100_000*116 {
		t.Errorf("%d commits, %d records elided, %d bytes put", st.Commits, st.Elided, st.BytesPut)
	}
	s.Delete(KeyOf(1, 100_001)) // never was
	if err := o.commit(s); err != nil || s.Stats().Commits != 0 {
		t.Errorf("the deletion of nothing is written: %v", err)
	}
}

// TestSweptBatchIsWhole holds that what is left, where most of much is taken away
// again, keeps its value and its place, and that keys far apart take no memory.
func TestSweptBatchIsWhole(t *testing.T) {
	s, o := open(t, t.TempDir(), Options{SegmentBytes: 64 << 10})
	defer s.Close()
	want, held := map[Key]string{}, 0
	for n := uint64(1); n <= 3000; n++ {
		k, v := KeyOf(1, n), fmt.Sprintf("%0100d", n)
		if n%3 == 0 {
			s.Put(k, []byte(v), nil)
		} else {
			held++
			s.PutShared(k, []byte(v[:1]), &lent{[]byte(v[1:]), &held})
		}
		want[k] = v
		if n%10 != 0 {
			s.Delete(k)
			delete(want, k)
		}
	}
	if n := len(s.open.bodies); n > 1000 {
		t.Errorf("%d bodies: nothing was swept", n)
	}
	for n := uint64(2700); n <= 3000; n += 30 { // some that stand elsewhere now
		k := KeyOf(1, n)
		s.Put(k, []byte("new"), nil)
		want[k] = "new"
		s.Delete(k + 10)
		delete(want, k+10)
	}
	for n := range uint64(10) {
		k := KeyOf(2, 1<<20*n+1)
		s.Put(k, []byte("far"), nil)
		want[k] = "far"
	}
	if n := cap(s.open.row(KeyOf(2, 0)).places); n > 10*rowGapMax {
		t.Errorf("%d places are noted", n)
	}
	if err := o.commit(s); err != nil || held != 0 {
		t.Fatalf("%v; %d bodies were not released", err, held)
	}
	for k, v := range want {
		if got := o.read(s, k)[0]; string(got.Data) != v {
			t.Errorf("%v is %q, %v; want %q", k, got.Data, got.Err, v)
		}
	}
	if n := s.Stats().LiveRecords; n != int64(len(want)) {
		t.Errorf("%d records, want %d", n, len(want))
	}
}

// TestBuffersAreGivenBack: what a large batch took does not stay for ever.
func TestBuffersAreGivenBack(t *testing.T) {
	s, o := open(t, t.TempDir(), Options{SegmentBytes: 16 << 20})
	defer s.Close()
	commit := func(size int) {
		s.Put(KeyOf(1, 1), make([]byte, size), nil)
		if err := o.commit(s); err != nil {
			t.Fatal(err)
		}
	}
	commit(8 << 20)
	if cap(s.spare.buf) < 8<<20 || cap(s.wal.out) < 8<<20 {
		t.Error("the next large batch has to have memory of its own")
	}
	for range 2 * smallMost {
		commit(10)
	}
	if cap(s.spare.buf) > bufferKept || cap(s.open.buf) > bufferKept || cap(s.wal.out) > bufferKept {
		t.Errorf("%d and %d bytes for what gathers, %d for what is written", cap(s.spare.buf), cap(s.open.buf), cap(s.wal.out))
	}
}

// TestOpenBatchWithoutRoom holds that records of a batch that found no room are
// replaced and deleted by those of the next.
func TestOpenBatchWithoutRoom(t *testing.T) {
	m := NewMem()
	held := 3
	m.PutShared(KeyOf(1, 1), nil, &lent{[]byte("a"), &held})
	m.Put(KeyOf(1, 2), []byte("b"), nil)
	m.PutShared(KeyOf(1, 4), []byte("d"), &lent{[]byte("e"), &held})
	m.Seal(nil)
	m.Complete(ErrFull)
	m.PutShared(KeyOf(1, 5), []byte("c"), &lent{[]byte("f"), &held})
	if !m.Delete(KeyOf(1, 1)) || m.Delete(KeyOf(1, 5)) {
		t.Error("of 1, which is sealed, a deletion is to be written, of 5 none")
	}
	m.Put(KeyOf(1, 2), []byte("B"), nil)
	m.Seal(nil)
	m.Complete(nil)
	if got := loaded(t, m); len(got) != 2 || got[KeyOf(1, 2)] != "B" || got[KeyOf(1, 4)] != "de" || held != 0 {
		t.Errorf("%q, and %d bodies are held", got, held)
	}
}
