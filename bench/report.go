//go:build linux

package bench

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"text/tabwriter"
	"time"
)

// Report collects the results of all rounds, by scenario and broker.
type Report struct {
	scenarios, brokers []string
	runs               map[[2]string][]Result
	missing            map[[2]string]string
}

// Missing records why a broker has no result for a scenario.
func (r *Report) Missing(scenario, broker, reason string) {
	if r.missing == nil {
		r.missing = map[[2]string]string{}
	}
	r.name(scenario, broker)
	r.missing[[2]string{scenario, broker}] = reason
}

// IsMissing reports whether a reason is recorded.
func (r *Report) IsMissing(scenario, broker string) bool {
	_, is := r.missing[[2]string{scenario, broker}]
	return is
}

// name keeps the order in which names came first.
func (r *Report) name(scenario, broker string) {
	if !slices.Contains(r.scenarios, scenario) {
		r.scenarios = append(r.scenarios, scenario)
	}
	if !slices.Contains(r.brokers, broker) {
		r.brokers = append(r.brokers, broker)
	}
}

// Add records one run.
func (r *Report) Add(scenario, broker string, res Result) {
	if r.runs == nil {
		r.runs = map[[2]string][]Result{}
	}
	r.name(scenario, broker)
	key := [2]string{scenario, broker}
	r.runs[key] = append(r.runs[key], res)
}

// Write prints the table.
func (r *Report) Write(w io.Writer, base string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	head, rows := r.Table(base)
	for _, row := range append([][]string{head}, rows...) {
		fmt.Fprintln(t, strings.Join(row, "\t")+"\t")
	}
	return t.Flush()
}

// Table has a row for each scenario and broker: medians, the spread of the
// rates, the least share delivered, and the rate as a multiple of base's, if
// there is a base.
func (r *Report) Table(base string) (head []string, rows [][]string) {
	head = []string{
		"scenario", "broker", "deliveries/s", "least", "most", "delivered", "broker CPU s/M", "memory MB", "generator busy",
	}
	if base != "" {
		head = append(head, "× "+base)
	}
	for _, s := range r.scenarios {
		baseRate := median(r.runs[[2]string{s, base}], (*Result).Rate)
		for _, b := range r.brokers {
			runs := r.runs[[2]string{s, b}]
			if why, is := r.missing[[2]string{s, b}]; is {
				nothing := slices.Repeat([]string{"-"}, len(head)-2)
				rows = append(rows, slices.Concat([]string{s, b}, nothing, []string{why}))
			}
			if len(runs) == 0 {
				continue
			}
			row := append([]string{s, b}, figures(runs)...)
			if base != "" {
				row = append(row, multiple(median(runs, (*Result).Rate), baseRate))
			}
			rows = append(rows, append(row, also(runs)))
		}
	}
	return append(head, "also"), rows
}

// figures are those that every kind of scenario finds.
func figures(runs []Result) []string {
	rates := sorted(runs, (*Result).Rate)
	cpu, ram := "-", "-"
	if runs[0].Memory > 0 { // the process is known
		cpu, ram = fmt.Sprintf("%.3f", median(runs, cpuSeconds)), fmt.Sprintf("%.1f", median(runs, memory)/1e6)
	}
	return []string{
		fmt.Sprintf("%.0f", median(runs, (*Result).Rate)), fmt.Sprintf("%.0f", rates[0]), fmt.Sprintf("%.0f", rates[len(rates)-1]),
		fmt.Sprintf("%.4f %%", 100*sorted(runs, (*Result).Share)[0]), cpu, ram, fmt.Sprintf("%.0f %%", 100*median(runs, busy)),
	}
}

func multiple(rate, base float64) string {
	if base <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", rate/base)
}

// WriteBenchmarks prints every run as a line that benchstat reads.
func (r *Report) WriteBenchmarks(w io.Writer) error {
	for _, s := range r.scenarios {
		for _, b := range r.brokers {
			for _, res := range r.runs[[2]string{s, b}] {
				if _, err := fmt.Fprintf(w, "BenchmarkBroker/scenario=%s/broker=%s %d %.2f ns/op %.0f deliveries/s %.4f cpu-s/M\n",
					s, b, res.Deliveries, 1e9/res.Rate(), res.Rate(), cpuSeconds(&res)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// also is what only some kinds of scenarios find.
func also(runs []Result) string {
	var parts []string
	if runs[0].Latency.Max > 0 {
		at := func(of func(*Latencies) time.Duration) time.Duration {
			return time.Duration(median(runs, func(r *Result) float64 { return float64(of(&r.Latency)) })).Round(time.Microsecond)
		}
		parts = append(parts, fmt.Sprintf("p50 %s p99 %s p99.9 %s max %s", at(func(l *Latencies) time.Duration { return l.P50 }),
			at(func(l *Latencies) time.Duration { return l.P99 }), at(func(l *Latencies) time.Duration { return l.P999 }),
			at(func(l *Latencies) time.Duration { return l.Max })))
	}
	if runs[0].BytesEach != 0 {
		parts = append(parts, fmt.Sprintf("%.0f bytes each", median(runs, func(r *Result) float64 { return float64(r.BytesEach) })))
	}
	if runs[0].Load > 0 {
		parts = append(parts, fmt.Sprintf("loaded in %.2f s", median(runs, func(r *Result) float64 { return r.Load.Seconds() })))
	}
	if d := &runs[0].Daemon; d.Resident > 0 {
		parts = append(parts, fmt.Sprintf("resident %.1f MiB, %.1f wake-ups/s, binary %.1f MiB, ready in %s",
			mebi(d.Resident), d.WakeupsEach, mebi(d.BinaryBytes), runs[0].Ready.Round(100*time.Microsecond)))
	}
	return strings.Join(parts, ", ")
}

func mebi(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func memory(r *Result) float64 { return float64(r.Memory) }

func cpuSeconds(r *Result) float64 { return r.CPUPerMillion().Seconds() }

func busy(r *Result) float64 { return r.GeneratorBusy }

func sorted[N cmp.Ordered](runs []Result, of func(*Result) N) []N {
	values := make([]N, len(runs))
	for i := range runs {
		values[i] = of(&runs[i])
	}
	sort.Slice(values, func(i, j int) bool { return cmp.Less(values[i], values[j]) })
	return values
}

// median is the middle value, of an even number the lower one; 0 of none.
func median(runs []Result, of func(*Result) float64) float64 {
	if len(runs) == 0 {
		return 0
	}
	return sorted(runs, of)[(len(runs)-1)/2]
}
