package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/loopmq/loopmq/broker"
)

func storeImportCommand(output cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "import", Usage: "make a state directory of a mosquitto.db", ArgsUsage: "mosquitto.db DIR",
		Description: "Stop Mosquitto first: it writes the file when it ends. Sessions, subscriptions, retained messages and what clients are\n" +
			"owed go into DIR, which must be new; PacketIDs stay what they were. The file is not changed.",
		Flags: []cli.Flag{output}, Action: storeImport,
	}
}

func storeImport(c *cli.Context) error {
	if c.NArg() != 2 {
		return usageError(c, errors.New("give a mosquitto.db and a directory"))
	}
	if o := c.String("output"); o != "" && o != "json" {
		return usageError(c, fmt.Errorf("--output %s: want json", o))
	}
	name, dir := c.Args().Get(0), c.Args().Get(1)
	data, err := os.ReadFile(name)
	if err != nil {
		return storeError(c, err)
	}
	n, err := broker.ImportMosquitto(dir, data)
	if e, bad := errors.AsType[*broker.MosquittoError](err); bad {
		return cli.Exit(fmt.Sprintf("loopmq store import: %s: %v", name, e), exitStore)
	}
	if err != nil {
		return storeError(c, err)
	}
	if c.String("output") == "json" {
		return json.NewEncoder(os.Stdout).Encode(n)
	}
	fmt.Printf("%s, version %d: %d sessions with %d subscriptions, %d retained messages, %d queued, %d in flight, %d received and not released\n",
		name, n.Version, n.Sessions, n.Subscriptions, n.Retained, n.Queued, n.Inflight, n.Received)
	if n.Expired+n.Skipped > 0 {
		fmt.Printf("left behind: %d whose time was over, %d that belong to nothing or that no client could be sent\n", n.Expired, n.Skipped)
	}
	fmt.Printf("serve it with loopmq serve --state-dir %s\n", dir)
	return nil
}
