package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	scenarios "github.com/loopmq/loopmq/bench"
)

func TestBenchList(t *testing.T) {
	got := run(t, "", loopmq, "bench", "list")
	if got.status != 0 || got.err != "" || strings.Count(got.out, "\n") != len(scenarios.Scenarios()) {
		t.Fatalf("status %d\n%s%s", got.status, got.out, got.err)
	}
	contains(t, got.out, "1to100         one publisher, 100 subscribers, QoS 0, 64B\n", "\nchurn          ")
}

// TestBenchScenario: against a broker that it starts, and against one that runs.
func TestBenchScenario(t *testing.T) {
	for _, row := range []struct{ args, broker string }{
		{"", "loopmq"},
		{"--broker tcp://127.0.0.1:" + startBroker(t), `mqtt://127\.0\.0\.1:\d+`},
	} {
		file := filepath.Join(t.TempDir(), "page.html")
		args := append([]string{loopmq, "bench", "1to100", "--measure", "300ms", "--warm-up", "50ms", "--quiet", "--report", file}, strings.Fields(row.args)...)
		got := run(t, "", append(args, "latency")...)
		if got.status != 0 || got.err != "" {
			t.Fatalf("status %d: %s", got.status, got.err)
		}
		for _, want := range []string{
			`scenario +broker +deliveries/s +least +most +delivered +broker CPU s/M +memory MB +generator busy +also`,
			`1to100 +` + row.broker + `( +[1-9]\d*){3} +100\.0000 % +\d+\.\d{3} +[1-9]\d*\.\d +\d+ %`,
			`latency +` + row.broker + `( +[1-9]\d*){3} +100\.0000 % +\d+\.\d{3} +[1-9]\d*\.\d +\d+ % +p50 .*s p99 .*s p99.9 .*s max .*s`,
		} {
			if !regexp.MustCompile(`(?m)^ *` + want + ` *$`).MatchString(got.out) {
				t.Errorf("no row %s in\n%s", want, got.out)
			}
		}
		page := wellFormed(t, file)
		contains(t, page, "1to100: Rate over time", "1to100: Memory of the broker", "latency: Latency", "latency: Network bytes from the broker", "99.9 %")
		if strings.Contains(page, "1to100: Latency") || strings.Contains(page, "Not known") || strings.Contains(page, "Nothing was measured") {
			t.Error("the page has a panel that says nothing")
		}
	}
}

func TestBenchScenarioMistakes(t *testing.T) {
	for args, want := range map[string]string{
		"1to1 1to2":                       `no scenario "1to2"; loopmq bench list tells them`,
		"1to1 churn --rounds 2":           "--rounds: flags stand before the second scenario",
		"1to1 --rounds 0":                 "--rounds 0: at least 1",
		"1to1 --measure 0s":               "--measure 0s: more than 0",
		"1to1 --pid 1":                    "--pid without --broker: the process of a broker that is started here is known",
		"1to1 --broker mqtts://127.0.0.1": "--broker: the scenarios speak MQTT over bare TCP, without a password; write mqtt://HOST[:PORT]",
		"-quiet 1to1":                     "its flags stand behind it: loopmq bench 1to1 [OPTIONS]",
	} {
		got := run(t, "", append([]string{loopmq, "bench"}, strings.Fields(args)...)...)
		if want = "loopmq bench 1to1: " + want + "; see loopmq bench 1to1 --help\n"; got.status != exitUsage || got.err != want || got.out != "" {
			t.Errorf("%s: status %d, %q, want %q", args, got.status, got.err, want)
		}
	}
	got := run(t, "", loopmq, "bench", "1to1", "--broker", "tcp://127.0.0.1:1")
	if got.status != exitRuntime || !strings.HasPrefix(got.err, "loopmq bench: scenario 1to1: connect 127.0.0.1:1: ") || got.out != "" {
		t.Errorf("nobody there: status %d, %q", got.status, got.err)
	}
}
