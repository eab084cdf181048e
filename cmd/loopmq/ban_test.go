package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBanCommand: adds, shows and lifts, and keeps what else is in the file.
func TestBanCommand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bans")
	over := "user old until 2020-01-01T00:00:00Z\n"
	if err := os.WriteFile(path, []byte("# ours\n"+over+"user eve"), 0o600); err != nil {
		t.Fatal(err)
	}
	ban := func(code int, want string, args ...string) string {
		t.Helper()
		r := run(t, "", append([]string{loopmq, "ban"}, args...)...)
		if r.status != code || !strings.Contains(r.out+r.err, want) {
			t.Errorf("ban %q: status %d, %q; want %d, %q", args, r.status, r.out+r.err, code, want)
		}
		return r.out
	}
	ban(0, "", "add", "--for", "1h", "--why", "tries passwords", path, "address", "192.0.2.0/24")
	ban(0, "", "add", path, "client", "sensor 7")
	list := strings.Split(ban(0, "", "list", path), "\n")
	if len(list) != 4 || list[0] != "user eve" || list[2] != `client "sensor 7"` {
		t.Fatalf("list %q", list)
	}
	until, _, _ := strings.Cut(strings.TrimPrefix(list[1], "address 192.0.2.0/24 until "), " because tries passwords")
	if at, err := time.Parse(time.RFC3339, until); err != nil || time.Until(at) < 55*time.Minute || time.Until(at) > time.Hour {
		t.Errorf("%q ends at %v, %v", list[1], at, err)
	}
	ban(0, "", "lift", path, "address", "192.0.2.0/24")
	ban(1, "user nobody is not on the list", "lift", path, "user", "nobody")
	text, err := os.ReadFile(path)
	if want := "# ours\nuser eve\nclient \"sensor 7\"\n"; err != nil || string(text) != want {
		t.Errorf("file %q, %v; want %q", text, err, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	ban(2, "neither an address nor a network", "add", path, "address", "here")
	ban(2, "write address, client or user", "add", path, "host", "here")
	ban(2, "2 arguments", "lift", path, "user")
	ban(0, "", "add", filepath.Join(t.TempDir(), "new"), "user", "a")
}

// TestBanAddKeepsTheListReadable: what would make a line that nobody reads again is refused, and the list stays what
// it was; so do files that are none.
func TestBanAddKeepsTheListReadable(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "bans"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(path, []byte("user eve\n"), 0o600), os.Symlink("bans", link)); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"--for: at most":                 {"--for", "2500000h", path, "user", "a"},
		"a reason of 1025 bytes":         {"--why", strings.Repeat("x", 1025), path, "user", "a"},
		"it is not a regular file; name": {link, "user", "a"},
	} {
		if r := run(t, "", append([]string{loopmq, "ban", "add"}, args...)...); r.status == 0 || !strings.Contains(r.err, want) {
			t.Errorf("ban add %.40q: status %d, %q; want %q", args, r.status, r.err, want)
		}
	}
	if r := run(t, "", loopmq, "ban", "add", "--why", " \n", path, "user", "a"); r.status != 0 {
		t.Errorf("an empty reason: status %d, %q", r.status, r.err)
	}
	if r := run(t, "", loopmq, "ban", "list", path); r.out != "user eve\nuser a\n" {
		t.Errorf("the list is %q, %q", r.out, r.err)
	}
}
