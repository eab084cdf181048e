package main

import (
	"fmt"
	"os"

	"github.com/urfave/cli/v2"
)

// version is set when the binary is linked.
//
// table: written by the linker only.
var version = "dev"

func main() {
	app := &cli.App{
		Name: "loopmq", Usage: "an MQTT broker on one event loop", Version: version,
		EnableBashCompletion: true, Commands: []*cli.Command{serveCommand()},
		ExitErrHandler: func(*cli.Context, error) {},
	}
	if err := app.Run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code := exitUsage
		if e, ok := err.(cli.ExitCoder); ok {
			code = e.ExitCode()
		}
		os.Exit(code)
	}
}
