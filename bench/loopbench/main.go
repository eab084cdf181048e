//go:build linux

package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/loopmq/loopmq/bench"
)

// plan is what the command line asks for.
type plan struct {
	targets   []bench.Target
	all       []bench.Scenario // to choose from
	scenarios []bench.Scenario
	rounds    int
	warmUp    time.Duration
	measure   time.Duration
	benchfmt  string
	markdown  string
}

func main() {
	p, err := parse(os.Args[1:])
	if err == nil {
		err = p.run()
	}
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "loopbench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (*plan, error) {
	p := &plan{}
	var peers []bench.Target
	f := flag.NewFlagSet("loopbench", flag.ContinueOnError)
	loopmq := f.String("loopmq", "", "loopmq `binary` to measure")
	engine := f.String("engine", "", "engine of the loopmq binaries: epoll or evio")
	base := f.String("base", "", "loopmq `binary` to compare with")
	mosquitto := f.String("mosquitto", "", "mosquitto `binary` to compare with")
	relay := f.String("relay", "", "`binary` of bench/relay, the ceiling")
	only := f.String("scenario", ".", "`regexp` of the scenarios to run")
	f.IntVar(&p.rounds, "rounds", 3, "how often everything runs")
	f.DurationVar(&p.warmUp, "warm-up", 300*time.Millisecond, "time before the measured part")
	f.DurationVar(&p.measure, "measure", 2*time.Second, "measured part of a run")
	f.StringVar(&p.markdown, "markdown", "", "also write the report of all scenarios to this `file`, between its marks if it has text of its own")
	f.Func("peer", "another broker to compare with, `NAME=COMMAND`, with {addr} and {dir} where they belong; repeatable", func(text string) error {
		name, command, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return errors.New("want NAME=COMMAND")
		}
		peers = append(peers, bench.Peer(name, command))
		return nil
	})
	durable := f.Bool("durable", false, "measure sessions that last, with and without a store, and -mosquitto with persistence")
	f.StringVar(&p.benchfmt, "benchfmt", "", "also write each run to this `file`, for benchstat")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	p.all = bench.Scenarios()
	if *durable {
		p.all = bench.DurableScenarios()
		p.targets = durableTargets(*loopmq, *base, *mosquitto)
		return p, p.choose(*only)
	}
	var extra []string
	if *engine != "" {
		extra = []string{"--engine", *engine}
	}
	for _, t := range []struct {
		binary string
		target func() bench.Target
	}{
		{*loopmq, func() bench.Target { return bench.LoopMQ("loopmq", *loopmq, extra...) }},
		{*base, func() bench.Target { return bench.LoopMQ("base", *base, extra...) }},
		{*mosquitto, func() bench.Target { return bench.Mosquitto(*mosquitto) }},
		{*relay, func() bench.Target { return bench.Relay(*relay) }},
	} {
		if t.binary != "" {
			p.targets = append(p.targets, t.target())
		}
	}
	p.targets = append(p.targets, peers...)
	return p, p.choose(*only)
}

// durableTargets are the brokers of -durable. mosquitto saves everything it has
// anew with each change, or, as it does by itself, every half an hour.
func durableTargets(loopmq, base, mosquitto string) (list []bench.Target) {
	if loopmq != "" {
		list = append(list, bench.LoopMQ("loopmq in memory", loopmq), bench.WithStore("loopmq", loopmq))
	}
	if base != "" {
		list = append(list, bench.WithStore("base", base))
	}
	if mosquitto != "" {
		const keep = "persistence true\npersistence_location {dir}/\n"
		list = append(
			list,
			bench.MosquittoWith("mosquitto, each change", mosquitto, keep+"autosave_on_changes true\nautosave_interval 1\n"),
			bench.MosquittoWith("mosquitto, each 30 min", mosquitto, keep),
		)
	}
	return list
}

// choose picks scenarios by name.
func (p *plan) choose(only string) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-scenario: %w", err)
	}
	var names []string
	for _, s := range p.all {
		names = append(names, s.Name)
		if match.MatchString(s.Name) {
			p.scenarios = append(p.scenarios, s)
		}
	}
	if len(p.scenarios) == 0 {
		return fmt.Errorf("-scenario %s matches none of %s", only, strings.Join(names, " "))
	}
	if p.rounds < 1 || p.measure <= 0 || p.warmUp < 0 {
		return errors.New("-rounds is at least 1, -measure more than 0, -warm-up not below 0")
	}
	if len(p.targets) == 0 {
		return errors.New("nothing to measure: name a broker with -loopmq, -base, -mosquitto, -relay or -peer")
	}
	return nil
}

func (p *plan) run() error {
	files, err := raiseFileLimit()
	if err != nil {
		return err
	}
	generatorCore := min(1, runtime.NumCPU()-1)
	machine := describeMachine(generatorCore)
	fmt.Print(machine)
	var report bench.Report
	start := time.Now()
	for round := range p.rounds {
		for _, s := range p.scenarios {
			if round > 0 && s.Once {
				continue
			}
			for _, t := range p.targets {
				if report.IsMissing(s.Name, t.Name) {
					continue
				}
				fmt.Fprintf(os.Stderr, "%4.0f s, round %d of %d: %s on %s\n", time.Since(start).Seconds(), round+1, p.rounds, s.Name, t.Name)
				if err := p.add(&report, s, t, generatorCore, files); err != nil {
					return fmt.Errorf("%s: %w", t.Name, err)
				}
			}
		}
	}
	if err := p.save(&report, machine); err != nil {
		return err
	}
	return report.Write(os.Stdout, p.base())
}

// add runs a scenario against a broker and records what came of it.
func (p *plan) add(report *bench.Report, s bench.Scenario, t bench.Target, core, files int) error {
	switch {
	case s.Files() > files:
		report.Missing(s.Name, t.Name, fmt.Sprintf("needs %d open files, and this machine allows %d", s.Files(), files))
		return nil
	case t.Exact && !s.Exact():
		report.Missing(s.Name, t.Name, "knows topics by their names only")
		return nil
	}
	res, err := p.one(s, t, core)
	if err != nil && t.Peer {
		report.Missing(s.Name, t.Name, err.Error())
		return nil
	}
	if err == nil {
		report.Add(s.Name, t.Name, res)
	}
	return err
}

// base is the broker that the others are compared with.
func (p *plan) base() string {
	for _, name := range []string{"base", "mosquitto"} {
		for _, t := range p.targets {
			if t.Name == name {
				return name
			}
		}
	}
	return p.targets[0].Name
}

// one runs a scenario against a fresh broker.
func (p *plan) one(s bench.Scenario, t bench.Target, core int) (res bench.Result, err error) {
	broker, err := bench.Start(t, 0)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, broker.Stop()) }()
	res, err = bench.Run(s, bench.Options{
		Addr: broker.Addr, PID: broker.PID, Core: core, WarmUp: p.warmUp, Measure: p.measure,
	})
	res.Ready = broker.Ready
	return res, err
}

// save writes the files that were asked for.
func (p *plan) save(report *bench.Report, machine string) error {
	if p.benchfmt != "" {
		var lines bytes.Buffer
		if err := report.WriteBenchmarks(&lines); err != nil {
			return err
		}
		if err := os.WriteFile(p.benchfmt, lines.Bytes(), 0o644); err != nil {
			return err
		}
	}
	if p.markdown == "" {
		return nil
	}
	if len(p.scenarios) < len(p.all) {
		fmt.Fprintf(os.Stderr, "%s stays as it is: its table has all scenarios\n", p.markdown)
		return nil
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "\n%s\n%d rounds of %s; medians, in brackets the least and the most.\n",
		machine, p.rounds, p.measure)
	if err := report.WriteMarkdown(&text, p.base()); err != nil {
		return err
	}
	text.WriteByte('\n')
	return bench.WriteSection(p.markdown, text.String())
}

// raiseFileLimit makes room for a thousand clients, here and, since a limit
// that was set is inherited, in the brokers.
func raiseFileLimit() (int, error) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("limit of open files: %w", err)
	}
	l.Cur = l.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("limit of open files: %w", err)
	}
	return int(min(l.Cur, 1<<30)), nil
}

// describeMachine says on what the figures were found, a line each.
func describeMachine(generatorCore int) string {
	model, kernel := "unknown processor", "unknown"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`(?m)^model name\s*:\s*(.*)$`).FindSubmatch(text); m != nil {
			model = string(m[1])
		}
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel = strings.TrimSpace(string(text))
	}
	said := fmt.Sprintf("%s, %d cores, Linux %s, %s; broker on core 0, generator on core %d; loopback\n",
		model, runtime.NumCPU(), kernel, runtime.Version(), generatorCore)
	if generatorCore == 0 {
		said += "only one core: the generator takes its time from the broker\n"
	}
	if path, err := exec.LookPath("mosquitto"); err == nil {
		// mosquitto -h prints its version in the first line, and exits with 1.
		out, _ := exec.Command(path, "-h").Output()
		line, _, _ := strings.Cut(string(out), "\n")
		said += line + "\n"
	}
	return said
}
