package broker_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/broker/record"
	"github.com/loopmq/loopmq/internal/testkit"
)

// What clients get from a broker that records is what a replay sends, byte by byte.
func TestRecordingOfABroker(t *testing.T) {
	file := filepath.Join(t.TempDir(), "recording")
	if err := os.WriteFile(file, []byte("the one before"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := broker.New(broker.Config{
		Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}}, Record: &broker.Recording{File: file, Redact: record.Passwords},
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := testkit.Serve(t, b)

	talk := func(parts ...string) (c net.Conn) {
		c, err := net.Dial("tcp", b.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		for _, p := range parts {
			if _, err := io.WriteString(c, p); err != nil {
				t.Fatal(err)
			}
		}
		return c
	}
	// CONNECT with user and password, SUBSCRIBE t with QoS 1; then CONNECT of 5.0 with a will and PUBLISH t with QoS 1.
	one := talk("\x10\x17\x00\x04MQTT\x04\xc2\x00\x3c\x00\x01a\x00\x02me\x00\x04geh8", "\x82\x06\x00\x01\x00\x01t\x01")
	defer one.Close()
	got := map[uint64][]byte{1: make([]byte, 4+5+8+9)}
	if _, err := io.ReadFull(one, got[1][:9]); err != nil { // CONNACK, SUBACK
		t.Fatal(err)
	}
	two := talk("\x10\x18\x00\x04MQTT\x05\x06\x00\x3c\x00\x00\x01b\x00\x00\x01t\x00\x04gone", "\x32\x07\x00\x01t\x00\x05\x00!")
	if _, err := io.ReadFull(one, got[1][9:17]); err != nil { // PUBLISH
		t.Fatal(err)
	}
	two.Close() // for the will
	if _, err := io.ReadFull(one, got[1][17:]); err != nil {
		t.Fatal(err)
	}
	b.Shutdown()
	rest, _ := io.ReadAll(one)
	got[1] = append(got[1], rest...)
	stop()

	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sent := map[uint64][]byte{}
	rep, err := record.Replay(f, record.ReplayOptions{
		Check: true, Sent: func(_ time.Duration, conn uint64, b []byte) { sent[conn] = append(sent[conn], b...) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sent[1], got[1]) || len(rep.Differs) > 0 || rep.Ended != "the broker has stopped" {
		t.Errorf("sent % x\n now % x\n%q, %s", got[1], sent[1], rep.Differs, rep.Ended)
	}
	if whole, _ := os.ReadFile(file); bytes.Contains(whole, []byte("geh8")) {
		t.Error("the password is in the file")
	}
	if old, _ := os.ReadFile(file + ".old"); string(old) != "the one before" {
		t.Errorf("the recording before this one is %q", old)
	}
	if info, _ := os.Stat(file); info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v", info.Mode())
	}
}

// A start that fails, however often, leaves the recordings of the last runs alone.
func TestRecordingOfAStartThatFails(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "recording")
	for name, what := range map[string]string{file: "the last run", file + ".old": "the one before"} {
		if err := os.WriteFile(name, []byte(what), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		b, err := broker.New(broker.Config{
			Listeners: []broker.Listener{{URL: "mqtt://" + busy.Addr().String()}}, Record: &broker.Recording{File: file},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Run(t.Context()); err == nil {
			t.Fatal("two serve one address")
		}
	}
	for name, want := range map[string]string{file: "the last run", file + ".old": "the one before"} {
		if got, err := os.ReadFile(name); string(got) != want {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("%d files are left", len(left))
	}
}

// A folder, or a device, is not put aside as if it were an earlier recording.
func TestRecordingIntoWhatIsNoFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := broker.New(broker.Config{
		Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}}, Record: &broker.Recording{File: dir},
	})
	if want := "recording: " + dir + " is there and is no file"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
