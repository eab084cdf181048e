package clients

import (
	"bufio"
	"bytes"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// running is a child process that writes lines.
type running struct {
	t      testing.TB
	name   string
	cmd    *exec.Cmd
	lines  chan string // closed when its output ends
	stderr bytes.Buffer
}

// program finds a program; without it the test fails.
func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed, and these tests need it; type: make test-deps", name)
	}
	return path
}

// run starts a program that ends with the test at the latest.
func run(t testing.TB, name string, args ...string) *running {
	t.Helper()
	r := &running{t: t, name: name + " " + strings.Join(args, " "), lines: make(chan string, 100)}
	r.cmd = exec.Command(program(t, name), args...)
	r.cmd.Stderr = &r.stderr
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for in := bufio.NewScanner(out); in.Scan(); {
			r.lines <- in.Text()
		}
		close(r.lines)
	}()
	t.Cleanup(func() {
		r.kill()
		for range r.lines { // so that its reader can end
		}
		<-ended
		_ = r.cmd.Wait() // it may have been killed
	})
	return r
}

// kill ends the process as a crash would.
func (r *running) kill() { _ = r.cmd.Process.Kill() } // it may have ended by itself

// next is the next line; more is false at the end of the output.
func (r *running) next() (line string, more bool) {
	r.t.Helper()
	select {
	case line, more = <-r.lines:
	case <-time.After(patience):
		r.t.Fatalf("%s:\nwant a line or the end\n got nothing for %v", r.name, patience)
	}
	return line, more
}

// prints expects these lines, one after the other.
func (r *running) prints(want ...string) {
	r.t.Helper()
	for _, w := range want {
		got, more := r.next()
		if !more {
			r.kill()
			_ = r.cmd.Wait() // then stderr is whole
			r.t.Fatalf("%s:\nwant %q\n got the end of its output; errors: %q", r.name, w, r.stderr.String())
		}
		if got != w {
			r.t.Fatalf("%s:\nwant %q\n got %q", r.name, w, got)
		}
	}
}

// printsAndEnds expects these lines and then the end of the output.
func (r *running) printsAndEnds(want ...string) {
	r.t.Helper()
	r.prints(want...)
	if got, more := r.next(); more {
		r.t.Fatalf("%s:\nwant no more\n got %q", r.name, got)
	}
}

// mosquitto starts a client of mosquitto's against the broker.
func mosquitto(t testing.TB, name, addr, version string, args ...string) *running {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return run(t, name, append([]string{"-h", host, "-p", port, "-V", version}, args...)...)
}

// sub starts mosquitto_sub.
func sub(t testing.TB, addr, version string, args ...string) *running {
	t.Helper()
	return mosquitto(t, "mosquitto_sub", addr, version, args...)
}

// pub runs mosquitto_pub to its end.
func pub(t testing.TB, addr, version string, args ...string) {
	t.Helper()
	p := mosquitto(t, "mosquitto_pub", addr, version, args...)
	p.printsAndEnds()
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("%s: want success, got %v: %s", p.name, err, p.stderr.String())
	}
}
