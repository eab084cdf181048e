package main

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A service manager hands over three sockets, waits for the broker to be ready,
// wants to see that it lives, and stops it.
func TestServiceManager(t *testing.T) {
	dir, err := os.MkdirTemp("", "loopmq") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify")})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	files, addrs := threeSockets(t)
	// LISTEN_PID is the broker's own, which only a shell that becomes the broker can know.
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$0" serve --log-format logfmt --listen 'mqtt://?name=five&versions=5'`, loopmq)
	cmd.Env = append(os.Environ(), "LISTEN_FDS=3", "LISTEN_FDNAMES=loopmq-mqtt.socket:ws:five",
		"NOTIFY_SOCKET="+manager.LocalAddr().String(), "WATCHDOG_USEC=200000")
	cmd.ExtraFiles = files
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	log := bufio.NewScanner(stderr)
	told := func() string {
		t.Helper()
		_ = manager.SetDeadline(time.Now().Add(10 * time.Second))
		b := make([]byte, 100)
		n, err := manager.Read(b)
		if err != nil {
			t.Fatal("the broker told nothing:", err)
		}
		return string(b[:n])
	}
	if got := told(); got != "READY=1" {
		t.Fatalf("told %q first", got)
	}
	waitLine(t, log, "listening on mqtt://"+addrs[2])
	waitLine(t, log, "listening on mqtt://"+addrs[0])
	waitLine(t, log, "listening on ws://"+addrs[1]+"/mqtt")
	greetSockets(t, addrs)
	for range 2 {
		if got := told(); got != "WATCHDOG=1" {
			t.Fatalf("told %q", got)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"RELOADING=1\nMONOTONIC_USEC=", "READY=1"} {
		got := told()
		for got == "WATCHDOG=1" {
			got = told()
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	got := told()
	for got == "WATCHDOG=1" {
		got = told()
	}
	if got != "STOPPING=1" {
		t.Errorf("told %q at the end", got)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestSocketThatNeedsACertificate(t *testing.T) {
	_, err := handedOver(nil, []*os.File{os.NewFile(99, "loopmq-mqtts.socket")})
	if err == nil || !strings.Contains(err.Error(), `the socket "loopmq-mqtts.socket", which needs a certificate`) {
		t.Errorf("got %v", err)
	}
}

// The unit file keeps what it locks out; systemd's own measure says so.
func TestUnitFileIsHardened(t *testing.T) {
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager",
		"../../packaging/systemd/loopmq.service").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// A start reads all that is kept, which may take longer than the 90 s that systemd
// waits where nothing is said, and then kills.
func TestUnitFileLetsAStartTakeItsTime(t *testing.T) {
	unit, err := os.ReadFile("../../packaging/systemd/loopmq.service")
	if err != nil || !strings.Contains(string(unit), "\nTimeoutStartSec=infinity\n") {
		t.Errorf("%v\n%s", err, unit)
	}
}

// threeSockets listens as a service manager does.
func threeSockets(t *testing.T) (files []*os.File, addrs []string) {
	t.Helper()
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close(); f.Close() })
		files, addrs = append(files, f), append(addrs, l.Addr().String())
	}
	return files, addrs
}

// greetSockets checks that MQTT, a web page and MQTT 5.0 only are behind them.
func greetSockets(t *testing.T, addrs []string) {
	t.Helper()
	for i, want := range []string{"\x20\x02\x00\x00", "HTTP", "\x20\x02\x00\x01"} {
		c, err := net.Dial("tcp", addrs[i])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		send := "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01d"
		if i == 1 {
			send = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
		}
		got := make([]byte, 4)
		if _, err := c.Write([]byte(send)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(got); err != nil || string(got) != want {
			t.Errorf("socket %d: % x, %v; want % x", i, got, err, want)
		}
	}
}
