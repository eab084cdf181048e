//go:build linux

package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// sheet is one table of the Markdown report: a figure by scenario and broker.
type sheet struct {
	title string
	kinds []Kind
	unit  func(v float64) string
	rows  []figure
}

// figure is what a row shows of a result; a row of which all are 0 is left out.
type figure struct {
	label  string // behind the scenario's name
	of     func(*Result) float64
	fewer  bool // less of it is better
	single bool // is not compared
}

// sheets are the report's tables; table: never written to.
var sheets = []sheet{
	{"Deliveries a second (churn: clients a second)", []Kind{Stream, Churn, Retained, Drain}, short, []figure{{of: (*Result).Rate}}},
	{
		"Processor seconds of the broker for a million deliveries",
		[]Kind{Stream, Latency, Churn, Retained, Drain},
		decimals(3),
		[]figure{{of: cpuSeconds, fewer: true}},
	},
	{"Bytes written to the disk for each byte of topic and payload", []Kind{Stream}, decimals(2), []figure{
		{of: func(r *Result) float64 { return r.WrittenEach }, single: true},
	}},
	{"Latency, microseconds", []Kind{Latency}, decimals(0), []figure{
		{label: "p50", of: micros(func(l *Latencies) time.Duration { return l.P50 }), fewer: true},
		{label: "p99", of: micros(func(l *Latencies) time.Duration { return l.P99 }), fewer: true},
		{label: "p99.9", of: micros(func(l *Latencies) time.Duration { return l.P999 }), fewer: true},
	}},
	{
		"Memory, bytes for each client (idle), filter or message, its text not counted",
		[]Kind{Stream, Idle, Retained, Drain},
		decimals(0),
		[]figure{{of: func(r *Result) float64 { return float64(r.BytesEach) }, fewer: true}},
	},
	{
		"Seconds to take the filters or messages in",
		[]Kind{Stream, Retained, Drain},
		decimals(2),
		[]figure{{of: func(r *Result) float64 { return r.Load.Seconds() }, fewer: true}},
	},
	{"A daemon that nobody uses", []Kind{Daemon}, decimals(1), []figure{
		{label: "resident MiB", of: func(r *Result) float64 { return mebi(r.Daemon.Resident) }, single: true},
		{label: "wake-ups a second", of: func(r *Result) float64 { return r.Daemon.WakeupsEach }, single: true},
		{label: "program MiB", of: func(r *Result) float64 { return mebi(r.Daemon.BinaryBytes) }, single: true},
	}},
	{"From start to the first CONNACK, milliseconds, in all runs", nil, decimals(1), []figure{
		{of: func(r *Result) float64 { return r.Ready.Seconds() * 1000 }, single: true},
	}},
}

// generatorFull is the share of its time from which the generator may be what
// limits a rate.
const generatorFull = 0.95

// WriteMarkdown prints all tables: medians, in brackets the least and the most,
// and how much better than base a broker is.
func (r *Report) WriteMarkdown(w io.Writer, base string) error {
	var b bytes.Buffer
	for i := range sheets {
		r.sheet(&b, &sheets[i], base)
	}
	fmt.Fprintf(&b, "\n× is how much better than %s. † the generator was busy %.0f %% of its time or more: the broker may be faster.\n", base, 100*generatorFull)
	if len(r.missing) > 0 {
		fmt.Fprintf(&b, "\nWhat did not run, and why:\n\n")
	}
	for _, broker := range r.brokers {
		for _, s := range r.scenarios {
			if why, is := r.missing[[2]string{s, broker}]; is {
				fmt.Fprintf(&b, "- %s, %s: %s\n", broker, s, strings.Join(strings.Fields(why), " "))
			}
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (r *Report) sheet(b *bytes.Buffer, t *sheet, base string) {
	var rows []string
	for i := range t.rows {
		f := &t.rows[i]
		if t.kinds == nil {
			rows = append(rows, r.row("", t, f, base, r.scenarios))
			continue
		}
		for _, s := range r.scenarios {
			if slices.Contains(t.kinds, kindOf(s)) && r.any(s, f) {
				rows = append(rows, r.row(strings.TrimSpace(s+" "+f.label), t, f, base, []string{s}))
			}
		}
	}
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s:\n\n| |%s|\n|---|%s\n", t.title, strings.Join(r.brokers, "|"), strings.Repeat("---|", len(r.brokers)))
	for _, row := range rows {
		b.WriteString(row)
	}
}

// row prints what the brokers reached in the scenarios, taken together.
func (r *Report) row(label string, t *sheet, f *figure, base string, scenarios []string) string {
	all := func(broker string) (runs []Result) {
		for _, s := range scenarios {
			runs = append(runs, r.runs[[2]string{s, broker}]...)
		}
		return runs
	}
	reference := median(all(base), f.of)
	var line strings.Builder
	line.WriteString("| " + label + " |")
	for _, broker := range r.brokers {
		runs := all(broker)
		if len(runs) == 0 {
			line.WriteString(" – |")
			continue
		}
		values := sorted(runs, f.of)
		middle := median(runs, f.of)
		line.WriteString(" " + t.unit(middle))
		if least, most := t.unit(values[0]), t.unit(values[len(values)-1]); least != most {
			line.WriteString(" (" + least + "–" + most + ")")
		}
		if better := ratio(middle, reference, f.fewer); broker != base && !f.single && better > 0 {
			line.WriteString(fmt.Sprintf(" **×%s**", decimals(2)(better)))
		}
		if share := sorted(runs, (*Result).Share)[0]; share < 1 {
			line.WriteString(fmt.Sprintf(" %.2f %% delivered", 100*share))
		}
		if !f.fewer && !f.single && median(runs, busy) >= generatorFull {
			line.WriteString(" †")
		}
		line.WriteString(" |")
	}
	return line.String() + "\n"
}

func (r *Report) any(scenario string, f *figure) bool {
	return slices.ContainsFunc(r.brokers, func(b string) bool {
		return slices.ContainsFunc(r.runs[[2]string{scenario, b}], func(res Result) bool { return f.of(&res) != 0 })
	})
}

// ratio says how much better v is, 0 where nothing can be said.
func ratio(v, reference float64, fewer bool) float64 {
	if fewer {
		v, reference = reference, v
	}
	if reference == 0 {
		return 0
	}
	return v / reference
}

func kindOf(scenario string) Kind {
	for _, s := range Scenarios() {
		if s.Name == scenario {
			return s.Kind
		}
	}
	return Stream
}

func decimals(n int) func(float64) string {
	return func(v float64) string { return fmt.Sprintf("%.*f", n, v) }
}

// short prints a rate so that rates can be compared at a glance.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2f M", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.0f k", v/1e3)
	}
	return fmt.Sprintf("%.0f", v)
}

func micros(of func(*Latencies) time.Duration) func(*Result) float64 {
	return func(r *Result) float64 { return float64(of(&r.Latency)) / 1e3 }
}

// Marks in a document between which WriteSection puts a report.
const (
	sectionBegin = "<!-- loopbench: from here on written by make"
	sectionEnd   = "<!-- loopbench: up to here -->\n"
)

// WriteSection replaces what stands between the marks of a document; a file
// that is not there yet is made.
func WriteSection(file, text string) error {
	old, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		old, err = []byte(sectionBegin+" -->\n"+sectionEnd), nil
	}
	if err != nil {
		return err
	}
	head, rest, begun := strings.Cut(string(old), sectionBegin)
	which, rest, _ := strings.Cut(rest, "\n")
	_, tail, ended := strings.Cut(rest, sectionEnd)
	if !begun || !ended {
		return fmt.Errorf("%s: the marks %q and %q are not in it", file, strings.TrimSpace(sectionBegin), strings.TrimSpace(sectionEnd))
	}
	return os.WriteFile(file, []byte(head+sectionBegin+which+"\n"+text+sectionEnd+tail), 0o644)
}
