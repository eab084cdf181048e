package clients

import (
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/loopmq/loopmq/internal/testkit"
)

// python is Debian's, for which python3-paho-mqtt is installed; another may be
// first on the path.
const python = "/usr/bin/python3"

// eachLevel runs f over both engines with protocol level 3 (MQTT 3.1), 4 (3.1.1)
// and 5.
func eachLevel(t *testing.T, f func(t *testing.T, addr string, level int)) {
	t.Helper()
	for _, level := range []int{3, 4, 5} {
		t.Run(strconv.Itoa(level), func(t *testing.T) {
			each(t, func(t *testing.T, addr string) { f(t, addr, level) })
		})
	}
}

// sessionLines are what both scripts print of a session that is resumed; a
// CONNACK of 3.1 has no Session Present.
func sessionLines(level int, no, yes string) []string {
	if level == 3 {
		return []string{"session queued1 1", "session queued2 2"}
	}
	return []string{"session present " + no, "session present " + yes, "session queued1 1", "session queued2 2"}
}

func TestMQTTjs(t *testing.T) {
	if _, err := os.Stat("testdata/mqttjs/node_modules/mqtt/package.json"); err != nil {
		t.Fatal("MQTT.js is not installed, and this test needs it; type: make test-deps")
	}
	eachLevel(t, func(t *testing.T, addr string, level int) {
		s := testkit.Run(t, "node", "testdata/mqttjs/checks.js", "mqtt://"+addr, strconv.Itoa(level))
		s.Prints("qos t m0 0", "qos t m1 1", "qos t m2 2", "retained kept true", "will gone 1")
		s.Prints(sessionLines(level, "false", "true")...)
		if level == 5 {
			s.Prints(`properties text/plain answers c1 true {"a":["b","c"]} 9`)
		}
		s.PrintsAndEnds("done")
	})
}

func TestPahoPython(t *testing.T) {
	if err := exec.Command(python, "-c", "import paho.mqtt.client").Run(); err != nil {
		t.Fatal("python3-paho-mqtt is not installed, and this test needs it; type: make test-deps")
	}
	eachLevel(t, func(t *testing.T, addr string, level int) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		s := testkit.Run(t, python, "testdata/pahopython.py", host, port, strconv.Itoa(level))
		s.Prints("granted [2]", "qos t m0 0", "qos t m1 1", "qos t m2 2", "retained kept 1", "will gone 1")
		s.Prints(sessionLines(level, "0", "1")...)
		if level == 5 {
			s.Prints("properties text/plain answers c1 1 [('a', 'b'), ('a', 'c')] [9]")
		}
		s.PrintsAndEnds("done")
	})
}
