package testkit

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

// Patience is how long this package waits for what must come.
const Patience = 30 * time.Second

// Program finds a program; without it the test fails. Debian keeps servers where not everybody looks for programs.
func Program(t testing.TB, name string) string {
	t.Helper()
	for _, where := range []string{name, filepath.Join("/usr/sbin", filepath.Base(name))} {
		if path, err := exec.LookPath(where); err == nil {
			return path
		}
	}
	t.Fatalf("%s is not installed, and these tests need it; type: make test-deps", name)
	return ""
}

// Process is a child process that writes lines.
type Process struct {
	Name  string // with its arguments
	PID   int
	Ended chan struct{} // closed when it has ended and its errors are whole

	t     testing.TB
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string // closed when its output ends
	err   error       // of its end

	mu     sync.Mutex
	stderr bytes.Buffer
}

// Run starts a program that ends with the test at the latest.
func Run(t testing.TB, name string, args ...string) *Process {
	t.Helper()
	p := &Process{
		Name: name + " " + strings.Join(args, " "), Ended: make(chan struct{}),
		t: t, cmd: exec.Command(Program(t, name), args...), lines: make(chan string, 10_000),
	}
	p.cmd.Stderr = p
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.PID = p.cmd.Process.Pid
	go func() {
		for in := bufio.NewScanner(out); in.Scan(); {
			p.lines <- in.Text()
		}
		close(p.lines)
		p.err = p.cmd.Wait()
		close(p.Ended)
	}()
	t.Cleanup(func() {
		p.Kill()
		for range p.lines { // so that its reader can end
		}
		<-p.Ended
	})
	return p
}

// Write implements io.Writer: it collects what the process says on standard error.
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.Write(b)
}

// Errors is what it has said on standard error.
func (p *Process) Errors() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// Kill ends the process as a crash would.
func (p *Process) Kill() { _ = p.cmd.Process.Kill() } // it may have ended by itself

// Say writes to the standard input of the process.
func (p *Process) Say(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, text); err != nil {
		p.t.Fatalf("%s: writing to it: %v; errors: %s", p.Name, err, p.Errors())
	}
}

// Next is the next line; more is false at the end of the output.
func (p *Process) Next() (line string, more bool) {
	p.t.Helper()
	select {
	case line, more = <-p.lines:
	case <-time.After(Patience):
		p.Kill()
		<-p.Ended
		p.t.Fatalf("%s:\nwant a line or the end\n got nothing for %v; errors: %s", p.Name, Patience, p.Errors())
	}
	return line, more
}

// Prints expects these lines, one after the other.
func (p *Process) Prints(want ...string) {
	p.t.Helper()
	for _, w := range want {
		got, more := p.Next()
		if !more {
			<-p.Ended
			p.t.Fatalf("%s:\nwant %q\n got the end of its output; errors: %s", p.Name, w, p.Errors())
		}
		if got != w {
			p.t.Fatalf("%s:\nwant %q\n got %q", p.Name, w, got)
		}
	}
}

// PrintsAndEnds expects these lines, then the end of the output and success.
func (p *Process) PrintsAndEnds(want ...string) {
	p.t.Helper()
	p.Prints(want...)
	if got, more := p.Next(); more {
		p.t.Fatalf("%s:\nwant no more\n got %q", p.Name, got)
	}
	if <-p.Ended; p.err != nil {
		p.t.Fatalf("%s: want success, got %v: %s", p.Name, p.err, p.Errors())
	}
}
