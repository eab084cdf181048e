package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wellFormed reads a page as XML.
func wellFormed(t *testing.T, path string) string {
	t.Helper()
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(strings.NewReader(string(doc)))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return string(doc)
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestBenchReport(t *testing.T) {
	url := "tcp://someone:secret@127.0.0.1:" + startBroker(t)
	for _, pid := range []int{0, os.Getpid()} { // the broker is in this process
		file := filepath.Join(t.TempDir(), "page.html")
		args := []string{loopmq, "bench", "-broker", url, "-clients", "3", "-count", "2000", "-message-interval", "0", "-quiet", "-report", file}
		if pid != 0 {
			args = append(args, "-broker-pid", fmt.Sprint(pid))
		}
		if got := run(t, "", args...); got.status != 0 || got.err != "" {
			t.Fatalf("status %d: %s", got.status, got.err)
		}
		page := wellFormed(t, file)
		for _, want := range []string{
			"6000 of 6000", "Rate over time", "Latency", "Processor time of the broker", "Memory of the broker",
			"Network bytes to the broker", "Network bytes from the broker", "2000 of 100 bytes, QoS 1",
		} {
			if !strings.Contains(page, want) {
				t.Errorf("no %q", want)
			}
		}
		if strings.Contains(page, "secret") {
			t.Error("the page tells the password")
		}
		if unknown := strings.Count(page, "Not known: "); unknown != 2*map[bool]int{pid == 0: 1}[true] {
			t.Errorf("pid %d: %d panels are not known", pid, unknown)
		}
	}
	got := run(t, "", loopmq, "bench", "-broker", url, "-report", "/nonexistent/page.html")
	if got.status != exitUsage || !strings.Contains(got.err, "--report: open /nonexistent/page.html") {
		t.Errorf("status %d: %s", got.status, got.err)
	}
}
