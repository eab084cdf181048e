package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/loopmq/loopmq/auth/acl"
	"github.com/loopmq/loopmq/router/topic"
)

func aclCommand() *cli.Command {
	return &cli.Command{
		Name: "acl", Usage: "check an access control file, or ask it",
		Subcommands: []*cli.Command{
			{
				Name: "check", Usage: "say all that is wrong with a file",
				UsageText: "loopmq acl check FILE",
				Description: "Prints each mistake with its line on standard error, and warnings for lines that may not do " +
					"what was meant. Exit status: 0 no mistakes; 1 mistakes, or the file cannot be read; 2 usage.",
				ArgsUsage: " ", Action: aclCheck,
			},
			{
				Name: "explain", Usage: "say whether a client may do something, and by which line",
				UsageText: "loopmq acl explain --file FILE [--user NAME] [--client ID] [--address A] " +
					"publish|subscribe|deliver TOPIC",
				Description: "TOPIC is what is published or delivered, or the filter of a SUBSCRIBE. Without --user the " +
					"client is anonymous. Exit status: 0 allowed; 1 denied; 2 usage, or the file cannot be used.",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "the access control `FILE`"},
					&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "user `NAME`"},
					&cli.StringFlag{Name: "client", Aliases: []string{"i"}, Usage: "client `ID`entifier"},
					&cli.StringFlag{Name: "address", Aliases: []string{"a"}, Usage: "`ADDRESS` that the client connects from"},
				},
				ArgsUsage: " ", Action: aclExplain,
			},
		},
	}
}

// readACL reads a file and tells its warnings.
func readACL(path string) (*acl.Rules, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rules, err := acl.Parse(path, f)
	if err != nil {
		return nil, err
	}
	for _, w := range rules.Warnings() {
		fmt.Fprintln(os.Stderr, w, "(warning)")
	}
	return rules, nil
}

func aclCheck(c *cli.Context) error {
	if c.NArg() != 1 {
		return usageError(c, fmt.Errorf("%d arguments where FILE belongs", c.NArg()))
	}
	if _, err := readACL(c.Args().First()); err != nil {
		return cli.Exit(err.Error(), exitRuntime)
	}
	return nil
}

func aclExplain(c *cli.Context) error {
	if c.NArg() != 2 {
		return usageError(c, fmt.Errorf("%d arguments where publish, subscribe or deliver and a topic belong; "+
			"flags go first", c.NArg()))
	}
	if c.String("file") == "" {
		return usageError(c, errors.New("--file: name the access control file"))
	}
	who := acl.Who{User: c.String("user"), HasUser: c.IsSet("user"), ClientID: c.String("client")}
	if c.IsSet("address") {
		var err error
		if who.Addr, err = netip.ParseAddr(c.String("address")); err != nil {
			return usageError(c, fmt.Errorf("--address %q: write an address, as 192.0.2.7", c.String("address")))
		}
	}
	action, name := c.Args().Get(0), []byte(c.Args().Get(1))
	if err := checkAsked(action, name); err != nil {
		return usageError(c, err)
	}
	rules, err := readACL(c.String("file"))
	if err != nil {
		return cli.Exit(err.Error(), exitUsage)
	}
	s := rules.For(who)
	var v acl.Verdict
	switch action {
	case acl.Publish.String():
		v = s.Publish(name)
	case acl.Subscribe.String():
		v = s.Subscribe(name)
	default:
		v = s.Deliver(name)
	}
	fmt.Println(v)
	if s.Note() != "" && v.Rule == nil {
		fmt.Println("note:", s.Note())
	}
	if !v.Allowed {
		return cli.Exit("", exitRuntime)
	}
	return nil
}

// checkAsked refuses a question that no client can raise.
func checkAsked(action string, name []byte) error {
	switch action {
	case acl.Publish.String(), acl.Deliver.String():
		return topic.ValidateTopic(name)
	case acl.Subscribe.String():
		_, inner, _, err := topic.ParseShare(name)
		if err != nil {
			return err
		}
		return topic.ValidateFilter(inner)
	}
	return fmt.Errorf("%.80q: write publish, subscribe or deliver", action)
}
