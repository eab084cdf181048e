package loop_test

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
)

// faultsEnv is loop.FaultsEnv, which only builds with the tag faults have.
const faultsEnv = "LOOPMQ_FAULTS"

// faulty tells whether system calls are made to fail in this run.
func faulty() bool { return os.Getenv(faultsEnv) != "" }

// TestUnderFaults runs some of these tests over system calls that fail; `make faults` runs all of them.
func TestUnderFaults(t *testing.T) {
	if testing.Short() || faulty() || runtime.GOOS != "linux" {
		t.Skip("short, done already, or not the engine for Linux")
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Fatal("these tests were built with a go command, which is needed once more: ", err)
	}
	const tests = "TestEcho|TestRelay|TestFanOut|TestHalfClosed|TestPacketsOfEveryLength|TestCloseFlushes|TestDeadly"
	cmd := exec.Command(tool, "test", "-short", "-count=1", "-tags", "faults invariant", "-run", "^("+tests+")", ".")
	cmd.Env = append(os.Environ(), faultsEnv+"=seed=1 rate=0.2 fatal=0", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s=%q %s: %v\n%s", faultsEnv, "seed=1 rate=0.2 fatal=0", cmd, err, out)
	}
}
