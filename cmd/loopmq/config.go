package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/config"
)

func configCommand() *cli.Command {
	return &cli.Command{
		Name: "config", Usage: "write, check, show, explain, compare and import configuration files",
		Subcommands: []*cli.Command{
			{
				Name: "init", Usage: "write a file with every key, its default and what it means", ArgsUsage: "[FILE]",
				Description: "Without FILE it goes to standard output. A file that is there already is left alone.",
				Action:      configInit,
			},
			{
				Name: "check", Usage: "say everything that is wrong with a file", ArgsUsage: "FILE",
				Description: "Reads the file, what it includes, the LOOPMQ_ variables of the environment, and the files of passwords and rights that are named. Exit status: 0 fine, perhaps with warnings; 3 something is wrong, a line each: file:line:column: key: what; what would be right.",
				Action:      configCheck,
			},
			{
				Name: "show", Usage: "show the configuration that a file and the environment make", ArgsUsage: "[FILE]",
				Flags: []cli.Flag{
					&cli.BoolFlag{Name: "defaults", Usage: "all keys, not only those that differ from their defaults"},
					&cli.BoolFlag{Name: "origin", Usage: "a line for each key: its value, and the file and line, variable or default that it comes from"},
					&cli.BoolFlag{Name: "json", Usage: "as one JSON object, with all keys"},
				},
				Action: configShow,
			},
			{
				Name: "explain", Usage: "say what a key, or each key of a table, means", ArgsUsage: "[KEY]",
				Description: "For instance limits.inflight_max, or listener.tls. Without KEY: all of them.",
				Action:      configExplain,
			},
			{
				Name: "diff", Usage: "say what a reload from one file to another would change", ArgsUsage: "OLD NEW",
				Description: "A line for each key: what takes effect at once, which listeners are opened anew, what waits for a restart. " +
					"Then a line for each right that is lost: users who can no longer log in, and topics that a user of the password and " +
					"access control files may no longer publish to or receive, with the rule. Both sets of files must be there: " +
					"OLD is what the broker was started with or has read at its last SIGHUP, NEW a copy with the changes.",
				Action: configDiff,
			},
			configImportCommand(),
		},
	}
}

// configArgs checks the number of arguments.
func configArgs(c *cli.Context, least, most int, want string) error {
	if c.NArg() < least || c.NArg() > most {
		return cli.Exit(fmt.Sprintf("loopmq config %s: %d arguments; want %s, behind the flags", c.Command.Name, c.NArg(), want), exitUsage)
	}
	return nil
}

func configInit(c *cli.Context) error {
	if err := configArgs(c, 0, 1, "[FILE]"); err != nil {
		return err
	}
	return writeNew(c, c.Args().First(), config.Example())
}

// writeNew writes a file that is not there yet, or standard output.
func writeNew(c *cli.Context, path, text string) error {
	fail := func(err error) error {
		return cli.Exit(fmt.Sprintf("loopmq config %s: %v", c.Command.Name, err), exitRuntime)
	}
	if path == "" || path == "-" {
		if _, err := os.Stdout.WriteString(text); err != nil {
			return fail(err)
		}
		return nil
	}
	// It may come to hold secrets.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return fail(err)
	}
	if _, err = f.WriteString(text); err != nil {
		f.Close()
		return fail(err)
	}
	if err = f.Close(); err != nil {
		return fail(err)
	}
	fmt.Fprintln(os.Stderr, "wrote "+path)
	return nil
}

// loadConfig reads a file, and prints everything that is wrong with it.
func loadConfig(path string) (*config.File, error) {
	f, problems := config.Load(path, os.Environ(), nil)
	if len(problems) == 0 {
		return f, nil
	}
	lines := make([]string, len(problems))
	for i, p := range problems {
		lines[i] = p.String()
	}
	return nil, cli.Exit(strings.Join(lines, "\n"), exitConfig)
}

func configCheck(c *cli.Context) error {
	if err := configArgs(c, 1, 1, "FILE"); err != nil {
		return err
	}
	path := c.Args().First()
	f, err := loadConfig(path)
	if err != nil {
		return err
	}
	b, err := brokerOf(f)
	if err != nil {
		return cli.Exit(path+": "+err.Error(), exitConfig)
	}
	for _, w := range slices.Concat(f.Warnings(), b.Warnings()) {
		fmt.Fprintln(os.Stderr, w, "(warning)")
	}
	return nil
}

// brokerOf reads the files that a configuration names. The broker opens nothing.
func brokerOf(f *config.File) (*broker.Broker, error) {
	cfg, err := f.Broker()
	if err != nil {
		return nil, err
	}
	return broker.New(cfg)
}

func configShow(c *cli.Context) error {
	if err := configArgs(c, 0, 1, "[FILE]"); err != nil {
		return err
	}
	f, err := loadConfig(c.Args().First())
	if err != nil {
		return err
	}
	text := f.Text(c.Bool("defaults"))
	if c.Bool("origin") {
		text = f.Origins(c.Bool("defaults"))
	}
	if c.Bool("json") {
		object, err := f.JSON()
		if err != nil {
			return cli.Exit("loopmq config show: "+err.Error(), exitRuntime)
		}
		text = string(object)
	}
	fmt.Print(text)
	return nil
}

func configExplain(c *cli.Context) error {
	if err := configArgs(c, 0, 1, "[KEY]"); err != nil {
		return err
	}
	keys, near := config.Keys(), ""
	if name := c.Args().First(); name != "" {
		keys, near = config.Explain(name)
		if len(keys) == 0 {
			hint := ""
			if near != "" {
				hint = "; did you mean " + near + "?"
			}
			return cli.Exit(fmt.Sprintf("loopmq config explain: there is no key %q%s", name, hint), exitUsage)
		}
	}
	for i, k := range keys {
		if i > 0 {
			fmt.Println()
		}
		fmt.Print(k.Explain())
	}
	return nil
}

func configDiff(c *cli.Context) error {
	if err := configArgs(c, 2, 2, "OLD NEW"); err != nil {
		return err
	}
	var files [2]*config.File
	var brokers [2]*broker.Broker
	for i := range files {
		var err error
		if files[i], err = loadConfig(c.Args().Get(i)); err != nil {
			return err
		}
		if brokers[i], err = brokerOf(files[i]); err != nil {
			return cli.Exit(c.Args().Get(i)+": "+err.Error(), exitConfig)
		}
	}
	for _, change := range config.Diff(files[0], files[1]) {
		fmt.Println(change)
	}
	for _, line := range broker.Losses(brokers[0], brokers[1]) {
		fmt.Println(line)
	}
	return nil
}
