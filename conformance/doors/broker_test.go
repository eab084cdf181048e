package doors

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/internal/leak"
	"github.com/loopmq/loopmq/internal/testkit"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// atEnd stops the brokers when all tests are over.
var atEnd testkit.AtEnd // table: of the test process

func TestMain(m *testing.M) { os.Exit(leak.Main(atEnd.After(m))) }

// each runs f over both engines.
func each(t *testing.T, f func(t *testing.T, engine string)) {
	t.Helper()
	for _, engine := range broker.Engines() {
		t.Run(engine, func(t *testing.T) { f(t, engine) })
	}
}

// served is a broker that runs, and what it logged.
type served struct {
	*broker.Broker
	log *records
}

// addr is HOST:PORT, or the path, of the i-th listener.
func (s *served) addr(i int) string { return s.Addrs()[i].String() }

// port is the port of the i-th listener.
func (s *served) port(i int) string {
	_, port, _ := net.SplitHostPort(s.addr(i))
	return port
}

// serve starts a broker for listeners that are written as on the command line.
func serve(t *testing.T, engine string, listeners ...string) *served {
	t.Helper()
	return serveConfig(t, broker.Config{Engine: engine}, listeners...)
}

func serveConfig(t *testing.T, cfg broker.Config, listeners ...string) *served {
	t.Helper()
	s := &served{log: &records{more: make(chan struct{}, 1)}}
	for _, raw := range listeners {
		l, err := broker.ParseListener(raw)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Listeners = append(cfg.Listeners, l)
	}
	cfg.ShutdownTimeout = time.Millisecond
	cfg.Log = slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if s.Broker, err = broker.New(cfg); err != nil {
		t.Fatal(err)
	}
	atEnd.Add(testkit.Start(t, s))
	return s
}

// records is a log that tests look at.
type records struct {
	mu    sync.Mutex
	lines []string
	more  chan struct{}
}

// Write implements io.Writer, a line at a time.
func (r *records) Write(line []byte) (int, error) {
	r.mu.Lock()
	r.lines = append(r.lines, string(line))
	r.mu.Unlock()
	select {
	case r.more <- struct{}{}:
	default:
	}
	return len(line), nil
}

// find returns the first line with all the words.
func (r *records) find(words ...string) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, line := range r.lines {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			return line, true
		}
	}
	return "", false
}

// wait waits for a line with all the words.
func (r *records) wait(t *testing.T, words ...string) string {
	t.Helper()
	deadline := time.After(patience)
	for {
		if line, found := r.find(words...); found {
			return line
		}
		select {
		case <-r.more:
		case <-deadline:
			r.mu.Lock()
			defer r.mu.Unlock()
			t.Fatalf("no line with %q in the log:\n%s", words, strings.Join(r.lines, ""))
		}
	}
}

// Packets of MQTT 3.1.1.
const (
	connackOK = "\x20\x02\x00\x00"
	pingreq   = "\xc0\x00"
	pingresp  = "\xd0\x00"
)

// connect is the CONNECT of a client with a name of one byte.
func connect(id byte) string {
	return "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01" + string(id)
}

// publish is a short PUBLISH of QoS 0.
func publish(topic, payload string) string {
	return "\x30" + string(byte(2+len(topic)+len(payload))) + "\x00" + string(byte(len(topic))) + topic + payload
}

// dial connects to the i-th listener.
func (s *served) dial(t testing.TB, i int) net.Conn {
	t.Helper()
	a := s.Addrs()[i]
	c, err := net.DialTimeout(a.Network(), a.String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// expect writes send and reads want, to the byte.
func expect(t testing.TB, c net.Conn, send, want string) {
	t.Helper()
	if _, err := io.WriteString(c, send); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, []byte(want)) {
		t.Fatalf("got % x, %v; want % x", got[:n], err, want)
	}
}

// shortPath is a path for a unix socket; t.TempDir is too long for one.
func shortPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "loopmq")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// accepting waits until somebody listens, who ends not before that.
func accepting(t *testing.T, addr string, by *testkit.Process) {
	t.Helper()
	for until := time.Now().Add(patience); ; {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(until) {
			by.Kill()
			t.Fatalf("%s: nobody accepts connections at %s: %v; errors: %s", by.Name, addr, err, by.Errors())
		}
		select {
		case <-by.Ended:
			t.Fatalf("%s ended; errors: %s", by.Name, by.Errors())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// file writes a file for a program to read.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
