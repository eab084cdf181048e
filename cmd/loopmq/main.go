package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/loopmq/loopmq/client"
	"github.com/loopmq/loopmq/codec"
)

// version is set when the binary is linked.
//
// table: written by the linker only.
var version = "dev"

// Exit statuses of all commands; serve has more (serve.go). A client that the
// server refused ends with its return code or reason code.
const (
	exitRuntime = 1
	exitUsage   = 2
	exitTimeout = 27 // as Mosquitto's clients
)

func main() {
	// -h is the host for clients, as with Mosquitto's; --help helps.
	cli.HelpFlag = &cli.BoolFlag{Name: "help", Usage: "show help", DisableDefaultText: true}
	if len(os.Args) == 2 && os.Args[1] == "-h" {
		os.Args[1] = "--help"
	}
	app := &cli.App{
		Name: "loopmq", Usage: "an MQTT broker on one event loop, and its clients", Version: version,
		EnableBashCompletion: true,
		Commands: []*cli.Command{
			serveCommand(), pubCommand(), subCommand(), rrCommand(), checkCommand(), passwdCommand(), banCommand(), aclCommand(),
			configCommand(), storeCommand(), benchCommand(), replayCommand(),
		},
		ExitErrHandler: func(*cli.Context, error) {},
		// Topics and payloads hold commas.
		DisableSliceFlagSeparator: true,
		OnUsageError:              badFlag, CommandNotFound: noCommand,
	}
	oneLineUsage(app.Commands)
	if err := app.Run(joinProperties(os.Args)); err != nil {
		code := exitUsage
		if e, ok := errors.AsType[cli.ExitCoder](err); ok {
			code = e.ExitCode()
		}
		if text := err.Error(); text != "" {
			fmt.Fprintln(os.Stderr, text)
		}
		os.Exit(code)
	}
}

// quietly is err without its text when --quiet is set.
func quietly(c *cli.Context, err error) error {
	if e, ok := errors.AsType[cli.ExitCoder](err); ok && c.Bool("quiet") {
		return cli.Exit("", e.ExitCode())
	}
	return err
}

// clientError ends a client's command with the status that says why.
func clientError(c *cli.Context, err error) error {
	return quietly(c, cli.Exit(fmt.Sprintf("loopmq %s: %v%s", c.Command.Name, err, hint(err)), clientStatus(err)))
}

// clientStatus is the return code or reason code of a server that refused, or
// the status of any other failure.
func clientStatus(err error) int {
	if e, ok := errors.AsType[*client.ConnectError](err); ok {
		if e.Version == codec.V5 {
			return int(e.Reason)
		}
		return int(e.ReturnCode)
	}
	if e, ok := errors.AsType[*client.ReasonError](err); ok && e.Reason.Failed() {
		return int(e.Reason)
	}
	return exitRuntime
}
