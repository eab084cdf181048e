package main

import (
	"fmt"
	"os"
	"runtime"
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
	times   *mqttbench.Histogram
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
func commonFacts(c *cli.Context, broker string) []report.Fact {
	return []report.Fact{
		{Name: "broker", Value: broker},
		{Name: "measured", Value: time.Now().Format(time.RFC1123Z)},
		{Name: "by", Value: fmt.Sprintf("loopmq %s, %s/%s, %d processors", c.App.Version, runtime.GOOS, runtime.GOARCH, runtime.NumCPU())},
	}
}

// benchPanels are the charts of some runs. count is what a sample's rate is of.
func benchPanels(runs []benchRun, what string, count func(*mqttbench.Sample) float64) []report.Panel {
	return []report.Panel{
		timePanel("Rate over time", what, runs, "msg/s", "", always, perSecond(1, count)),
		latencyPanel(runs),
		processorPanel(runs),
		memoryPanel(runs),
		trafficPanel("Network bytes to the broker", runs,
			func(s *mqttbench.Sample) float64 { return float64(s.BytesOut) },
			func(s *mqttbench.Sample) float64 { return float64(s.Process.BytesIn) }),
		trafficPanel("Network bytes from the broker", runs,
			func(s *mqttbench.Sample) float64 { return float64(s.BytesIn) },
			func(s *mqttbench.Sample) float64 { return float64(s.Process.BytesOut) }),
	}
}

func always(*mqttbench.Sample) bool { return true }

// unknownProcess is why there are no charts of the broker's process.
const unknownProcess = "Not known: it can be read when the broker runs on this machine and --broker-pid says which process it is."

func processorPanel(runs []benchRun) report.Panel {
	p := timePanel("Processor time of the broker", "100 % is one core; the kernel counts in steps of 10 ms.", runs, "%", unknownProcess,
		func(s *mqttbench.Sample) bool { return s.ProcessKnown },
		perSecond(100, func(s *mqttbench.Sample) float64 { return s.Process.CPU.Seconds() }))
	p.YMax = 100
	return p
}

func memoryPanel(runs []benchRun) report.Panel {
	return timePanel("Memory of the broker", "What it holds in RAM (resident set).", runs, "B", unknownProcess,
		func(s *mqttbench.Sample) bool { return s.ProcessKnown },
		func(_, s *mqttbench.Sample) float64 { return float64(s.Process.Resident) })
}

// trafficPanel shows what the broker's process moved, or else what the clients
// did.
func trafficPanel(title string, runs []benchRun, clients, process func(*mqttbench.Sample) float64) report.Panel {
	note, value := "As the kernel counts for the broker's process.", process
	for _, r := range runs {
		for i := range r.samples {
			if !r.samples[i].ProcessTrafficKnown {
				note, value = "As the clients count.", clients
			}
		}
	}
	return timePanel(title, note, runs, "B/s", "", always, perSecond(1, value))
}

// change makes a value of two samples.
type change func(before, s *mqttbench.Sample) float64

// perSecond is how fast a count grows, times a factor.
func perSecond(factor float64, count func(*mqttbench.Sample) float64) change {
	return func(before, s *mqttbench.Sample) float64 {
		return factor * (count(s) - count(before)) / (s.At - before.At).Seconds()
	}
}

// timePanel has a line for each run. A sample that follows too soon on the one
// before tells no rate.
func timePanel(title, note string, runs []benchRun, unit, missing string, known func(*mqttbench.Sample) bool, value change) report.Panel {
	p := report.Panel{Title: title, Note: note, XName: "time", XUnit: "s"}
	for _, r := range runs {
		series := report.Series{Name: r.name, Unit: unit}
		if series.Name == "" {
			series.Name = title
		}
		before := -1
		for i := range r.samples {
			s := &r.samples[i]
			if !known(s) {
				continue
			}
			if before >= 0 {
				last := &r.samples[before]
				apart := s.At - last.At
				if apart < mqttbench.SampleEvery/2 && len(series.Points) > 0 || apart <= 0 {
					continue
				}
				series.Points = append(series.Points, report.Point{X: s.At.Seconds(), Y: value(last, s)})
			}
			before = i
		}
		if len(series.Points) > 0 {
			p.Series = append(p.Series, series)
		}
	}
	if len(p.Series) == 0 {
		p.Missing = missing
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
	for _, r := range runs {
		if r.times == nil || r.times.Total() == 0 {
			continue
		}
		series := report.Series{Name: r.name, Unit: "%"}
		if series.Name == "" {
			series.Name = "all messages"
		}
		seen := int64(0)
		r.times.Each(func(from, to time.Duration, n int64) {
			if seen == 0 {
				series.Points = append(series.Points, report.Point{X: inMillis(max(from, 1)), Y: 0})
			}
			seen += n
			series.Points = append(series.Points, report.Point{X: inMillis(to), Y: 100 * float64(seen) / float64(r.times.Total())})
		})
		p.Series = append(p.Series, series)
		row := []string{series.Name}
		for _, q := range quantiles {
			row = append(row, fmt.Sprintf("%.3f ms", inMillis(r.times.Quantile(q.q))))
		}
		p.Figures.Rows = append(p.Figures.Rows, row)
	}
	return p
}

func inMillis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// benchPage is the report of loopmq bench.
func benchPage(c *cli.Context, cfg *mqttbench.Config, r *mqttbench.Results, samples []mqttbench.Sample) *report.Page {
	size := cfg.Size
	if cfg.Payload != nil {
		size = len(cfg.Payload)
	}
	intro := "Each client publishes, waits until its message is acknowledged, and publishes the next."
	if cfg.Interval > 0 {
		intro += fmt.Sprintf(" It sends one message every %v: the rates are those of this pause, not the broker's.", cfg.Interval)
	}
	t := &r.Totals
	facts := append(commonFacts(c, brokerURL(cfg.Broker)),
		report.Fact{Name: "clients", Value: fmt.Sprint(cfg.Clients)},
		report.Fact{Name: "messages of each", Value: fmt.Sprintf("%d of %d bytes, QoS %d", cfg.Count, size, cfg.QoS)},
		report.Fact{Name: "went through", Value: fmt.Sprintf("%d of %d", t.Successes, t.Successes+t.Failures)},
		report.Fact{Name: "all together", Value: fmt.Sprintf("%.0f messages/s", t.TotalMsgsPerSec)},
		report.Fact{Name: "run time", Value: fmt.Sprintf("%.3f s", t.TotalRunTime)},
	)
	return &report.Page{
		Title: "loopmq bench of " + brokerURL(cfg.Broker), Intro: intro, Facts: facts,
		Panels: benchPanels([]benchRun{{samples: samples, times: r.Times}}, "Messages whose handshake is complete, of all clients.",
			func(s *mqttbench.Sample) float64 { return float64(s.Done) }),
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
