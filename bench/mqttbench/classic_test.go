package mqttbench_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/loopmq/loopmq/bench/mqttbench"
)

// load is short enough for a test.
func load(url string) mqttbench.Load {
	l := mqttbench.Load{Config: config(url), Duration: 300 * time.Millisecond}
	l.Size = 100
	return l
}

// TestCases runs all three with each QoS; nothing is lost, and the process that
// serves is seen.
func TestCases(t *testing.T) {
	url := startBroker(t)
	for qos := range byte(3) {
		for _, cs := range mqttbench.Cases() {
			t.Run(fmt.Sprint(cs.Name, " qos", qos), func(t *testing.T) {
				l := load(url)
				l.QoS = qos
				if err := l.Check(); err != nil {
					t.Fatal(err)
				}
				r, err := mqttbench.RunCase(t.Context(), &l, cs, os.Getpid(), nil)
				if err != nil {
					t.Fatal(err)
				}
				if (r.Sent > 0) != (cs.Pairs > 0) || r.Lost() != 0 || r.Repeated != 0 || r.Times.Total() != r.Delivered || r.Rate() < 0 {
					t.Errorf("%d sent, %d delivered, %d repeated, %d times", r.Sent, r.Delivered, r.Repeated, r.Times.Total())
				}
				last := r.Samples[len(r.Samples)-1]
				if last.Delivered != r.Delivered || last.Connected != int64(2*cs.Pairs) || !last.ProcessKnown || last.Process.Resident == 0 {
					t.Errorf("last sample %+v", last)
				}
			})
		}
	}
}

// TestCaseRate: at a steady rate no more are sent than are due.
func TestCaseRate(t *testing.T) {
	l := load(startBroker(t))
	l.Rate, l.Duration = 100, time.Second
	r, err := mqttbench.RunCase(t.Context(), &l, mqttbench.Cases()[1], 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if most := int64(100*r.Ran.Seconds()) + 2; r.Sent < 2 || r.Sent > most || r.Lost() != 0 {
		t.Errorf("%d sent in %v, %d at most are due; %d lost", r.Sent, r.Ran, most, r.Lost())
	}
}

// TestCaseEnds: who interrupts gets what was measured until then.
func TestCaseEnds(t *testing.T) {
	l := load(startBroker(t))
	l.Duration = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := mqttbench.RunCase(ctx, &l, mqttbench.Cases()[1], 0, func(s mqttbench.Sample) {
		if s.Delivered > 0 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || r == nil || r.Delivered == 0 {
		t.Errorf("%v, %+v", err, r)
	}
	if _, err := mqttbench.RunCase(ctx, &l, mqttbench.Cases()[1], 0, nil); err == nil {
		t.Error("an interrupted case connects")
	}
}

func TestLoadCheck(t *testing.T) {
	for want, change := range map[string]func(*mqttbench.Load){
		"--size 23: at least 24, for the time and the number that each message carries": func(l *mqttbench.Load) { l.Size = 23 },
		"--duration 0s: more than 0": func(l *mqttbench.Load) { l.Duration = 0 },
		"--rate -1: 0 to 1000000":    func(l *mqttbench.Load) { l.Rate = -1 },
		"-qos 3: 0, 1 or 2":          func(l *mqttbench.Load) { l.QoS = 3 },
	} {
		l := load(":1883")
		change(&l)
		if err := l.Check(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
