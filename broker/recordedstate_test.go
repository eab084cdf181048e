package broker_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/broker/record"
)

// listeners are clients whose bytes are compared with what a replay sends.
type listeners struct {
	t    *testing.T
	b    *broker.Broker
	list []*listener
}

// listener remembers all that comes.
type listener struct {
	net.Conn
	heard []byte
}

func (l *listener) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	l.heard = append(l.heard, b[:n]...)
	return n, err
}

func (l *listeners) dial() *listener {
	c := &listener{Conn: dial(l.t, l.b, 0)}
	l.list = append(l.list, c)
	return c
}

// leave ends a connection after the broker has said all that it says.
func (l *listeners) leave(c *listener) {
	l.t.Helper()
	if _, err := io.WriteString(c, "\xe0\x00"); err != nil {
		l.t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err != nil {
		l.t.Fatal(err)
	}
}

// drain acknowledges messages until n of them are finished.
func (l *listeners) drain(c *listener, n int) {
	l.t.Helper()
	for n > 0 {
		head := make([]byte, 2)
		if _, err := io.ReadFull(c, head); err != nil {
			l.t.Fatalf("%d messages did not come: %v", n, err)
		}
		rest := make([]byte, head[1])
		if _, err := io.ReadFull(c, rest); err != nil {
			l.t.Fatal(err)
		}
		answer := ""
		switch qos := head[0] >> 1 & 3; {
		case head[0]>>4 == 6: // PUBREL
			answer = "\x70\x02" + string(rest)
			n--
		case head[0]>>4 != 3:
			l.t.Fatalf("% x % x", head, rest)
		case qos == 0:
			n--
		default:
			id := string(rest[2+rest[1]:][:2])
			if answer = "\x50\x02" + id; qos == 1 {
				answer = "\x40\x02" + id
				n--
			}
		}
		if _, err := io.WriteString(c, answer); err != nil {
			l.t.Fatal(err)
		}
	}
}

// publish sends n messages, each when the one before is acknowledged or at once.
func (l *listeners) publish(c *listener, topic string, qos byte, first, n int) {
	l.t.Helper()
	var out strings.Builder
	for i := first; i < first+n; i++ {
		id := string([]byte{byte(i >> 8), byte(i)})
		fmt.Fprintf(&out, "%c%c%s%s%05d", 0x30|qos<<1, 2+len(topic)+2+5, text(topic), id, i)
	}
	if _, err := io.WriteString(c, out.String()); err != nil {
		l.t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 4*n)); err != nil {
		l.t.Fatal(err)
	}
	for i := first; qos == 2 && i < first+n; i++ {
		id := string([]byte{byte(i >> 8), byte(i)})
		expect(l.t, c, "\x62\x02"+id, "\x70\x02"+id)
	}
}

// compare replays file and compares what is sent with what was heard.
func (l *listeners) compare(file string, redact record.Redact) *record.Report {
	l.t.Helper()
	f, err := os.Open(file)
	if err != nil {
		l.t.Fatal(err)
	}
	defer f.Close()
	sent := map[uint64][]byte{}
	text, err := os.ReadFile(file)
	if err != nil || bytes.Contains(text, []byte("00305")) != (redact == record.Nothing) {
		l.t.Errorf("%s: payloads are there, or not, %v", filepath.Base(file), err)
	}
	rep, err := record.Replay(f, record.ReplayOptions{
		Check: true, Sent: func(_ time.Duration, conn uint64, b []byte) { sent[conn] = append(sent[conn], b...) },
	})
	if err != nil {
		l.t.Fatal(err)
	}
	if len(rep.Differs) > 0 || rep.Ended != "the broker has stopped" {
		l.t.Errorf("%s: %q, %s", filepath.Base(file), rep.Differs, rep.Ended)
	}
	for i, c := range l.list {
		now := sent[uint64(i+1)]
		if len(c.heard) != len(now) || redact != record.Payloads && !bytes.Equal(c.heard, now) {
			l.t.Errorf("%s: connection %d heard %d bytes, now %d\n% .300x\n% .300x", filepath.Base(file), i+1, len(c.heard), len(now), c.heard, now)
		}
	}
	return rep
}

// TestRecordingWithState records a broker with a state directory, twice: the second
// one begins with what the first has left.
func TestRecordingWithState(t *testing.T) {
	for _, redact := range []record.Redact{record.Nothing, record.Payloads} {
		t.Run(redact.String(), func(t *testing.T) {
			dir := t.TempDir()
			cfg := broker.Config{
				StateDir: filepath.Join(dir, "state"), ACLFile: file(t, "acl", "topic #\ntopic read $SYS/#\npattern read dev/%c\n"),
				Limits: broker.Limits{QueuedWindowMax: 10, InflightMax: 7, SysInterval: 10 * time.Millisecond, MemoryBytesMax: 1 << 30},
				Record: &broker.Recording{File: filepath.Join(dir, "first"), Redact: redact},
			}
			b, stop := run(t, cfg)
			l := &listeners{t: t, b: b}
			s, p := l.dial(), l.dial()
			expect(t, s, durable3+"\x82\x06\x00\x01\x00\x01t\x02", "\x20\x02\x00\x00\x90\x03\x00\x01\x02")
			l.leave(s)
			expect(t, p, clean3, "\x20\x02\x00\x00")
			l.publish(p, "t", 1, 1, 300)
			l.publish(p, "t", 2, 301, 40)
			expect(t, p, "\x33\x06\x00\x01r\x00\x02b", "\x40\x02\x00\x02")
			s = l.dial()
			expect(t, s, durable3, "\x20\x02\x01\x00")
			l.drain(s, 120)
			l.leave(s) // in the middle
			expect(t, p, "\x33\x06\x00\x01r\x00\x02c", "\x40\x02\x00\x02")
			l.leave(p)
			stop()
			rep := l.compare(cfg.Record.File, redact)

			cfg.Record = &broker.Recording{File: filepath.Join(dir, "second"), Redact: redact}
			b, stop = run(t, cfg)
			l = &listeners{t: t, b: b}
			s = l.dial()
			expect(t, s, durable3, "\x20\x02\x01\x00")
			l.drain(s, 220)
			p = l.dial()
			expect(t, p, clean3+"\x82\x06\x00\x01\x00\x01r\x00", "\x20\x02\x00\x00\x90\x03\x00\x01\x00\x31\x04\x00\x01rc")
			sys := l.dial() // hears what the store and the memory limit have done, too
			expect(t, sys, "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01y\x82\x0b\x00\x01\x00\x06$SYS/#\x00", "\x20\x02\x00\x00\x90\x03\x00\x01\x00")
			for !bytes.Contains(sys.heard, []byte("state/bytes/today")) || !bytes.Contains(sys.heard, []byte("memory/held/turns")) {
				if _, err := sys.Read(make([]byte, 1000)); err != nil {
					t.Fatal(err)
				}
			}
			l.publish(p, "t", 1, 400, 20)
			l.drain(s, 20)
			l.leave(sys)
			l.leave(s)
			l.leave(p)
			stop()
			again := l.compare(cfg.Record.File, redact)
			if rep.Stats.Delivered[1] < 100 || again.Stats.Delivered[2] < 40 {
				t.Errorf("%v then %v deliveries", rep.Stats.Delivered, again.Stats.Delivered)
			}
		})
	}
}
