//go:build linux

package bench

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestMosquittoIsMeasured(t *testing.T) {
	broker, err := Start(Mosquitto("mosquitto"), -1)
	if err != nil {
		t.Fatalf("%v; make test-deps installs it", err)
	}
	defer func() {
		if err := broker.Stop(); err != nil {
			t.Error(err)
		}
	}()
	for _, qos := range []byte{0, 1} {
		s := small(qos)
		res, err := Run(s, Options{
			Addr: broker.Addr, PID: broker.PID, Core: -1,
			WarmUp: 20 * time.Millisecond, Measure: 200 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		if res.Share() != 1 || res.Deliveries == 0 || res.BrokerCPU == 0 || res.GeneratorBusy == 0 {
			t.Errorf("QoS %d: %+v, want all delivered, and all meters to have moved", qos, res)
		}
	}
}

func TestStartShowsWhatAFailedBrokerPrinted(t *testing.T) {
	broken := Target{Name: "broken", Command: func(netip.AddrPort, string) ([]string, error) {
		return []string{"sh", "-c", "echo no such listener; exit 3"}, nil
	}}
	_, err := Start(broken, -1)
	if err == nil || !strings.Contains(err.Error(), "broken: ") || !strings.Contains(err.Error(), "no such listener") {
		t.Errorf("error %v, want one with the broker's name and its output", err)
	}
}
