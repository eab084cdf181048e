package broker_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/internal/testkit"
)

func connectTo(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// gone closes a connection and waits until the other side has noticed: it
// answers nobody else's PINGREQ before.
func gone(t *testing.T, c, other net.Conn) {
	t.Helper()
	c.Close()
	for range 2 {
		expect(t, other, "\xc0\x00", "\xd0\x00")
	}
}

const (
	connackNew    = "\x20\x02\x00\x00"
	connackThere  = "\x20\x02\x01\x00"
	connectF      = "\x10\x0d\x00\x04MQTT\x04\x00\x00\x00\x00\x01f"
	connectQ      = "\x10\x0d\x00\x04MQTT\x04\x00\x00\x00\x00\x01q"
	connectV      = "\x10\x13\x00\x04MQTT\x05\x00\x00\x00\x05\x11\x00\x00\x0e\x10\x00\x01v"
	clean3Goodbye = "\xe0\x00"
)

// fillMosquitto has clients leave something of each kind behind.
func fillMosquitto(t *testing.T, addr string) {
	t.Helper()
	p := connectTo(t, addr)
	expect(t, p, clean3, connackNew)
	s, f, q, v := connectTo(t, addr), connectTo(t, addr), connectTo(t, addr), connectTo(t, addr)
	expect(t, s, durable3+"\x82\x08\x00\x01\x00\x03t/#\x02", connackNew+"\x90\x03\x00\x01\x02")
	gone(t, s, p)
	expect(t, v, connectV+"\x82\x09\x00\x01\x02\x0b\x07\x00\x01v\x01", "")
	head := make([]byte, 2)
	if _, err := io.ReadFull(v, head); err != nil || head[0] != 0x20 {
		t.Fatalf("CONNACK % x, %v", head, err)
	}
	if _, err := io.ReadFull(v, make([]byte, head[1])); err != nil {
		t.Fatal(err)
	}
	expect(t, v, "", "\x90\x04\x00\x01\x00\x01")
	gone(t, v, p)
	// f has PUBREL of one message, and has not acknowledged the other.
	expect(t, f, connectF+"\x82\x06\x00\x01\x00\x01f\x02", connackNew+"\x90\x03\x00\x01\x02")
	expect(t, p, "\x34\x06\x00\x01f\x00\x011", "\x50\x02\x00\x01")
	expect(t, p, "\x62\x02\x00\x01", "\x70\x02\x00\x01")
	expect(t, f, "", "\x34\x06\x00\x01f\x00\x011")
	expect(t, f, "\x50\x02\x00\x01", "\x62\x02\x00\x01")
	expect(t, p, "\x32\x06\x00\x01f\x00\x022", "\x40\x02\x00\x02")
	expect(t, f, "", "\x32\x06\x00\x01f\x00\x022")
	expect(t, p, "\x34\x06\x00\x01f\x00\x033", "\x50\x02\x00\x03")
	expect(t, p, "\x62\x02\x00\x03", "\x70\x02\x00\x03")
	expect(t, f, "", "\x34\x06\x00\x01f\x00\x033")
	gone(t, f, p)
	// q has sent a message and not released it.
	expect(t, q, connectQ+"\x34\x08\x00\x03t/q\x00\x09q", connackNew+"\x50\x02\x00\x09")
	gone(t, q, p)
	expect(t, p, "\x33\x08\x00\x03t/r\x00\x04r\x31\x06\x00\x01Rret", "\x40\x02\x00\x04")
	expect(t, p, "\x34\x08\x00\x03t/2\x00\x052", "\x50\x02\x00\x05")
	expect(t, p, "\x62\x02\x00\x05", "\x70\x02\x00\x05")
	fiver := connectTo(t, addr)
	expect(t, fiver, "\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01w", "")
	if _, err := io.ReadFull(fiver, head); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(fiver, make([]byte, head[1])); err != nil {
		t.Fatal(err)
	}
	expect(t, fiver, "\x32\x11\x00\x01v\x00\x01\x0a\x03\x00\x01c\x26\x00\x00\x00\x01zv", "")
	ack := make([]byte, 4)
	if _, err := io.ReadFull(fiver, ack); err != nil || ack[0] != 0x40 {
		t.Fatalf("PUBACK % x, %v", ack, err)
	}
	_, _ = p.Write([]byte(clean3Goodbye))
}

// TestImportMosquitto: what a real Mosquitto has left is there, to the PacketID.
func TestImportMosquitto(t *testing.T) {
	from, dir := t.TempDir(), filepath.Join(t.TempDir(), "state")
	m := testkit.Mosquitto(t, "allow_anonymous true\npersistence true\npersistence_location "+from+"/")
	fillMosquitto(t, m.Addr)
	m.Stop() // and has it write its state down
	data, err := os.ReadFile(filepath.Join(from, "mosquitto.db"))
	if err != nil {
		t.Fatal(err)
	}
	found, err := broker.ImportMosquitto(dir, data)
	if err != nil {
		t.Fatal(err)
	}
	want := broker.Imported{Version: 6, Sessions: 4, Subscriptions: 3, Retained: 2, Queued: 4, Inflight: 3, Received: 1}
	if *found != want {
		t.Errorf("%+v, want %+v", *found, want)
	}
	if _, err := broker.ImportMosquitto(dir, data); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a second import: %v", err)
	}
	b, _ := run(t, broker.Config{StateDir: dir})
	s, f, q, v := dial(t, b, 0), dial(t, b, 0), dial(t, b, 0), dial(t, b, 0)
	expect(t, f, connectF, connackThere+"\x62\x02\x00\x01\x3a\x06\x00\x01f\x00\x022\x3c\x06\x00\x01f\x00\x033")
	expect(t, q, connectQ+"\x3c\x08\x00\x03t/q\x00\x09q\x62\x02\x00\x09", connackThere+"\x50\x02\x00\x09\x70\x02\x00\x09")
	expect(t, s, durable3, connackThere+"\x32\x08\x00\x03t/r\x00\x01r\x34\x08\x00\x03t/2\x00\x022\x34\x08\x00\x03t/q\x00\x03q")
	expect(t, v, connectV, "")
	head := make([]byte, 2)
	if _, err := io.ReadFull(v, head); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(v, make([]byte, head[1])); err != nil {
		t.Fatal(err)
	}
	expect(t, v, "", "\x32\x13\x00\x01v\x00\x01\x0c\x0b\x07\x03\x00\x01c\x26\x00\x00\x00\x01zv")
	p := dial(t, b, 0)
	expect(t, p, clean3+"\x82\x06\x00\x01\x00\x01R\x00", connackNew+"\x90\x03\x00\x01\x00\x31\x06\x00\x01Rret")
}

// TestImportFarExpiry: times beyond the year 2262 are not over.
func TestImportFarExpiry(t *testing.T) {
	const head = "\x00\xb5\x00mosquitto db\x00\x00\x00\x00\x00\x00\x00\x06"
	for _, at := range []string{
		"\x00\xe4\x0b\x54\x02\x00\x00\x00", // 1e10 seconds
		"\xff\x03\xc2\x25\x02\x00\x00\x00", // 9223472127: one second more than fits, and some
		"\xff\xff\xff\xff\xff\xff\xff\x7f",
	} {
		data := head +
			"\x00\x00\x00\x06\x00\x00\x00\x19" + at + "\xff\xff\xff\xfe\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00s" +
			"\x00\x00\x00\x02\x00\x00\x00\x22" + "\x05\x00\x00\x00\x00\x00\x00\x00" + at +
			"\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01ax" +
			"\x00\x00\x00\x04\x00\x00\x00\x08\x05\x00\x00\x00\x00\x00\x00\x00"
		found, err := broker.ImportMosquitto(filepath.Join(t.TempDir(), "state"), []byte(data))
		if err != nil {
			t.Fatal(err)
		}
		if want := (broker.Imported{Version: 6, Sessions: 1, Retained: 1}); *found != want {
			t.Errorf("% x: %+v, want %+v", at, *found, want)
		}
	}
}

func TestImportSaysWhatIsWrong(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	_, err := broker.ImportMosquitto(dir, []byte("SQLite format 3\x00"))
	if _, ok := errors.AsType[*broker.MosquittoError](err); !ok || err.Error() != "byte 0: this is no mosquitto.db: it does not begin like one" {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory was made for nothing: %v", err)
	}
}
