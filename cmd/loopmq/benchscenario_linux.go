package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	scenarios "github.com/loopmq/loopmq/bench"
	"github.com/loopmq/loopmq/bench/mqttbench"
	"github.com/loopmq/loopmq/client"
)

// scenarioCommands are one for each scenario, and those about all of them.
func scenarioCommands() []*cli.Command {
	commands := []*cli.Command{
		{
			Name: "list", Usage: "the scenarios", ArgsUsage: " ", HideHelpCommand: true,
			Action: func(c *cli.Context) error {
				if c.Args().Present() {
					return usageError(c, fmt.Errorf("unexpected argument %q", c.Args().First()))
				}
				for _, s := range scenarios.Scenarios() {
					if _, err := fmt.Printf("%-14s %s\n", s.Name, s.Describe()); err != nil {
						return cli.Exit(fmt.Sprintf("loopmq bench list: %v", err), exitRuntime)
					}
				}
				return nil
			},
		},
		scenarioCommand("all", "every scenario, one after the other"),
	}
	for _, s := range scenarios.Scenarios() {
		command := scenarioCommand(s.Name, s.Describe())
		command.Hidden = true // list tells them
		commands = append(commands, command)
	}
	return commands
}

func scenarioCommand(name, usage string) *cli.Command {
	return &cli.Command{
		Name: name, Usage: usage, HideHelpCommand: true,
		UsageText: "loopmq bench " + name + " [OPTIONS] [SCENARIO ...]",
		Description: "Runs against a broker that is started for it, this program with serve and nothing set but the bounds of\n" +
			"queues and filters, which are lifted; or against the one of --broker, of which only topics below bench/ are used, and\n" +
			"where nothing stays behind unless it is interrupted. The generator counts every delivery: less than 100 % delivered is a loss.\n" +
			"drain-50k loses what the bound on queued messages of a running broker is below 50000.\n" +
			"With more scenarios behind the first, they run one after the other.\n" +
			"generator busy: near 100 % the rate is the generator's, not the broker's. broker CPU s/M: seconds of\n" +
			"processor time for a million deliveries. churn and idle count clients instead of deliveries.\n" +
			"Exit status: 0 every message was delivered; 1 some were lost, or a scenario did not run; 2 usage.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "broker", Usage: "`URL` of a running broker, mqtt://HOST[:PORT]; without, one is started for each run"},
			&cli.IntFlag{Name: "rounds", Value: 1, Usage: "how often everything runs, `N`; the table has medians"},
			timeFlag(cli.GenericFlag{Name: "measure", Usage: "measured part of a run, `TIME`"}, 2*time.Second),
			timeFlag(cli.GenericFlag{Name: "warm-up", Usage: "`TIME` before the measured part"}, 300*time.Millisecond),
			&cli.BoolFlag{Name: "quiet", Usage: "no progress and no notes on standard error"},
			reportFlag(), pidFlag(),
		},
		Action: scenario,
	}
}

// plan is what runs where.
type plan struct {
	scenarios []scenarios.Scenario
	rounds    int
	options   scenarios.Options
	quiet     bool
	url       string  // "": start a broker for each run
	process   process // of the broker at url
	table     scenarios.Report
	runs      map[string][]benchRun // by scenario
	lost      []string
}

// readPlan reads the command line.
func readPlan(c *cli.Context) (*plan, error) {
	p := &plan{rounds: c.Int("rounds"), quiet: c.Bool("quiet"), url: c.String("broker"), runs: map[string][]benchRun{}}
	p.options = scenarios.Options{Measure: c.Duration("measure"), WarmUp: c.Duration("warm-up"), Core: min(1, runtime.NumCPU()-1)}
	if err := lostFlags(c); err != nil {
		return nil, err
	}
	for _, name := range append([]string{c.Command.Name}, c.Args().Slice()...) {
		if err := p.choose(name); err != nil {
			return nil, err
		}
	}
	switch {
	case p.rounds < 1:
		return nil, fmt.Errorf("--rounds %d: at least 1", p.rounds)
	case p.options.Measure <= 0:
		return nil, fmt.Errorf("--measure %v: more than 0", p.options.Measure)
	case p.options.WarmUp < 0:
		return nil, fmt.Errorf("--warm-up %v: not below 0", p.options.WarmUp)
	case p.url == "" && c.IsSet("pid"):
		return nil, errors.New("--pid without --broker: the process of a broker that is started here is known")
	case p.url == "":
		return p, nil
	}
	return p, p.attach(c)
}

// choose adds a scenario, or all.
func (p *plan) choose(name string) error {
	if strings.HasPrefix(name, "-") {
		return fmt.Errorf("%s: flags stand before the second scenario", name)
	}
	found := false
	for _, s := range scenarios.Scenarios() {
		if name == "all" || name == s.Name {
			p.scenarios, found = append(p.scenarios, s), true
		}
	}
	if !found {
		return fmt.Errorf("no scenario %q; loopmq bench list tells them", name)
	}
	return nil
}

// attach prepares for a broker that runs already.
func (p *plan) attach(c *cli.Context) error {
	s, err := client.ParseURL(p.url)
	if err != nil {
		return fmt.Errorf("--broker: %w", err)
	}
	if s.Network != "tcp" || s.TLS || s.WebSocket || s.Username != "" || s.Password != nil {
		return errors.New("--broker: the scenarios speak MQTT over bare TCP, without a password; write mqtt://HOST[:PORT]")
	}
	addr, err := net.ResolveTCPAddr("tcp", s.Address)
	if err != nil {
		return fmt.Errorf("--broker: %w", err)
	}
	p.options.Addr = netip.AddrPortFrom(addr.AddrPort().Addr().Unmap(), addr.AddrPort().Port())
	p.options.Guest, p.options.Core = true, -1
	if p.process, err = brokerProcess(c, p.url); err != nil || p.process.pid == 0 {
		return err
	}
	// What its memory consists of, only its owner and root may read.
	if _, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.process.pid)); err == nil {
		p.options.PID = p.process.pid
	}
	return nil
}

func scenario(c *cli.Context) error {
	p, err := readPlan(c)
	if err != nil {
		return usageError(c, err)
	}
	page, err := createReport(c)
	if err != nil {
		return usageError(c, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err = p.all(ctx)
	if len(p.runs) > 0 {
		head, rows := p.table.Table("")
		err = errors.Join(err, writeReport(page, p.page(c)), printTable(os.Stdout, head, rows))
	}
	if err == nil && len(p.lost) > 0 {
		err = errors.New("not every message was delivered: " + strings.Join(p.lost, ", "))
	}
	if err != nil {
		return cli.Exit(fmt.Sprintf("loopmq bench: %v", err), exitRuntime)
	}
	return nil
}

// all runs everything. What cannot run does not keep the rest from running.
func (p *plan) all(ctx context.Context) (errs error) {
	for round := range p.rounds {
		for _, s := range p.scenarios {
			if round > 0 && s.Once {
				continue
			}
			if err := p.one(ctx, s, round); err != nil {
				errs = errors.Join(errs, err)
			}
			if ctx.Err() != nil {
				return errors.New("interrupted")
			}
		}
	}
	return errs
}

// one runs one scenario once.
func (p *plan) one(ctx context.Context, s scenarios.Scenario, round int) (err error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	if uint64(s.Files()) > limit.Cur {
		return fmt.Errorf("%s needs %d open files, the limit is %d (ulimit -n): not run", s.Name, s.Files(), limit.Cur)
	}
	if p.url != "" {
		return p.against(ctx, s, round, p.options, 0)
	}
	broker, err := p.start()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, broker.Stop()) }()
	o := p.options
	o.Addr, o.PID = broker.Addr, broker.PID
	p.process = process{pid: broker.PID, name: "loopmq serve, started for each run"}
	return p.against(ctx, s, round, o, broker.Ready)
}

// against runs it against a broker that took so long to be ready.
func (p *plan) against(ctx context.Context, s scenarios.Scenario, round int, o scenarios.Options, ready time.Duration) error {
	if s.Kind == scenarios.Daemon && o.PID == 0 {
		return fmt.Errorf("%s needs to look into the broker's process, as its owner or root: not run", s.Name)
	}
	// A scenario hears of no signal; without its broker, or without this
	// program, it ends.
	defer context.AfterFunc(ctx, func() { p.interrupt(o.PID) })()
	res, samples, err := p.measure(s, o, round)
	if err != nil {
		return err
	}
	res.Ready = ready
	p.table.Add(s.Name, p.brokerName(), res)
	p.runs[s.Name] = append(p.runs[s.Name], benchRun{name: fmt.Sprintf("round %d", round+1), samples: samples, times: brackets(&res)})
	if res.Share() < 1 {
		p.lost = append(p.lost, fmt.Sprintf("%s %d of %d", s.Name, res.Received, res.Wanted))
	}
	return nil
}

// start runs this program as a broker.
func (p *plan) start() (*scenarios.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start a broker: %w", err)
	}
	return scenarios.Start(scenarios.LoopMQ("loopmq", self), 0)
}

// interrupt ends what a signal should end.
func (p *plan) interrupt(pid int) {
	if p.url != "" {
		fmt.Fprintln(os.Stderr, "\nloopmq bench: interrupted; messages or a session may stay behind in topics below bench/")
		os.Exit(exitRuntime) // the broker is not ours
	}
	_ = unix.Kill(pid, unix.SIGTERM) // if it has ended, all the better
}

func (p *plan) brokerName() string {
	if p.url != "" {
		return brokerURL(p.url)
	}
	return "loopmq"
}

// measure runs a scenario while others look.
func (p *plan) measure(s scenarios.Scenario, o scenarios.Options, round int) (scenarios.Result, []mqttbench.Sample, error) {
	var m mqttbench.Meter
	o.Live = &scenarios.Live{Deliveries: &m.Delivered, BytesIn: &m.BytesIn, BytesOut: &m.BytesOut}
	name := s.Name
	if p.rounds > 1 {
		name = fmt.Sprintf("round %d of %d, %s", round+1, p.rounds, s.Name)
	}
	progress := newProgress(p.quiet, goal{name: name, lasts: planned(&s, &o), count: delivered, what: unit(&s)})
	watcher := mqttbench.Watch(&m, p.process.pid, mqttbench.SampleEvery, progress.show)
	res, err := scenarios.Run(s, o)
	samples := watcher.Stop()
	progress.end()
	return res, samples, err
}

// unit is what a scenario counts.
func unit(s *scenarios.Scenario) string {
	if s.Kind == scenarios.Churn || s.Kind == scenarios.Idle {
		return "clients"
	}
	return "deliveries"
}

// planned is how long a scenario takes, 0 where that depends on the broker.
func planned(s *scenarios.Scenario, o *scenarios.Options) time.Duration {
	switch s.Kind {
	case scenarios.Stream, scenarios.Latency, scenarios.Churn:
		return o.WarmUp + o.Measure
	case scenarios.Idle, scenarios.Retained, scenarios.Drain, scenarios.Daemon:
	}
	return 0
}
