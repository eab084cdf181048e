package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/loopmq/loopmq/config"
)

// write puts a file into a directory and returns its path.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// load reads a configuration that must be fine.
func load(t *testing.T, path string, env []string, overrides ...config.Override) *config.File {
	t.Helper()
	f, problems := config.Load(path, env, overrides)
	for _, p := range problems {
		t.Error(p)
	}
	return f
}

func TestPrecedence(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "loopmq.toml", `
include = ["conf.d/*.toml"]
shutdown_timeout = "1s"
sys_interval = "1s"
[limits]
packet_bytes_max = "3MB"
inflight_max = 1
queued_messages_max = 1
receive_maximum = 1
[[listener]]
url = "mqtt://127.0.0.1:1"
`)
	write(t, dir, "conf.d/a.toml", "[limits]\ninflight_max = 2\nqueued_messages_max = 2\nreceive_maximum = 2\n[[listener]]\nurl='mqtt://127.0.0.1:2'\n")
	write(t, dir, "conf.d/b.toml", "limits.queued_messages_max = 3\nlimits.receive_maximum = 3\n[[listener]]\nurl='mqtt://127.0.0.1:3'\n")
	f := load(t, path, []string{
		"LOOPMQ_LIMITS__RECEIVE_MAXIMUM=4", "LOOPMQ_LISTENER__1__URL=mqtt://127.0.0.1:4", "LOOPMQ_LISTENER__3__URL=mqtt://127.0.0.1:5",
		"LOOPMQ_SHUTDOWN_TIMEOUT=4s",
		// What Kubernetes sets for a service with our name.
		"LOOPMQ_PORT=tcp://10.0.0.1:1883", "LOOPMQ_PORT_1883_TCP_ADDR=10.0.0.1", "LOOPMQ_SERVICE_HOST=10.0.0.1",
	}, config.Override{Key: "shutdown_timeout", Value: "5s", Source: "--shutdown-timeout"})
	got := []int{f.Limits.PacketBytesMax, f.Limits.InflightMax, f.Limits.QueuedMessagesMax, f.Limits.ReceiveMaximum, f.Limits.TopicLevelsMax, int(f.SysInterval.Seconds()), int(f.ShutdownTimeout.Seconds())}
	want := []int{3_000_000, 2, 3, 4, 128, 1, 5}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("value %d: want %d, got %d", i, want[i], got[i])
		}
	}
	var ports []string
	for _, l := range f.Listeners {
		ports = append(ports, l.URL[len("mqtt://127.0.0.1:"):])
	}
	if want := []string{"1", "4", "3", "5"}; !slices.Equal(ports, want) {
		t.Errorf("ports of listeners: want %q, got %q", want, ports)
	}
}

func TestFlagsReplaceListeners(t *testing.T) {
	path := write(t, t.TempDir(), "loopmq.toml", "[[listener]]\nurl='mqtt://127.0.0.1:1'\n[[listener]]\nurl='mqtt://127.0.0.1:2'\n")
	f := load(t, path, nil,
		config.Override{Key: "listener", Value: "mqtt://127.0.0.1:3", Source: "--listen"},
		config.Override{Key: "listener", Value: "mqtt://127.0.0.1:4", Source: "--listen"})
	if len(f.Listeners) != 2 || f.Listeners[0].URL != "mqtt://127.0.0.1:3" || f.Listeners[1].URL != "mqtt://127.0.0.1:4" {
		t.Errorf("got %+v", f.Listeners)
	}
}

func TestEnvironment(t *testing.T) {
	dir := t.TempDir()
	pem := write(t, dir, "a.pem", "-")
	f := load(t, "", []string{
		"LOOPMQ_VALIDATE_PAYLOADS=true", "LOOPMQ_SYS_INTERVAL=1h", "LOOPMQ_LIMITS__PACKET_BYTES_MAX=1MB", "LOOPMQ_LIMITS__RETAINED_BYTES_MAX=5000",
		"LOOPMQ_LISTENER__0__URL=mqtts://:8883", "LOOPMQ_LISTENER__0__ANONYMOUS=false", "LOOPMQ_LISTENER__0__VERSIONS=5, 3.1.1",
		"LOOPMQ_LISTENER__0__TLS__CERT=" + pem, "LOOPMQ_LISTENER__0__TLS__CERTIFICATE__0__CERT=" + pem, "LOOPMQ_LISTENER__0__CONNECT_RATE=5/s",
		"LOOPMQ_LISTENER__1__URL=unix:///run/a.sock", "LOOPMQ_LISTENER__1__MODE=0600",
		"LOOPMQ_AUTH__PEER__USERS__1000=nodered", "LOOPMQ_AUTH__BANS__NETWORKS=192.0.2.7,10.0.0.0/8", "LOOPMQ_AUTH__JWT__SECRET=x",
		"LOOPMQ_AUTH__GUARD__FAILURES=0",
	})
	got := f.Text(false)
	want := `validate_payloads = true
sys_interval = "1h"

[[listener]]
url = "mqtts://:8883"
versions = ["5", "3.1.1"]
connect_rate = "5/s"
anonymous = false

[listener.tls]
cert = "` + pem + `"

[[listener.tls.certificate]]
cert = "` + pem + `"

[[listener]]
url = "unix:///run/a.sock"
mode = "0600"

[limits]
packet_bytes_max = "1MB"
retained_bytes_max = "5kB"

[auth.jwt]
# secret is set

[auth.peer]
users = { 1000 = "nodered" }

[auth.guard]
failures = 0

[auth.bans]
networks = ["192.0.2.7", "10.0.0.0/8"]
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
