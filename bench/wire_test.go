//go:build linux

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFramesAreLiteral(t *testing.T) {
	for _, c := range []struct{ name, got, want string }{
		{"connect", string(connectFrame("ab", true)), "\x10\x0e\x00\x04MQTT\x04\x02\x00\x00\x00\x02ab"},
		{"subscribe", string(subscribeFrame(1, "t/1")), "\x82\x08\x00\x01\x00\x03t/1\x01"},
	} {
		if c.got != c.want {
			t.Errorf("%s: % x, want % x", c.name, c.got, c.want)
		}
	}
}

func TestCycleOfQoS0FramesIsOneFrameRepeated(t *testing.T) {
	cycle, sh := publishCycle(named("t"), cycleFrames, 0, 3)
	want := "\x30\x06\x00\x01tabc"
	if sh.frameBytes != len(want) || sh.idOffset != 0 || len(cycle) != cycleFrames*len(want) {
		t.Fatalf("shape %+v of %d bytes", sh, len(cycle))
	}
	for at := 0; at < len(cycle); at += len(want) {
		if got := string(cycle[at : at+len(want)]); got != want {
			t.Fatalf("frame at %d is % x, want % x", at, got, want)
		}
	}
}

func TestCycleOfQoS1FramesNumbersThem(t *testing.T) {
	cycle, sh := publishCycle(named("t"), cycleFrames, 1, 3)
	if want := "\x32\x08\x00\x01t\x00\x01abc\x32\x08\x00\x01t\x00\x02abc"; string(cycle[:len(want)]) != want {
		t.Errorf("first two frames are % x, want % x", cycle[:len(want)], want)
	}
	if sh != (shape{frameBytes: 10, idOffset: 5, topicFrom: 4, topicTo: 5}) {
		t.Errorf("shape %+v", sh)
	}
	if tail := string(cycle[len(cycle)-5 : len(cycle)-3]); tail != "\x10\x00" {
		t.Errorf("last identifier is % x, want 10 00", tail)
	}
}

func TestLongFramesHaveTwoLengthBytes(t *testing.T) {
	cycle, sh := publishCycle(named("t"), cycleFrames, 0, 200)
	if string(cycle[:3]) != "\x30\xcb\x01" || sh.frameBytes != 206 {
		t.Errorf("header % x, frame of %d bytes; want 30 cb 01 and 206", cycle[:3], sh.frameBytes)
	}
}

func TestProcessorTimeSurvivesOddCommands(t *testing.T) {
	got, err := parseStat([]byte("7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20"))
	if err != nil || got != 3*time.Second {
		t.Errorf("got %v, %v; want 3 s", got, err)
	}
	if _, err := parseStat([]byte("7 (a) S 1 2")); err == nil {
		t.Error("a cut line is accepted")
	}
}

func TestReportComparesMedians(t *testing.T) {
	var r Report
	for i, rate := range []int64{300, 100, 200} {
		r.Add("1to1", "mosquitto", Result{Deliveries: 100, Elapsed: time.Second, Received: 1, Wanted: 1})
		r.Add("1to1", "loopmq", Result{Deliveries: rate, Elapsed: time.Second, Received: int64(9 + i%2), Wanted: 10})
	}
	var out lines
	if err := r.Write(&out, "mosquitto"); err != nil {
		t.Fatal(err)
	}
	want := []string{"1to1", "loopmq", "200", "100", "300", "90.0000", "%", "-", "-", "0", "%", "2.00"}
	if got := fmt.Sprint(out.fields(2)); got != fmt.Sprint(want) {
		t.Errorf("row %s, want %s", got, want)
	}
}

func named(topic string) func(int) string { return func(int) string { return topic } }

func TestMemoryIsWhatIsAnonymous(t *testing.T) {
	got, err := parseSmaps([]byte("400000-500000 ---p 0 0 0 [rollup]\nRss:  99 kB\nAnonymous:   12 kB\nLazyFree:  7 kB\n"))
	if err != nil || got != 12<<10 {
		t.Errorf("got %d, %v; want 12 KiB", got, err)
	}
	if _, err := parseSmaps([]byte("Rss: 99 kB\n")); err == nil {
		t.Error("a file without the line is accepted")
	}
}

func TestMarkdownComparesAndSaysWhatIsMissing(t *testing.T) {
	var r Report
	for _, rate := range []int64{300_000, 100_000, 200_000} {
		r.Add("1to1", "mosquitto", Result{Deliveries: 100_000, Elapsed: time.Second, Received: 1, Wanted: 1})
		r.Add("1to1", "loopmq", Result{Deliveries: rate, Elapsed: time.Second, Received: 9, Wanted: 10, GeneratorBusy: 0.99})
	}
	r.Missing("qos2x10", "relay", "knows topics\nby their names only")
	var out lines
	if err := r.WriteMarkdown(&out, "mosquitto"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| |mosquitto|loopmq|relay|\n",
		"| 1to1 | 100 k | 200 k (100 k–300 k) **×2.00** 90.00 % delivered † | – |\n",
		"- relay, qos2x10: knows topics by their names only\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestSectionReplacesWhatIsBetweenItsMarks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "doc.md")
	if err := os.WriteFile(file, []byte("before\n"+sectionBegin+" bench -->\nold\n"+sectionEnd+"after\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := WriteSection(file, "new\n"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if want := "before\n" + sectionBegin + " bench -->\nnew\n" + sectionEnd + "after\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if err := os.WriteFile(file, []byte("no marks"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := WriteSection(file, "new\n"); err == nil {
		t.Error("a document without marks is overwritten")
	}
}
