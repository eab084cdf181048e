package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/loopmq/loopmq/config"
)

// usageError is a mistake on the command line, in one line.
func usageError(c *cli.Context, err error) error {
	return cli.Exit(fmt.Sprintf("%s: %v; see %[1]s --help", c.Command.HelpName, err), exitUsage)
}

// oneLineUsage has every command tell of flags that cannot be read as of other mistakes.
func oneLineUsage(commands []*cli.Command) {
	for _, cmd := range commands {
		cmd.OnUsageError = badFlag
		oneLineUsage(cmd.Subcommands)
	}
}

// badFlag ends a run with a flag that cannot be read.
func badFlag(c *cli.Context, err error, _ bool) error {
	if errors.Is(err, flag.ErrHelp) { // -h, where it is not the host
		return cli.ShowSubcommandHelp(c)
	}
	text, unread := strings.CutSuffix(err.Error(), "parse error") // of numbers and truths
	if !unread {
		return usageError(c, err)
	}
	name := text[strings.LastIndex(text, " for ")+len(" for "):] // "flag -NAME: "
	name = strings.TrimSuffix(strings.TrimLeft(strings.TrimPrefix(name, "flag "), "-"), ": ")
	for _, f := range c.Command.Flags {
		if !slices.Contains(f.Names(), name) {
			continue
		}
		switch f.(type) {
		case *cli.IntFlag:
			text += `it is no whole number`
		case *cli.Float64Flag:
			text += `it is no number; write "0.5"`
		default:
			text += "it is neither true nor false"
		}
	}
	return usageError(c, errors.New(text))
}

// noCommand ends a run of a command that there is not.
func noCommand(c *cli.Context, name string) {
	fmt.Fprintf(os.Stderr, "%s: no command %q; see %[1]s --help\n", c.Command.HelpName, name)
	os.Exit(exitUsage)
}

// timeValue is the value of a flag for times: as Go writes them, or as the configuration file does.
type timeValue time.Duration

// timeFlag makes a flag for times.
func timeFlag(f cli.GenericFlag, otherwise time.Duration) cli.Flag {
	f.Value = (*timeValue)(&otherwise)
	return &f
}

func (v *timeValue) Set(s string) error {
	d, err := time.ParseDuration(s) // 1.5s, and what is below 0 for better words later
	if err != nil {
		d, err = config.ParseTime(s)
	}
	*v = timeValue(d)
	return err
}

func (v *timeValue) String() string { return time.Duration(*v).String() }

// Get makes it a flag.Getter.
func (v *timeValue) Get() any { return time.Duration(*v) }
