package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/bench/mqttbench"
)

// benchText is what mqtt-benchmark prints, its numbers aside.
const benchText = `======= CLIENT 0 =======
Ratio:               N (7/7)
Runtime (s):         N
Msg time min (ms):   N
Msg time max (ms):   N
Msg time mean (ms):  N
Msg time std (ms):   N
Bandwidth (msg/sec): N

======= CLIENT 1 =======
Ratio:               N (7/7)
Runtime (s):         N
Msg time min (ms):   N
Msg time max (ms):   N
Msg time mean (ms):  N
Msg time std (ms):   N
Bandwidth (msg/sec): N

========= TOTAL (2) =========
Total Ratio:                 N (14/14)
Total Runtime (sec):         N
Average Runtime (sec):       N
Msg time min (ms):           N
Msg time max (ms):           N
Msg time mean mean (ms):     N
Msg time mean std (ms):      N
Average Bandwidth (msg/sec): N
Total Bandwidth (msg/sec):   N
`

func TestBenchText(t *testing.T) {
	port := startBroker(t)
	for qos := range 3 {
		for _, dash := range []string{"-", "--"} {
			args := strings.Fields(strings.ReplaceAll(
				"bench @broker tcp://127.0.0.1:PORT @clients 2 @count=7 @size 10 @qos QOS @message-interval 0 @format text", "@", dash))
			for i := range args {
				args[i] = strings.NewReplacer("PORT", port, "QOS", fmt.Sprint(qos)).Replace(args[i])
			}
			got := run(t, "", append([]string{loopmq}, args...)...)
			text := regexp.MustCompile(`\d+\.\d{3}`).ReplaceAllString(got.out, "N")
			if text != benchText || got.err != "" || got.status != 0 {
				t.Errorf("%v: status %d\n%s%s", args, got.status, got.out, got.err)
			}
		}
	}
}

func TestBenchJSON(t *testing.T) {
	port := startBroker(t)
	for qos := range 3 {
		got := run(t, "", loopmq, "bench", "-broker", "tcp://127.0.0.1:"+port, "-clients", "3", "-count", "5", "-payload", "hello",
			"-qos", fmt.Sprint(qos), "-message-interval", "0", "-ramp-up-time", "0.03", "-format", "json", "-quiet")
		var v struct {
			Runs   []map[string]float64 `json:"runs"`
			Totals map[string]float64   `json:"totals"`
		}
		if err := json.Unmarshal([]byte(got.out), &v); err != nil || got.err != "" || got.status != 0 {
			t.Fatalf("%v, status %d\n%s%s", err, got.status, got.out, got.err)
		}
		if !strings.Contains(got.out, "\n\t\"runs\": [\n\t\t{\n\t\t\t\"id\": 0,\n") {
			t.Errorf("not indented as the tool does:\n%s", got.out)
		}
		if len(v.Runs) != 3 || v.Runs[2]["id"] != 2 || v.Runs[2]["successes"] != 5 || v.Totals["successes"] != 15 || v.Totals["ratio"] != 1 {
			t.Errorf("%+v", v)
		}
		for name := range strings.FieldsSeq("failures run_time msg_time_min msg_time_max msg_time_mean msg_time_std msgs_per_sec") {
			if _, ok := v.Runs[0][name]; !ok {
				t.Errorf("runs: no %s", name)
			}
		}
		for name := range strings.FieldsSeq("total_run_time avg_run_time msg_time_mean_avg msg_time_mean_std total_msgs_per_sec avg_msgs_per_sec") {
			if _, ok := v.Totals[name]; !ok {
				t.Errorf("totals: no %s", name)
			}
		}
	}
}

// TestBenchPause: the tool's default of a second a message is said to be one.
func TestBenchPause(t *testing.T) {
	got := run(t, "", loopmq, "bench", "-broker", "tcp://127.0.0.1:"+startBroker(t), "-clients", "1", "-count", "1")
	if !strings.Contains(got.err, "measure this pause") || strings.Count(got.err, "\n") != 1 || got.status != 0 {
		t.Errorf("status %d, %q", got.status, got.err)
	}
}

func TestBenchMistakes(t *testing.T) {
	for _, row := range []struct{ args, want string }{
		{"-clients 0", "loopmq bench: -clients 0: 1 to 100000; see loopmq bench --help\n"},
		{"-count x", `loopmq bench: invalid value "x" for flag -count: it is no whole number; see loopmq bench --help` + "\n"},
		{"-qos 3", "loopmq bench: --qos 3: QoS is 0, 1 or 2; see loopmq bench --help\n"},
		{"-format xml", `loopmq bench: -format "xml": text or json; see loopmq bench --help` + "\n"},
		{"-nothing", "loopmq bench: flag provided but not defined: -nothing; see loopmq bench --help\n"},
		{"-client-key k", "loopmq bench: -client-key without -client-cert; see loopmq bench --help\n"},
		{"stray", `loopmq bench: unexpected argument "stray"; loopmq bench list tells the scenarios; see loopmq bench --help` + "\n"},
	} {
		got := run(t, "", append([]string{loopmq, "bench"}, strings.Fields(row.args)...)...)
		if got.status != exitUsage || got.err != row.want || got.out != "" {
			t.Errorf("%s: status %d, %q, %q", row.args, got.status, got.err, got.out)
		}
	}
	got := run(t, "", loopmq, "bench", "-broker", "tcp://127.0.0.1:1", "-clients", "1", "-message-interval", "0")
	if got.status != exitRuntime || !strings.HasPrefix(got.err, "loopmq bench: no message went through: connect to mqtt://127.0.0.1:1: ") ||
		!strings.Contains(got.out, "Total Ratio:                 0.000 (0/100)\n") {
		t.Errorf("nobody there: status %d, %q\n%s", got.status, got.err, got.out)
	}
}

func TestProgressText(t *testing.T) {
	now := mqttbench.Sample{At: 3 * time.Second, Done: 5000, Delivered: 600}
	some := goal{messages: 10000, count: acknowledged}
	timed := goal{name: "two clients", lasts: 12 * time.Second, count: delivered}
	for _, row := range []struct {
		goal
		width int
		want  string
	}{
		{some, 80, "[====================                    ] 3s: 5000 of 10000 messages, 2000/s"},
		{some, 50, "[====    ] 3s: 5000 of 10000 messages, 2000/s"},
		{some, 20, "3s: 5000 of 10000 me"},
		{goal{count: acknowledged}, 80, "3s: 5000 messages, 2000/s"},
		{timed, 90, "[==========                              ] two clients, 3s of 12s: 600 messages, 250/s"},
		{goal{name: "churn", count: delivered, what: "clients"}, 80, "churn, 3s: 600 clients, 250/s"},
	} {
		p := progress{goal: row.goal, before: mqttbench.Sample{At: time.Second, Done: 1000, Delivered: 100}}
		if got := p.bar(&now, row.width); got != row.want {
			t.Errorf("%d columns: %q, want %q", row.width, got, row.want)
		}
	}
}
