package main

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	scenarios "github.com/loopmq/loopmq/bench"
	"github.com/loopmq/loopmq/bench/report"
)

// page is the report of the scenarios.
func (p *plan) page(c *cli.Context) *report.Page {
	broker := "this program, a fresh one for each run"
	if p.url != "" {
		broker = brokerURL(p.url)
	}
	times := "once"
	if p.rounds > 1 {
		times = fmt.Sprintf("%d times", p.rounds)
	}
	page := &report.Page{
		Title: p.title(),
		Intro: "Each scenario sends as much as the broker takes, or at a steady rate, and counts every delivery.",
		Facts: append(commonFacts(c, broker, &p.process), report.Fact{
			Name: "each run", Value: fmt.Sprintf("%v warm-up, %v measured, %s", p.options.WarmUp, p.options.Measure, times),
		}),
	}
	table := report.Table{Title: "All scenarios"}
	table.Head, table.Rows = p.table.Table("")
	page.Tables = append(page.Tables, table)
	for _, s := range p.scenarios {
		runs, prefix := p.runs[s.Name], ""
		if len(runs) == 0 {
			continue
		}
		delete(p.runs, s.Name) // a scenario may be named twice
		if len(p.scenarios) > 1 {
			prefix = s.Name + ": "
		}
		if p.rounds == 1 {
			runs[0].name = ""
		}
		n := &counted{prefix: prefix, what: "Deliveries: " + s.Describe() + ".", unit: "msg/s", count: delivered, traffic: "Of PUBLISH packets."}
		if what := unit(&s); what != "deliveries" {
			n.what, n.unit = "Clients: "+s.Describe()+".", "clients/s"
		}
		if s.Kind == scenarios.Daemon {
			n.count = nil
		}
		page.Panels = append(page.Panels, benchPanels(runs, &p.process, n)...)
	}
	return page
}

// title names the scenarios, if they are few.
func (p *plan) title() string {
	if len(p.scenarios) > 4 {
		return fmt.Sprintf("loopmq bench: %d scenarios", len(p.scenarios))
	}
	var names []string
	for _, s := range p.scenarios {
		names = append(names, s.Name)
	}
	return "loopmq bench: " + strings.Join(names, ", ")
}

// brackets are the times of a scenario that has some.
func brackets(r *scenarios.Result) *times {
	if len(r.Times) == 0 {
		return nil
	}
	t := &times{of: func(q float64) time.Duration {
		i := sort.Search(len(r.Times), func(i int) bool { return r.Times[i].Share >= q })
		return r.Times[min(i, len(r.Times)-1)].Time
	}}
	for _, b := range r.Times {
		t.points = append(t.points, report.Point{X: inMillis(b.Time), Y: 100 * b.Share})
	}
	return t
}
