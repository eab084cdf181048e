//go:build linux

package main

import (
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
	scenarios []bench.Scenario
	rounds    int
	warmUp    time.Duration
	measure   time.Duration
	benchfmt  string
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
	f.StringVar(&p.benchfmt, "benchfmt", "", "also write each run to this `file`, for benchstat")
	if err := f.Parse(args); err != nil {
		return nil, err
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
	return p, p.choose(*only)
}

// choose picks scenarios by name.
func (p *plan) choose(only string) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-scenario: %w", err)
	}
	var names []string
	for _, s := range bench.Scenarios() {
		names = append(names, s.Name)
		if match.MatchString(s.Name) {
			p.scenarios = append(p.scenarios, s)
		}
	}
	if len(p.scenarios) == 0 {
		return fmt.Errorf("-scenario %s matches none of %s", only, strings.Join(names, " "))
	}
	if len(p.targets) == 0 {
		return errors.New("nothing to measure: name a broker with -loopmq, -base, -mosquitto or -relay")
	}
	return nil
}

func (p *plan) run() error {
	files, err := raiseFileLimit()
	if err != nil {
		return err
	}
	generatorCore := min(1, runtime.NumCPU()-1)
	printMachine(generatorCore)
	var report bench.Report
	for round := range p.rounds {
		for _, s := range p.scenarios {
			if s.Files() > files {
				fmt.Fprintf(os.Stderr, "round %d of %d: %s needs %d open files and this machine allows %d: not run\n", round+1, p.rounds, s.Name, s.Files(), files)
				continue
			}
			for _, t := range p.targets {
				if t.Exact && !s.Exact() {
					continue
				}
				fmt.Fprintf(os.Stderr, "round %d of %d: %s on %s\n", round+1, p.rounds, s.Name, t.Name)
				res, err := p.one(s, t, generatorCore)
				if err != nil {
					return fmt.Errorf("%s: %w", t.Name, err)
				}
				report.Add(s.Name, t.Name, res)
			}
		}
	}
	if err := p.save(&report); err != nil {
		return err
	}
	return report.Write(os.Stdout, p.base())
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
	return bench.Run(s, bench.Options{
		Addr: broker.Addr, PID: broker.PID, Core: core, WarmUp: p.warmUp, Measure: p.measure,
	})
}

func (p *plan) save(report *bench.Report) (err error) {
	if p.benchfmt == "" {
		return nil
	}
	f, err := os.Create(p.benchfmt)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return report.WriteBenchmarks(f)
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

// printMachine says on what the figures were found.
func printMachine(generatorCore int) {
	model := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`(?m)^model name\s*:\s*(.*)$`).FindSubmatch(text); m != nil {
			model = string(m[1])
		}
	}
	fmt.Printf("%s, %d cores; broker on core 0, generator on core %d; loopback\n", model, runtime.NumCPU(), generatorCore)
	if generatorCore == 0 {
		fmt.Println("only one core: the generator takes its time from the broker")
	}
	if path, err := exec.LookPath("mosquitto"); err == nil {
		// mosquitto -h prints its version in the first line, and exits with 1.
		out, _ := exec.Command(path, "-h").Output()
		line, _, _ := strings.Cut(string(out), "\n")
		fmt.Println(line)
	}
}
