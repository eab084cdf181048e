package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/store"
)

// runStore runs `loopmq store` and returns what it printed and its status.
func runStore(t *testing.T, args ...string) (out string, status int) {
	t.Helper()
	text, err := exec.Command(loopmq, append([]string{"store"}, args...)...).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		status = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return string(text), status
}

func TestStoreCommands(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s, err := store.Open(dir, store.Options{Post: func(func()) {}, SegmentBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	s.Put(store.KeyOf(1, 7), []byte("client"), []byte{0, 7})
	s.Put(store.KeyOf(store.Cold, 1), nil, []byte(strings.Repeat("body", 100)))
	expect := func(status int, want string, args ...string) string {
		t.Helper()
		out, got := runStore(t, args...)
		if got != status || !strings.Contains(out, want) {
			t.Errorf("loopmq store %v: status %d, want %d, and %q in\n%s", args, got, status, want, out)
		}
		return out
	}
	expect(5, fmt.Sprintf("in use by process %d", os.Getpid()), "check", dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	expect(0, "2 records in 1 segments", "check", dir)
	expect(0, "table 128            1 records          400 bytes", "stats", dir)
	expect(0, "1 7 8 636c69656e740007 |client..|\n", "dump", "--table", "1", dir)
	expect(0, "…|\n", "dump", "--bytes", "10", dir)
	expect(0, "is sound, nothing was changed", "repair", dir)
	expect(0, "bytes now, 2 records", "compact", dir)
	expect(2, "give one directory", "check")
	expect(1, "no such file", "check", filepath.Join(dir, "nowhere"))
	expect(1, "there is no store here", "stats", t.TempDir())

	f, err := os.OpenFile(filepath.Join(dir, "00000001.seg"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("spoilt"), 20); err != nil {
		t.Fatal(err)
	}
	expect(5, "00000001.seg: damaged at byte 0: the header of the segment is broken; see loopmq store check", "dump", dir)
	var rep store.Report
	out, status := runStore(t, "check", "-o", "json", dir)
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&rep); err != nil || status != 5 || len(rep.Lost) != 1 {
		t.Errorf("check -o json: %v, status %d:\n%s", err, status, out)
	}
	expect(0, "2 records are left", "repair", dir)
	expect(0, "2 records in", "check", dir)
}
