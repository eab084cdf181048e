package conformance

import (
	"bufio"
	"bytes"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// subscriber is a running mosquitto_sub. It writes nothing when it is
// subscribed, so each is given a retained message that it must print first.
type subscriber struct {
	t      testing.TB
	args   string
	cmd    *exec.Cmd
	lines  chan string // closed when its output ends
	stderr bytes.Buffer
}

// mosquittoSub starts mosquitto_sub.
func mosquittoSub(t testing.TB, tg target, args ...string) *subscriber {
	t.Helper()
	s := &subscriber{t: t, args: strings.Join(args, " "), lines: make(chan string, 100)}
	s.cmd = exec.Command(program(t, "mosquitto_sub"), withAddress(t, tg, args)...)
	s.cmd.Stderr = &s.stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for in := bufio.NewScanner(out); in.Scan(); {
			s.lines <- in.Text()
		}
		close(s.lines)
	}()
	t.Cleanup(func() {
		s.kill()
		for range s.lines { // so that its reader can end
		}
		<-ended
		_ = s.cmd.Wait() // it was killed
	})
	return s
}

func withAddress(t testing.TB, tg target, args []string) []string {
	t.Helper()
	host, port, err := net.SplitHostPort(tg.addr())
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{"-h", host, "-p", port}, args...)
}

// mosquittoPub runs mosquitto_pub to its end.
func mosquittoPub(t testing.TB, tg target, args ...string) {
	t.Helper()
	if out, err := exec.Command(program(t, "mosquitto_pub"), withAddress(t, tg, args)...).CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_pub %s: want success, got %v: %s", strings.Join(args, " "), err, out)
	}
}

// kill ends the process as a crash would.
func (s *subscriber) kill() { _ = s.cmd.Process.Kill() } // it may have ended by itself

// prints expects these lines, one after the other.
func (s *subscriber) prints(want ...string) {
	s.t.Helper()
	for _, w := range want {
		select {
		case got, more := <-s.lines:
			if !more {
				s.t.Fatalf("mosquitto_sub %s:\nwant %q\n got the end of its output; errors: %q", s.args, w, s.stderr.String())
			}
			if got != w {
				s.t.Fatalf("mosquitto_sub %s:\nwant %q\n got %q", s.args, w, got)
			}
		case <-time.After(patience):
			s.t.Fatalf("mosquitto_sub %s:\nwant %q\n got nothing for %v", s.args, w, patience)
		}
	}
}

// printsAndEnds expects these lines and then the end of the process.
func (s *subscriber) printsAndEnds(want ...string) {
	s.t.Helper()
	s.prints(want...)
	select {
	case got, more := <-s.lines:
		if more {
			s.t.Fatalf("mosquitto_sub %s:\nwant no more\n got %q", s.args, got)
		}
	case <-time.After(patience):
		s.t.Fatalf("mosquitto_sub %s:\nwant its end\n got nothing for %v", s.args, patience)
	}
}

// TestRealClientsFilters is the first thing that a user tries: several filters
// with wildcards at one mosquitto_sub.
func TestRealClientsFilters(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		mosquittoPub(t, tg, "-r", "-t", "c/foo", "-m", "ready")
		s := mosquittoSub(t, tg, "-v", "-t", "a/#", "-t", "b/+/test", "-t", "c/foo")
		s.prints("c/foo ready")
		for _, topic := range []string{"d/", "c/foo", "b/123/test", "b/1/2/test", "a/what/ever"} {
			mosquittoPub(t, tg, "-t", topic, "-m", "hello")
		}
		s.prints("c/foo hello", "b/123/test hello", "a/what/ever hello")
		mosquittoPub(t, tg, "-t", "a", "-m", "and no more") // a/# holds its parent too
		s.prints("a and no more")
	})
}

// TestRealClientsTwoSubscribers: a message goes once to each subscriber.
func TestRealClientsTwoSubscribers(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		mosquittoPub(t, tg, "-r", "-t", "test/hello", "-m", "ready")
		one := mosquittoSub(t, tg, "-v", "-t", "test/#")
		one.prints("test/hello ready")
		mosquittoPub(t, tg, "-t", "test/hello", "-m", "hello")
		one.prints("test/hello hello")
		two := mosquittoSub(t, tg, "-v", "-t", "test/hello")
		two.prints("test/hello ready")
		mosquittoPub(t, tg, "-t", "test/hello", "-m", "hello2")
		mosquittoPub(t, tg, "-t", "test/hello", "-m", "end")
		one.prints("test/hello hello2", "test/hello end")
		two.prints("test/hello hello2", "test/hello end")
	})
}

// TestRealClientsQoS: each QoS, through both programs.
func TestRealClientsQoS(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		mosquittoPub(t, tg, "-r", "-t", "t", "-m", "ready")
		s := mosquittoSub(t, tg, "-q", "2", "-t", "t", "-F", "%q %r %p", "-C", "4")
		s.prints("0 1 ready")
		for _, qos := range []string{"0", "1", "2"} {
			mosquittoPub(t, tg, "-q", qos, "-t", "t", "-m", "m"+qos)
		}
		s.printsAndEnds("0 0 m0", "1 0 m1", "2 0 m2")
	})
}

func TestRealClientsRetained(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		mosquittoPub(t, tg, "-r", "-q", "1", "-t", "r/1", "-m", "first")
		mosquittoPub(t, tg, "-r", "-q", "1", "-t", "r/1", "-m", "second")
		mosquittoPub(t, tg, "-q", "1", "-t", "r/1", "-m", "not retained")
		mosquittoSub(t, tg, "-v", "-q", "1", "-t", "r/#", "-C", "1").printsAndEnds("r/1 second")
		mosquittoPub(t, tg, "-r", "-n", "-q", "1", "-t", "r/1") // without a payload it is removed
		mosquittoPub(t, tg, "-r", "-q", "1", "-t", "r/2", "-m", "the only one")
		mosquittoSub(t, tg, "-v", "-q", "1", "-t", "r/#", "-C", "1").printsAndEnds("r/2 the only one")
	})
}

func TestRealClientsWill(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		mosquittoPub(t, tg, "-r", "-t", "ready", "-m", "ready")
		watch := mosquittoSub(t, tg, "-v", "-t", "ready", "-t", "will/#")
		watch.prints("ready ready")
		dying := mosquittoSub(t, tg, "-t", "ready", "--will-topic", "will/dying", "--will-payload", "gone", "--will-qos", "1", "--will-retain")
		dying.prints("ready")
		dying.kill()
		watch.prints("will/dying gone")
		mosquittoSub(t, tg, "-v", "-t", "will/#", "-C", "1").printsAndEnds("will/dying gone")
	})
}

func TestRealClientsPersistentSession(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		args := []string{"-c", "-i", "id", "-q", "1", "-v", "-t", "p/#"}
		mosquittoSub(t, tg, append(args, "-E")...).printsAndEnds() // subscribes and disconnects
		mosquittoPub(t, tg, "-q", "0", "-t", "p/0", "-m", "lost")
		mosquittoPub(t, tg, "-q", "1", "-t", "p/1", "-m", "kept")
		mosquittoPub(t, tg, "-q", "2", "-t", "p/2", "-m", "kept too")
		again := mosquittoSub(t, tg, args...)
		again.prints("p/1 kept", "p/2 kept too")
		mosquittoPub(t, tg, "-q", "1", "-t", "p/3", "-m", "end")
		again.prints("p/3 end")
	})
}
