package broker_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/internal/testkit"
)

// run starts a broker on a state directory; stop ends it.
func run(t testing.TB, cfg broker.Config) (b *broker.Broker, stop func()) {
	t.Helper()
	cfg.Listeners = []broker.Listener{{URL: "mqtt://127.0.0.1:0"}}
	b, err := broker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b, testkit.Serve(t, b)
}

const (
	durable3 = "\x10\x0d\x00\x04MQTT\x04\x00\x00\x00\x00\x01s"
	clean3   = "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01p"
)

func TestStateOutlivesTheBroker(t *testing.T) {
	for _, engine := range broker.Engines() {
		t.Run(engine, func(t *testing.T) {
			cfg := broker.Config{Engine: engine, StateDir: filepath.Join(t.TempDir(), "state")}
			b, stop := run(t, cfg)
			s, p := dial(t, b, 0), dial(t, b, 0)
			expect(t, s, durable3+"\x82\x06\x00\x01\x00\x01t\x02", "\x20\x02\x00\x00\x90\x03\x00\x01\x02")
			s.Close()
			expect(t, p, clean3, "\x20\x02\x00\x00")
			expect(t, p, "\x34\x06\x00\x01t\x00\x01a", "\x50\x02\x00\x01")
			expect(t, p, "\x33\x06\x00\x01r\x00\x02b", "\x40\x02\x00\x02")
			stop()
			b, stop = run(t, cfg)
			s, p = dial(t, b, 0), dial(t, b, 0)
			expect(t, s, durable3, "\x20\x02\x01\x00\x34\x06\x00\x01t\x00\x01a")
			expect(t, s, "\x50\x02\x00\x01", "\x62\x02\x00\x01")
			expect(t, p, clean3+"\x82\x06\x00\x01\x00\x01r\x00", "\x20\x02\x00\x00\x90\x03\x00\x01\x00\x31\x04\x00\x01rb")
			stop()
		})
	}
}

func TestStateDirectoryInUse(t *testing.T) {
	cfg := broker.Config{StateDir: filepath.Join(t.TempDir(), "state")}
	b, _ := run(t, cfg)
	second, err := broker.New(broker.Config{StateDir: cfg.StateDir, Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(context.Background()); !errors.Is(err, broker.ErrState) || !strings.Contains(err.Error(), "is in use by") {
		t.Errorf("a second broker: %v", err)
	}
	cfg.StateDir = ""
	if err := b.Reload(cfg); err == nil || !strings.Contains(err.Error(), "restart the broker for that") {
		t.Errorf("reload without the state directory: %v", err)
	}
}

// TestRulesOutliveTheBroker: who is away is still who he was.
func TestRulesOutliveTheBroker(t *testing.T) {
	dir := t.TempDir()
	rules := filepath.Join(dir, "acl")
	if err := os.WriteFile(rules, []byte("topic write dev/#\npattern read dev/%c\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := broker.Config{StateDir: filepath.Join(dir, "state"), ACLFile: rules}
	cfg.Record = &broker.Recording{File: filepath.Join(dir, "recording")} // which is not to change what is kept
	b, stop := run(t, cfg)
	s, p := dial(t, b, 0), dial(t, b, 0)
	expect(t, s, durable3+"\x82\x0a\x00\x01\x00\x05dev/+\x01", "\x20\x02\x00\x00\x90\x03\x00\x01\x01")
	s.Close()
	expect(t, p, clean3+"\x33\x0a\x00\x05dev/s\x00\x01a", "\x20\x02\x00\x00\x40\x02\x00\x01")
	stop()
	b, _ = run(t, cfg)
	p = dial(t, b, 0)
	expect(t, p, clean3+"\x32\x0a\x00\x05dev/s\x00\x01b\x32\x0a\x00\x05dev/x\x00\x02c", "\x20\x02\x00\x00\x40\x02\x00\x01\x40\x02\x00\x02")
	expect(t, dial(t, b, 0), durable3, "\x20\x02\x01\x00\x32\x0a\x00\x05dev/s\x00\x01a\x32\x0a\x00\x05dev/s\x00\x02b")
}

// TestRulesOfListenersOfOneName: listeners that were given no name have one, and
// their rules are not each other's after a start either, also where one was alone
// before.
func TestRulesOfListenersOfOneName(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	open := broker.Listener{URL: "mqtt://127.0.0.1:0", ACLFile: file(t, "open", "topic readwrite #\n")}
	narrow := broker.Listener{URL: "mqtt://127.0.0.2:0", ACLFile: file(t, "narrow", "topic readwrite t\n")}
	begin := func(listeners ...broker.Listener) (*broker.Broker, func()) {
		t.Helper()
		b, err := broker.New(broker.Config{StateDir: state, Listeners: listeners})
		if err != nil {
			t.Fatal(err)
		}
		return b, testkit.Serve(t, b)
	}
	b, stop := begin(open)
	s := dial(t, b, 0)
	expect(t, s, durable3+"\x82\x06\x00\x01\x00\x01+\x01", "\x20\x02\x00\x00\x90\x03\x00\x01\x01")
	s.Close()
	for _, turn := range []struct {
		listeners []broker.Listener
		open      int
	}{
		{[]broker.Listener{narrow, open}, 1},
		{[]broker.Listener{open, narrow}, 0}, // their order is not what tells them apart
	} {
		stop()
		b, stop = begin(turn.listeners...)
		expect(t, dial(t, b, turn.open), clean3+"\x32\x06\x00\x01x\x00\x01a", "\x20\x02\x00\x00\x40\x02\x00\x01")
		s = dial(t, b, turn.open)
		expect(t, s, durable3, "\x20\x02\x01\x00\x32\x06\x00\x01x\x00\x01a")
		expect(t, s, "\x40\x02\x00\x01\xc0\x00", "\xd0\x00")
		s.Close()
	}
	stop()
}
