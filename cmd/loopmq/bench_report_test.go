package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
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

// TestBenchReport: the page is whole, tells no password, and knows the broker's
// process, which is this one, from its port.
func TestBenchReport(t *testing.T) {
	port := startBroker(t)
	url := "tcp://someone:secret@127.0.0.1:" + port
	for _, args := range [][]string{nil, {"-pid", fmt.Sprint(os.Getpid())}} {
		file := filepath.Join(t.TempDir(), "page.html")
		args = append([]string{loopmq, "bench", "-broker", url, "-clients", "3", "-count", "2000", "-message-interval", "0", "-quiet", "-report", file}, args...)
		if got := run(t, "", args...); got.status != 0 || got.err != "" {
			t.Fatalf("status %d: %s", got.status, got.err)
		}
		page := wellFormed(t, file)
		contains(t, page, "6000 of 6000", "Rate over time", "Latency", "Processor time of the broker", "Memory of the broker",
			"Network bytes to the broker", "Network bytes from the broker", "2000 of 100 bytes, QoS 1", fmt.Sprintf(", PID %d", os.Getpid()))
		for _, no := range []string{"secret", "someone", "Not known: ", "Nothing was measured"} {
			if strings.Contains(page, no) {
				t.Errorf("the page says %q", no)
			}
		}
	}
	got := run(t, "", loopmq, "bench", "-broker", url, "-report", "/nonexistent/page.html")
	if got.status != exitUsage || !strings.Contains(got.err, "--report: open /nonexistent/page.html") {
		t.Errorf("status %d: %s", got.status, got.err)
	}
}

// TestBenchReportEmpty: what is not known is said, and so is what did not happen.
func TestBenchReportEmpty(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.html")
	got := run(t, "", loopmq, "bench", "-broker", "tcp://127.0.0.1:1", "-clients", "1", "-count", "1", "-quiet", "-report", file)
	if got.status != exitRuntime {
		t.Fatalf("status %d: %s", got.status, got.err)
	}
	page := wellFormed(t, file)
	contains(t, page, "0 of 1", "Not known: no process that may be looked into listens there", "--pid")
}

func contains(t *testing.T, text string, all ...string) {
	t.Helper()
	for _, want := range all {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
}

func TestBenchClassic(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.html")
	got := run(t, "", loopmq, "bench", "classic", "--broker", "tcp://127.0.0.1:"+startBroker(t), "--duration", "300ms", "--quiet", "--report", file)
	if got.status != 0 || got.err != "" {
		t.Fatalf("status %d: %s", got.status, got.err)
	}
	table := strings.Split(got.out, "\n")
	if len(table) != 5 {
		t.Fatalf("table:\n%s", got.out)
	}
	for i, want := range []string{
		`case +clients +messages/s +delivered +lost +median ms +99 % ms +most ms +broker CPU +memory MB +to broker kB/s +from broker kB/s`,
		`broker alone +0 +- +- +- +- +- +- +\d+\.\d % +\d+\.\d +0\.0 +0\.0`,
		`two clients +2 +[1-9]\d* +[1-9]\d* +0( +\d+\.\d{3}){3} +\d+\.\d % +\d+\.\d +[1-9]\d*\.\d +[1-9]\d*\.\d`,
		`one hundred clients +100 +[1-9]\d* +[1-9]\d* +0( +\d+\.\d{3}){3} +\d+\.\d % +\d+\.\d +[1-9]\d*\.\d +[1-9]\d*\.\d`,
	} {
		if !regexp.MustCompile("^" + want + "$").MatchString(table[i]) {
			t.Errorf("row %q, want %s", table[i], want)
		}
	}
	contains(t, wellFormed(t, file), "The cases", "one hundred clients", "Latency", "Processor time of the broker")
}

func TestBenchClassicMistakes(t *testing.T) {
	for args, want := range map[string]string{
		"classic --size 3":         "loopmq bench classic: --size 3: at least 24, for the time and the number that each message carries; see loopmq bench classic --help\n",
		"classic --duration x":     `loopmq bench classic: invalid value "x" for flag -duration: it is no time; write whole numbers and units: "30s", "1h30m"; see loopmq bench classic --help` + "\n",
		"-count 3 classic":         "loopmq bench classic: its flags stand behind it: loopmq bench classic [OPTIONS]; see loopmq bench classic --help\n",
		"classic --pid 2000000000": "loopmq bench classic: --pid 2000000000: process 2000000000: open /proc/2000000000/stat: no such file or directory; see loopmq bench classic --help\n",
		"classic more":             `loopmq bench classic: unexpected argument "more"; loopmq bench list tells the scenarios; see loopmq bench classic --help` + "\n",
	} {
		got := run(t, "", append([]string{loopmq, "bench"}, strings.Fields(args)...)...)
		if got.status != exitUsage || got.err != want || got.out != "" {
			t.Errorf("%s: status %d, %q, %q", args, got.status, got.err, got.out)
		}
	}
	got := run(t, "", loopmq, "bench", "classic", "--broker", "tcp://127.0.0.1:1", "--duration", "50ms")
	if got.status != exitRuntime || !strings.HasPrefix(got.err, "loopmq bench classic: two clients: connect to mqtt://127.0.0.1:1: ") {
		t.Errorf("nobody there: status %d, %q", got.status, got.err)
	}
}
