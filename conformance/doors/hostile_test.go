//go:build linux

package doors

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/loopmq/loopmq/internal/testkit"
)

// hostileConns is how many connections each attack opens at the same time.
const hostileConns = 150

// memoryGrowthMax is what all attacks together may add to the broker's
// resident memory: 64 KiB for each connection of one attack, and what the
// runtime keeps.
const memoryGrowthMax = 48 << 20

// The listeners of the broker under attack.
const (
	plainDoor = iota
	tlsDoor
	wsDoor
	wssDoor
	unixDoor
	proxyDoor
)

// attack is what one connection does; it ends when it has nothing more to say,
// and the test waits for the broker to close.
type attack struct {
	name string
	door int
	run  func(c net.Conn)
}

func write(c net.Conn, text string) error {
	_, err := io.WriteString(c, text)
	return err
}

// says sends one text and no more.
func says(text string) func(net.Conn) {
	return func(c net.Conn) { _ = write(c, text) }
}

// dribbles sends a text as slowly as a slow loris.
func dribbles(text string) func(net.Conn) {
	return func(c net.Conn) {
		for i := range len(text) {
			if write(c, text[i:i+1]) != nil {
				return
			}
			time.Sleep(20 * time.Millisecond) // that is the attack, nothing is waited for
		}
	}
}

// floods repeats a text until the broker closes; it reads nothing.
func floods(first, text string) func(net.Conn) {
	return func(c net.Conn) {
		err := write(c, first)
		for err == nil {
			err = write(c, text)
		}
	}
}

// halfCloses sends a text and then the end of its side.
func halfCloses(text string) func(net.Conn) {
	return func(c net.Conn) {
		_ = write(c, text)
		_ = c.(interface{ CloseWrite() error }).CloseWrite() // the broker may have been faster
	}
}

// inTLS does it behind a handshake.
func inTLS(a *authority, run func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		inside := tls.Client(c, a.client())
		if inside.Handshake() == nil {
			run(inside)
		}
	}
}

// hello is the ClientHello of crypto/tls.
func hello(t *testing.T, a *authority) string {
	t.Helper()
	ours, theirs := net.Pipe()
	go func() { _ = tls.Client(ours, a.client()).Handshake() }()
	b := make([]byte, 4096)
	n, err := theirs.Read(b)
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// upgrading is the request of RFC 6455, section 1.2.
const upgrading = "GET /mqtt HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"

// handshakeBombs is how many handshakes each connection of that attack is
// followed by.
const handshakeBombs = 4

// shakes makes whole handshakes, which cost the broker most, and leaves.
func shakes(v *victim) func(net.Conn) {
	return func(c net.Conn) {
		for range handshakeBombs {
			_ = tls.Client(c, v.a.client()).Handshake()
			c.Close()
			next, err := v.dial(tlsDoor)
			if err != nil {
				return
			}
			defer next.Close()
			c = next
		}
	}
}

func attacks(t *testing.T, v *victim) []attack {
	t.Helper()
	a := v.a
	ch := hello(t, a)
	big := "\x10\xff\xff\xff\x7f\x00\x04MQTT\x04\x02\x00\x00" // a CONNECT of 256 MB
	list := []attack{
		{"half of a ClientHello", tlsDoor, says(ch[:len(ch)/2])},
		{"ClientHello, then silence", tlsDoor, says(ch)},
		{"ClientHello, then silence", wssDoor, says(ch)},
		{"ClientHello, then its half is closed", tlsDoor, halfCloses(ch)},
		{"slow ClientHello", tlsDoor, dribbles(ch)},
		{"ClientHello of 16 MB", tlsDoor, floods("\x16\x03\x01\x40\x00\x01\xff\xff\xff\x03\x03"+strings.Repeat("x", 16384-6),
			"\x16\x03\x01\x40\x00"+strings.Repeat("x", 16384))},
		{"record longer than allowed", tlsDoor, says("\x16\x03\x01\xff\xff\x01")},
		{"empty records", tlsDoor, floods("", strings.Repeat("\x16\x03\x01\x00\x00", 100))},
		{"noise", tlsDoor, says("\x00\x01\x02\x03")},
		{"silence behind TLS", tlsDoor, inTLS(a, says(""))},
		{"slow CONNECT behind TLS", tlsDoor, inTLS(a, dribbles(connect('x')+big))},
		{"CONNECT of 256 MB behind TLS", tlsDoor, inTLS(a, floods(big, strings.Repeat("x", 16384)))},
		{"half-close behind TLS", tlsDoor, inTLS(a, halfCloses(connect('x')[:5]))},
		{"slow request", wsDoor, dribbles(upgrading[:100])},
		{"slow request", wssDoor, inTLS(a, dribbles(upgrading[:100]))},
		{"request without an end", wsDoor, floods(upgrading[:40], "X-Header: "+strings.Repeat("x", 4000)+"\r\n")},
		{"request without an end", wssDoor, inTLS(a, floods(upgrading[:40], "X-Header: "+strings.Repeat("x", 4000)+"\r\n"))},
		{"half-close in the request", wsDoor, halfCloses(upgrading[:40])},
		{"half-close behind the request", wsDoor, halfCloses(upgrading)},
		{"silence behind the request", wsDoor, says(upgrading)},
		{"frame without a mask", wsDoor, says(upgrading + "\x82\x02\xc0\x00")},
		{"reserved bits", wsDoor, says(upgrading + "\xf2\x80\x00\x00\x00\x00")},
		{"unknown opcode", wsDoor, says(upgrading + "\x83\x80\x00\x00\x00\x00")},
		{"frame of 2^63 bytes", wsDoor, floods(upgrading+"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", strings.Repeat("x", 16384))},
		{"frame without an end", wsDoor, dribbles(upgrading + "\x82\xfe\x10\x00\x00\x00\x00\x00" + connect('x')[:10])},
		{"message without an end", wsDoor, floods(upgrading+"\x02\x80\x00\x00\x00\x00", "\x00\x81\x00\x00\x00\x00\x10")},
		{"empty frames", wsDoor, floods(upgrading, strings.Repeat("\x82\x80\x00\x00\x00\x00", 500))},
		{"pings that it does not read", wsDoor, floods(upgrading, strings.Repeat("\x89\x84\x00\x00\x00\x00ping", 500))},
		{"ping of 126 bytes", wsDoor, says(upgrading + "\x89\xfe\x00\x7e\x00\x00\x00\x00")},
		{"CONNECT of 256 MB in frames", wsDoor, floods(upgrading+"\x82\x90\x00\x00\x00\x00"+big, "\x82\xfe\x10\x00\x00\x00\x00\x00"+strings.Repeat("x", 4096))},
		{"slow CONNECT", plainDoor, dribbles(big)},
		{"half-close", plainDoor, halfCloses("")},
		{"half-close", unixDoor, halfCloses(connect('x')[:5])},
		{"one handshake after another", tlsDoor, shakes(v)},
		{"HTTP", plainDoor, says("GET / HTTP/1.1\r\nHost: a\r\n\r\n")},
		{"half-close behind the request", wssDoor, inTLS(a, halfCloses(upgrading))},
		{"pings that it does not read", wssDoor, inTLS(a, floods(upgrading, strings.Repeat("\x89\x84\x00\x00\x00\x00ping", 500)))},
		{"slow header", proxyDoor, dribbles("PROXY TCP4 192.0.2.1 198.51.100.7 5")},
		{"header without an end", proxyDoor, floods("PROXY TCP4 ", strings.Repeat("1", 4096))},
		{"header of 64 KB", proxyDoor, dribbles("\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff" + strings.Repeat("x", 20))},
		{"no header", proxyDoor, says(connect('x'))},
		{"half-close in the header", proxyDoor, halfCloses("PROXY ")},
		{"silence behind the header", proxyDoor, says("PROXY TCP4 192.0.2.1 198.51.100.7 56324 1883\r\n")},
	}
	for _, door := range []int{plainDoor, tlsDoor, wsDoor, wssDoor, unixDoor, proxyDoor} {
		list = append(list, attack{"silence", door, says("")})
	}
	return list
}

// victim is the broker as a process of its own, so that its memory is.
type victim struct {
	*testkit.Process
	urls []string
	a    *authority
}

func newVictim(t *testing.T, loopmq, engine string, a *authority) *victim {
	t.Helper()
	v := &victim{a: a}
	args := []string{"serve", "--state-dir", "none", "--engine", engine, "--connect-timeout", "1s", "--log-level", "info"}
	free := testkit.FreeAddrs(t, 5)
	for _, url := range []string{
		"mqtt://" + free[0], a.listener("mqtts://"+free[1], "server"),
		"ws://" + free[2] + "/mqtt", a.listener("wss://"+free[3]+"/mqtt", "server"),
		"unix://" + shortPath(t), "mqtt://" + free[4] + "?name=proxy&proxy=any&trust=127.0.0.1",
	} {
		args = append(args, "--listen", url)
		url, _, _ = strings.Cut(url, "?")
		v.urls = append(v.urls, url)
	}
	v.Process = testkit.Run(t, loopmq, args...)
	_, plain := v.address(plainDoor)
	accepting(t, plain, v.Process)
	return v
}

// address is where a listener is.
func (v *victim) address(door int) (network, address string) {
	scheme, rest, _ := strings.Cut(v.urls[door], "://")
	if scheme == "unix" {
		return scheme, rest
	}
	return "tcp", strings.TrimSuffix(rest, "/mqtt")
}

func (v *victim) dial(door int) (net.Conn, error) {
	network, address := v.address(door)
	c, err := net.DialTimeout(network, address, patience)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(patience))
	}
	return c, err
}

// resident is the memory of the broker that is no file.
func (v *victim) resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.PID))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`RssAnon:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no RssAnon in %s", text)
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n << 10
}

// files is the number of descriptors that the broker has open.
func (v *victim) files(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", v.PID))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// suffers runs an attack on all its connections; each must be ended by the broker.
func (v *victim) suffers(at attack) error {
	var open sync.WaitGroup
	failed := make(chan error, hostileConns)
	for range hostileConns {
		open.Go(func() {
			c, err := v.dial(at.door)
			if err != nil {
				failed <- err
				return
			}
			defer c.Close()
			at.run(c)
			if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
				failed <- fmt.Errorf("the broker does not end the connection within %v", patience)
			}
		})
	}
	open.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// counted looks for the attacks among the counters of the listeners.
func (v *victim) counted(t *testing.T) {
	t.Helper()
	c, err := v.dial(plainDoor)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const filter = "$SYS/broker/listeners/#"
	expect(t, c, connect('s')+"\x82"+string(rune(5+len(filter)))+"\x00\x01\x00"+string(rune(len(filter)))+filter+"\x00",
		connackOK+"\x90\x03\x00\x01\x00")
	in, counters := bufio.NewReader(c), map[string]string{}
	want := []string{
		"mqtts/tls/failed", "mqtts/tls/strangers", "mqtts/tls/handshakes", "mqtts/tls/waiting", "wss/tls/handshakes",
		"ws/websocket/refused", "ws/websocket/errors", "ws/websocket/pings", "wss/websocket/refused", "unix/accepted", "proxy/accepted",
	}
	for slices.ContainsFunc(want, func(name string) bool { return counters[name] == "" }) {
		head := make([]byte, 4)
		if _, err := io.ReadFull(in, head); err != nil || head[0] != 0x31 || head[1] > 127 {
			t.Fatalf("% x, %v; counters so far: %v", head, err, counters)
		}
		rest := make([]byte, head[1]-2)
		if _, err := io.ReadFull(in, rest); err != nil {
			t.Fatal(err)
		}
		topic, value := string(rest[:head[3]]), string(rest[head[3]:])
		counters[strings.TrimPrefix(topic, "$SYS/broker/listeners/")] = value
	}
	for _, name := range want {
		if (counters[name] == "0") != (name == "mqtts/tls/waiting") {
			t.Errorf("%s is %s behind all attacks", name, counters[name])
		}
		t.Logf("%-25s %s", name, counters[name])
	}
}

// healthy is a client that publishes to itself, and how long that takes.
type healthy struct {
	c    net.Conn
	took []time.Duration
}

// turn is one round trip.
func (h *healthy) turn(n int) error {
	m := publish("h", fmt.Sprintf("%08d", n))
	_ = h.c.SetDeadline(time.Now().Add(patience))
	began := time.Now()
	if err := write(h.c, m); err != nil {
		return fmt.Errorf("message %d: %w", n, err)
	}
	got := make([]byte, len(m))
	if _, err := io.ReadFull(h.c, got); err != nil || !bytes.Equal(got, []byte(m)) {
		return fmt.Errorf("message %d: got % x, %w", n, got, err)
	}
	h.took = append(h.took, time.Since(began))
	return nil
}

// during makes round trips until attacked is closed.
func (h *healthy) during(attacked <-chan struct{}) error {
	for n := 0; ; n++ {
		if err := h.turn(n); err != nil {
			return err
		}
		select {
		case <-attacked:
			return nil
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func (h *healthy) String() string {
	slices.Sort(h.took)
	at := func(q float64) time.Duration { return h.took[int(q*float64(len(h.took)-1))].Round(time.Microsecond) }
	return fmt.Sprintf("%d round trips, p50 %v p99 %v max %v", len(h.took), at(0.5), at(0.99), at(1))
}

// TestHostilePeers: whatever comes to a door, a client that is inside loses
// nothing, every connection is ended, and the broker's memory stays bounded.
func TestHostilePeers(t *testing.T) {
	a := newAuthority(t)
	a.sign("server", year)
	loopmq := build(t, "../..", "./cmd/loopmq")
	each(t, func(t *testing.T, engine string) {
		v := newVictim(t, loopmq, engine, a)
		c, err := v.dial(plainDoor)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		expect(t, c, connect('h')+"\x82\x06\x00\x01\x00\x01h\x00", connackOK+"\x90\x03\x00\x01\x00")
		memory, files := v.resident(t), v.files(t)
		for _, at := range attacks(t, v) {
			h, attacked, said := &healthy{c: c}, make(chan struct{}), make(chan error, 1)
			go func() { said <- h.during(attacked) }()
			scheme, _, _ := strings.Cut(v.urls[at.door], "://")
			name := scheme + ": " + at.name
			if err := v.suffers(at); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			close(attacked)
			if err := <-said; err != nil {
				t.Fatalf("%s: the healthy client: %v; the broker: %s", name, err, v.Errors())
			}
			now := v.resident(t)
			t.Logf("%-45s %v, memory %+.1f MB", name, h, float64(now-memory)/1e6)
			if now-memory > memoryGrowthMax {
				t.Errorf("%s: the memory has grown by %d bytes, more than %d", name, now-memory, memoryGrowthMax)
			}
		}
		v.counted(t)
		testkit.Until(t, "as few descriptors are open as before", func() bool { return v.files(t) <= files })
	})
}
