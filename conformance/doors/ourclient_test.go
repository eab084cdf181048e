package doors

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/internal/testkit"
)

// build makes a program out of a package.
func build(t *testing.T, dir, pkg string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "program")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", name, pkg)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s in %s: %v\n%s", pkg, dir, err, out)
	}
	return name
}

// talk has the commands check, sub and pub go through one door.
func talk(t *testing.T, loopmq, url string, more ...string) {
	t.Helper()
	said := output(t, false, loopmq, append(append([]string{"check", "--timeout", "20s"}, more...), url)...)
	contains(t, said, "connect ", "subscribe ", "publish ", "receive ", "disconnect ")
	if strings.HasPrefix(url, "ws") {
		contains(t, said, "websocket ", "subprotocol mqtt")
	}
	for _, version := range []string{"mqttv311", "mqttv5"} {
		args := append([]string{"-L", url, "-V", version, "-q", "1", "-t", "t/" + version}, more...)
		output(t, false, loopmq, append(append([]string{"pub"}, args...), "-r", "-m", "through "+version)...)
		sub := testkit.Run(t, loopmq, append(append([]string{"sub"}, args...), "-C", "2")...)
		sub.Prints("through " + version)
		output(t, false, loopmq, append(append([]string{"pub"}, args...), "-m", "second")...)
		sub.PrintsAndEnds("second")
	}
}

// TestOurClient: check, pub and sub through every door of ours, and through
// the WebSocket door of Mochi.
func TestOurClient(t *testing.T) {
	a := newAuthority(t)
	a.sign("server", year)
	loopmq := build(t, "../..", "./cmd/loopmq")
	each(t, func(t *testing.T, engine string) {
		s := serve(t, engine, "mqtt://127.0.0.1:0", "ws://127.0.0.1:0/mqtt", "unix://"+shortPath(t),
			a.listener("mqtts://127.0.0.1:0", "server"), a.listener("wss://127.0.0.1:0/mqtt", "server"))
		for i, url := range s.URLs() {
			if i < 3 {
				talk(t, loopmq, url)
			} else {
				talk(t, loopmq, url, "--cafile", a.path("ca.pem"))
			}
		}
	})
	t.Run("mochi", func(t *testing.T) {
		addrs := testkit.FreeAddrs(t, 2)
		ws, tcp := addrs[0], addrs[1]
		mochi := testkit.Run(t, build(t, "testdata/mochi", "."), ws, tcp)
		accepting(t, ws, mochi)
		talk(t, loopmq, "ws://"+ws+"/mqtt")
		talk(t, loopmq, "mqtt://"+tcp)
	})
}
