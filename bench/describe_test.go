//go:build linux

package bench

import "testing"

func TestDescribe(t *testing.T) {
	want := map[string]string{
		"1to1":          "one publisher, one subscriber, QoS 0, 64B",
		"1to100":        "one publisher, 100 subscribers, QoS 0, 64B",
		"50x50":         "50 publishers each with one subscriber of its own, QoS 0, 64B",
		"100to1":        "100 publishers, one subscriber to all of them by a wildcard, QoS 0, 64B",
		"shared":        "one publisher, 10 subscribers that share one subscription, QoS 0, 64B",
		"filters-100k":  "one publisher to 100000 filters of 10 subscribers, QoS 0, 64B",
		"latency":       "5000 messages/s of 64B to one subscriber: how long each takes",
		"churn":         "64 clients at a time connect, get their CONNACK and leave",
		"idle-10k":      "10000 clients with a subscription each connect and then do nothing: what one costs",
		"retained-100k": "100000 retained messages of 64B are stored, and a new subscriber gets them all",
		"drain-50k":     "50000 messages of 64B wait for a session that is away, which then gets them all",
	}
	for _, s := range Scenarios() {
		text := s.Describe()
		if w := want[s.Name]; w != "" && text != w {
			t.Errorf("%s: %q, want %q", s.Name, text, w)
		}
		delete(want, s.Name)
	}
	if len(want) > 0 {
		t.Errorf("no scenario %v", want)
	}
}
