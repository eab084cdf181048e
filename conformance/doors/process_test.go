package doors

import (
	"bufio"
	"bytes"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// running is a child process that writes lines.
type running struct {
	t     testing.TB
	name  string
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string   // closed when its output ends
	ended chan struct{} // closed when it has ended and stderr is whole
	err   error         // of its end

	mu     sync.Mutex
	stderr bytes.Buffer
}

// Write collects what the process says on standard error.
func (r *running) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stderr.Write(b)
}

func (r *running) errors() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stderr.String()
}

// program finds a program; without it the test fails.
func program(t testing.TB, name string) string {
	t.Helper()
	for _, where := range []string{name, filepath.Join("/usr/sbin", filepath.Base(name))} {
		if path, err := exec.LookPath(where); err == nil {
			return path
		}
	}
	t.Fatalf("%s is not installed, and these tests need it; type: make test-deps", name)
	return ""
}

// run starts a program that ends with the test at the latest.
func run(t testing.TB, name string, args ...string) *running {
	t.Helper()
	r := &running{t: t, name: name + " " + strings.Join(args, " "), lines: make(chan string, 10_000), ended: make(chan struct{})}
	r.cmd = exec.Command(program(t, name), args...)
	r.cmd.Stderr = r
	var err error
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for in := bufio.NewScanner(out); in.Scan(); {
			r.lines <- in.Text()
		}
		close(r.lines)
		r.err = r.cmd.Wait()
		close(r.ended)
	}()
	t.Cleanup(func() {
		r.kill()
		for range r.lines { // so that its reader can end
		}
		<-r.ended
	})
	return r
}

// kill ends the process as a crash would.
func (r *running) kill() { _ = r.cmd.Process.Kill() } // it may have ended by itself

// say writes to the standard input of the process.
func (r *running) say(text string) {
	r.t.Helper()
	if _, err := io.WriteString(r.in, text); err != nil {
		r.t.Fatalf("%s: writing to it: %v; errors: %s", r.name, err, r.errors())
	}
}

// next is the next line; more is false at the end of the output.
func (r *running) next() (line string, more bool) {
	r.t.Helper()
	select {
	case line, more = <-r.lines:
	case <-time.After(patience):
		r.kill()
		<-r.ended
		r.t.Fatalf("%s:\nwant a line or the end\n got nothing for %v; errors: %s", r.name, patience, r.errors())
	}
	return line, more
}

// prints expects these lines, one after the other.
func (r *running) prints(want ...string) {
	r.t.Helper()
	for _, w := range want {
		got, more := r.next()
		if !more {
			<-r.ended
			r.t.Fatalf("%s:\nwant %q\n got the end of its output; errors: %s", r.name, w, r.errors())
		}
		if got != w {
			r.t.Fatalf("%s:\nwant %q\n got %q", r.name, w, got)
		}
	}
}

// printsAndEnds expects these lines, then the end of the output and success.
func (r *running) printsAndEnds(want ...string) {
	r.t.Helper()
	r.prints(want...)
	if got, more := r.next(); more {
		r.t.Fatalf("%s:\nwant no more\n got %q", r.name, got)
	}
	if <-r.ended; r.err != nil {
		r.t.Fatalf("%s: want success, got %v: %s", r.name, r.err, r.errors())
	}
}

// output is all that a program prints that ends by itself, on both its outputs;
// fails says how it is to end.
func output(t testing.TB, fails bool, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(program(t, name), args...).CombinedOutput()
	if (err != nil) != fails {
		t.Fatalf("%s %s: %v, failure expected: %v\n%s", name, strings.Join(args, " "), err, fails, out)
	}
	return string(out)
}

// contains expects texts, all of them, in what a program printed.
func contains(t testing.TB, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in\n%s", w, text)
		}
	}
}
