package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// damagedStore is a directory with a store of some segments, and what it holds.
func damagedStore(t *testing.T, damage func(dir string)) (dir string, want map[Key]string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "state")
	want = map[Key]string{}
	s, o := open(t, dir, Options{SegmentBytes: 8 << 10})
	for i := range uint64(100) {
		v := fmt.Sprintf("value %d %s", i, strings.Repeat("v", 300))
		s.Put(KeyOf(1, i), []byte(v), nil)
		want[KeyOf(1, i)] = v
		if err := o.commit(s); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	damage(dir)
	return dir, want
}

func flip(t *testing.T, file string, off int64) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, off); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{^b[0]}, off); err != nil {
		t.Fatal(err)
	}
}

func dumped(t *testing.T, dir string) map[Key]string {
	t.Helper()
	got := map[Key]string{}
	if err := Dump(dir, func(k Key, v []byte) error { got[k] = string(v); return nil }); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestCheckOfASoundStore(t *testing.T) {
	dir, want := damagedStore(t, func(string) {})
	rep, err := Check(dir)
	if err != nil || len(rep.Lost) != 0 || rep.LiveRecords != 100 || len(rep.Tables) != 1 || rep.Tables[0].Records != 100 {
		t.Fatalf("check: %+v, %v", rep, err)
	}
	if got := dumped(t, dir); !maps.Equal(got, want) {
		t.Errorf("dumped %d records", len(got))
	}
	if rep, err := Repair(dir, time.Unix(0, 0)); err != nil || rep.Copy != "" {
		t.Errorf("repair of a sound store: %+v, %v", rep, err)
	}
	if _, err := Check(t.TempDir()); !errors.Is(err, ErrNoStore) {
		t.Errorf("check of an empty directory: %v", err)
	}
}

// TestRepair loses what is broken and nothing else, tells it, and keeps the
// files it found.
func TestRepair(t *testing.T) {
	segment := func(n uint32) func(dir string) string {
		return func(dir string) string { return filepath.Join(dir, segmentName(n)) }
	}
	second := segment(2)
	for name, c := range map[string]struct {
		damage func(dir string)
		lost   int // records
	}{
		"a batch":           {func(dir string) { flip(t, second(dir), 2*sectorBytes+60) }, 1},
		"a head of a batch": {func(dir string) { flip(t, second(dir), 2*sectorBytes+1) }, 1},
		"a header":          {func(dir string) { flip(t, second(dir), 20) }, 0},
		"a file":            {func(dir string) { os.Remove(second(dir)) }, 14},
		"the first file":    {func(dir string) { os.Remove(segment(1)(dir)) }, 14},
		"all headers": {func(dir string) {
			names, _ := filepath.Glob(filepath.Join(dir, "*.seg"))
			for _, name := range names {
				flip(t, name, 3)
			}
		}, 0},
		"three batches": {func(dir string) {
			for i := range int64(3) {
				flip(t, second(dir), (2+i)*sectorBytes+70)
			}
		}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			dir, want := damagedStore(t, c.damage)
			_, err := Open(dir, Options{Post: func(func()) {}})
			var damage *DamageError
			if !errors.As(err, &damage) || !strings.HasPrefix(damage.File, dir) {
				t.Fatalf("open: %v", err)
			}
			rep, err := Check(dir)
			if err != nil || len(rep.Lost) == 0 {
				t.Fatalf("check: %+v, %v", rep, err)
			}
			rep, err = Repair(dir, time.Unix(0, 0))
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%v", rep.Lost)
			got := dumped(t, dir)
			for k, v := range got {
				if want[k] != v {
					t.Fatalf("key %v: %q", k, v)
				}
			}
			if len(got) != len(want)-c.lost {
				t.Errorf("%d of %d records are left, want all but %d", len(got), len(want), c.lost)
			}
			kept, _ := filepath.Glob(filepath.Join(rep.Copy, "*.seg"))
			if len(kept) < 7 {
				t.Errorf("the copy %s has %d segments", rep.Copy, len(kept))
			}
			s, o := open(t, dir, Options{SegmentBytes: 8 << 10})
			s.Put(KeyOf(1, 1000), []byte("on it goes"), nil)
			if err := o.commit(s); err != nil {
				t.Fatal(err)
			}
			s.Close()
			if rep, err := Check(dir); err != nil || len(rep.Lost) != 0 {
				t.Errorf("check after repair: %+v, %v", rep, err)
			}
		})
	}
}

// TestRepairInterrupted stops between the decision and each step of the
// exchange: the next open finishes it.
func TestRepairInterrupted(t *testing.T) {
	for step := range 12 {
		dir, want := damagedStore(t, func(dir string) { flip(t, filepath.Join(dir, segmentName(2)), 2*sectorBytes+60) })
		v, err := findSalvage(osFiles{dir})
		if err != nil {
			t.Fatal(err)
		}
		names, err := rewrite(v, dir)
		if err != nil {
			t.Fatal(err)
		}
		v.close()
		if err := mark(dir, "damaged-x", names); err != nil {
			t.Fatal(err)
		}
		// As far as it got: some files are moved away, then some moved in.
		d := osFiles{dir}
		if err := d.makeDir("damaged-x"); err != nil {
			t.Fatal(err)
		}
		old, err := d.list()
		if err != nil {
			t.Fatal(err)
		}
		moves := 0
		for _, name := range old {
			if segmentNumber(name) != 0 && moves < step {
				moves++
				if err := d.rename(name, "damaged-x/"+name); err != nil {
					t.Fatal(err)
				}
			}
		}
		if moves < step {
			if err := d.rename(filepath.Join(repairDir, names[0]), names[0]); err != nil {
				t.Fatal(err)
			}
		}
		if got := dumped(t, dir); len(got) != len(want)-1 {
			t.Errorf("after %d steps: %d records", step, len(got))
		}
		if isPending(dir) {
			t.Error("the repair is still pending")
		}
	}
}

func TestCompact(t *testing.T) {
	dir := t.TempDir()
	s, o := open(t, dir, Options{SegmentBytes: 16 << 20})
	for i := range uint64(40) {
		s.Put(KeyOf(Cold, i), bytes.Repeat([]byte{'x'}, 1<<20), nil)
		if err := o.commit(s); err != nil {
			t.Fatal(err)
		}
	}
	for i := range uint64(39) {
		s.Delete(KeyOf(Cold, i))
	}
	s.Close()
	before, after, err := Compact(dir)
	if err != nil || before.LiveRecords != 1 || after.LiveRecords != 1 || after.DiskBytes > 16<<20 || before.DiskBytes < 48<<20 {
		t.Fatalf("before %+v, after %+v, %v", before, after, err)
	}
	if got := dumped(t, dir); len(got[KeyOf(Cold, 39)]) != 1<<20 {
		t.Errorf("%d bytes are left", len(got[KeyOf(Cold, 39)]))
	}
}

// TestRecoveryMeetsFailures: a start that meets an error says so and spoils
// nothing for the next.
func TestRecoveryMeetsFailures(t *testing.T) {
	h := newHistory(t, NewDisk(), state{}, newRand(1, 9))
	h.run(70)
	for n, reached := 1, true; reached; n++ {
		d := h.disk.Cut(len(h.disk.ops), func() bool { return false })
		failing(d, n, n+1, errors.New("broken cable"), faultKinds...)
		w, err := openLog(d, tinySegments)
		reached = d.gate >= n
		if err == nil {
			w.close()
		} else if !strings.Contains(err.Error(), "broken cable") {
			t.Errorf("call %d: %v", n, err)
		}
		d.Fail = nil
		h.verify(len(h.disk.ops), d)
	}
}
