package conformance

import (
	"bufio"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/internal/testkit"
)

// sysOf21 are the topics that Mosquitto has since 2.1; Debian's is older.
var sysOf21 = []string{"connections/socket/count", "packet/out/bytes", "packet/out/count"}

// sysSame are topics that have the same value in both brokers after the same
// has happened to them. The others depend on the clock, on memory, or on how much
// of the tree was sent.
var sysSame = []string{
	"clients/active", "clients/connected", "clients/disconnected", "clients/expired", "clients/inactive", "clients/total",
	"bytes/received", "messages/received", "publish/bytes/received", "publish/messages/dropped", "publish/messages/received",
	"shared_subscriptions/count", "subscriptions/count",
}

// TestSysBesideMosquitto: the $SYS tree has the topics of Mosquitto, none more
// but those of its listeners, and what it counts is counted in the same way.
func TestSysBesideMosquitto(t *testing.T) {
	o := options{sysInterval: time.Second}
	theirs := sysAfterTraffic(t, startMosquitto(t, o))
	for _, k := range kinds(t) {
		t.Run(k.name, func(t *testing.T) {
			ours := sysAfterTraffic(t, k.start(t, o))
			for name := range theirs {
				if _, has := ours[name]; !has {
					t.Errorf("%s is missing", name)
				}
			}
			for name, value := range ours {
				if _, has := theirs[name]; !has && !slices.Contains(sysOf21, name) && !strings.HasPrefix(name, "listeners/") {
					t.Errorf("%s is none of Mosquitto's", name)
				}
				if strings.Trim(value, "0123456789.") != "" && name != "version" && name != "uptime" {
					t.Errorf("%s is %q, which is no number", name, value)
				}
			}
			for _, name := range sysSame {
				if ours[name] != theirs[name] {
					t.Errorf("%s is %q, and %q with Mosquitto", name, ours[name], theirs[name])
				}
			}
			if u := ours["uptime"]; !strings.HasSuffix(u, " seconds") {
				t.Errorf("uptime is %q", u)
			}
		})
	}
}

// sysAfterTraffic has a client listen to the tree and to x, publishes three
// messages there and one to nobody, and returns the last value of each topic once
// they have been counted.
func sysAfterTraffic(t *testing.T, tg target) map[string]string {
	t.Helper()
	host, port, err := net.SplitHostPort(tg.addr())
	if err != nil {
		t.Fatal(err)
	}
	at := []string{"-h", host, "-p", port}
	sub := exec.Command(testkit.Program(t, "mosquitto_sub"), append(at, "-i", "s", "-v", "-t", "$SYS/#", "-t", "x", "-W", "30")...)
	out, err := sub.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = sub.Process.Kill()
		_ = sub.Wait()
	}()
	values := map[string]string{}
	counted := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		topic, value, _ := strings.Cut(lines.Text(), " ")
		if strings.HasSuffix(topic, "/retained") {
			topic, value = topic+" messages/count", strings.TrimPrefix(value, "messages/count ")
		}
		name, isSys := strings.CutPrefix(topic, "$SYS/broker/")
		if !isSys {
			continue
		}
		first := len(values) == 0
		values[name] = value
		if first { // it listens
			for _, to := range []string{"x", "x", "x", "nobody"} {
				if text, err := exec.Command(testkit.Program(t, "mosquitto_pub"), append(at, "-i", "p", "-q", "1", "-t", to, "-m", "hello")...).CombinedOutput(); err != nil {
					t.Fatalf("mosquitto_pub: %v\n%s", err, text)
				}
			}
		}
		switch {
		case counted && name == "uptime": // the interval after that: all others have come
			return values
		case name == "publish/messages/received" && value == "4":
			counted = true
		}
	}
	t.Fatalf("four messages are not counted: %v", values)
	return nil
}
