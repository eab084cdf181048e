package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestServeRecordsAndReplayPlays(t *testing.T) {
	file := filepath.Join(t.TempDir(), "it")
	cmd, log := startServe(t, "--port", "0", "--log-format", "logfmt", "--record", file, "--record-redact", "payloads")
	port := field(t, waitLine(t, log, "listening on"), "127.0.0.1:")
	if out, err := exec.Command(loopmq, "pub", "-p", port, "-i", "me", "-t", "a/b", "-m", "private", "-q", "1").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	waitLine(t, log, "stopped")
	_ = cmd.Wait()
	text, err := exec.Command(loopmq, "replay", "-v", "--check", file).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for _, want := range []string{"1> CONNECT,", "1< CONNACK, 4 bytes: 20 02 00 00\n", "78 78 78 78 78 78 78\n", "1< PUBACK,", "left out: payloads", "as then    yes"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if err := os.WriteFile(file, []byte("else"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(loopmq, "replay", file).CombinedOutput(); err == nil || !strings.Contains(string(out), "not a recording") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestRecordFlags(t *testing.T) {
	for args, want := range map[string]string{
		"--record x --record-redact all":    `--record-redact "all": use passwords, payloads or none`,
		"--record-redact none":              "go with --record FILE",
		"--record x --record-bytes-max 10":  "--record-bytes-max 10: must be at least 1024",
		"--record x --record-bytes-max 1B":  "--record-bytes-max 1B: must be at least 1024",
		"--record x --record-bytes-max 1QB": `--record-bytes-max "1QB": it has a unit that is none of a size`,
		"--record /nowhere/at/all --port 0": "recording: ",
		// has a unit, and what is wrong is only the place
		"--record /nowhere/at/all --record-bytes-max 3GB --port 0":     "recording: ",
		"--record /nowhere/at/all --record-bytes-max 5000000 --port 0": "recording: ",
	} {
		out, err := exec.Command(loopmq, append([]string{"serve"}, strings.Fields(args)...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v, %s; want %q", args, err, out, want)
		}
	}
}
