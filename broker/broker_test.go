package broker_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/internal/testkit"
	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/router"
)

// start runs a broker until the test ends.
func start(t *testing.T, cfg broker.Config) *broker.Broker {
	t.Helper()
	if cfg.Listeners == nil {
		cfg.Listeners = []broker.Listener{{URL: "mqtt://127.0.0.1:0"}}
	}
	b, err := broker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Serve(t, b)
	return b
}

// connect opens a connection and reads its CONNACK.
func connect(t *testing.T, b *broker.Broker, packet string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", b.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.Write([]byte(packet)); err != nil {
		t.Fatal(err)
	}
	ack := make([]byte, 4)
	if _, err := io.ReadFull(c, ack); err != nil || !bytes.Equal(ack, []byte{0x20, 2, 0, 0}) {
		t.Fatalf("CONNACK % x, %v", ack, err)
	}
	return c
}

func TestBadConfigIsRefusedWithTheWayOut(t *testing.T) {
	for _, tc := range []struct{ url, want string }{
		{"127.0.0.1:1883", `listener "127.0.0.1:1883": no scheme; write mqtt://HOST:PORT`},
		{"http://127.0.0.1", `listener "http://127.0.0.1": scheme "http" is not served`},
		{"mqtt://127.0.0.1:99999", `the port must be 0 to 65535`},
		{"mqtt://127.0.0.1:x", `invalid port ":x"`},
		{"mqtt://bob@127.0.0.1", `a user does not belong here`},
		{"mqtt://127.0.0.1/a", `something behind the port`},
	} {
		_, err := broker.New(broker.Config{Listeners: []broker.Listener{{URL: tc.url}}})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q in it", tc.url, err, tc.want)
		}
	}
	if _, err := broker.New(broker.Config{Engine: "steam"}); err == nil || !strings.Contains(err.Error(), "steam") {
		t.Errorf("engine steam: %v", err)
	}
	if _, err := broker.New(broker.Config{Limits: router.Limits{InflightMax: 70000}}); err == nil || !strings.Contains(err.Error(), "inflight-max 70000: must be 1 to 65535") {
		t.Errorf("limit: %v", err)
	}
}

func TestPortInUseNamesTheListener(t *testing.T) {
	for _, engine := range loop.Kinds() {
		b := start(t, broker.Config{Engine: engine})
		addr := b.Addrs()[0].String()
		second, err := broker.New(broker.Config{Engine: engine, Listeners: []broker.Listener{{URL: "mqtt://" + addr}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := second.Run(context.Background()); err == nil || !strings.Contains(err.Error(), addr) {
			t.Errorf("%s: %v", engine, err)
		}
		if err := second.Do(context.Background(), func(*router.Router, *loop.Stats) {}); !errors.Is(err, broker.ErrNotRunning) {
			t.Errorf("%s: Do after Run: %v", engine, err)
		}
	}
}

// lines is a log that tests may read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func TestLogTellsConnectsAndCannotBeForged(t *testing.T) {
	for _, engine := range loop.Kinds() {
		var out lines
		b, err := broker.New(broker.Config{
			Engine: engine, Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}},
			Log: slog.New(slog.NewTextHandler(&out, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- b.Run(context.Background()) }()
		connect(t, b, "\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05a\nb=c")
		b.Shutdown()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		log := out.String()
		for _, want := range []string{"msg=connected", `a\\nb=c`, "version=3.1.1", "msg=disconnected", "broker is stopping"} {
			if !strings.Contains(log, want) {
				t.Errorf("%s: log lacks %q:\n%s", engine, want, log)
			}
		}
	}
}

func TestShutdownSendsWills(t *testing.T) {
	for _, engine := range loop.Kinds() {
		b := start(t, broker.Config{Engine: engine})
		watch := connect(t, b, "\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01w")
		if _, err := watch.Write([]byte("\x82\x06\x00\x01\x00\x01#\x00")); err != nil {
			t.Fatal(err)
		}
		suback := make([]byte, 5)
		if _, err := io.ReadFull(watch, suback); err != nil {
			t.Fatal(err)
		}
		connect(t, b, "\x10\x17\x00\x04MQTT\x04\x06\x00\x3c\x00\x01a\x00\x02wi\x00\x04gone")
		b.Shutdown()
		var got bytes.Buffer
		_, _ = got.ReadFrom(watch)
		if want := "\x30\x08\x00\x02wigone"; got.String() != want {
			t.Errorf("%s: got %q, want the will %q", engine, got.String(), want)
		}
	}
}
