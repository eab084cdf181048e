package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/broker"
)

// tree is what $SYS says of the store.
func tree(t *testing.T, b *broker.Broker) map[string]uint64 {
	t.Helper()
	c := dial(t, b, 0)
	expect(t, c, "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01y\x82\x18\x00\x01\x00\x13$SYS/broker/state/#\x00", "\x20\x02\x00\x00\x90\x03\x00\x01\x00")
	found := map[string]uint64{}
	buf := make([]byte, 0, 4096)
	for len(found) < 10 {
		part := make([]byte, 4096)
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := c.Read(part)
		if err != nil {
			t.Fatalf("%v; so far %v", err, found)
		}
		buf = append(buf, part[:n]...)
		for len(buf) > 2 && len(buf) >= 2+int(buf[1]) {
			p := buf[2 : 2+int(buf[1])]
			size := int(p[0])<<8 | int(p[1])
			number, err := strconv.ParseUint(string(p[2+size:]), 10, 64)
			if err != nil {
				t.Errorf("%s is no number: %q", p[2:2+size], p[2+size:])
			}
			found[strings.TrimPrefix(string(p[2:2+size]), "$SYS/broker/state/")] = number
			buf = buf[2+int(buf[1]):]
		}
	}
	c.Close()
	return found
}

// flood publishes n retained messages to one topic, all at once.
func flood(t *testing.T, c net.Conn, qos byte, n, size int) {
	t.Helper()
	var out []byte
	for i := range n {
		p := []byte{0x31 | qos<<1}
		rest := 3 + size
		if qos > 0 {
			rest += 2
		}
		p = append(p, byte(rest&127|128), byte(rest>>7), 0, 1, 't')
		if qos > 0 {
			p = append(p, byte((i+1)>>8), byte(i+1))
		}
		p = append(p, fmt.Sprintf("%05d", i)...)
		out = append(append(out, p...), bytes.Repeat([]byte{'x'}, size-5)...)
	}
	if _, err := c.Write(out); err != nil {
		t.Fatal(err)
	}
	if qos == 0 {
		expect(t, c, "\xc0\x00", "\xd0\x00")
		return
	}
	acks := make([]byte, 4*n)
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	for at := 0; at < len(acks); {
		k, err := c.Read(acks[at:])
		if err != nil {
			t.Fatal(err)
		}
		at += k
	}
}

// TestOneTopicCostsOneWriteACommit: values that are replaced while a batch
// gathers are not written, whether they came with QoS 0 or were acknowledged.
func TestOneTopicCostsOneWriteACommit(t *testing.T) {
	const n, size = 5000, 300
	for _, qos := range []byte{0, 1} {
		for _, class := range []string{"sync", "lazy", "none"} {
			t.Run(fmt.Sprintf("QoS %d, %s", qos, class), func(t *testing.T) {
				d, err := broker.ParseDurability(class)
				if err != nil {
					t.Fatal(err)
				}
				b, stop := run(t, broker.Config{
					StateDir: filepath.Join(t.TempDir(), "state"), State: broker.StateOptions{SegmentBytes: 1 << 20},
					Durability: []broker.DurabilityRule{{Filter: "t", Class: d}}, LazyInterval: time.Hour,
				})
				before := tree(t, b)
				c := dial(t, b, 0)
				expect(t, c, clean3, "\x20\x02\x00\x00")
				flood(t, c, qos, n, size)
				after := tree(t, b)
				commits, records := after["commits"]-before["commits"], after["records/written"]-before["records/written"]
				written := after["bytes/written"] - before["bytes/written"]
				t.Logf("%d messages of %d bytes: %d commits, %d records, %d bytes written", n, size, commits, records, written)
				switch {
				case class != "sync" && commits > 0:
					t.Error("it was written at once")
				case class == "sync" && (qos > 0 && commits == 0 || records > commits+1 || written > (commits+1)*1024+4096 || commits > n/4):
					t.Error("more than one record a commit")
				}
				stop()
			})
		}
	}
}

func TestBudgetOfADay(t *testing.T) {
	var log lines
	b, stop := run(t, broker.Config{
		StateDir: filepath.Join(t.TempDir(), "state"), Log: slog.New(slog.NewTextHandler(&log, nil)),
		State: broker.StateOptions{SegmentBytes: 1 << 20, WrittenPerDayWarn: 20_000},
	})
	c := dial(t, b, 0)
	expect(t, c, clean3, "\x20\x02\x00\x00")
	expect(t, c, "\x33\x06\x00\x01r\x00\x01b", "\x40\x02\x00\x01")
	for range 200 {
		flood(t, c, 1, 1, 300)
	}
	if err := b.Dump(context.Background()); err != nil {
		t.Fatal(err)
	}
	stop()
	text := log.String()
	warnings := regexp.MustCompile(`level=WARN msg="more was written.*`).FindAllString(text, -1)
	if len(warnings) != 1 || !strings.Contains(warnings[0], `limit=20000 topics="t (`) || !strings.Contains(warnings[0], `clients="p (`) {
		t.Errorf("warnings: %q", warnings)
	}
	if !regexp.MustCompile(`state: disk.*bytes_written=\d{5}.*bytes_today=\d{5}`).MatchString(text) {
		t.Errorf("the dump says nothing of the disk: %s", text)
	}
}

// TestStateIsForItsOwnerOnly: 0700 and 0600, and a word where it is not so.
func TestStateIsForItsOwnerOnly(t *testing.T) {
	var log lines
	cfg := broker.Config{StateDir: filepath.Join(t.TempDir(), "a", "state"), State: broker.StateOptions{SegmentBytes: 1 << 20}, Log: slog.New(slog.NewTextHandler(&log, nil))}
	_, stop := run(t, cfg)
	stop()
	entries, err := os.ReadDir(cfg.StateDir)
	if err != nil || len(entries) < 4 {
		t.Fatalf("%d files, %v", len(entries), err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), info.Mode(), err)
		}
	}
	if info, err := os.Stat(cfg.StateDir); err != nil || info.Mode().Perm() != 0o700 || strings.Contains(log.String(), "chmod 700") {
		t.Errorf("%v, %v; %s", info.Mode(), err, log.String())
	}
	if err := os.Chmod(cfg.StateDir, 0o755); err != nil {
		t.Fatal(err)
	}
	_, stop = run(t, cfg)
	stop()
	if !strings.Contains(log.String(), "chmod 700") {
		t.Error("a directory that others may read is no reason for a warning")
	}
}

// TestReloadOfClasses changes a class while the broker runs.
func TestReloadOfClasses(t *testing.T) {
	cfg := broker.Config{StateDir: filepath.Join(t.TempDir(), "state"), State: broker.StateOptions{SegmentBytes: 1 << 20}}
	b, _ := run(t, cfg)
	none, err := broker.ParseDurability("none")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Listeners = []broker.Listener{{URL: "mqtt://127.0.0.1:0"}}
	cfg.Durability = []broker.DurabilityRule{{Filter: "#", Class: none}}
	if err := b.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	before := tree(t, b)
	c := dial(t, b, 0)
	expect(t, c, clean3, "\x20\x02\x00\x00")
	expect(t, c, "\x33\x06\x00\x01r\x00\x01b", "\x40\x02\x00\x01")
	if after := tree(t, b); after["bytes/put"] != before["bytes/put"] {
		t.Errorf("%v, before %v", after, before)
	}
	cfg.State.BytesMax = 1 << 30
	if err := b.Reload(cfg); err == nil || !strings.Contains(err.Error(), "restart the broker for that") {
		t.Errorf("another limit: %v", err)
	}
	cfg.Durability[0].Filter = "a/#/b"
	cfg.State.BytesMax = 0
	if err := b.Reload(cfg); err == nil || !strings.Contains(err.Error(), `"a/#/b"`) {
		t.Errorf("a filter that is none: %v", err)
	}
}

// TestClassesAndAStopInGoodOrder: lazy is there after it, none is not.
func TestClassesAndAStopInGoodOrder(t *testing.T) {
	lazy, _ := broker.ParseDurability("lazy")
	none, err := broker.ParseDurability("none")
	if err != nil {
		t.Fatal(err)
	}
	cfg := broker.Config{
		StateDir: filepath.Join(t.TempDir(), "state"), State: broker.StateOptions{SegmentBytes: 1 << 20}, LazyInterval: time.Hour,
		Durability: []broker.DurabilityRule{{Filter: "l", Class: lazy}, {Filter: "n", Class: none}},
	}
	b, stop := run(t, cfg)
	s, p := dial(t, b, 0), dial(t, b, 0)
	expect(t, s, durable3+"\x82\x06\x00\x01\x00\x01+\x01", "\x20\x02\x00\x00\x90\x03\x00\x01\x01")
	s.Close()
	expect(t, p, clean3+"\xc0\x00", "\x20\x02\x00\x00\xd0\x00")
	expect(t, p, "\x33\x06\x00\x01n\x00\x01N\x33\x06\x00\x01l\x00\x02L", "\x40\x02\x00\x01\x40\x02\x00\x02")
	stop()
	b, _ = run(t, cfg)
	expect(t, dial(t, b, 0), clean3+"\x82\x06\x00\x01\x00\x01+\x00", "\x20\x02\x00\x00\x90\x03\x00\x01\x00\x31\x04\x00\x01lL")
	s = dial(t, b, 0)
	expect(t, s, durable3, "\x20\x02\x01\x00")
	got := make([]byte, 8)
	if _, err := io.ReadFull(s, got); err != nil || got[4] != 'l' || got[7] != 'L' {
		t.Errorf("got % x, %v", got, err)
	}
	expect(t, s, "\xc0\x00", "\xd0\x00")
}
