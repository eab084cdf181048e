package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// loopmq is the program under test.
var loopmq string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "loopmq")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	loopmq = filepath.Join(dir, "loopmq")
	if out, err := exec.Command("go", "build", "-o", loopmq, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		os.Exit(1)
	}
	// Brokers of tests are never to find the directory of this machine's.
	os.Setenv("LOOPMQ_STATE_DIR", "none")
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}
