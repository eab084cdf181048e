package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/config"
	"github.com/loopmq/loopmq/config/mosquitto"
)

// settings are all that serve is told: by a file, the environment and flags.
type settings struct {
	file   *config.File
	broker broker.Config
	state  string   // where the state is kept and why, likewise
	from   string   // where it comes from, for the log
	notes  []string // what of a mosquitto.conf is not the same here
}

// wrong is something wrong with the settings; code is the exit status.
type wrong struct {
	text string
	code int
}

func (w *wrong) Error() string { return w.text }

// readSettings reads the file, the environment and the flags, each over what
// comes before it.
func readSettings(c *cli.Context, sockets []*os.File) (*settings, error) {
	if err := checkFlags(c); err != nil {
		return nil, &wrong{err.Error(), exitUsage}
	}
	s, err := readFiles(c)
	if err != nil {
		return nil, err
	}
	if s.broker, err = s.file.Broker(); err != nil {
		return nil, &wrong{err.Error(), exitConfig}
	}
	if err := s.listeners(c, sockets); err != nil {
		return nil, &wrong{err.Error(), exitUsage}
	}
	s.findState(os.Getenv, os.Geteuid() == 0)
	if s.broker.Limits.MemoryBytesMax == 0 {
		s.broker.Limits.MemoryBytesMax = memoryLimit()
	}
	s.broker.Version = c.App.Version
	return s, nil
}

// checkFlags refuses what makes no sense on the command line, in the words of
// the command line.
func checkFlags(c *cli.Context) error {
	switch {
	case c.Bool("server-moved") && c.String("server-reference") == "" && c.String("config") == "":
		return errors.New("--server-moved without --server-reference; say where to")
	case c.IsSet("config") && c.IsSet("mosquitto-conf"):
		return errors.New("--config and --mosquitto-conf together; loopmq config import makes one of the other")
	case c.IsSet("port") && c.IsSet("listen"):
		return errors.New("--port and --listen together; write the port into --listen mqtt://HOST:PORT")
	case c.IsSet("port") && (c.Int("port") < 0 || c.Int("port") > 65535):
		return fmt.Errorf("--port %d: a port is 0 to 65535", c.Int("port"))
	}
	return nil
}

// readFiles reads the configuration, or Mosquitto's.
func readFiles(c *cli.Context) (*settings, error) {
	if path := c.String("mosquitto-conf"); path != "" {
		return readMosquitto(c, path)
	}
	path := c.String("config")
	overrides := overridesOf(c)
	file, problems := config.Load(path, os.Environ(), overrides)
	if len(problems) > 0 {
		lines := make([]string, len(problems))
		code := exitConfig
		for i, p := range problems {
			lines[i] = p.String()
			if p.File == "" && path == "" {
				code = exitUsage
			}
		}
		return nil, &wrong{strings.Join(lines, "\n"), code}
	}
	from := "defaults and flags"
	if path != "" {
		from = path
	}
	return &settings{file: file, from: from}, nil
}

// readMosquitto reads a mosquitto.conf. What is not the same here is told once
// the log is there.
func readMosquitto(c *cli.Context, path string) (*settings, error) {
	for _, o := range overridesOf(c) {
		if !strings.HasPrefix(o.Key, "log.") {
			return nil, &wrong{o.Source + " with --mosquitto-conf: the file says all but the log; or make a file of ours of it: loopmq config import", exitUsage}
		}
	}
	result, err := mosquitto.Read(path)
	if err != nil {
		return nil, &wrong{err.Error(), exitConfig}
	}
	if refused := result.Refused(); len(refused) > 0 {
		lines := make([]string, len(refused))
		for i, n := range refused {
			lines[i] = n.String()
		}
		return nil, &wrong{strings.Join(lines, "\n"), exitConfig}
	}
	if c.IsSet("log-level") {
		result.Config.Log.Level = c.String("log-level")
	}
	if c.IsSet("log-format") {
		result.Config.Log.Format = c.String("log-format")
	}
	if c.IsSet("log") {
		result.Config.Log.To = c.String("log")
	}
	s := &settings{file: result.Config, from: path + " (of Mosquitto)"}
	for _, n := range result.Notes {
		s.notes = append(s.notes, n.String())
	}
	return s, nil
}

// overridesOf are the flags that are set and stand for keys.
func overridesOf(c *cli.Context) (list []config.Override) {
	for _, k := range config.Keys() {
		if k.Flag == "" || k.Flag == "listen" || !c.IsSet(k.Flag) {
			continue
		}
		value := fmt.Sprint(c.Value(k.Flag))
		if d, ok := c.Value(k.Flag).(time.Duration); ok {
			value = strconv.FormatInt(d.Nanoseconds(), 10) + "ns"
		}
		list = append(list, config.Override{Key: k.Path, Value: value, Source: "--" + k.Flag})
	}
	return list
}

// listeners takes the place of those of the file where flags name others, and
// gives them the sockets that systemd has opened.
func (s *settings) listeners(c *cli.Context, sockets []*os.File) error {
	cfg := &s.broker
	if raws := c.StringSlice("listen"); len(raws) > 0 {
		cfg.Listeners = nil
		for _, raw := range raws {
			l, err := broker.ParseListener(raw)
			if err != nil {
				return err
			}
			cfg.Listeners = append(cfg.Listeners, l)
		}
	}
	if c.IsSet("port") {
		cfg.Listeners = broker.LoopbackListeners(c.Int("port"))
	}
	var err error
	cfg.Listeners, err = handedOver(cfg.Listeners, sockets)
	return err
}
