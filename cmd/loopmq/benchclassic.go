package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/loopmq/loopmq/bench/mqttbench"
	"github.com/loopmq/loopmq/bench/report"
)

func classicCommand() *cli.Command {
	flags := []cli.Flag{
		timeFlag(cli.GenericFlag{Name: "duration", Usage: "`TIME` that each case runs"}, 10*time.Second),
		&cli.IntFlag{Name: "rate", Usage: "messages that each publisher sends a second, `N`; 0: as many as go through"},
		&cli.IntFlag{Name: "size", Value: 100, Usage: "payload of `BYTES`, at least 24"},
		&cli.StringFlag{Name: "topic", Value: "loopmq-bench", Usage: "publish to `TOPIC`/0, TOPIC/1, ..."},
	}
	return &cli.Command{
		Name: "classic", Usage: "the broker alone, two clients, one hundred clients: what each costs", ArgsUsage: " ",
		Description: "Half of the clients publish and half receive, each pair on a topic of its own, with at most twenty\n" +
			"messages under way. Prints for each case the rate, what was lost, how long messages took, and the\n" +
			"processor time, memory and traffic of the broker.\n" +
			"With --rate the time of a message begins when it was due, without when it was published.\n" +
			"Exit status: 0 every message was delivered; 1 some were lost, or a client failed; 2 usage.",
		Flags: append(flags, benchFlags()...), Action: classic, HideHelpCommand: true,
	}
}

// readClassic reads the command line.
func readClassic(c *cli.Context) (*mqttbench.Load, error) {
	cfg, err := readBench(c)
	if err != nil {
		return nil, err
	}
	l := &mqttbench.Load{Config: *cfg, Duration: c.Duration("duration"), Rate: c.Int("rate")}
	l.Size, l.Topic = c.Int("size"), c.String("topic")
	l.Clients, l.Count, l.Wait = 1, 1, time.Second // not used; Check wants some
	return l, l.Check()
}

func classic(c *cli.Context) error {
	l, err := readClassic(c)
	if err != nil {
		return usageError(c, err)
	}
	process, err := brokerProcess(c, l.Broker)
	if err != nil {
		return usageError(c, err)
	}
	page, err := createReport(c)
	if err != nil {
		return usageError(c, err)
	}
	noteNoTLS(c)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var results []*mqttbench.CaseResult
	for _, cs := range mqttbench.Cases() {
		progress := newProgress(c.Bool("quiet"), goal{name: cs.Name, lasts: l.Duration, count: delivered})
		r, e := mqttbench.RunCase(ctx, l, cs, process.pid, progress.show)
		progress.end()
		if r != nil {
			results = append(results, r)
		}
		if err = e; err != nil {
			break
		}
	}
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted; what was measured until then is above")
	}
	if len(results) > 0 {
		head, rows := classicTable(results)
		err = errors.Join(err, writeReport(page, classicPage(c, l, results, &process)), printTable(os.Stdout, head, rows))
	}
	if err != nil {
		return cli.Exit(fmt.Sprintf("loopmq bench classic: %v%s", err, hint(err)), clientStatus(err))
	}
	for _, r := range results {
		if r.Lost() > 0 {
			return cli.Exit(fmt.Sprintf("loopmq bench classic: %s: %d of %d messages were lost", r.Name, r.Lost(), r.Sent), exitRuntime)
		}
	}
	return nil
}

// classicTable has a row for each case.
func classicTable(results []*mqttbench.CaseResult) (head []string, rows [][]string) {
	head = []string{
		"case", "clients", "messages/s", "delivered", "lost", "median ms", "99 % ms", "most ms",
		"broker CPU", "memory MB", "to broker kB/s", "from broker kB/s",
	}
	for _, r := range results {
		row := []string{r.Name, fmt.Sprint(2 * r.Pairs)}
		if r.Pairs == 0 {
			row = append(row, "-", "-", "-", "-", "-", "-")
		} else {
			row = append(row, fmt.Sprintf("%.0f", r.Rate()), fmt.Sprint(r.Delivered), fmt.Sprint(r.Lost()))
			for _, q := range []float64{0.5, 0.99, 1} {
				row = append(row, fmt.Sprintf("%.3f", inMillis(r.Times.Quantile(q))))
			}
		}
		rows = append(rows, append(row, costs(r)...))
	}
	return head, rows
}

// costs are the last columns of classicTable: what changed from the first
// sample to the last one of the time that messages were delivered in.
func costs(r *mqttbench.CaseResult) []string {
	samples := r.Samples
	for i := range samples {
		if i > 0 && samples[i].At >= r.Ran {
			samples = samples[:i+1]
			break
		}
	}
	first, last := &samples[0], &samples[len(samples)-1]
	long := (last.At - first.At).Seconds()
	cpu, ram := "-", "-"
	if first.ProcessKnown && last.ProcessKnown {
		most := int64(0)
		for i := range samples {
			most = max(most, samples[i].Process.Resident)
		}
		cpu = fmt.Sprintf("%.1f %%", 100*(last.Process.CPU-first.Process.CPU).Seconds()/long)
		ram = fmt.Sprintf("%.1f", float64(most)/1e6)
	}
	return []string{
		cpu, ram, fmt.Sprintf("%.1f", float64(last.BytesOut-first.BytesOut)/long/1e3),
		fmt.Sprintf("%.1f", float64(last.BytesIn-first.BytesIn)/long/1e3),
	}
}

// printTable prints columns, the first one to the left, others to the right.
func printTable(to io.Writer, head []string, rows [][]string) error {
	rows = append([][]string{head}, rows...)
	widths := make([]int, len(head))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	for _, row := range rows {
		var line strings.Builder
		line.WriteString(fmt.Sprintf("%-*s", widths[0], row[0]))
		for i, cell := range row[1:] {
			line.WriteString(fmt.Sprintf("  %*s", widths[i+1], cell))
		}
		text.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	if _, err := io.WriteString(to, text.String()); err != nil {
		return fmt.Errorf("print the results: %w", err)
	}
	return nil
}

// classicPage is the report of loopmq bench classic.
func classicPage(c *cli.Context, l *mqttbench.Load, results []*mqttbench.CaseResult, p *process) *report.Page {
	how := "as many as go through, at most twenty under way for each pair"
	if l.Rate > 0 {
		how = fmt.Sprintf("%d a second of each publisher", l.Rate)
	}
	facts := append(commonFacts(c, brokerURL(l.Broker), p),
		report.Fact{Name: "messages", Value: fmt.Sprintf("%d bytes, QoS %d, %s", l.Size, l.QoS, how)},
		report.Fact{Name: "each case", Value: l.Duration.String()},
	)
	table := report.Table{Title: "The cases"}
	table.Head, table.Rows = classicTable(results)
	var runs []benchRun
	for _, r := range results {
		runs = append(runs, benchRun{name: r.Name, samples: r.Samples, times: distribution(r.Times)})
	}
	return &report.Page{
		Title: "loopmq bench classic of " + brokerURL(l.Broker),
		Intro: "The broker alone, two clients, one hundred clients. Half of them publish and half receive, each pair on a topic of its own.",
		Facts: facts, Tables: []report.Table{table},
		Panels: benchPanels(runs, p, &counted{
			what: "Messages delivered to the subscribers of a case.", unit: "msg/s", count: delivered, traffic: clientTraffic,
		}),
	}
}
