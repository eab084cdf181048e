package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/loopmq/loopmq/bench/mqttbench"
	"github.com/loopmq/loopmq/client"
)

func benchCommand() *cli.Command {
	flags := []cli.Flag{
		&cli.IntFlag{Name: "clients", Value: 10, Usage: "`N` clients"},
		&cli.IntFlag{Name: "count", Value: 100, Usage: "`N` messages of each client"},
		&cli.IntFlag{Name: "size", Value: 100, Usage: "payload of `BYTES` zeros"},
		&cli.StringFlag{Name: "payload", Usage: "`TEXT` of every message, instead of --size"},
		&cli.StringFlag{Name: "topic", Value: "/test", Usage: "`TOPIC` to publish to"},
		&cli.Float64Flag{Name: "ramp-up-time", Usage: "start the clients over `SECONDS`"},
		&cli.Float64Flag{Name: "message-interval", Value: 1, Usage: "`SECONDS` from one message of a client to its next; 0 measures the broker"},
		&cli.IntFlag{Name: "wait", Value: 60000, Usage: "`MILLISECONDS` that a message may take"},
		&cli.StringFlag{Name: "format", Value: "text", Usage: "text or json"},
	}
	return &cli.Command{
		Name: "bench", Usage: "measure a broker: as mqtt-benchmark does, in classic cases, or by scenario",
		UsageText: "loopmq bench [OPTIONS]             the flags and the output of mqtt-benchmark\n" +
			"loopmq bench classic [OPTIONS]     the broker alone, two clients, one hundred\n" +
			"loopmq bench SCENARIO [OPTIONS]    how much a broker carries, and at what cost\n" +
			"loopmq bench list                  the scenarios",
		ArgsUsage: " ",
		Description: "Without a scenario each client publishes, waits until its message is acknowledged (QoS 1: PUBACK,\n" +
			"QoS 2: PUBCOMP), and publishes the next. Prints what github.com/krylovsk/mqtt-benchmark prints, as text\n" +
			"or JSON. Flags may have one dash or two.\n" +
			"Like there --message-interval is 1 s unless you say 0, and then the rates are those of the pause.\n" +
			"A message of QoS 0 is done when it is queued; the run ends when the broker has read all of them, and if\n" +
			"it does not say that it has, all of that client count as failures.\n" +
			"Exit status: 0 messages went through, see Ratio; none did: 1, or the return code of a server that refused; 2 usage.",
		Flags: append(flags, benchFlags()...), Action: bench, HideHelpCommand: true,
		Subcommands: append([]*cli.Command{classicCommand()}, scenarioCommands()...),
	}
}

// benchFlags are those of bench and of bench classic.
func benchFlags() []cli.Flag {
	const cat = "connection"
	return []cli.Flag{
		&cli.IntFlag{Name: "qos", Value: 1, Usage: "`QOS` of the messages"},
		&cli.BoolFlag{Name: "quiet", Usage: "no progress and no notes on standard error"},
		reportFlag(), pidFlag(),
		&cli.StringFlag{Category: cat, Name: "broker", Value: "tcp://localhost:1883", Usage: "`URL`: tcp, mqtt, ssl, tls, mqtts://HOST[:PORT], ws, wss://HOST[:PORT]/PATH or unix:///PATH"},
		&cli.StringFlag{Category: cat, Name: "username", Usage: "user `NAME`"},
		&cli.StringFlag{Category: cat, Name: "password", Usage: "`PASSWORD`"},
		&cli.StringFlag{Category: cat, Name: "client-prefix", Value: "mqtt-benchmark", Usage: "client identifiers are `PREFIX`-0, PREFIX-1, ..."},
		&cli.StringFlag{Category: cat, Name: "client-cert", Usage: "`FILE` of the clients' certificate"},
		&cli.StringFlag{Category: cat, Name: "client-key", Usage: "`FILE` of the clients' key"},
		&cli.StringFlag{Category: cat, Name: "broker-ca-cert", Usage: "`FILE` of trusted certificates"},
		&cli.BoolFlag{Category: cat, Name: "insecure", Usage: "do not check who the broker is"},
	}
}

func reportFlag() cli.Flag {
	return &cli.StringFlag{Name: "report", Usage: "also write charts to `FILE`, a page of HTML"}
}

func pidFlag() cli.Flag {
	return &cli.IntFlag{Name: "pid", DefaultText: "who listens there", Usage: "`PID` of a broker on this machine, for its processor time and memory"}
}

// lostFlags are flags that stand before the name of a command below bench,
// where it does not see them.
func lostFlags(c *cli.Context) error {
	for _, outer := range c.Lineage()[1:] {
		if outer.Command != nil && outer.Command.Name == "bench" && outer.NumFlags() > 0 {
			return fmt.Errorf("its flags stand behind it: %s [OPTIONS]", c.Command.HelpName)
		}
	}
	return nil
}

// readBench reads the flags of benchFlags.
func readBench(c *cli.Context) (*mqttbench.Config, error) {
	if c.Args().Present() {
		return nil, fmt.Errorf("unexpected argument %q; loopmq bench list tells the scenarios", c.Args().First())
	}
	if err := lostFlags(c); err != nil {
		return nil, err
	}
	qos, err := readQoS(c, "qos")
	if err != nil {
		return nil, err
	}
	cfg := &mqttbench.Config{
		Broker: c.String("broker"), QoS: qos, Username: c.String("username"), Password: c.String("password"),
		ClientPrefix: c.String("client-prefix"),
	}
	cfg.TLS, err = mqttbench.ReadTLS(c.String("broker-ca-cert"), c.String("client-cert"), c.String("client-key"), c.Bool("insecure"))
	return cfg, err
}

// noteNoTLS says that flags of TLS change nothing. The tool does not; scripts
// that give them all the same must go on working.
func noteNoTLS(c *cli.Context) {
	s, err := client.ParseURL(c.String("broker"))
	if c.Bool("quiet") || err != nil || s.TLS {
		return
	}
	for _, name := range []string{"client-cert", "broker-ca-cert", "insecure"} {
		if c.IsSet(name) {
			fmt.Fprintf(os.Stderr, "loopmq bench: -%s changes nothing without TLS; for TLS write -broker ssl://HOST:PORT\n", name)
			return
		}
	}
}

// seconds is a flag's number of them; what a Duration does not hold is its longest.
func seconds(c *cli.Context, flag string) time.Duration {
	n := c.Float64(flag) * float64(time.Second)
	if n >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(n)
}

// altogether is a time n times; what a Duration does not hold is its longest.
func altogether(n int, d time.Duration) time.Duration {
	if d > math.MaxInt64/time.Duration(n) {
		return math.MaxInt64
	}
	return time.Duration(n) * d
}

func bench(c *cli.Context) error {
	cfg, err := readBench(c)
	if err != nil {
		return usageError(c, err)
	}
	cfg.Clients, cfg.Count, cfg.Size, cfg.Topic = c.Int("clients"), c.Int("count"), c.Int("size"), c.String("topic")
	if p := c.String("payload"); p != "" {
		cfg.Payload = []byte(p)
	}
	cfg.RampUp, cfg.Interval = seconds(c, "ramp-up-time"), seconds(c, "message-interval")
	cfg.Wait = time.Duration(min(int64(c.Int("wait")), math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
	format := c.String("format")
	if format != "text" && format != "json" {
		return usageError(c, fmt.Errorf("-format %q: text or json", format))
	}
	if err := cfg.Check(); err != nil {
		return usageError(c, err)
	}
	process, err := brokerProcess(c, cfg.Broker)
	if err != nil {
		return usageError(c, err)
	}
	page, err := createReport(c)
	if err != nil {
		return usageError(c, err)
	}
	noteNoTLS(c)
	if cfg.Interval > 0 && !c.Bool("quiet") {
		fmt.Fprintf(os.Stderr, "loopmq bench: each client sends one message every %v, so the rates below measure this pause, not the broker; "+
			"add -message-interval 0 (this run takes %v)\n", cfg.Interval, altogether(cfg.Count, cfg.Interval))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var meter mqttbench.Meter
	progress := newProgress(c.Bool("quiet"), goal{messages: int64(cfg.Clients) * int64(cfg.Count), count: acknowledged})
	watcher := mqttbench.Watch(&meter, process.pid, mqttbench.SampleEvery, progress.show)
	results := mqttbench.Run(ctx, cfg, &meter)
	samples := watcher.Stop()
	progress.end()
	if err := writeReport(page, benchPage(c, cfg, results, samples, &process)); err != nil {
		fmt.Fprintln(os.Stderr, "loopmq bench:", err) // the results come all the same
	}
	return printBench(c, results, format)
}

// printBench prints the results and says how it went.
func printBench(c *cli.Context, r *mqttbench.Results, format string) error {
	write := r.WriteText
	if format == "json" {
		write = r.WriteJSON
	}
	if err := write(os.Stdout); err != nil {
		return clientError(c, fmt.Errorf("print the results: %w", err))
	}
	err := r.Err()
	switch {
	case r.Totals.Successes == 0:
		// An error also with --quiet: there is nothing that was measured.
		return cli.Exit(fmt.Sprintf("loopmq bench: no message went through: %v", err), clientStatus(err))
	case err != nil:
		fmt.Fprintf(os.Stderr, "loopmq bench: %d of %d messages failed; the first: %v\n",
			r.Totals.Failures, r.Totals.Successes+r.Totals.Failures, err)
	}
	return nil
}
