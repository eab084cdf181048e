package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/loopmq/loopmq/internal/invariant"
	"github.com/loopmq/loopmq/internal/leak"
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
	build := exec.Command("go", "build", "-o", loopmq)
	if invariant.On {
		build.Args = append(build.Args, "-tags", "invariant")
	}
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		os.Exit(1)
	}
	// Brokers of tests are never to find the directory of this machine's.
	os.Setenv("LOOPMQ_STATE_DIR", "none")
	code := leak.Main(m)
	os.RemoveAll(dir)
	os.Exit(code)
}
