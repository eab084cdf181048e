package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/urfave/cli/v2"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/config"
)

// Exit statuses of serve besides those in main.go.
const (
	exitConfig   = 3
	exitListener = 4
)

func serveCommand() *cli.Command {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "config", Aliases: []string{"c"}, Usage: "`FILE` to read; loopmq config init writes one. Environment variables and flags count more"},
		&cli.StringFlag{Name: "mosquitto-conf", Usage: "Mosquitto's `FILE` to run from instead; what differs is told by loopmq config import"},
		&cli.StringFlag{Name: "log", Value: "stderr", Usage: "where the log goes: stderr, journal, syslog, or the path of a `FILE`, begun anew at SIGHUP"},
		&cli.StringSliceFlag{Name: "listen", Usage: "`URL` to serve, mqtt://, mqtts://, ws://, wss://HOST:PORT or unix:///PATH, with options behind a ?; repeatable (default: 127.0.0.1 and ::1, port 1883)"},
		&cli.IntFlag{Name: "port", Aliases: []string{"p"}, Usage: "serve `PORT` on the loopback addresses; short for two --listen"},
		&cli.StringFlag{Name: "engine", Usage: "event loop: " + strings.Join(broker.Engines(), ", "), DefaultText: "the first"},
		&cli.StringFlag{Name: "state-dir", Value: config.StateDirAuto, Usage: "`DIR` that keeps sessions and messages over a restart, made if need be; none: in memory only; auto: systemd's StateDirectory=, or for root /var/lib/loopmq if it is there"},
		&cli.StringFlag{Name: "state-segment-bytes", Value: "0", Usage: "`SIZE` of a file in the state directory; 0: 16 MiB, or less on a small file system"},
		&cli.StringFlag{Name: "state-bytes-max", Value: "0", Usage: "`SIZE` of all its files together; 0: as the file system allows"},
		&cli.StringFlag{Name: "state-bytes-per-day-warn", Value: "0", Usage: "warn, once a day, when more than `SIZE` was written to it; 0: never"},
		timeFlag(cli.GenericFlag{Name: "lazy-interval", Usage: "`TIME` within which messages of class lazy are written; see [[durability]] in the configuration"}, time.Second),
		&cli.StringFlag{Name: "log-level", Value: "info", Usage: "debug, info, warn or error"},
		&cli.StringFlag{Name: "log-format", Value: "auto", Usage: "auto, text, logfmt or json; auto is text on a terminal, logfmt otherwise"},
		&cli.StringFlag{Name: "server-reference", Usage: "other server (`HOST:PORT`) that MQTT 5.0 clients are told of when this one stops"},
		&cli.BoolFlag{Name: "server-moved", Usage: "the other server is for good"},
		&cli.StringFlag{Name: "response-prefix", Value: "response/", Usage: "beginning of the `TOPIC` that MQTT 5.0 clients are given for responses; - for none"},
		&cli.BoolFlag{Name: "validate-payloads", Usage: "refuse payloads that are said to be UTF-8 and are not (MQTT 5.0)"},
		&cli.StringFlag{Name: "queue-full", Value: broker.QueueFulls()[0], Usage: "what is done when more waits for a session than may: " + strings.Join(broker.QueueFulls(), ", ")},
		&cli.StringFlag{Name: "password-file", Usage: "`FILE` of users and password hashes; loopmq passwd makes one, mosquitto_passwd too"},
		&cli.StringFlag{Name: "acl-file", Usage: "`FILE` that says who may publish and subscribe to what, as for Mosquitto; what it does not allow is denied"},
		&cli.BoolFlag{Name: "anonymous", Usage: "let clients in that give no user name (default: those on this machine, while there are no users)"},
		&cli.BoolFlag{Name: "deny-closes", Usage: "close the connection of a 3.x client that publishes what it may not"},
		timeFlag(cli.GenericFlag{Name: "shutdown-timeout", Usage: "time clients get to read what is queued when the broker stops"}, 5*time.Second),
	}
	return &cli.Command{
		Name: "serve", Usage: "run the broker", Flags: slices.Concat(flags, recordFlags(), limitFlags()),
		ArgsUsage: " ", Action: serve,
	}
}

// serve runs the broker until a signal.
func serve(c *cli.Context) error {
	if c.Args().Present() {
		return cli.Exit(fmt.Sprintf("loopmq serve: unexpected argument %q; see loopmq serve --help", c.Args().First()), exitUsage)
	}
	haveProcessors()
	sockets := socketsOfSystemd()
	set, err := readSettings(c, sockets)
	if err != nil {
		return exitWith(err)
	}
	log, err := openLog(set.file.Log.To, set.file.Log.Level, set.file.Log.Format)
	if err != nil {
		return cli.Exit("loopmq serve: "+err.Error(), exitUsage)
	}
	cfg := set.broker
	cfg.Log = log.Logger
	if cfg.Record, err = readRecording(c); err != nil {
		return cli.Exit("loopmq serve: "+err.Error(), exitUsage)
	}
	b, err := broker.New(cfg)
	if err != nil {
		return cli.Exit("loopmq serve: "+err.Error(), exitConfig)
	}
	limitMemory(cfg.Limits.MemoryBytesMax)
	log.Info("loopmq "+c.App.Version, "engine", engineName(cfg.Engine), "go", runtime.Version(), "config", set.from,
		"state", set.state, "memory_limit", cfg.Limits.MemoryBytesMax)
	if changed := changedLimits(&cfg.Limits); len(changed) > 0 {
		log.Info("limits other than the defaults", changed...)
	}
	tellSettings(log.Logger, set)
	stopOnSignal(b, log.Logger)
	go announce(b, log.Logger)
	dumpOnSignal(b, log.Logger)
	reloadOnSignal(log.Logger, func() error { return reload(c, sockets, b, log) })
	ctx, end := context.WithCancel(context.Background())
	defer end()
	go tidyMemory(ctx)
	go feedWatchdog(ctx, b, log.Logger)
	start := time.Now()
	if err := b.Run(context.Background()); err != nil {
		code := exitRuntime
		select {
		case <-b.Ready():
		default:
			code = exitListener
		}
		if errors.Is(err, broker.ErrState) {
			code = exitStore
		}
		return cli.Exit("loopmq serve: "+err.Error(), code)
	}
	log.Info("stopped", "ran", time.Since(start).Round(time.Second).String())
	return nil
}

// reload reads all settings anew and puts them in force. An error means that
// nothing has changed.
func reload(c *cli.Context, sockets []*os.File, b *broker.Broker, log *logTo) error {
	set, err := readSettings(c, sockets)
	if err != nil {
		return err
	}
	if err := b.Reload(set.broker); err != nil {
		return err
	}
	limitMemory(set.broker.Limits.MemoryBytesMax)
	tellSettings(log.Logger, set)
	return errors.Join(log.setLevel(set.file.Log.Level), log.reopen())
}

// tellSettings warns of files with secrets that are open to everybody and of what
// a mosquitto.conf says in vain, and for whoever looks for a setting tells where
// each one comes from.
func tellSettings(log *slog.Logger, set *settings) {
	for _, w := range slices.Concat(set.file.Warnings(), set.notes) {
		log.Warn(w)
	}
	for line := range strings.Lines(set.file.Origins(false)) {
		key, from, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "  # ")
		log.Debug("setting", "is", strings.TrimSpace(key), "from", from)
	}
}

// exitWith ends serve with what is wrong with the settings.
func exitWith(err error) error {
	code := exitConfig
	if w, ok := errors.AsType[*wrong](err); ok {
		code = w.code
	}
	return cli.Exit("loopmq serve: "+err.Error(), code)
}

func engineName(flag string) string {
	if flag == "" {
		return broker.Engines()[0]
	}
	return flag
}

// changedLimits are those that somebody has set, with their values.
func changedLimits(l *broker.Limits) (pairs []any) {
	def := broker.DefaultLimits()
	for _, row := range broker.LimitRows() {
		switch v := row.Field(l).(type) {
		case *int:
			if *v != 0 && *v != *row.Field(&def).(*int) && row.Name != "memory-limit" {
				pairs = append(pairs, row.Name, *v)
			}
		case *time.Duration:
			if *v != 0 && *v != *row.Field(&def).(*time.Duration) {
				pairs = append(pairs, row.Name, v.String())
			}
		}
	}
	return pairs
}

// announce says what is served once it is.
func announce(b *broker.Broker, log *slog.Logger) {
	<-b.Ready()
	tell(log, daemon.SdNotifyReady)
	urls, remote, bare := b.URLs(), false, ""
	for i, a := range b.Addrs() {
		if i == len(urls) {
			break // a reload came between the two
		}
		log.Info("listening on " + urls[i])
		if t, ok := a.(*net.TCPAddr); ok && !t.IP.IsLoopback() {
			remote = true
			if strings.HasPrefix(urls[i], "mqtt://") || strings.HasPrefix(urls[i], "ws://") {
				bare = urls[i]
			}
		}
	}
	log.Info("who may connect: " + b.WhoMayConnect())
	switch {
	case remote && b.Open():
		log.Warn("anyone who reaches this machine may connect, without a password; see --password-file")
	case bare != "" && b.Passwords():
		log.Warn("passwords and messages go over " + bare + " as they are, for everybody on the way to read; use mqtts:// or wss://")
	}
	to := "--unix " + b.Addrs()[0].String()
	if t, ok := b.Addrs()[0].(*net.TCPAddr); ok {
		to = fmt.Sprintf("-h %s -p %d", t.IP, t.Port)
	}
	if b.Passwords() && !b.Open() {
		to += " -u USER -P PASSWORD"
	}
	if strings.HasPrefix(urls[0], "mqtt://") || strings.HasPrefix(urls[0], "unix://") {
		log.Info(fmt.Sprintf("try it: loopmq sub %s -t '#' -v & loopmq pub %s -t hi -m there", to, to))
	}
}

// stopOnSignal ends the broker: the first signal in good order, a second one
// at once.
func stopOnSignal(b *broker.Broker, log *slog.Logger) {
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		for sig := range ch {
			log.Info("stopping", "signal", sig.String())
			tell(log, daemon.SdNotifyStopping)
			b.Shutdown()
		}
	}()
}

// limitFlags makes a flag of each row of the router's table.
func limitFlags() []cli.Flag {
	var flags []cli.Flag
	def := broker.DefaultLimits()
	for _, row := range broker.LimitRows() {
		usage := row.Why + "; reaching it: " + row.Effect
		switch v := row.Field(&def).(type) {
		case *int:
			if !row.IsSize() {
				flags = append(flags, &cli.IntFlag{Name: row.Name, Value: *v, Usage: usage, Category: "limits"})
				continue
			}
			f := &cli.StringFlag{Name: row.Name, DefaultText: strconv.Itoa(*v), Usage: "`SIZE`; " + usage, Category: "limits"}
			if row.ZeroAllowed() { // memory-limit: 0 is for embedders
				f.DefaultText = "half of what the machine or its cgroup has"
			}
			flags = append(flags, f)
		case *time.Duration:
			flags = append(flags, timeFlag(cli.GenericFlag{Name: row.Name, Usage: usage, Category: "limits"}, *v))
		}
	}
	return flags
}
