package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	repairDir  = "repair.tmp" // where the new segments are made
	repairMark = "REPAIR"     // from here on the new segments count

	damagedPrefix = "damaged-" // of the directory for the old ones
)

// Repair makes a store in dir that can be opened of what can still be read of
// it, and says what is lost. The files it found are kept in a directory below,
// named after now. A sound store is left alone.
//
// It may be interrupted anywhere: until the new segments are complete the old
// ones stay as they are, and after that the next start finishes the exchange.
func Repair(dir string, now time.Time) (rep *Report, err error) {
	rep, err = Check(dir)
	if err != nil {
		return nil, fmt.Errorf("repair store: %w", err)
	}
	if len(rep.Lost) == 0 {
		return rep, nil
	}
	err = withLock(dir, func() error {
		v, err := findSalvage(osFiles{dir})
		if err != nil {
			return err
		}
		defer v.close()
		names, err := rewrite(v, dir)
		if err != nil {
			return err
		}
		rep.Copy = filepath.Join(dir, damagedPrefix+now.UTC().Format("20060102-150405"))
		if err := mark(dir, filepath.Base(rep.Copy), names); err != nil {
			return err
		}
		return repairPending(dir)
	})
	if err != nil {
		return rep, fmt.Errorf("repair store: %w", err)
	}
	return rep, nil
}

// rewrite makes a new log of what is left, with names that are not in use.
func rewrite(v *salvage, dir string) (names []string, err error) {
	tmp := filepath.Join(dir, repairDir)
	if err := os.RemoveAll(tmp); err != nil {
		return nil, err
	}
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return nil, err
	}
	o := Options{}
	for _, s := range v.segments {
		o.named = max(o.named, segmentNumber(s.name))
	}
	if err := o.complete(); err != nil {
		return nil, err
	}
	w, err := openLog(osFiles{tmp}, o)
	if err != nil {
		return nil, err
	}
	defer w.close()
	var batch []byte
	flush := func() error {
		err := w.commit(batch)
		w.maintain()
		batch = batch[:0]
		return err
	}
	err = v.each(func(k Key, value []byte) error {
		batch = appendPut(batch, k, value, nil)
		if len(batch) < bufferKept {
			return nil
		}
		return flush()
	})
	if err = errors.Join(err, flush()); err != nil {
		return nil, err
	}
	for _, s := range w.log {
		names = append(names, s.name)
	}
	return names, nil
}

// mark decides for the new segments: one rename.
func mark(dir, old string, names []string) error {
	text := strings.Join(append([]string{old}, names...), "\n")
	tmp := filepath.Join(dir, repairMark+".tmp")
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(dir, repairMark)); err != nil {
		return err
	}
	return osFiles{dir}.syncDir("")
}

func isPending(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, repairMark))
	return err == nil
}

// repairPending finishes the exchange of segments that a repair began, if one
// did. Each step may have been done before.
func repairPending(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, repairMark))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("finish repair: %w", err)
	}
	old, list, _ := strings.Cut(string(text), "\n")
	fresh := strings.Split(list, "\n")
	d := osFiles{dir}
	if fits, err := markFits(d, old, fresh); err != nil || !fits {
		if err == nil {
			err = fmt.Errorf("%s is damaged; remove it and %s, and repair again", d.path(repairMark), repairDir)
		}
		return fmt.Errorf("finish repair: %w", err)
	}
	if err := errors.Join(d.makeDir(old), moveOld(d, old, fresh), moveNew(d, fresh)); err != nil {
		return fmt.Errorf("finish repair: %w", err)
	}
	err = errors.Join(d.syncDir(old), d.syncDir(""))
	if err == nil {
		err = errors.Join(os.RemoveAll(d.path(repairDir)), d.remove(repairMark), d.syncDir(""))
	}
	if err != nil {
		return fmt.Errorf("finish repair: %w", err)
	}
	return nil
}

// markFits tells whether a mark is of a repair here: a damaged one would have the new segments thrown away, or the old.
func markFits(d osFiles, old string, fresh []string) (bool, error) {
	if !strings.HasPrefix(old, damagedPrefix) || filepath.Base(old) != old {
		return false, nil
	}
	made, err := osFiles{d.path(repairDir)}.list()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if _, err := os.Stat(d.path(old)); err == nil { // the exchange has begun: some are in their place
		there, err := d.list()
		if err != nil {
			return false, err
		}
		made = append(made, there...)
	}
	return !slices.ContainsFunc(fresh, func(name string) bool {
		return segmentNumber(name) == 0 || !slices.Contains(made, name)
	}), nil
}

func moveOld(d osFiles, old string, fresh []string) error {
	names, err := d.list()
	if err != nil {
		return err
	}
	isNew := map[string]bool{}
	for _, name := range fresh {
		isNew[name] = true
	}
	for _, name := range names {
		if segmentNumber(name) != 0 && !isNew[name] {
			if err := d.rename(name, filepath.Join(old, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

func moveNew(d osFiles, fresh []string) error {
	for _, name := range fresh {
		err := d.rename(filepath.Join(repairDir, name), name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
