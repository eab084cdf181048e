package config_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/config"
)

// update writes expected texts anew; make docs sets it.
var update = flag.Bool("update", false, "write the expected texts and the documentation anew")

// TestBadConfigurations holds what is said about each configuration of
// testdata/bad.txt. A case is its name behind ==, environment variables behind
// $, overrides behind --, the file, and after a line of dashes the problems.
// The directory of the file has ok.pem, pw, empty and sub/x.toml too.
func TestBadConfigurations(t *testing.T) {
	const name = "testdata/bad.txt"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(text), "\n== ")
	var now strings.Builder
	now.WriteString(head)
	n := 0
	for c := range strings.SplitSeq(rest, "\n== ") {
		title, body, _ := strings.Cut(c, "\n")
		in, want, _ := strings.Cut(body, "----\n")
		want = strings.TrimRight(want, "\n")
		got := badCase(t, in)
		now.WriteString("\n== " + title + "\n" + in + "----\n" + got + "\n")
		if got == "" {
			t.Errorf("%s: nothing is wrong with\n%s", title, in)
		} else if got != want && !*update {
			t.Errorf("%s:\n%sgives\n%s\nwant\n%s", title, in, got, want)
		}
		n++
	}
	if n < 60 {
		t.Errorf("only %d cases", n)
	}
	if *update {
		if err := os.WriteFile(name, []byte(now.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func badCase(t *testing.T, in string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "ok.pem", "-")
	write(t, dir, "pw", "a:b")
	write(t, dir, "empty", "\n")
	write(t, dir, "sub/x.toml", "include = ['y.toml']\n[limits]\ninflight_max = 0\n")
	var env, lines []string
	var overrides []config.Override
	for line := range strings.Lines(in) {
		if name, value, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "$ ")), "="); ok && strings.HasPrefix(line, "$ ") {
			env = append(env, name+"="+value)
		} else if key, value, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "-- ")), " "); ok && strings.HasPrefix(line, "-- ") {
			overrides = append(overrides, config.Override{Key: key, Value: value, Source: "--flag"})
		} else {
			lines = append(lines, line)
		}
	}
	path := write(t, dir, "loopmq.toml", strings.Join(lines, ""))
	_, problems := config.Load(path, env, overrides)
	var got []string
	for _, p := range problems {
		got = append(got, strings.ReplaceAll(p.String(), dir+string(filepath.Separator), ""))
	}
	return strings.Join(got, "\n")
}
