package mqttbench_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/bench/mqttbench"
	"github.com/loopmq/loopmq/internal/testkit"
)

// TestFindProcess: the broker is in this process, by TCP and unix socket.
func TestFindProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, url := range []string{startBroker(t), "unix://" + path} {
		if pid, err := mqttbench.FindProcess(url); pid != os.Getpid() || err != nil {
			t.Errorf("%s: process %d, %v; this is %d", url, pid, err, os.Getpid())
		}
	}
	for url, want := range map[string]string{
		"mqtt://" + testkit.FreeAddr(t): "no process",
		"mqtt://192.0.2.1:1883":         "not on this machine",
		"unix:///nowhere":               "no process",
	} {
		if pid, err := mqttbench.FindProcess(url); pid != 0 || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: process %d, %v", url, pid, err)
		}
	}
}

func TestReadProcess(t *testing.T) {
	p, err := mqttbench.ReadProcess(os.Getpid())
	if err != nil || p.Resident < 1<<20 {
		t.Errorf("%+v, %v", p, err)
	}
	if name := mqttbench.ProcessName(os.Getpid()); !strings.HasPrefix("mqttbench.test", name) {
		t.Errorf("this is %q", name)
	}
	if _, err := mqttbench.ReadProcess(1 << 30); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nobody: %v", err)
	}
}
