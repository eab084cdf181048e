package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Report is what Check, Repair and Compact say about a store.
type Report struct {
	Segments    int           `json:"segments"` // of the log
	DiskBytes   int64         `json:"disk_bytes"`
	Batches     uint64        `json:"batches"` // in the log
	LiveRecords int64         `json:"live_records"`
	LiveBytes   int64         `json:"live_bytes"`
	Tables      []TableReport `json:"tables"` // with live records, in order
	// Lost is what cannot be read; a sound store has none.
	Lost []Lost `json:"lost,omitempty"`
	// Copy is where Repair left the files that it found.
	Copy string `json:"copy,omitempty"`
}

// TableReport sums up a table.
type TableReport struct {
	Table   Table `json:"table"`
	Records int64 `json:"records"`
	Bytes   int64 `json:"bytes"` // of values
}

// Lost is a piece of the log that cannot be read.
type Lost struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	// First and Last are the batches that it held; 0 if none are known to be lost.
	First uint64 `json:"first_batch,omitempty"`
	Last  uint64 `json:"last_batch,omitempty"`
	What  string `json:"what"`
}

func (l Lost) String() string {
	if l.First == 0 {
		return fmt.Sprintf("%s: byte %d: %s", l.File, l.Offset, l.What)
	}
	return fmt.Sprintf("%s: byte %d: batches %d to %d are lost: %s", l.File, l.Offset, l.First, l.Last, l.What)
}

// Check reads all of the store in dir, which nobody may have open, and changes
// nothing. Damage is part of the report, not an error.
func Check(dir string) (*Report, error) {
	var rep *Report
	err := inspect(dir, func(w *wal) error {
		rep = reportOf(w)
		var sum tableSum
		err := w.eachValue(func(k Key, v []byte) error {
			sum.add(k, len(v))
			return nil
		})
		rep.Tables = sum.tables
		return err
	})
	if damage, ok := errors.AsType[*DamageError](err); ok {
		v, err := findSalvage(osFiles{dir})
		if err != nil {
			return nil, err
		}
		defer v.close()
		rep = v.report()
		if len(rep.Lost) == 0 {
			rep.Lost = []Lost{{File: damage.File, Offset: damage.Offset, What: damage.What}}
		}
		return rep, nil
	}
	if err != nil {
		return nil, fmt.Errorf("check store: %w", err)
	}
	return rep, nil
}

// Dump calls each for every live record of the store in dir in the order of
// keys, values of cold tables included. value is a view.
func Dump(dir string, each func(k Key, value []byte) error) error {
	err := inspect(dir, func(w *wal) error { return w.eachValue(each) })
	if err != nil {
		return fmt.Errorf("dump store: %w", err)
	}
	return nil
}

// Compact rewrites what is live in the store in dir and gives all other space
// back. It is never needed: a store that is in use frees its segments by
// itself, down to a few.
func Compact(dir string) (before, after *Report, err error) {
	err = withLock(dir, func() error {
		o := Options{}
		if err := o.complete(); err != nil {
			return err
		}
		w, err := openLog(osFiles{dir}, o)
		if err != nil {
			return err
		}
		defer w.close()
		before = reportOf(w)
		err = w.compactLog()
		after = reportOf(w)
		return err
	})
	if err != nil {
		return before, after, fmt.Errorf("compact store: %w", err)
	}
	return before, after, nil
}

// compactLog cleans every segment but the one that is the head now.
func (w *wal) compactLog() error {
	for last := w.head().seq; w.log[0].seq < last; {
		w.clean.forced = true
		if err := w.cleanStep(); err != nil {
			return err
		}
		if w.clean.err != nil {
			return w.clean.err
		}
	}
	w.clean.forced = true // an empty batch, to free the last of them
	if err := w.send(&sealed{}, budget{}); err != nil {
		return err
	}
	w.clean.forced = false
	for _, s := range w.free {
		w.discard(s)
	}
	w.free = nil
	return w.fs.syncDir("")
}

// inspect opens the store in dir for reading.
func inspect(dir string, look func(*wal) error) error {
	return withLock(dir, func() error {
		if err := repairPending(dir); err != nil {
			return err
		}
		o := Options{look: true}
		if err := o.complete(); err != nil {
			return err
		}
		w, err := openLog(osFiles{dir}, o)
		if err != nil {
			return err
		}
		defer w.close()
		return look(w)
	})
}

// withLock runs f while no broker can have dir.
func withLock(dir string, f func() error) error {
	names, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); err != nil {
		return err
	}
	if len(names) == 0 && !isPending(dir) {
		return fmt.Errorf("%s: %w", dir, ErrNoStore)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(f(), lock.Close())
}

func reportOf(w *wal) *Report {
	h := w.holdings()
	r := &Report{
		Segments: int(h.segments), DiskBytes: h.disk, LiveRecords: h.records, LiveBytes: h.live,
	}
	if len(w.log) > 0 {
		r.Batches = w.lsn - w.log[0].lsn
	}
	return r
}

// eachValue reads every live record in the order of keys.
func (w *wal) eachValue(each func(Key, []byte) error) (err error) {
	w.index.each(func(k Key, _ location) bool {
		var v []byte
		if v, err = w.value(k); err == nil {
			err = each(k, v)
		}
		return err == nil
	})
	return err
}

// tableSum sums up tables whose keys come in order.
type tableSum struct{ tables []TableReport }

func (s *tableSum) add(k Key, size int) {
	if n := len(s.tables); n == 0 || s.tables[n-1].Table != k.Table() {
		s.tables = append(s.tables, TableReport{Table: k.Table()})
	}
	t := &s.tables[len(s.tables)-1]
	t.Records++
	t.Bytes += int64(size)
}
