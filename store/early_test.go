package store

import (
	"bytes"
	"fmt"
	"testing"
)

// countedFiles counts what is read.
type countedFiles struct {
	osFiles
	read *int64
}

type countedFile struct {
	file
	read *int64
}

func (f countedFiles) open(name string) (file, error) {
	under, err := f.osFiles.open(name)
	return countedFile{under, f.read}, err
}

func (f countedFile) readAt(b []byte, off int64) error {
	*f.read += int64(len(b))
	return f.file.readAt(b, off)
}

// TestStartReadsTheLogOnce: what Load hands out is not read a second time, and is
// the last that was put, wherever it stands and however long it is.
func TestStartReadsTheLogOnce(t *testing.T) {
	dir := t.TempDir()
	s, o := open(t, dir, Options{SegmentBytes: 1 << 20})
	want := map[Key]string{}
	put := func(table Table, n int, head, body string) {
		k := KeyOf(table, uint64(n))
		s.Put(k, []byte(head), []byte(body))
		want[k] = head
		if table < Cold {
			want[k] += body
		}
	}
	long := string(bytes.Repeat([]byte("long "), 80))
	for i := range 20_000 {
		put(7, i, fmt.Sprintf("entry %d of session %d", i, i%3), "")
		put(0x80, i, "", long)
		if i%7 == 0 {
			put(7, i/2, fmt.Sprintf("changed %d", i), "")
		}
		if i%11 == 0 {
			s.Delete(KeyOf(7, uint64(i/3)))
			delete(want, KeyOf(7, uint64(i/3)))
		}
		if i%1000 == 0 {
			put(2, i, "session ", long)
			put(6, i, "", "")
			done := false
			s.Seal(func(error) { done = true })
			o.until(func() bool { return done })
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var read int64
	conf := Options{SegmentBytes: 1 << 20}
	if err := conf.complete(); err != nil {
		t.Fatal(err)
	}
	w, err := openLog(countedFiles{osFiles{dir}, &read}, conf)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	got := map[Key]string{}
	if err := w.load(func(k Key, _ int, v []byte) error {
		got[k] = string(v)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for k, v := range want {
		if got[k] != v {
			t.Fatalf("%v: %q, want %q", k, got[k], v)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d records, want %d", len(got), len(want))
	}
	log := int64(len(w.log)) * conf.SegmentBytes
	if read > log+4*conf.SegmentBytes {
		t.Errorf("%d bytes are read of a log of %d", read, log)
	}
	if w.early.chunks != nil {
		t.Error("what was collected is kept")
	}
}

// TestEarlyIsBounded: a long log of records that are dead by now takes no more
// memory than it may, and what is not there is not found.
func TestEarlyIsBounded(t *testing.T) {
	var records []byte
	offs := []uint32{}
	for i := range 10_000 {
		offs = append(offs, uint32(len(records)))
		records = appendPut(records, KeyOf(7, uint64(i)), fmt.Appendf(nil, "%0*d", 50+i%100, i), nil)
	}
	const most = 10 * earlyChunkBytes
	e := early{chunks: map[uint32][]earlyChunk{}}
	e.collect(1, 0, records, most)
	if n := len(e.chunks[1]) * earlyChunkBytes; n != e.held || n > most {
		t.Errorf("%d bytes, of which it knows %d, of %d", n, e.held, most)
	}
	for i, there := range map[int]bool{0: true, 9_999: false} {
		if _, ok := e.find(location{seq: 1, off: offs[i]}); ok != there {
			t.Errorf("record %d is there: %v", i, ok)
		}
	}
}
