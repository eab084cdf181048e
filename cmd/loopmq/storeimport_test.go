package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStoreImport(t *testing.T) {
	const real = "../../broker/mosquittodb/testdata/mosquitto-2.0.11.db"
	dir := filepath.Join(t.TempDir(), "state")
	expect := func(status int, want string, args ...string) {
		t.Helper()
		if out, got := runStore(t, append([]string{"import"}, args...)...); got != status || !strings.Contains(out, want) {
			t.Errorf("loopmq store import %v: status %d, want %d, and %q in\n%s", args, got, status, want, out)
		}
	}
	expect(2, "give a mosquitto.db and a directory", real)
	expect(1, "no such file", filepath.Join(dir, "nowhere"), dir)
	expect(0, "2 retained messages", real, dir) // one session ends some day
	expect(1, "give a new directory", real, dir)
	expect(1, "not a directory", real, filepath.Join(real, "state"))
	empty := t.TempDir()
	expect(0, "2 retained messages", real, empty)
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "*.import-*")); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
	bad := filepath.Join(t.TempDir(), "mosquitto.db")
	data, err := os.ReadFile(real)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bad, data[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	expect(5, bad+": byte ", bad, dir+"2")
	expect(0, `"version":6,"sessions":`, "-o", "json", real, dir+"3")
}
