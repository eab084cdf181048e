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

// engine is what an owner sees of both stores.
type engine interface {
	Load(each func(k Key, size int, value []byte) error) error
	Put(k Key, head, body []byte)
	Delete(k Key) bool
	DeleteRange(first, last Key)
	Room(n int) bool
	Err() error
	Pending() int
	Seal(done func(error)) bool
	Read(keys []Key, done func([]Value)) bool
	Stats() Stats
	Close() error
}

var (
	_ engine = (*Store)(nil)
	_ engine = (*Mem)(nil)
)

// owner stands for the loop: it runs what is posted.
type owner struct {
	t     testing.TB
	posts chan func()
}

func newOwner(t testing.TB) *owner { return &owner{t, make(chan func(), 1000)} }

func (o *owner) post(f func()) { o.posts <- f }

// until runs posts until ok.
func (o *owner) until(ok func() bool) {
	o.t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for !ok() {
		select {
		case f := <-o.posts:
			f()
		case <-deadline.C:
			o.t.Fatal("nothing more was posted")
		}
	}
}

func open(t testing.TB, dir string, o Options) (*Store, *owner) {
	t.Helper()
	own := newOwner(t)
	o.Post = own.post
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s, own
}

// commit seals and waits for the answer.
func (o *owner) commit(s *Store) error {
	o.t.Helper()
	answered, result := false, error(nil)
	if !s.Seal(func(err error) { answered, result = true, err }) {
		o.t.Fatal("a commit is in flight")
	}
	o.until(func() bool { return answered })
	return result
}

func (o *owner) read(s *Store, keys ...Key) (values []Value) {
	o.t.Helper()
	if !s.Read(keys, func(v []Value) { values = v }) {
		o.t.Fatal("too many reads wait")
	}
	o.until(func() bool { return values != nil })
	return values
}

func loaded(t testing.TB, e engine) map[Key]string {
	t.Helper()
	got := map[Key]string{}
	if err := e.Load(func(k Key, size int, v []byte) error {
		if k.Table() >= Cold {
			v = fmt.Appendf(nil, "%d bytes", size)
		}
		got[k] = string(v)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestStoreKeepsWhatItAcknowledged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s, o := open(t, dir, Options{SegmentBytes: 64 << 10})
	session, body := KeyOf(1, 7), KeyOf(Cold, 1)
	s.Put(session, []byte("client"), []byte(" 7"))
	s.Put(body, bytes.Repeat([]byte("b"), 1000), nil)
	s.Put(KeyOf(2, 1), []byte("gone"), nil)
	if err := o.commit(s); err != nil {
		t.Fatal(err)
	}
	s.Delete(KeyOf(2, 1))
	s.Put(KeyOf(2, 2), nil, nil)
	s.Put(KeyOf(2, 3), []byte("never written"), nil)
	s.Delete(KeyOf(2, 3))
	if err := o.commit(s); err != nil {
		t.Fatal(err)
	}
	v := o.read(s, body, session, KeyOf(2, 1))
	if string(v[1].Data) != "client 7" || len(v[0].Data) != 1000 || !errors.Is(v[2].Err, ErrNotFound) {
		t.Errorf("read %q", v)
	}
	if st := s.Stats(); st.LiveRecords != 3 || st.Commits != 2 || st.Elided != 1 || st.Records != 5 {
		t.Errorf("stats %+v", st)
	}
	s.Put(KeyOf(3, 1), []byte("at close"), nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ = open(t, dir, Options{SegmentBytes: 64 << 10})
	defer s.Close()
	want := map[Key]string{session: "client 7", body: "1008 bytes", KeyOf(2, 2): "", KeyOf(3, 1): "at close"}
	got := loaded(t, s)
	if !maps.Equal(got, want) {
		t.Errorf("loaded %q, want %q", got, want)
	}
}

func TestStoreModesAndLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "loopmq", "state")
	s, _ := open(t, dir, Options{SegmentBytes: 64 << 10})
	defer s.Close()
	_, err := Open(dir, Options{Post: func(func()) {}})
	var locked *LockedError
	if !errors.As(err, &locked) || !strings.Contains(err.Error(), fmt.Sprintf("process %d (", os.Getpid())) {
		t.Errorf("a second store on the directory: %v", err)
	}
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, walkErr error) error {
		info, err := d.Info()
		err = errors.Join(walkErr, err)
		if want := map[bool]os.FileMode{true: 0o700, false: 0o600}[d.IsDir()]; err == nil && info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNewerVersionIsRefused(t *testing.T) {
	dir := t.TempDir()
	s, o := open(t, dir, Options{SegmentBytes: 64 << 10})
	s.Put(1, []byte("x"), nil)
	if err := o.commit(s); err != nil {
		t.Fatal(err)
	}
	s.Close()
	name := filepath.Join(dir, "00000001.seg")
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{2}, 8); err != nil {
		t.Fatal(err)
	}
	_, err = Open(dir, Options{Post: func(func()) {}})
	var version *VersionError
	if !errors.As(err, &version) || version.Version != 2 || version.File != name {
		t.Errorf("open: %v", err)
	}
}

// TestRoom: the open batch is bounded, and so is what lives on disk.
func TestRoom(t *testing.T) {
	s, o := open(t, t.TempDir(), Options{SegmentBytes: 64 << 10, BytesMax: 1 << 20, BatchBytes: 4096})
	defer s.Close()
	if !s.Room(100_000) {
		t.Error("an empty batch refuses a long value")
	}
	s.Put(1, make([]byte, 3000), nil)
	if s.Room(2000) || !s.Room(1000) {
		t.Error("Room does not follow the open batch")
	}
	n := uint64(1)
	for ; s.Err() == nil && n < 10_000; n++ {
		for s.Pending() < 3000 {
			s.Put(KeyOf(1, n), make([]byte, 500), nil)
			n++
		}
		if err := o.commit(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Err(); !errors.Is(err, ErrFull) || s.Room(1) {
		t.Fatalf("after %d records: %v", n, err)
	}
	if st := s.Stats(); st.DiskBytes > 1<<20 || st.LiveBytes < 500_000 {
		t.Errorf("%d bytes on disk, %d live", st.DiskBytes, st.LiveBytes)
	}
	for i := range n / 2 {
		s.Delete(KeyOf(1, i))
	}
	if err := o.commit(s); err != nil {
		t.Fatal(err)
	}
	if err := s.Err(); err != nil || !s.Room(1000) {
		t.Errorf("after deletions: %v", err)
	}
}

// TestLongValue: a value longer than a segment gets a segment of its own, and
// its space goes back when it is deleted.
func TestLongValue(t *testing.T) {
	dir := t.TempDir()
	s, o := open(t, dir, Options{SegmentBytes: 64 << 10})
	long := bytes.Repeat([]byte("0123456789abcdef"), 300_000)
	s.Put(KeyOf(Cold, 1), long, nil)
	if err := o.commit(s); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s, o = open(t, dir, Options{SegmentBytes: 64 << 10})
	defer s.Close()
	if v := o.read(s, KeyOf(Cold, 1)); !bytes.Equal(v[0].Data, long) {
		t.Fatalf("read %d bytes, %v", len(v[0].Data), v[0].Err)
	}
	s.Delete(KeyOf(Cold, 1))
	for i := range uint64(2000) {
		s.Put(KeyOf(1, i%10), make([]byte, 500), nil)
		if err := o.commit(s); err != nil {
			t.Fatal(err)
		}
	}
	if st := s.Stats(); st.DiskBytes > 1<<20 {
		t.Errorf("%d bytes on disk: %+v", st.DiskBytes, st)
	}
}

// TestMemAgrees drives both stores with the same calls.
func TestMemAgrees(t *testing.T) {
	dir := t.TempDir()
	rng := newRand(1, 7)
	s, o := open(t, dir, Options{SegmentBytes: 8 << 10})
	m := NewMem()
	for round := range 400 {
		for _, e := range []engine{s, m} {
			rng := newRand(uint64(round), 8)
			for range rng.IntN(8) {
				k := KeyOf(Table(rng.IntN(2))*Cold, rng.Uint64N(60))
				if rng.IntN(10) == 0 {
					e.DeleteRange(k, k+Key(rng.IntN(10)))
				} else if rng.IntN(3) == 0 {
					e.Delete(k)
				} else {
					e.Put(k, fmt.Appendf(nil, "%d", round), make([]byte, rng.IntN(300)))
				}
			}
		}
		if s.Pending() != m.Pending() {
			t.Fatalf("pending %d and %d", s.Pending(), m.Pending())
		}
		if err := o.commit(s); err != nil {
			t.Fatal(err)
		}
		m.Seal(nil)
		m.Complete(nil)
		if a, b := s.Stats(), m.Stats(); a.LiveRecords != b.LiveRecords || a.LiveBytes != b.LiveBytes {
			t.Fatalf("round %d: %+v and %+v", round, a, b)
		}
		if rng.IntN(40) == 0 {
			s.Close()
			s, o = open(t, dir, Options{SegmentBytes: 8 << 10})
			m = m.Crash(FlightLost)
			if a, b := loaded(t, s), loaded(t, m); !maps.Equal(a, b) {
				t.Fatalf("round %d: %q and %q", round, a, b)
			}
		}
		keys := []Key{KeyOf(0, rng.Uint64N(60)), KeyOf(Cold, rng.Uint64N(60))}
		var b []Value
		m.Read(keys, func(v []Value) { b = v })
		m.Answer()
		for i, a := range o.read(s, keys...) {
			if !bytes.Equal(a.Data, b[i].Data) || !errors.Is(a.Err, b[i].Err) {
				t.Fatalf("round %d: key %v: %q and %q", round, keys[i], a, b[i])
			}
		}
	}
	s.Close()
}

func TestMemFaults(t *testing.T) {
	m := NewMem()
	var results []error
	note := func(err error) { results = append(results, err) }
	m.Put(1, []byte("a"), nil)
	m.Seal(note)
	m.Put(2, []byte("b"), nil)
	if m.Seal(note) {
		t.Error("sealed while a commit is in flight")
	}
	if len(loaded(t, m.Crash(FlightLost))) != 0 || len(loaded(t, m.Crash(FlightKept))) != 1 {
		t.Error("a crash keeps the wrong things")
	}
	m.Complete(ErrFull)
	if m.Room(1) || len(m.durable) != 0 {
		t.Error("a full store takes more")
	}
	m.Seal(note)
	m.Complete(nil)
	if got := loaded(t, m); len(got) != 2 || !m.Room(1) {
		t.Errorf("after there was room: %q", got)
	}
	m.Put(3, []byte("c"), nil)
	m.Seal(note)
	m.Complete(errors.New("disk on fire"))
	m.Seal(note)
	m.Complete(nil)
	if !errors.Is(results[0], ErrFull) || results[1] != nil || !errors.Is(results[2], ErrFailed) || !errors.Is(results[3], ErrFailed) {
		t.Errorf("results %v", results)
	}
}

// TestPutAllocatesNothing once the buffers of two batches have grown.
func TestPutAllocatesNothing(t *testing.T) {
	s, o := open(t, t.TempDir(), Options{SegmentBytes: 64 << 10})
	defer s.Close()
	var e engine = s
	head, body := make([]byte, 40), make([]byte, 256)
	fill := func() {
		for i := range uint64(100) {
			e.Put(KeyOf(1, i), head, body)
			e.Delete(KeyOf(2, i))
		}
	}
	for range 2 {
		fill()
		if err := o.commit(s); err != nil {
			t.Fatal(err)
		}
	}
	allocs := testing.AllocsPerRun(10, func() {
		fill()
		s.open.take(s.open.sealed)
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
