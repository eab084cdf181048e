package main

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/loopmq/loopmq/bench/mqttbench"
	"github.com/loopmq/loopmq/bench/report"
	"github.com/loopmq/loopmq/client"
)

// benchRun is what a report shows of one run.
type benchRun struct {
	name    string // "" where there is only one
	samples []mqttbench.Sample
	times   *times // nil: it has none
}

// times are how long messages took.
type times struct {
	points []report.Point // milliseconds, percent that took this long or less
	of     func(q float64) time.Duration
}

// distribution is what a histogram knows.
func distribution(h *mqttbench.Histogram) *times {
	if h.Total() == 0 {
		return nil
	}
	t := &times{of: h.Quantile}
	seen := int64(0)
	h.Each(func(from, to time.Duration, n int64) {
		if seen == 0 {
			t.points = append(t.points, report.Point{X: inMillis(max(from, 1)), Y: 0})
		}
		seen += n
		t.points = append(t.points, report.Point{X: inMillis(to), Y: 100 * float64(seen) / float64(h.Total())})
	})
	return t
}

// createReport opens the file of --report before anything is measured, so that
// no measurement is lost to a mistyped name. It is nil without --report.
func createReport(c *cli.Context) (*os.File, error) {
	name := c.String("report")
	if name == "" {
		return nil, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("--report: %w", err)
	}
	return f, nil
}

// writeReport writes the page; without a file it does nothing.
func writeReport(f *os.File, p *report.Page) error {
	if f == nil {
		return nil
	}
	err := p.Write(f)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// commonFacts are those of every report. Of the broker's URL it tells neither
// user nor password.
func commonFacts(c *cli.Context, broker string, p *process) []report.Fact {
	return []report.Fact{
		{Name: "broker", Value: broker},
		{Name: "its process", Value: p.name},
		{Name: "measured", Value: time.Now().Format(time.RFC1123Z)},
		{Name: "by", Value: fmt.Sprintf("loopmq %s, %s/%s, %d processors", c.App.Version, runtime.GOOS, runtime.GOARCH, runtime.NumCPU())},
	}
}

// counter is one count of a sample.
type counter func(*mqttbench.Sample) int64

// counted says what the charts of some runs count.
type counted struct {
	prefix  string  // of their titles
	what    string  // the rate is of
	unit    string  // of the rate
	count   counter // nil: nothing
	traffic string  // what the network bytes are
}

// benchPanels are the charts of some runs. Those that would say nothing are
// left out, but for what is not known of the broker's process.
func benchPanels(runs []benchRun, p *process, n *counted) []report.Panel {
	var panels []report.Panel
	if n.count != nil {
		panels = append(panels, timePanel("Rate over time", n.what, runs, n.unit, perSecond(n.count)))
	}
	if l := latencyPanel(runs); len(l.Series) > 0 {
		panels = append(panels, l)
	}
	panels = append(panels, processorPanel(runs, p), memoryPanel(runs, p))
	for _, way := range []struct {
		title string
		count counter
	}{
		{"Network bytes to the broker", func(s *mqttbench.Sample) int64 { return s.BytesOut }},
		{"Network bytes from the broker", func(s *mqttbench.Sample) int64 { return s.BytesIn }},
	} {
		if moved(runs, way.count) {
			panels = append(panels, timePanel(way.title, n.traffic, runs, "B/s", perSecond(way.count)))
		}
	}
	for i := range panels {
		panels[i].Title = n.prefix + panels[i].Title
	}
	return panels
}

// moved reports whether any of the runs counted any.
func moved(runs []benchRun, count counter) bool {
	return slices.ContainsFunc(runs, func(r benchRun) bool {
		return len(r.samples) > 0 && count(&r.samples[len(r.samples)-1]) > 0
	})
}

// clientTraffic is what a Meter counts.
const clientTraffic = "As these clients count: all that they write to their connections and read from them, without the headers of TCP and IP."

func processorPanel(runs []benchRun, p *process) report.Panel {
	cpu := perSecond(func(s *mqttbench.Sample) int64 { return int64(s.Process.CPU) })
	panel := timePanel("Processor time of the broker", "100 % is one core; the kernel counts in steps of 10 ms.", withProcess(runs), "%",
		func(before, s *mqttbench.Sample) float64 { return 100 * cpu(before, s) / float64(time.Second) })
	panel.YMax, panel.Missing = 100, p.missing()
	return panel
}

func memoryPanel(runs []benchRun, p *process) report.Panel {
	panel := timePanel("Memory of the broker", "What it holds in RAM (resident set).", withProcess(runs), "B",
		func(_, s *mqttbench.Sample) float64 { return float64(s.Process.Resident) })
	panel.Missing = p.missing()
	return panel
}

// withProcess are the samples in which the broker's process was seen.
func withProcess(runs []benchRun) []benchRun {
	var out []benchRun
	for _, r := range runs {
		seen := benchRun{name: r.name}
		for i := range r.samples {
			if r.samples[i].ProcessKnown {
				seen.samples = append(seen.samples, r.samples[i])
			}
		}
		out = append(out, seen)
	}
	return out
}

// change makes a value of two samples.
type change func(before, s *mqttbench.Sample) float64

// perSecond is how fast a count grows.
func perSecond(count counter) change {
	return func(before, s *mqttbench.Sample) float64 {
		return float64(count(s)-count(before)) / (s.At - before.At).Seconds()
	}
}

// timePanel has a line for each run. A sample that follows too soon on the one
// before tells no rate.
func timePanel(title, note string, runs []benchRun, unit string, value change) report.Panel {
	p := report.Panel{Title: title, Note: note, XName: "time", XUnit: "s"}
	for style, r := range runs {
		series := report.Series{Name: cmp.Or(r.name, title), Unit: unit, Style: style}
		for i, before := 1, 0; i < len(r.samples); i++ {
			s, last := &r.samples[i], &r.samples[before]
			apart := s.At - last.At
			if apart < mqttbench.SampleEvery/2 && len(series.Points) > 0 || apart <= 0 {
				continue
			}
			series.Points = append(series.Points, report.Point{X: s.At.Seconds(), Y: value(last, s)})
			before = i
		}
		if len(series.Points) > 0 {
			p.Series = append(p.Series, series)
		}
	}
	return p
}

// quantiles are those that tables show.
//
// table: constant.
var quantiles = []struct {
	name string
	q    float64
}{{"median", 0.5}, {"90 %", 0.9}, {"99 %", 0.99}, {"99.9 %", 0.999}, {"most", 1}}

// latencyPanel shows what share of the messages was not slower than a time.
func latencyPanel(runs []benchRun) report.Panel {
	p := report.Panel{
		Title: "Latency", Note: "Share of messages that took this long or less.",
		XName: "time of a message", XUnit: "ms", LogX: true, YMax: 100, Figures: &report.Table{Head: []string{""}},
	}
	for _, q := range quantiles {
		p.Figures.Head = append(p.Figures.Head, q.name)
	}
	for style, r := range runs {
		if r.times == nil {
			continue
		}
		series := report.Series{Name: cmp.Or(r.name, "all messages"), Unit: "%", Style: style, Points: r.times.points}
		p.Series = append(p.Series, series)
		row := []string{series.Name}
		for _, q := range quantiles {
			row = append(row, fmt.Sprintf("%.3f ms", inMillis(r.times.of(q.q))))
		}
		p.Figures.Rows = append(p.Figures.Rows, row)
	}
	return p
}

func inMillis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// benchPage is the report of loopmq bench.
func benchPage(c *cli.Context, cfg *mqttbench.Config, r *mqttbench.Results, samples []mqttbench.Sample, p *process) *report.Page {
	size := cfg.Size
	if cfg.Payload != nil {
		size = len(cfg.Payload)
	}
	intro := "Each client publishes, waits until its message is acknowledged, and publishes the next."
	if cfg.Interval > 0 {
		intro += fmt.Sprintf(" It sends one message every %v: the rates are those of this pause, not the broker's.", cfg.Interval)
	}
	t := &r.Totals
	facts := append(commonFacts(c, brokerURL(cfg.Broker), p),
		report.Fact{Name: "clients", Value: fmt.Sprint(cfg.Clients)},
		report.Fact{Name: "messages of each", Value: fmt.Sprintf("%d of %d bytes, QoS %d", cfg.Count, size, cfg.QoS)},
		report.Fact{Name: "went through", Value: fmt.Sprintf("%d of %d", t.Successes, t.Successes+t.Failures)},
		report.Fact{Name: "all together", Value: fmt.Sprintf("%.0f messages/s", t.TotalMsgsPerSec)},
		report.Fact{Name: "run time", Value: fmt.Sprintf("%.3f s", t.TotalRunTime)},
	)
	return &report.Page{
		Title: "loopmq bench of " + brokerURL(cfg.Broker), Intro: intro, Facts: facts,
		Panels: benchPanels([]benchRun{{samples: samples, times: distribution(r.Times)}}, p, &counted{
			what: "Messages whose handshake is complete, of all clients.", unit: "msg/s", count: acknowledged, traffic: clientTraffic,
		}),
	}
}

// brokerURL is a URL to show: without user and password.
func brokerURL(raw string) string {
	s, err := client.ParseURL(raw)
	if err != nil {
		return raw
	}
	return s.URL()
}
