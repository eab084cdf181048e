package main

import (
	"bufio"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/codec"
)

// startSub runs `loopmq sub` and returns its output and its errors by line.
func startSub(t *testing.T, args ...string) (cmd *exec.Cmd, out, errs *bufio.Scanner) {
	t.Helper()
	return startClient(t, append([]string{"sub"}, args...)...)
}

func startClient(t *testing.T, args ...string) (cmd *exec.Cmd, out, errs *bufio.Scanner) {
	t.Helper()
	cmd = exec.Command(loopmq, args...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, bufio.NewScanner(stdout), bufio.NewScanner(stderr)
}

// TestSubReconnects: the broker goes and comes back; sub says so, waits, and
// subscribes again.
func TestSubReconnects(t *testing.T) {
	server, log := startServe(t, "--port", "0", "--log-format", "logfmt")
	addr := field(t, waitLine(t, log, "listening on"), "mqtt://")
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	at := []string{"-h", "127.0.0.1", "-p", port}
	cmd, out, errs := startSub(t, append([]string{"-t", "t", "-C", "2", "-d"}, at...)...)
	waitLine(t, errs, "subscribed to")
	publish := func(text string) {
		t.Helper()
		if r := run(t, "", append([]string{loopmq, "pub", "-t", "t", "-m", text, "-q", "1"}, at...)...); r.status != 0 {
			t.Fatal(r.err)
		}
	}
	publish("before")
	waitLine(t, out, "before")
	_ = server.Process.Kill()
	_ = server.Wait()
	waitLine(t, errs, "next attempt in")
	_, log = startServe(t, "--listen", "mqtt://127.0.0.1:"+port, "--log-format", "logfmt")
	waitLine(t, log, "listening on")
	waitLine(t, errs, "subscribed to")
	publish("after")
	waitLine(t, out, "after")
	if err := cmd.Wait(); err != nil {
		t.Errorf("sub -C 2: %v", err)
	}
}

// TestSubTimeoutWhileAway: -W ends the waiting for a broker too.
func TestSubTimeoutWhileAway(t *testing.T) {
	server, log := startServe(t, "--port", "0", "--log-format", "logfmt")
	addr := field(t, waitLine(t, log, "listening on"), "mqtt://")
	cmd, _, errs := startSub(t, "-L", "mqtt://"+addr+"/t", "-W", "3", "-d")
	waitLine(t, errs, "subscribed to")
	_ = server.Process.Kill()
	_ = server.Wait()
	waitLine(t, errs, "next attempt in")
	waitLine(t, errs, "timed out after 3 s")
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 27 {
		t.Errorf("status %d", cmd.ProcessState.ExitCode())
	}
}

func TestSubRemovesRetained(t *testing.T) {
	port := startBroker(t)
	at := []string{"-h", "127.0.0.1", "-p", port}
	for _, topic := range []string{"old/1", "old/2", "keep"} {
		run(t, "", append([]string{loopmq, "pub", "-r", "-t", topic, "-m", "x", "-q", "1"}, at...)...)
	}
	cmd, out, _ := startSub(t, append([]string{"-t", "#", "-T", "keep", "-v", "--remove-retained"}, at...)...)
	waitLine(t, out, "old/")
	waitLine(t, out, "old/")
	// What was removed comes to the subscriber too, as an empty message.
	waitLine(t, out, "(null)")
	waitLine(t, out, "(null)")
	_ = cmd.Process.Kill()
	if r := run(t, "", append([]string{loopmq, "sub", "-t", "#", "-v", "-W", "0.3"}, at...)...); r.out != "keep x\n" || r.status != 27 {
		t.Errorf("left: %q, status %d", r.out, r.status)
	}
}

// TestSubRemovesTheLast: the message that ends sub is removed like others, and nothing is printed behind it.
func TestSubRemovesTheLast(t *testing.T) {
	at := []string{"-h", "127.0.0.1", "-p", startBroker(t), "-t", "old"}
	for range 10 {
		run(t, "", append([]string{loopmq, "pub", "-r", "-m", "x", "-q", "1"}, at...)...)
		if r := run(t, "", append([]string{loopmq, "sub", "--remove-retained", "-C", "1"}, at...)...); r.out != "x\n" || r.err != "" || r.status != 0 {
			t.Fatalf("status %d, %q, %q", r.status, r.out, r.err)
		}
		if r := run(t, "", append([]string{loopmq, "sub", "-W", "0.2"}, at...)...); r.out != "" {
			t.Fatalf("left: %q", r.out)
		}
	}
}

// TestSubSessions: -c keeps the session, -U takes a filter out of it.
func TestSubSessions(t *testing.T) {
	port := startBroker(t)
	at := []string{"-h", "127.0.0.1", "-p", port}
	sub := func(args string) result {
		return run(t, "", append(append([]string{loopmq, "sub"}, strings.Fields(args)...), at...)...)
	}
	sub("-c -i me -q 1 -t a -t b -E")
	for _, topic := range []string{"a", "b"} {
		run(t, "", append([]string{loopmq, "pub", "-t", topic, "-m", topic, "-q", "1"}, at...)...)
	}
	if r := sub("-c -i me -q 1 -t a -C 2"); r.out != "a\nb\n" {
		t.Errorf("queued: %q", r.out)
	}
	sub("-c -i me -U b -t a -E")
	run(t, "", append([]string{loopmq, "pub", "-t", "b", "-m", "b", "-q", "1"}, at...)...)
	run(t, "", append([]string{loopmq, "pub", "-t", "a", "-m", "last", "-q", "1"}, at...)...)
	if r := sub("-c -i me -q 1 -t a -W 0.3"); strings.Contains(r.out, "b") {
		t.Errorf("after -U b: %q", r.out)
	}
}

// TestSubWill: a client that is killed leaves its will.
func TestSubWill(t *testing.T) {
	port := startBroker(t)
	at := []string{"-h", "127.0.0.1", "-p", port}
	watch, out, errs := startSub(t, append([]string{"-t", "will", "-C", "1", "-d", "-V", "5", "-F", "%p %q %r %C"}, at...)...)
	waitLine(t, errs, "subscribed to")
	victim, _, errs := startSub(t, append([]string{
		"-t", "x", "-d", "-V", "5", "--will-topic", "will", "--will-payload", "gone", "-D", "will", "content-type", "c",
	}, at...)...)
	waitLine(t, errs, "subscribed to")
	_ = victim.Process.Kill()
	waitLine(t, out, "gone 0 0 c")
	if err := watch.Wait(); err != nil {
		t.Error(err)
	}
}

// TestPubLinesReconnects: pub -l outlives its broker, as mosquitto_pub does;
// what was not acknowledged is sent to the next one.
func TestPubLinesReconnects(t *testing.T) {
	server, log := startServe(t, "--port", "0", "--log-format", "logfmt")
	addr := field(t, waitLine(t, log, "listening on"), "mqtt://")
	cmd := exec.Command(loopmq, "pub", "-l", "-d", "-q", "1", "-L", "mqtt://"+addr+"/t")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	errs := bufio.NewScanner(stderr)
	say := func(text string) {
		t.Helper()
		if _, err := io.WriteString(in, text); err != nil {
			t.Fatal(err)
		}
	}
	waitLine(t, errs, "connected to")
	say("before\n")
	waitLine(t, errs, "published 6 bytes")
	_ = server.Process.Kill()
	_ = server.Wait()
	waitLine(t, errs, "next attempt in")
	say("meanwhile\n")
	_, log = startServe(t, "--listen", "mqtt://"+addr, "--log-format", "logfmt")
	waitLine(t, log, "listening on")
	subscriber, out, subErrs := startSub(t, "-L", "mqtt://"+addr+"/t", "-C", "1", "-d")
	waitLine(t, subErrs, "subscribed to")
	waitLine(t, errs, "connected to")
	say("after") // a last line may have no end
	in.Close()
	waitLine(t, errs, "published 5 bytes")
	waitLine(t, out, "e")
	if err := cmd.Wait(); err != nil {
		t.Errorf("pub -l: %v", err)
	}
	if err := subscriber.Wait(); err != nil {
		t.Errorf("sub -C 1: %v", err)
	}
}

// TestPubLinesRefused: what cannot be published is no reason to connect again.
func TestPubLinesRefused(t *testing.T) {
	_, log := startServe(t, "--port", "0", "--log-format", "logfmt", "--packet-bytes-max", "1000B")
	addr := field(t, waitLine(t, log, "listening on"), "mqtt://")
	r := run(t, strings.Repeat("long", 500)+"\ntwo\n", loopmq, "pub", "-l", "-V", "mqttv5", "-L", "mqtt://"+addr, "-t", "a")
	if r.status != int(codec.PacketTooLarge) || strings.Contains(r.err, "next attempt") {
		t.Errorf("status %d: %s", r.status, r.err)
	}
}

// TestPubLinesAtFault: nor is a server that ends the connection for what we send.
func TestPubLinesAtFault(t *testing.T) {
	_, log := startServe(t, "--port", "0", "--log-format", "logfmt")
	addr := field(t, waitLine(t, log, "listening on"), "mqtt://")
	r := run(t, "one\ntwo\n", loopmq, "pub", "-l", "-q", "1", "-V", "mqttv5", "-D", "publish", "topic-alias", "65535",
		"-L", "mqtt://"+addr, "-t", "t")
	if r.status == 0 || strings.Contains(r.err, "next attempt") {
		t.Errorf("status %d: %s", r.status, r.err)
	}
}
