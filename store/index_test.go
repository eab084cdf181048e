package store

import (
	"maps"
	"slices"
	"testing"
)

// TestIndexAgainstMap compares the index with a map, for keys in a row, with
// holes, and far apart.
func TestIndexAgainstMap(t *testing.T) {
	for seed := range uint64(20) {
		rng := newRand(seed, 12)
		spread := uint64(1) << (2 * rng.IntN(10))
		x, want := newIndex(), map[Key]location{}
		for i := range 4000 {
			k := KeyOf(Table(rng.IntN(3)), rng.Uint64N(2000)*spread)
			l := location{uint32(i), rng.Uint32(), rng.Uint32() >> 8}
			old, had := want[k]
			var got location
			var ok bool
			if rng.IntN(200) == 0 {
				last := k + Key(rng.Uint64N(300*spread))
				removed := 0
				x.removeRange(k, last, func(location) { removed++ })
				maps.DeleteFunc(want, func(w Key, _ location) bool {
					if k <= w && w <= last {
						removed--
						return true
					}
					return false
				})
				if removed != 0 {
					t.Fatalf("range from %v to %v: %d too many were removed", k, last, removed)
				}
				continue
			}
			if rng.IntN(5) < 2 {
				got, ok = x.remove(k)
				delete(want, k)
			} else {
				got, ok = x.set(k, l)
				want[k] = l
			}
			if got != old || ok != had {
				t.Fatalf("key %v: old %v %v, want %v %v", k, got, ok, old, had)
			}
		}
		var keys []Key
		x.each(func(k Key, l location) bool {
			if l != want[k] {
				t.Fatalf("key %v: %v, want %v", k, l, want[k])
			}
			if got, ok := x.get(k); !ok || got != l {
				t.Fatalf("get %v: %v %v", k, got, ok)
			}
			keys = append(keys, k)
			return true
		})
		if !slices.Equal(keys, slices.Sorted(maps.Keys(want))) || x.count != len(want) {
			t.Fatalf("%d keys, count %d, want %d", len(keys), x.count, len(want))
		}
		for _, k := range keys {
			x.remove(k)
		}
		if len(x.leaves) != 0 || x.count != 0 {
			t.Errorf("an empty index has %d leaves", len(x.leaves))
		}
	}
}

// TestReadsBesideTheWriter reads while segments are cleaned, freed and used
// again: a value is whole, and there once it was acknowledged.
func TestReadsBesideTheWriter(t *testing.T) {
	s, o := open(t, t.TempDir(), Options{SegmentBytes: 16 << 10})
	defer s.Close()
	const keys = 50
	var acked [keys]byte
	reads, answers := 0, 0
	rng := newRand(1, 13)
	value := func(n byte) []byte { return slices.Repeat([]byte{n}, 100+int(n)) }
	for round := range 1200 {
		k := rng.Uint64N(keys)
		n := byte(round%200 + 1)
		s.Put(KeyOf(1, k), value(n), nil)
		before := acked
		if s.Read([]Key{KeyOf(1, k), KeyOf(1, (k+7)%keys)}, func(values []Value) {
			answers++
			for _, v := range values {
				if v.Err == nil && !slices.Equal(v.Data, value(v.Data[0])) {
					t.Errorf("key %v: %d bytes of %d", v.Key, len(v.Data), v.Data[0])
				}
				if v.Err != nil && before[v.Key.Number()] != 0 {
					t.Errorf("key %v: %v", v.Key, v.Err)
				}
			}
		}) {
			reads++
		}
		if err := o.commit(s); err != nil {
			t.Fatal(err)
		}
		acked[k] = n
	}
	o.until(func() bool { return answers == reads })
	if st := s.Stats(); st.BytesCopied == 0 || reads < 500 {
		t.Errorf("%d reads, %+v", reads, st)
	}
}
