package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/bench/report"
)

func page() *report.Page {
	return &report.Page{
		Title: `Bench of <a> & "b"`,
		Intro: "What was done.",
		Facts: []report.Fact{{"broker", "tcp://127.0.0.1:1883"}, {"odd", "\x00<script>"}},
		Tables: []report.Table{{
			Title: "Cases", Head: []string{"case", "rate"}, Rows: [][]string{{"two clients", "12"}},
		}},
		Panels: []report.Panel{
			{Title: "Rate", Note: "of all clients", XName: "time", XUnit: "s", Series: []report.Series{
				{Name: "one", Unit: "msg/s", Points: []report.Point{{0, 0}, {1, 12000}, {2, math.NaN()}, {3, 34000}, {4, 30000}}},
				{Name: "two", Unit: "msg/s", Style: 1, Points: []report.Point{{0, 5}, {4, 10}}},
			}},
			{Title: "Latency", XName: "time of a message", XUnit: "ms", LogX: true, YMax: 100, Series: []report.Series{
				{Name: "share", Unit: "%", Points: []report.Point{{0, 0}, {0.05, 1}, {0.4, 50}, {800, 100}}},
			}, Figures: &report.Table{Head: []string{"", "median"}, Rows: [][]string{{"share", "0.4 ms"}}}},
			{Title: "Traffic", XName: "time", XUnit: "s", Series: []report.Series{
				{Name: "in", Unit: "B/s", Points: []report.Point{{0, 1500}, {1, 2.5e6}}},
			}},
			{Title: "Processor", Missing: "Not known: no --broker-pid."},
			{Title: "Empty", Series: []report.Series{{Name: "none", Unit: "B"}}},
		},
	}
}

// outline is the page without what is only drawing: each element that carries
// text, as TAG: TEXT.
func outline(t *testing.T, doc []byte) (lines []string, tags map[string]int) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(doc))
	tags = map[string]int{}
	var open []string
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return lines, tags
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			open = append(open, tok.Name.Local)
			tags[tok.Name.Local]++
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			text := strings.TrimSpace(string(tok))
			if text != "" && open[len(open)-1] != "style" {
				lines = append(lines, open[len(open)-1]+": "+text)
			}
		}
	}
}

// TestPage compares the words of a page with testdata/page.txt; -update is not
// offered: the file is short and its words are to be read.
func TestPage(t *testing.T) {
	var doc bytes.Buffer
	if err := page().Write(&doc); err != nil {
		t.Fatal(err)
	}
	lines, tags := outline(t, doc.Bytes())
	want, err := os.ReadFile(filepath.Join("testdata", "page.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(lines, "\n") + "\n"; got != string(want) {
		wanted := strings.Split(string(want), "\n")
		for i, line := range lines {
			if i >= len(wanted) || line != wanted[i] {
				t.Errorf("line %d: %q", i+1, line)
				break
			}
		}
		t.Logf("all of it:\n%s", got)
		t.Fail()
	}
	if tags["script"]+tags["link"]+tags["img"] > 0 || bytes.Contains(doc.Bytes(), []byte("url(")) {
		t.Errorf("the page needs something else: %v", tags)
	}
	if tags["path"] != 4 || tags["section"] != 6 {
		t.Errorf("%d lines in %d sections", tags["path"], tags["section"])
	}
	for _, must := range []string{
		`<html xmlns="http://www.w3.org/1999/xhtml" lang="en">`, "prefers-color-scheme: dark",
		`role="img" aria-labelledby="t0 d0"`, `<th scope="row">two clients</th>`,
		`<path class="line s1"`, `<line class="line s1"`,
	} {
		if !bytes.Contains(doc.Bytes(), []byte(must)) {
			t.Errorf("no %s", must)
		}
	}
}

// TestGap: a value that is not a number interrupts the line.
func TestGap(t *testing.T) {
	var doc bytes.Buffer
	if err := page().Write(&doc); err != nil {
		t.Fatal(err)
	}
	_, path, _ := strings.Cut(doc.String(), `<path class="line s0" d="`)
	path, _, _ = strings.Cut(path, `"`)
	if strings.Count(path, "M") != 2 || strings.Count(path, "L") != 2 || strings.Contains(path, "NaN") {
		t.Errorf("path %q", path)
	}
}

// TestOnePoint: one value alone is a dot that can be seen, at the end of an
// axis from 0.
func TestOnePoint(t *testing.T) {
	p := report.Page{Panels: []report.Panel{{Title: "x", Series: []report.Series{{Name: "y", Points: []report.Point{{0.2, 5}}}}}}}
	var doc bytes.Buffer
	if err := p.Write(&doc); err != nil {
		t.Fatal(err)
	}
	if lines, _ := outline(t, doc.Bytes()); !slices.Contains(lines, "text: 0.1") || !strings.Contains(doc.String(), `<g class="dot s0">`) {
		t.Errorf("%v in %s", lines, doc.String())
	}
}

// TestMany: very many points become as many as there is room for.
func TestMany(t *testing.T) {
	points := make([]report.Point, 100_000)
	for i := range points {
		points[i] = report.Point{X: float64(i), Y: float64(i % 7)}
	}
	p := report.Page{Title: "many", Panels: []report.Panel{{Title: "x", Series: []report.Series{{Name: "y", Points: points}}}}}
	var doc bytes.Buffer
	if err := p.Write(&doc); err != nil {
		t.Fatal(err)
	}
	if doc.Len() > 40_000 {
		t.Errorf("%d bytes", doc.Len())
	}
	if lines, _ := outline(t, doc.Bytes()); !slices.Contains(lines, "text: 80k") {
		t.Errorf("no tick at 80k: %v", lines)
	}
}
