package mqttbench_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/loopmq/loopmq/bench/mqttbench"
)

// TestGolden compares results with what mqtt-benchmark prints for the same
// numbers, byte by byte; its JSON ends with the line feed of fmt.Println.
func TestGolden(t *testing.T) {
	r := mqttbench.Results{
		Runs: []mqttbench.Result{
			{
				ID: 0, Successes: 100, RunTime: 0.5, MsgTimeMin: 0.25, MsgTimeMax: 12, MsgTimeMean: 1.5,
				MsgTimeStd: 0.7071067811865476, MsgsPerSec: 200,
			},
			{ID: 1, Successes: 98, Failures: 2, RunTime: 2, MsgTimeMin: 0.125, MsgTimeMax: 1234.5678, MsgTimeMean: 2.5, MsgTimeStd: 100, MsgsPerSec: 49},
		},
		Totals: mqttbench.Totals{
			Ratio: 0.99, Successes: 198, Failures: 2, TotalRunTime: 2.0625, AvgRunTime: 1.25, MsgTimeMin: 0.125, MsgTimeMax: 1234.5678,
			MsgTimeMeanAvg: 2, MsgTimeMeanStd: 0.7071067811865476, TotalMsgsPerSec: 249, AvgMsgsPerSec: 124.5,
		},
	}
	var text, doc bytes.Buffer
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteJSON(&doc); err != nil {
		t.Fatal(err)
	}
	for file, got := range map[string][]byte{"results.txt": text.Bytes(), "results.json": doc.Bytes()} {
		want, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("not as in %s:\n%s", file, got)
		}
	}
}
