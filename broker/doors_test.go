package broker_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/internal/testkit"
	"github.com/loopmq/loopmq/loop"
)

const patience = 10 * time.Second

// The CONNECT of client "d" in 3.1.1 and 5.0, and of nobody in particular.
const (
	connect3 = "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01d"
	connect5 = "\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01d"
	connack3 = "\x20\x02\x00\x00"
)

// records is a log that tests look at.
type records struct {
	mu    sync.Mutex
	lines []string
	more  chan struct{}
}

func newRecords() (*records, *slog.Logger) {
	r := &records{more: make(chan struct{}, 1)}
	return r, slog.New(slog.NewTextHandler(r, &slog.HandlerOptions{Level: slog.LevelDebug}))
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

// wait returns the first line with all the words.
func (r *records) wait(t *testing.T, words ...string) string {
	t.Helper()
	deadline := time.After(patience)
	for {
		r.mu.Lock()
		for _, line := range r.lines {
			all := true
			for _, w := range words {
				all = all && strings.Contains(line, w)
			}
			if all {
				r.mu.Unlock()
				return line
			}
		}
		r.mu.Unlock()
		select {
		case <-r.more:
		case <-deadline:
			t.Fatalf("no line with %q in\n%s", words, strings.Join(r.lines, ""))
		}
	}
}

// eachEngine runs a test over every engine.
func eachEngine(t *testing.T, test func(t *testing.T, engine string)) {
	for _, engine := range loop.Kinds() {
		t.Run(engine, func(t *testing.T) { test(t, engine) })
	}
}

// dial connects to the i-th listener.
func dial(t testing.TB, b *broker.Broker, i int) net.Conn {
	t.Helper()
	a := b.Addrs()[i]
	c, err := net.Dial(a.Network(), a.String())
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
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("got % x, %v; want % x", got[:n], err, want)
	}
}

// ended reads the end of the connection, without a byte before it.
func ended(t *testing.T, c net.Conn) {
	t.Helper()
	rest, err := io.ReadAll(c)
	if len(rest) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got % x, %v; want the end", rest, err)
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

// upgrade is the request of RFC 6455, section 1.2, and what its answer ends in.
func upgrade(path, more string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n" + more + "\r\n"
}

// upgraded reads the answer to upgrade.
func upgraded(t *testing.T, c net.Conn) {
	t.Helper()
	var head []byte
	for b := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, b...) {
		if _, err := io.ReadFull(c, b); err != nil {
			t.Fatalf("%q, %v", head, err)
		}
	}
	for _, want := range []string{"HTTP/1.1 101 ", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Sec-WebSocket-Protocol: mqtt\r\n"} {
		if !bytes.Contains(head, []byte(want)) {
			t.Fatalf("%q is not in %q", want, head)
		}
	}
}

// masked is a binary frame of a client; a mask of zeros changes nothing.
func masked(payload string) string {
	return "\x82" + string([]byte{0x80 | byte(len(payload))}) + "\x00\x00\x00\x00" + payload
}

func TestUnixSocket(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		path := shortPath(t)
		b := start(t, broker.Config{Engine: engine, Listeners: []broker.Listener{{URL: "unix://" + path, Mode: 0o600}}})
		if got := b.URLs(); len(got) != 1 || got[0] != "unix://"+path {
			t.Errorf("URLs %q", got)
		}
		c := dial(t, b, 0)
		expect(t, c, connect3, connack3)
		expect(t, c, "\xc0\x00", "\xd0\x00")
	})
}

func TestUserOfAProcess(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		rec, log := newRecords()
		no := false
		b := start(t, broker.Config{
			Engine: engine, Log: log, Anonymous: &no, Processes: map[uint32]string{uint32(os.Getuid()): "nodered"},
			Listeners: []broker.Listener{{URL: "unix://" + shortPath(t)}, {URL: "mqtt://127.0.0.1:0"}},
		})
		expect(t, dial(t, b, 0), connect3, connack3)
		rec.wait(t, "msg=connected", "user=nodered")
		expect(t, dial(t, b, 1), connect3, "\x20\x02\x00\x05")
	})
}

func TestWebSocketDoor(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		b := start(t, broker.Config{Engine: engine, Listeners: []broker.Listener{{URL: "ws://127.0.0.1:0/mqtt"}, {URL: "mqtt://127.0.0.1:0"}}})
		if got := b.URLs()[0]; !strings.HasPrefix(got, "ws://127.0.0.1:") || !strings.HasSuffix(got, "/mqtt") {
			t.Errorf("URL %q", got)
		}
		c := dial(t, b, 0)
		if _, err := io.WriteString(c, upgrade("/mqtt", "")); err != nil {
			t.Fatal(err)
		}
		upgraded(t, c)
		expect(t, c, masked(connect3), "\x82\x04"+connack3)
		expect(t, c, masked("\x82\x06\x00\x01\x00\x01t\x00"), "\x82\x05\x90\x03\x00\x01\x00")
		plain := dial(t, b, 1)
		expect(t, plain, "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01p", connack3)
		expect(t, plain, "\x30\x04\x00\x01tx", "")
		expect(t, c, "", "\x82\x06\x30\x04\x00\x01tx")

		// What MQTT does not allow ends the WebSocket with a code that says so.
		expect(t, c, masked("\xf0\x00"), "\x88")
		var head [3]byte
		if _, err := io.ReadFull(c, head[:]); err != nil || int(head[1])<<8|int(head[2]) != 1002 {
			t.Errorf("close code %d, %v; want 1002", int(head[1])<<8|int(head[2]), err)
		}
	})
}

func TestPlainGetIsAnswered(t *testing.T) {
	b := start(t, broker.Config{Listeners: []broker.Listener{{URL: "ws://127.0.0.1:0/mqtt"}}})
	for _, c := range []struct{ request, want string }{
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
		{upgrade("/other", ""), "HTTP/1.1 404 Not Found\r\n"},
	} {
		conn := dial(t, b, 0)
		expect(t, conn, c.request, c.want)
	}
}

func TestProxyHeader(t *testing.T) {
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	v2 := string(testkit.Bytes("0d0a0d0a000d0a515549540a 21 11 000c c0000207 7f000001 0400 075b")) // 192.0.2.7:1024
	eachEngine(t, func(t *testing.T, engine string) {
		rec, log := newRecords()
		yes := true
		b := start(t, broker.Config{Engine: engine, Log: log, Anonymous: &yes, Listeners: []broker.Listener{
			{URL: "mqtt://127.0.0.1:0", Name: "behind", Proxy: true, Trusted: loopback},
			{URL: "ws://127.0.0.1:0/mqtt", Name: "web", Proxy: true, Trusted: loopback},
			{URL: "mqtt://127.0.0.1:0", Name: "one", Proxy: true, ProxyVersion: 1, Trusted: loopback},
			{URL: "mqtt://127.0.0.1:0", Name: "two", Proxy: true, ProxyVersion: 2, Trusted: loopback},
			{URL: "mqtt://127.0.0.1:0", Name: "closed", Proxy: true, Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
		}})
		expect(t, dial(t, b, 0), "PROXY TCP4 192.0.2.6 127.0.0.1 1023 1883\r\n"+connect3, connack3)
		rec.wait(t, "msg=connected", "client=d", "addr=192.0.2.6:1023", "listener=behind")
		expect(t, dial(t, b, 0), v2+connect3, connack3)
		rec.wait(t, "msg=connected", "addr=192.0.2.7:1024")

		c := dial(t, b, 1)
		if _, err := io.WriteString(c, v2+upgrade("/mqtt", "X-Forwarded-For: 198.51.100.9\r\n")); err != nil {
			t.Fatal(err)
		}
		upgraded(t, c)
		expect(t, c, masked(connect3), "\x82\x04"+connack3)
		rec.wait(t, "msg=connected", "addr=192.0.2.7:1024", "listener=web") // 192.0.2.7 is no proxy of ours

		v1 := "PROXY TCP4 192.0.2.8 127.0.0.1 1023 1883\r\n"
		expect(t, dial(t, b, 2), v1+connect3, connack3)
		expect(t, dial(t, b, 3), v2+connect3, connack3)
		for i, wrong := range map[int]string{2: v2, 3: v1} {
			c := dial(t, b, i)
			expect(t, c, wrong+connect3, "")
			ended(t, c)
		}
		rec.wait(t, `msg="connection refused"`, "listener=one", "header of version 2, and this listener takes version 1")
		rec.wait(t, `msg="connection refused"`, "listener=two", "header of version 1, and this listener takes version 2")

		ended(t, dial(t, b, 4))
		rec.wait(t, `msg="connection refused"`, "listener=closed", "not trusted to be one")
		if _, err := io.WriteString(dial(t, b, 0), connect3); err != nil {
			t.Fatal(err)
		}
		rec.wait(t, `msg="connection refused"`, "listener=behind", "addr=127.0.0.1:")
	})
}

func TestForwardedFor(t *testing.T) {
	rec, log := newRecords()
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
	yes := true
	b := start(t, broker.Config{Log: log, Anonymous: &yes, Listeners: []broker.Listener{
		{URL: "ws://127.0.0.1:0/mqtt", Trusted: trusted}, {URL: "ws://127.0.0.1:0/mqtt", Name: "naive"},
	}})
	for i, c := range []struct {
		listener    int
		header, log string
	}{
		{0, "X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.0.0.4\r\n", "addr=192.0.2.1:0"}, // what the client wrote himself stays out
		{0, "X-Forwarded-For: 2001:db8::1\r\n", "addr=[2001:db8::1]:0"},
		{0, "X-Real-IP: 192.0.2.3\r\n", "addr=192.0.2.3:0"},
		{0, "X-Forwarded-For: unknown\r\n", "addr=127.0.0.1:"},
		{1, "X-Forwarded-For: 192.0.2.5\r\n", "addr=127.0.0.1:"}, // nobody is trusted
	} {
		conn := dial(t, b, c.listener)
		if _, err := io.WriteString(conn, upgrade("/mqtt", c.header)); err != nil {
			t.Fatal(err)
		}
		upgraded(t, conn)
		id := fmt.Sprint(i)
		expect(t, conn, masked("\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01"+id), "\x82\x04"+connack3)
		rec.wait(t, "msg=connected", "client="+id, c.log)
	}
}

func TestVersionsOfAListener(t *testing.T) {
	b := start(t, broker.Config{Listeners: []broker.Listener{
		{URL: "mqtt://127.0.0.1:0", Versions: []byte{5}}, {URL: "mqtt://127.0.0.1:0", Versions: []byte{3, 4}},
	}})
	old := dial(t, b, 0)
	expect(t, old, connect3, "\x20\x02\x00\x01")
	ended(t, old)
	expect(t, dial(t, b, 1), connect3, connack3)
	expect(t, dial(t, b, 1), connect5, "\x20\x37\x00\x84")
	expect(t, dial(t, b, 0), connect5, "\x20")
}

// One deadline holds from accept to CONNECT, whatever comes before.
func TestConnectTimeoutHoldsForAllLayers(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		cfg := broker.Config{Engine: engine, Listeners: []broker.Listener{
			{URL: "ws://127.0.0.1:0/mqtt"},
			{URL: "mqtt://127.0.0.1:0", Proxy: true, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		}}
		cfg.Limits.ConnectTimeout = 50 * time.Millisecond
		b := start(t, cfg)
		for i, begin := range []string{"GET /mqtt HT", "PROXY TCP4 192"} {
			c := dial(t, b, i)
			if _, err := io.WriteString(c, begin); err != nil {
				t.Fatal(err)
			}
			ended(t, c)
		}
		c := dial(t, b, 0)
		if _, err := io.WriteString(c, upgrade("/mqtt", "")); err != nil {
			t.Fatal(err)
		}
		upgraded(t, c)
		got, err := io.ReadAll(c)
		if err != nil || len(got) == 0 || got[0] != 0x88 {
			t.Errorf("got % x, %v; want a close frame and the end", got, err)
		}
	})
}

func TestListenerOptions(t *testing.T) {
	l, err := broker.ParseListener("ws://:8083/m?name=web&versions=3.1.1,5&max-connections=7&accept-rate=9&trust=10.0.0.0/8,::1&origin=a.example.org")
	if err != nil {
		t.Fatal(err)
	}
	if l.URL != "ws://:8083/m" || l.Name != "web" || !bytes.Equal(l.Versions, []byte{4, 5}) || l.ConnsMax != 7 || l.AcceptRate != 9 ||
		fmt.Sprint(l.Trusted) != "[10.0.0.0/8 ::1/128]" || fmt.Sprint(l.Origins) != "[a.example.org]" {
		t.Errorf("%+v", l)
	}
	l, err = broker.ParseListener("unix:///run/s?mode=0600&owner=a&group=b")
	if err != nil || l.Mode != 0o600 || l.Owner != "a" || l.Group != "b" {
		t.Errorf("%+v, %v", l, err)
	}
	for _, c := range []struct{ url, want string }{
		{"mqtt://:1?colour=red", `listener "mqtt://:1?colour=red": option "colour" is not known; there are name, versions, `},
		{"mqtt://:1?versions=4", `option versions: "4": use 3.1, 3.1.1 and 5, separated by commas`},
		{"mqtt://:1?max-connections=0", `option max-connections: "0": write a number from 1`},
		{"mqtt://:1?max-connections", `option max-connections: has no value; write max-connections=…`},
		{"mqtt://:1?proxy=maybe", `option proxy: "maybe": write v1, v2, any or off`},
		{"mqtt://:1?proxy=true", `proxy without trust: anybody could claim to be anybody`},
		{"mqtt://:1?trust=ten", `option trust: "ten": write a network like 10.0.0.0/8, or an address`},
		{"mqtt://:1?trust=10.0.0.0/8", `trust is for listeners with proxy=true, and WebSocket ones`},
		{"mqtt://:1?origin=a", `origin is for WebSocket listeners (ws://)`},
		{"mqtt://:1?mode=0660", `mode, owner or group is for unix sockets`},
		{"unix:///s?mode=rw", `option mode: "rw": write an octal number like 0660`},
		{"unix://s", `a path has to begin with /, so that there are three of them`},
		{"ws://:1/m?origin=%zz", `option origin: invalid URL escape "%zz"`},
	} {
		if _, err := broker.ParseListener(c.url); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.url, err, c.want)
		}
	}
	if _, err := broker.New(broker.Config{Listeners: []broker.Listener{{URL: "ws://:1/mqtt", Origins: []string{"https://"}}}}); err == nil {
		t.Error("an origin without a host was taken")
	}
}

func TestConnectionLimitOfAListener(t *testing.T) {
	b := start(t, broker.Config{Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0", ConnsMax: 1}}})
	first := dial(t, b, 0)
	expect(t, first, connect3, connack3)
	ended(t, dial(t, b, 0))
	expect(t, first, "\xe0\x00", "")
	ended(t, first)
	expect(t, dial(t, b, 0), connect3, connack3)
}

func TestRateOfOneAddress(t *testing.T) {
	rec, log := newRecords()
	yes := true
	b := start(t, broker.Config{Log: log, Anonymous: &yes, Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0", AddressRate: 2}}})
	for range 2 {
		expect(t, dial(t, b, 0), connect3, connack3)
	}
	ended(t, dial(t, b, 0))
	rec.wait(t, "connections closed: their address opens too many; address-rate", "listener=mqtt", "addr=127.0.0.1:", "times=1")
}

// Who comes to the wrong door is told from a broken client in the log.
func TestStrangersOnAnMQTTListener(t *testing.T) {
	if os.Getenv("LOOPMQ_FAULTS") != "" {
		t.Skip("a first read of one byte, as faults have it, does not show what comes")
	}
	for _, row := range []struct{ sent, want string }{
		{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS on a listener without"},
		{"GET /mqtt HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP where MQTT is to come"},
		{"PROXY TCP4 192.0.2.1 198.51.100.7 56324 1883\r\n" + strings.Repeat("\x00", 60), "PROXY protocol on a listener that does not"},
		{"\r\n\r\n\x00\r\nQUIT\n", "PROXY protocol on a listener that does not"},
		{"\x12\x00", "flags 0x2"},
	} {
		sink, log := newRecords()
		b := start(t, broker.Config{Log: log, Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}}})
		c := dial(t, b, 0)
		if _, err := io.WriteString(c, row.sent); err != nil {
			t.Fatal(err)
		}
		sink.wait(t, "connection refused", row.want)
	}
}
