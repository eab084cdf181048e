package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestStateDirThatNobodyNamed(t *testing.T) {
	there, absent := t.TempDir(), filepath.Join(t.TempDir(), "loopmq")
	for _, tc := range []struct {
		env, system string
		root        bool
		want        string
	}{
		{"", absent, true, ""},
		{"", there, true, there},
		{"", there, false, ""},
		{"/run/a", there, true, "/run/a"},
		{"/run/a:/run/b", absent, false, "/run/a"},
		{"a", absent, false, ""},
	} {
		dir, why := autoStateDir(func(string) string { return tc.env }, tc.root, tc.system)
		if dir != tc.want || (dir == "") != (why == "") {
			t.Errorf("STATE_DIRECTORY=%q, root %v: %q (%s), want %q", tc.env, tc.root, dir, why, tc.want)
		}
	}
}

// TestServeKeepsItsStateWhereSystemdSays: without a word in the configuration,
// and not if it is turned off.
func TestServeKeepsItsStateWhereSystemdSays(t *testing.T) {
	for args, kept := range map[string]bool{"--state-dir auto": true, "--state-dir none": false, "--state-dir=": false} {
		dir := filepath.Join(t.TempDir(), "state")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv("STATE_DIRECTORY", dir)
		cmd, log := startServe(t, append(strings.Fields(args), "--port", "0", "--state-segment-bytes", "1MiB")...)
		line := waitLine(t, log, "state=")
		waitLine(t, log, "listening on")
		if strings.Contains(line, "STATE_DIRECTORY") != kept || strings.Contains(line, "in memory only") == kept {
			t.Errorf("%s: %s", args, line)
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", args, err)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*.seg"))
		if err != nil || (len(files) == 3) != kept {
			t.Errorf("%s: %v in the directory", args, files)
		}
		for _, f := range files {
			if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 || info.Size() != 1<<20 {
				t.Errorf("%v: %v", info, err)
			}
		}
	}
}
