package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/loopmq/loopmq/config/mosquitto"
)

func configImportCommand() *cli.Command {
	return &cli.Command{
		Name: "import", Usage: "write a file of ours that says what a mosquitto.conf says", ArgsUsage: "MOSQUITTO.CONF",
		Description: "What LoopMQ does otherwise, or not at all, is listed in comments at the top of the file.\n" +
			"Exit status: 0 written; 3 the file has something that must not be left out, since access would be granted that it denies.\n" +
			"Then nothing is written, and standard error says what. Secrets are not copied: files of passwords and keys are named, not read.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FILE` to write, which must not be there yet (default: standard output)"},
		},
		Action: configImport,
	}
}

func configImport(c *cli.Context) error {
	if err := configArgs(c, 1, 1, "MOSQUITTO.CONF"); err != nil {
		return err
	}
	result, err := mosquitto.Read(c.Args().First())
	if err != nil {
		return cli.Exit(fmt.Sprintf("loopmq config import: %v", err), exitRuntime)
	}
	if refused := result.Refused(); len(refused) > 0 {
		lines := make([]string, len(refused))
		for i, n := range refused {
			lines[i] = n.String()
		}
		return cli.Exit(strings.Join(lines, "\n"), exitConfig)
	}
	return writeNew(c, c.String("output"), result.Text(c.Args().First()))
}
