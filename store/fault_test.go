package store

import (
	"errors"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
)

// faultKinds are the calls that may fail; table: as disk.may is told.
var faultKinds = []string{"write", "sync", "allocate", "create", "remove", "syncdir", "read", "open", "stat", "list"}

// failing makes calls from..to of d that are of one of kinds fail.
func failing(d *Disk, from, to int, err error, kinds ...string) {
	d.gate = 0
	d.Fail = func(what string) error {
		if d.gate < from || d.gate >= to {
			return nil
		}
		if slices.Contains(kinds, what) {
			return err
		}
		return nil
	}
}

// TestFailureAtEachCall lets the N-th call fail, for every N. Whatever fails,
// nothing that was acknowledged is lost: not by a restart that sees the page
// cache, and not by a power cut after that.
func TestFailureAtEachCall(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		long int // how many calls
	}{
		{"EIO once", syscall.EIO, 1},
		{"EIO from then on", syscall.EIO, 1 << 30},
		{"ENOSPC once", syscall.ENOSPC, 1},
		{"ENOSPC for a while", syscall.ENOSPC, 25},
	} {
		t.Run(c.name, func(t *testing.T) {
			failed, full := 0, 0
			for n, reached := 1, true; reached; n++ {
				rng := newRand(uint64(n), 4)
				d := NewDisk()
				h := newHistory(t, d, state{}, rng)
				h.run(40)
				failing(d, n, n+c.long, c.err, faultKinds...)
				for range 30 {
					err := h.step()
					switch {
					case err == nil:
					case errors.Is(err, ErrFailed):
						failed++
					case errors.Is(err, ErrFull) && errors.Is(c.err, syscall.ENOSPC):
						full++
					case errors.Is(err, ErrFull): // EIO while a file is made
						full++
					default:
						t.Fatalf("call %d: %v", n, err)
					}
					checkAccounts(t, h.wal)
				}
				reached = d.gate >= n
				d.Fail = nil
				again := newHistoryAfter(t, h, rng)
				again.run(30)
				start := len(again.disk.ops)
				again.verify(start, again.disk.Cut(start, randomly(rng)))
			}
			t.Logf("%d commits failed, %d found no room", failed, full)
			if failed+full == 0 {
				t.Error("no commit met the fault")
			}
		})
	}
}

// newHistoryAfter restarts h without a power cut.
func newHistoryAfter(t *testing.T, h *history, rng *rand.Rand) *history {
	t.Helper()
	_, from := h.verify(len(h.disk.ops), h.disk)
	return newHistory(t, h.disk, from, rng)
}

// TestFullDisk fills a disk, sees that the store says so while there is still
// room for deletions, and that it goes on when there is space.
func TestFullDisk(t *testing.T) {
	d := NewDisk()
	h := newHistory(t, d, state{}, newRand(1, 5))
	d.Fail = func(what string) error {
		if what == "allocate" {
			return syscall.ENOSPC
		}
		return nil
	}
	value := make([]byte, 400)
	n := uint64(0)
	for ; h.wal.holdings().err == nil; n++ {
		if err := h.wal.commit(appendPut(nil, KeyOf(1, n), value, nil)); err != nil {
			t.Fatalf("put %d met a full disk without warning: %v", n, err)
		}
		h.wal.maintain()
		if n > 100 {
			t.Fatal("the disk never got full")
		}
	}
	if err := h.wal.holdings().err; !errors.Is(err, ErrFull) || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("full disk: %v", err)
	}
	// All but one go; deletions must find room, and cleaning must make some.
	for i := range n - 1 {
		if err := h.wal.commit(appendRecordHead(nil, opDelete, KeyOf(1, i), 0)); err != nil {
			t.Fatalf("delete %d of %d: %v", i, n, err)
		}
		h.wal.maintain()
	}
	for range 20 {
		if err := h.wal.commit(nil); err != nil {
			t.Fatalf("clean: %v", err)
		}
		h.wal.maintain()
	}
	if err := h.wal.holdings().err; err != nil {
		t.Fatalf("after everything was deleted: %v", err)
	}
	checkAccounts(t, h.wal)
	if got := contents(t, h.wal); len(got) != 1 {
		t.Errorf("%d records are left, want 1", len(got))
	}
}

// TestNoRoomAtAll: batches that find no room are kept, and committed in order
// as soon as there is some.
func TestNoRoomAtAll(t *testing.T) {
	d := NewDisk()
	h := newHistory(t, d, state{}, newRand(1, 6))
	d.Fail = func(what string) error {
		if what == "allocate" || what == "create" {
			return syscall.ENOSPC
		}
		return nil
	}
	full := 0
	for range 60 {
		if err := h.step(); errors.Is(err, ErrFull) {
			full++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if full == 0 {
		t.Fatal("the disk never got full")
	}
	h.verify(len(d.ops), d.Cut(len(d.ops), func() bool { return false }))
	if n := h.wal.holdings().carried; n < int64(len(h.wal.carried)) || n == 0 {
		t.Errorf("%d bytes are said to be carried along, want at least %d", n, len(h.wal.carried))
	}
	d.Fail = nil
	h.wal.pause = 0
	h.wal.maintain()
	h.run(1)
	if n := h.wal.holdings().carried; n != 0 {
		t.Errorf("%d bytes are said to be carried along, when all is written", n)
	}
	h.verify(len(d.ops), d.Cut(len(d.ops), func() bool { return false }))
	if len(h.acked) != len(h.states)-1 {
		t.Errorf("%d of %d batches are durable", len(h.acked), len(h.states)-1)
	}
}

// TestNamesAreSynced: a file whose name was never flushed, because of a failure,
// is found by the next start and used: by then its name has to be safe.
func TestNamesAreSynced(t *testing.T) {
	rng := newRand(3, 14)
	d := NewDisk()
	h := newHistory(t, d, state{}, rng)
	failing(d, 0, 1<<30, syscall.EIO, "syncdir", "remove")
	for d.files[segmentName(4)] == nil {
		h.run(1)
	}
	d.Fail = nil
	again := newHistoryAfter(t, h, rng)
	failing(d, 0, 1<<30, syscall.ENOSPC, "create")
	for again.wal.head().name != segmentName(4) {
		again.run(1)
	}
	again.run(1)
	again.verify(len(d.ops), d.Cut(len(d.ops), func() bool { return false }))
}

// TestChurnAtTheLimit keeps a store with a limit as full as it may be, replacing
// records at random: there always is room, and never more on disk than allowed.
func TestChurnAtTheLimit(t *testing.T) {
	o := tinySegments
	o.SegmentBytes = 16 << 10
	o.BytesMax = 40 * o.SegmentBytes
	w, err := openLog(NewDisk(), o)
	if err != nil {
		t.Fatal(err)
	}
	rng := newRand(1, 15)
	n := uint64(0)
	var batch []byte
	for round := range 6000 {
		batch = batch[:0]
		for range 1 + rng.IntN(10) {
			k := KeyOf(1, rng.Uint64N(n+1))
			switch {
			case w.live+int64(len(batch)) < w.liveMax()-4096:
				k, n = KeyOf(1, n), n+1
			case rng.IntN(2) == 0:
				batch = appendRecordHead(batch, opDelete, k, 0)
				continue
			}
			batch = appendPut(batch, k, make([]byte, 50+rng.IntN(300)), nil)
		}
		if err := w.commit(batch); err != nil {
			t.Fatalf("round %d, %d bytes live of %d: %v", round, w.live, w.liveMax(), err)
		}
		w.maintain()
		if w.disk() > o.BytesMax {
			t.Fatalf("round %d: %d bytes on disk", round, w.disk())
		}
	}
	checkAccounts(t, w)
	put, copied := w.stats.bytes.Load()-w.stats.copied.Load(), w.stats.copied.Load()
	t.Logf("%d records, %d of %d bytes live; %d bytes written, %d copied", n, w.live, w.liveMax(), put, copied)
	if w.live < w.liveMax()/10*9 || copied == 0 {
		t.Error("the store was not full")
	}
}
