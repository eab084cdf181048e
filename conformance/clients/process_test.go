package clients

import (
	"net"
	"testing"

	"github.com/loopmq/loopmq/internal/testkit"
)

// mosquitto starts a client of mosquitto's against the broker.
func mosquitto(t testing.TB, name, addr, version string, args ...string) *testkit.Process {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return testkit.Run(t, name, append([]string{"-h", host, "-p", port, "-V", version}, args...)...)
}

// sub starts mosquitto_sub.
func sub(t testing.TB, addr, version string, args ...string) *testkit.Process {
	t.Helper()
	return mosquitto(t, "mosquitto_sub", addr, version, args...)
}

// pub runs mosquitto_pub to its end.
func pub(t testing.TB, addr, version string, args ...string) {
	t.Helper()
	mosquitto(t, "mosquitto_pub", addr, version, args...).PrintsAndEnds()
}
