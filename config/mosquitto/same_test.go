package mosquitto

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/loopmq/loopmq/config"
	"github.com/loopmq/loopmq/internal/testkit"
)

// TestSameAsMosquitto starts the real mosquitto with files, and holds what it
// opens and whom it lets in against what we read out of them. PORT is a free
// port, DIR a directory with an empty file of passwords, pw.
func TestSameAsMosquitto(t *testing.T) {
	program := testkit.Program(t, "mosquitto")
	for _, text := range []string{
		"listener PORT",
		"listener PORT 127.0.0.1\nallow_anonymous true",
		"listener PORT\nallow_anonymous 1",
		"   \nlistener PORT\nallow_anonymous true   \n#x",
		"allow_anonymous true\nlistener PORT # a comment",
		"port PORT\nallow_anonymous true",
		"port PORT\nmax_connections -1",
		"bind_address 127.0.0.1\nport PORT\npassword_file DIR/pw\nallow_anonymous true",
		"  listener PORT   127.0.0.1\nsocket_domain ipv4\npassword_file DIR/pw",
		"per_listener_settings true\nlistener PORT\nallow_anonymous true",
		"per_listener_settings true\nlistener PORT\npassword_file DIR/pw",
		"listener PORT\nallow_anonymous true\n#max_qos 5\nmax_queued_messages 0\nmax_inflight_messages 0",
		"listener PORT\nallow_anonymous true\ncafile /nowhere",
		"allow_anonymous true\ninclude_dir DIR/conf.d",
		// What it refuses we refuse.
		"listener", "listener 0", "listener 70000", "listener PORT\nallow_anonymous yes", "listener PORT\nmax_qos 3",
		"listener PORT\nfoo bar", "max_packet_size 5\nlistener PORT", "persistence", "topic # out", "include_dir /nowhere",
		"listener PORT\nlog_type loud", "listener PORT\nprotocol quic", "listener PORT\nsocket_domain ipv5",
		"persistent_client_expiration 5x", " # no comment\nlistener PORT", "\t\nlistener PORT", "listener PORT\nallow_anonymous\ttrue", "auth_opt_x y",
	} {
		t.Run(text, func(t *testing.T) {
			dir := t.TempDir()
			addr := testkit.FreeAddr(t)
			_, port, _ := net.SplitHostPort(addr)
			put := func(name, text string) string {
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				text = strings.NewReplacer("PORT", port, "DIR", dir).Replace(text)
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
				return path
			}
			put("pw", "")
			put("conf.d/a.conf", "listener PORT 127.0.0.1\n")
			conf := put("mosquitto.conf", "user root\n"+text+"\n")
			r, err := Read(conf)
			if err != nil {
				t.Fatal(err)
			}
			code, starts := connect(t, program, conf, addr)
			if refused := r.Refused(); (len(refused) == 0) != starts {
				t.Fatalf("mosquitto starts: %t; refused: %v", starts, refused)
			}
			if !starts {
				return
			}
			if len(r.Config.Listeners) != 1 || !strings.HasSuffix(r.Config.Listeners[0].URL, ":"+port) {
				t.Fatalf("listeners: %+v", r.Config.Listeners)
			}
			anonymous := r.Config.Listeners[0].Anonymous
			if anonymous == config.Auto {
				anonymous = r.Config.Auth.Anonymous
			}
			if want := map[byte]config.Switch{0: config.On, 5: config.Off}[code]; anonymous != want {
				t.Errorf("mosquitto answers a client without a name with %d; anonymous is %d", code, anonymous)
			}
		})
	}
}

// connect starts mosquitto and connects without a user: the return code of
// CONNACK, or that mosquitto ended by itself.
func connect(t *testing.T, program, conf, addr string) (code byte, starts bool) {
	t.Helper()
	cmd := exec.Command(program, "-c", conf)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer stop.Stop()
	// Its log tells when all is open; it ends with the process otherwise.
	up := false
	for lines := bufio.NewScanner(stderr); !up && lines.Scan(); {
		up = strings.HasSuffix(lines.Text(), " running")
	}
	if !up {
		_ = cmd.Wait()
		return 0, false
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_, _ = io.Copy(io.Discard, stderr)
		_ = cmd.Wait()
	}()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write([]byte("\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a")); err != nil {
		t.Fatal(err)
	}
	var connack [4]byte
	if _, err := io.ReadFull(c, connack[:]); err != nil || connack[0] != 0x20 {
		t.Fatalf("CONNACK % x: %v", connack, err)
	}
	return connack[3], true
}
