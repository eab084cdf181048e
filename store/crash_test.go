package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
)

// state is what a store should hold.
type state map[Key]string

func (s state) clone() state { return maps.Clone(s) }

// history is a store under test with what it has promised.
type history struct {
	t      testing.TB
	disk   *Disk
	wal    *wal
	states []state // [0] at the start, then after each batch
	acked  []int   // of each batch, the length of disk.ops when it was acknowledged
	rng    *rand.Rand
	keys   int
	sizes  int
}

var tinySegments = Options{SegmentBytes: 4096, BatchBytes: 2048} // table: a log that turns over soon

func newHistory(t testing.TB, d *Disk, from state, rng *rand.Rand) *history {
	t.Helper()
	w, err := openLog(d, tinySegments)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return &history{t: t, disk: d, wal: w, states: []state{from.clone()}, rng: rng, keys: 24, sizes: 300}
}

// batch makes a random batch and the state after it.
func (h *history) batch() ([]byte, state) {
	after := h.states[len(h.states)-1].clone()
	var b []byte
	for range 1 + h.rng.IntN(4) {
		t := Table(h.rng.IntN(2)) * Cold
		if h.rng.IntN(12) == 0 {
			first := KeyOf(t, uint64(h.rng.IntN(h.keys)))
			last := first + Key(h.rng.IntN(h.keys/4+1))
			b = appendDeleteRange(b, first, last)
			maps.DeleteFunc(after, func(k Key, _ string) bool { return first <= k && k <= last })
			continue
		}
		k := KeyOf(t, uint64(h.rng.IntN(h.keys)))
		if h.rng.IntN(3) == 0 {
			b = appendRecordHead(b, opDelete, k, 0)
			delete(after, k)
			continue
		}
		v := fmt.Sprintf("%d.%v.", len(h.states), k)
		v += string(bytes.Repeat([]byte{'x'}, h.rng.IntN(h.sizes)))
		b = appendPut(b, k, []byte(v), nil)
		after[k] = v
	}
	return b, after
}

// step commits one batch.
func (h *history) step() error {
	b, after := h.batch()
	err := h.wal.commit(b)
	h.states = append(h.states, after)
	for err == nil && len(h.acked) < len(h.states)-1 { // more than one after ErrFull
		h.acked = append(h.acked, len(h.disk.ops))
	}
	h.wal.maintain()
	return err
}

func (h *history) run(n int) {
	h.t.Helper()
	for range n {
		if err := h.step(); err != nil {
			h.t.Fatalf("commit: %v", err)
		}
	}
}

// runWithFaults commits n batches, or fewer if the store fails on a disk that
// may be full or broken for a while.
func (h *history) runWithFaults(n int) {
	h.t.Helper()
	if h.rng.IntN(2) == 0 {
		err := []error{syscall.EIO, syscall.ENOSPC, syscall.ENOSPC, syscall.ENOSPC}[h.rng.IntN(4)]
		kinds := slices.DeleteFunc(slices.Clone(faultKinds), func(string) bool { return h.rng.IntN(3) == 0 })
		from := h.rng.IntN(300)
		failing(h.disk, from, from+h.rng.IntN(60), err, kinds...)
	}
	for range n {
		if err := h.step(); errors.Is(err, ErrFailed) {
			break
		} else if err != nil && !errors.Is(err, ErrFull) {
			h.t.Fatalf("commit: %v", err)
		}
		checkAccounts(h.t, h.wal)
	}
	h.disk.Fail = nil
}

// contents is all that w holds, read the way an owner reads it.
func contents(t testing.TB, w *wal) state {
	t.Helper()
	got := state{}
	last := Key(0)
	err := w.load(func(k Key, size int, value []byte) error {
		if len(got) > 0 && k <= last {
			t.Fatalf("load: key %v after %v", k, last)
		}
		last = k
		v, err := w.value(k)
		if err != nil {
			return err
		}
		if k.Table() < Cold && !bytes.Equal(v, value) {
			t.Fatalf("load: key %v is %q, read says %q", k, value, v)
		}
		if len(v) > size || len(v) < size-15 {
			t.Fatalf("load: key %v has size %d, length %d", k, size, len(v))
		}
		got[k] = string(v)
		return nil
	})
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return got
}

// checkAccounts compares the running sums with the index.
func checkAccounts(t testing.TB, w *wal) {
	t.Helper()
	live := map[uint32]int64{}
	total := int64(0)
	w.index.each(func(_ Key, l location) bool {
		live[l.seq] += int64(l.units) * unitBytes
		total += int64(l.units) * unitBytes
		return true
	})
	for i, s := range w.log {
		if s.live != live[s.seq] {
			t.Fatalf("segment %d has %d live bytes, counted %d", s.seq, live[s.seq], s.live)
		}
		if s.seq != w.log[0].seq+uint32(i) {
			t.Fatalf("segment %d stands at place %d", s.seq, i)
		}
	}
	if w.live != total {
		t.Fatalf("%d live bytes, counted %d", total, w.live)
	}
}

// verify opens d as it was found after a power cut at call n and checks that
// it holds all that was acknowledged and nothing half.
func (h *history) verify(n int, d *Disk) (*wal, state) {
	h.t.Helper()
	done := 0
	for done < len(h.acked) && h.acked[done] <= n {
		done++
	}
	w, err := openLog(d, tinySegments)
	if err != nil {
		h.t.Fatalf("open after a cut at call %d of %d: %v", n, len(h.disk.ops), err)
	}
	checkAccounts(h.t, w)
	got := contents(h.t, w)
	// One batch is in flight at a time, with all that found no room before it:
	// those are acknowledged together.
	last := len(h.states) - 1
	if done < len(h.acked) {
		for last = done + 1; last < len(h.acked) && h.acked[last] == h.acked[done]; {
			last++
		}
	}
	for i := done; i <= last; i++ {
		if maps.Equal(got, h.states[i]) {
			return w, got
		}
	}
	h.t.Fatalf("after a cut at call %d of %d: neither batch %d nor the next\n got %v\nwant %v", n, len(h.disk.ops), done, got, h.states[done])
	return nil, nil
}

// TestEveryPowerCut cuts the power after every call of a short history, with
// every combination of surviving sectors as long as there are few.
func TestEveryPowerCut(t *testing.T) {
	for seed := range uint64(4) {
		h := newHistory(t, NewDisk(), state{}, newRand(seed, 1))
		h.run(60)
		if first := h.wal.log[0].seq; first < 3 {
			t.Fatalf("the log still starts at segment %d: it was to turn over", first)
		}
		cuts := 0
		for n := range len(h.disk.ops) + 1 {
			for mask := range uint(64) {
				asked := 0
				d := h.disk.Cut(n, func() bool { asked++; return mask>>min(asked-1, 5)&1 == 1 })
				h.verify(n, d)
				cuts++
				if mask+1 >= 1<<min(asked, 6) {
					break
				}
			}
		}
		t.Logf("seed %d: %d calls, %d cuts", seed, len(h.disk.ops), cuts)
	}
}

// TestPowerCutsBySeed cuts the power again and again in long histories, each
// going on with what the one before has left.
func TestPowerCutsBySeed(t *testing.T) {
	seeds := uint64(50) // thousands were run when it was written
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		rng := newRand(seed, 2)
		d, from := NewDisk(), state{}
		for range 6 {
			h := newHistory(t, d, from, rng)
			h.keys, h.sizes = 1+rng.IntN(80), 1+rng.IntN(1500)
			if rng.IntN(3) > 0 {
				h.sizes = 1 + rng.IntN(200)
			}
			start := len(h.disk.ops)
			h.runWithFaults(rng.IntN(120))
			n := start + rng.IntN(len(h.disk.ops)-start+1)
			d = h.disk.Cut(n, randomly(rng))
			_, from = h.verify(n, d)
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
			// The check opened it, which writes: the next round starts from there.
		}
	}
}

// TestDamageIsNotSilent flips one byte in each sector of the log in turn: the
// store opens with all it had, or names the file.
func TestDamageIsNotSilent(t *testing.T) {
	h := newHistory(t, NewDisk(), state{}, newRand(7, 3))
	h.run(80)
	want := h.states[len(h.states)-1]
	opened, refused, lastLost := 0, 0, 0
	for name, f := range h.disk.files {
		for at := 0; at < len(f.data); at += sectorBytes {
			d := h.disk.Cut(len(h.disk.ops), func() bool { return true })
			d.files[name].data[at+h.rng.IntN(48)] ^= 1 << h.rng.IntN(8)
			w, err := openLog(d, tinySegments)
			var damage *DamageError
			var version *VersionError
			switch {
			case errors.As(err, &damage) || errors.As(err, &version):
				refused++
			case err != nil:
				t.Fatalf("%s at %d: %v", name, at, err)
			case maps.Equal(contents(t, w), want):
				opened++
			case maps.Equal(contents(t, w), h.states[len(h.states)-2]):
				lastLost++ // the last batch looks like one that was never finished
			default:
				t.Fatalf("%s at %d: opened with something else", name, at)
			}
		}
	}
	t.Logf("opened %d, refused %d, last batch taken for torn %d", opened, refused, lastLost)
	if refused == 0 || opened == 0 || lastLost > 4 {
		t.Errorf("opened %d, refused %d, last batch taken for torn %d", opened, refused, lastLost)
	}
}

func newRand(a, b uint64) *rand.Rand { return rand.New(rand.NewPCG(a, b)) }

// randomly says of each unsynced thing whether it survived a power cut.
func randomly(rng *rand.Rand) func() bool {
	p := []float64{0, 0.1, 0.5, 0.9, 1}[rng.IntN(5)]
	return func() bool { return rng.Float64() < p }
}
