package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo terminal: what a person sees and types on, and what
// the program has.
func terminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

func echoes(t *testing.T, f *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// TestPasswdAsks types at the prompts. A password is never shown, and the
// terminal shows again what is typed when the program has ended, however.
func TestPasswdAsks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	for _, row := range []struct {
		args   []string
		answer []string
		status int
	}{
		{[]string{"-c", path, "amy"}, []string{"hush\n", "hush\n"}, 0},
		{[]string{path, "amy"}, []string{"hush\n", "hush!\n"}, 1},
		{[]string{"--verify", path, "amy"}, []string{"hush\n"}, 0},
		{[]string{"--verify", path, "amy"}, []string{"hush!\n"}, 1},
		{[]string{path, "amy"}, []string{"hush\n", "signal"}, 1},
	} {
		person, program := terminal(t)
		cmd := exec.Command(loopmq, append([]string{"passwd"}, row.args...)...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		giveUp := time.AfterFunc(patience, func() { _ = cmd.Process.Kill(); person.Close() })
		seen := ""
		for i, answer := range row.answer {
			for buf := make([]byte, 1024); strings.Count(seen, ": ") <= i || echoes(t, program); {
				if strings.Count(seen, ": ") <= i {
					n, err := person.Read(buf)
					if err != nil {
						t.Fatalf("%v: saw %q, %v", row.args, seen, err)
					}
					seen += string(buf[:n])
				}
			}
			if answer == "signal" {
				if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if _, err := person.WriteString(answer); err != nil {
				t.Fatal(err)
			}
		}
		_ = cmd.Wait()
		giveUp.Stop()
		if got := cmd.ProcessState.ExitCode(); got != row.status || strings.Contains(seen, "hush") {
			t.Errorf("%v: status %d, want %d; seen %q", row.args, got, row.status, seen)
		}
		if !echoes(t, program) {
			t.Errorf("%v %q: the terminal is left without echo", row.args, row.answer)
		}
	}
}
