package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/loopmq/loopmq/internal/testkit"
)

// startServe runs `loopmq serve` and returns its log, line by line.
func startServe(t *testing.T, args ...string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(loopmq, append([]string{"serve"}, args...)...)
	log, err := startLogged(t, cmd)
	if err != nil {
		t.Fatal(err)
	}
	return cmd, log
}

// startLogged starts a command whose log is read line by line.
func startLogged(t *testing.T, cmd *exec.Cmd) (*bufio.Scanner, error) {
	t.Helper()
	pipe, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return bufio.NewScanner(pipe), nil
}

// waitLine reads until a line contains want.
func waitLine(t *testing.T, s *bufio.Scanner, want string) string {
	t.Helper()
	for s.Scan() {
		if strings.Contains(s.Text(), want) {
			return s.Text()
		}
	}
	t.Fatalf("the log ended without %q", want)
	return ""
}

// field returns what stands behind key in a line, up to a space or quote.
func field(t *testing.T, line, key string) string {
	t.Helper()
	_, rest, ok := strings.Cut(line, key)
	if !ok {
		t.Fatalf("no %q in %q", key, line)
	}
	end := strings.IndexAny(rest, " \"")
	if end < 0 {
		end = len(rest)
	}
	return rest[:end]
}

func TestServeStopsInGoodOrder(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		cmd, log := startServe(t, "--port", "0", "--log-format", "logfmt")
		addr := field(t, waitLine(t, log, "listening on"), "mqtt://")
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		waitLine(t, log, "msg=stopped")
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", sig, err)
		}
	}
}

func TestServeSaysWhatIsWrong(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for _, tc := range []struct {
		args string
		code int
		want string
	}{
		{"--listen http://localhost", 2, `scheme "http" is not served; write mqtt://HOST:PORT`},
		{"--listen mqtt://127.0.0.1:1 --port 1884", 2, "--port and --listen together"},
		{"--port 70000", 2, "a port is 0 to 65535"},
		{"--engine steam", 2, "steam"},
		{"--log-level loud", 2, `write "debug", "info", "warn" or "error"`},
		{"--log-format xml", 2, `write "auto", "text", "logfmt" or "json"`},
		{"--memory-limit lots", 2, `--memory-limit: limits.memory_limit: "lots" is no size; write a whole number and a unit: "2MB"`},
		{"--memory-limit 1MB", 2, `"1MB" is less than the broker needs; write "16MiB" or more`},
		{"--no-such-flag", 2, "loopmq serve: flag provided but not defined: -no-such-flag; see loopmq serve --help\n"},
		{"--inflight-max 0", 2, "--inflight-max: limits.inflight_max: 0 is out of bounds; write 1 to 65535"},
		{"--inflight-max 70000", 2, "--inflight-max: limits.inflight_max: 70000 is out of bounds; write 1 to 65535"},
		{"extra", 2, `unexpected argument "extra"`},
		{"--listen mqtt://" + busy.Addr().String(), 4, busy.Addr().String()},
	} {
		var stderr bytes.Buffer
		cmd := exec.Command(loopmq, append([]string{"serve"}, strings.Fields(tc.args)...)...)
		cmd.Stderr = &stderr
		done := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		err := cmd.Run()
		done.Stop()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != tc.code {
			t.Errorf("serve %s: %v, want exit status %d\n%s", tc.args, err, tc.code, &stderr)
		}
		last := stderr.String()
		if !strings.Contains(last, tc.want) {
			t.Errorf("serve %s: stderr %q lacks %q", tc.args, last, tc.want)
		}
	}
}

func TestServeReloadsAtSIGHUP(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwd")
	write := func(users string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(users), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hup := func(cmd *exec.Cmd) {
		t.Helper()
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	cmd, log := startServe(t, "--port", "0", "--log-format", "logfmt", "--password-file", path)
	addr := field(t, waitLine(t, log, "listening on"), "mqtt://")
	login := func(want byte) {
		t.Helper()
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ack := make([]byte, 4)
		if _, err := c.Write([]byte("\x10\x13\x00\x04MQTT\x04\xc2\x00\x00\x00\x01d\x00\x01a\x00\x01b")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(ack); err != nil || !bytes.Equal(ack, []byte{0x20, 2, 0, want}) {
			t.Errorf("CONNACK % x, %v; want code %d", ack, err, want)
		}
	}
	login(4)
	if out, err := exec.Command(loopmq, "passwd", "-b", path, "a", "b").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	hup(cmd)
	waitLine(t, log, "msg=reloaded")
	login(0)
	write("nonsense\n")
	hup(cmd)
	waitLine(t, log, "reload failed; what held before still holds")
	login(0)
}

func TestServeFromAFile(t *testing.T) {
	dir := t.TempDir()
	path, logPath := filepath.Join(dir, "loopmq.toml"), filepath.Join(dir, "log")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("log.to = \"" + logPath + "\"\nlog.format = \"logfmt\"\n[limits]\ninflight_max = 7\n[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\nversions = [\"5\"]\n")
	cmd, _ := startServe(t, "--config", path)
	line := waitInFile(t, logPath, "listening on")
	c, err := net.Dial("tcp", field(t, line, "mqtt://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ack := make([]byte, 4)
	if _, err := c.Write([]byte("\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01d")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(ack); err != nil || !bytes.Equal(ack, []byte{0x20, 2, 0, 1}) {
		t.Errorf("CONNACK % x, %v; 3.1.1 is not served", ack, err)
	}
	waitInFile(t, logPath, "config="+path)

	// The log is moved away, and begun anew; what is wrong with the file is told in it.
	if err := os.Rename(logPath, logPath+".1"); err != nil {
		t.Fatal(err)
	}
	hup := func() {
		t.Helper()
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	hup()
	waitInFile(t, logPath, "msg=reloaded")
	write("inflight = 7\n")
	hup()
	waitInFile(t, logPath, path+":1:1: inflight: unknown key")
}

// waitInFile waits for a line with want in a file that is being written.
func waitInFile(t *testing.T, path, want string) string {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		text, _ := os.ReadFile(path)
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, want) {
				return line
			}
		}
	}
	t.Fatalf("%s never had %q", path, want)
	return ""
}

func TestServeFromAMosquittoConf(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mosquitto.conf")
	_, port, _ := net.SplitHostPort(testkit.FreeAddr(t))
	if err := os.WriteFile(path, []byte("listener "+port+" 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, log := startServe(t, "--mosquitto-conf", path, "--log-format", "logfmt")
	if line := waitLine(t, log, "state="); !strings.Contains(line, "in memory only") { // it has no persistence
		t.Error(line)
	}
	waitLine(t, log, "listening on mqtt://127.0.0.1:"+port)
	if out, err := exec.Command("mosquitto_pub", "-h", "127.0.0.1", "-p", port, "-t", "t", "-m", "x", "-q", "1").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestServeTellsItsStateAtSIGUSR1(t *testing.T) {
	cmd, log := startServe(t, "--port", "0", "--log-format", "logfmt")
	addr := field(t, waitLine(t, log, "listening on"), "mqtt://")
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// A session with a message in flight, which is never acknowledged.
	if _, err := c.Write([]byte("\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01d\x82\x06\x00\x01\x00\x01t\x01\x32\x06\x00\x01t\x00\x02x")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4+5+4+8)
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	waitLine(t, log, `msg="state: clients" connections=1 clients=1 sessions=1 subscriptions=1 retained=0`)
	waitLine(t, log, `published="[0 1 0]" delivered="[0 1 0]"`)
	waitLine(t, log, `msg="state: loop" passes=`)
	waitLine(t, log, `msg="state: backlog" client=d connected=true messages=0 bytes=0 inflight=1`)
	waitLine(t, log, `msg="state: process"`)
}

// TestSizesOfLimits: bytes are given with a unit, as in the file, or without.
func TestSizesOfLimits(t *testing.T) {
	_, log := startServe(t, "--port", "0", "--memory-limit", "256MB", "--packet-bytes-max", "3000000")
	waitLine(t, log, "memory_limit=256000000")
	waitLine(t, log, "packet-bytes-max=3000000")
}

// TestHelpOfMemoryLimit: the daemon's default is not the 0 of embedders.
func TestHelpOfMemoryLimit(t *testing.T) {
	got := run(t, "", loopmq, "serve", "--help")
	_, text, _ := strings.Cut(got.out, "--memory-limit")
	if line, _, _ := strings.Cut(text, "\n"); !strings.Contains(line, "(default: half of what the machine or its cgroup has)") {
		t.Errorf("%q", line)
	}
}

// TestServeTryIt: the commands that the log proposes have a user and a password where the broker wants them.
func TestServeTryIt(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	if r := run(t, "", loopmq, "passwd", "-c", "-b", users, "me", "secret"); r.status != 0 {
		t.Fatal(r.err)
	}
	_, log := startServe(t, "--port", "0", "--password-file", users)
	if line := waitLine(t, log, "try it"); strings.Count(line, " -u USER -P PASSWORD ") != 2 {
		t.Error(line)
	}
}
