package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/loopmq/loopmq/store"
)

// exitStore is the status when a store is damaged, in use by another process,
// or of a newer version.
const exitStore = 5

func storeCommand() *cli.Command {
	output := &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`KIND` json: one object instead of lines"}
	return &cli.Command{
		Name: "store", Usage: "look at, check and mend the files of a store that no broker has open",
		Description: "DIR is the directory of the store. Exit status: 0 the store is sound; 1 something failed; 2 usage; 5 the store is\n" +
			"damaged, in use by another process, or written by a newer LoopMQ.",
		Subcommands: []*cli.Command{
			{
				Name: "check", Usage: "read all of it, change nothing, and say what is wrong", ArgsUsage: "DIR",
				Flags: []cli.Flag{output}, Action: storeCheck,
			},
			{
				Name: "stats", Usage: "what it holds, by table", ArgsUsage: "DIR",
				Flags: []cli.Flag{output}, Action: storeStats,
			},
			{
				Name: "repair", Usage: "make a sound store of what can be read, and say what is lost", ArgsUsage: "DIR",
				Description: "The files that were found are kept in DIR/damaged-DATE-TIME; remove them when nobody wants them any more.\n" +
					"A sound store is left alone.",
				Flags: []cli.Flag{output}, Action: storeRepair,
			},
			{
				Name: "dump", Usage: "print every record: table, number, length, value", ArgsUsage: "DIR",
				Flags: []cli.Flag{
					&cli.IntFlag{Name: "table", Value: -1, Usage: "only `TABLE`, 0 to 255"},
					&cli.IntFlag{Name: "bytes", Value: 64, Usage: "at most `N` bytes of a value; 0: all of it"},
				},
				Action: storeDump,
			},
			storeImportCommand(output),
			{
				Name: "compact", Usage: "give back all space that is not used; a broker does so by itself, down to a few files", ArgsUsage: "DIR",
				Action: storeCompact,
			},
		},
	}
}

// storeDir is the argument DIR.
func storeDir(c *cli.Context) (string, error) {
	if c.NArg() != 1 {
		return "", usageError(c, errors.New("give one directory"))
	}
	switch c.String("output") {
	case "", "json":
		return c.Args().First(), nil
	}
	return "", usageError(c, fmt.Errorf("--output %s: want json", c.String("output")))
}

// storeError ends a command with the status that says why.
func storeError(c *cli.Context, err error) error {
	code := exitRuntime
	_, locked := errors.AsType[*store.LockedError](err)
	_, newer := errors.AsType[*store.VersionError](err)
	_, damaged := errors.AsType[*store.DamageError](err)
	if locked || newer || damaged {
		code = exitStore
	}
	hint := ""
	if damaged {
		hint = "; see loopmq store check"
	}
	return cli.Exit(fmt.Sprintf("loopmq store %s: %v%s", c.Command.Name, err, hint), code)
}

func storeCheck(c *cli.Context) error {
	dir, err := storeDir(c)
	if err != nil {
		return err
	}
	rep, err := store.Check(dir)
	if err != nil {
		return storeError(c, err)
	}
	if c.String("output") == "json" {
		if err := printReport(rep); err != nil {
			return err
		}
	} else {
		printLost(rep)
		fmt.Printf("%s: %d records in %d segments, %d batches read\n", dir, rep.LiveRecords, rep.Segments, rep.Batches)
	}
	if len(rep.Lost) > 0 {
		return cli.Exit(fmt.Sprintf("loopmq store check: %s is damaged; loopmq store repair keeps the %d records that are left",
			dir, rep.LiveRecords), exitStore)
	}
	return nil
}

func storeStats(c *cli.Context) error {
	dir, err := storeDir(c)
	if err != nil {
		return err
	}
	rep, err := store.Check(dir)
	if err != nil {
		return storeError(c, err)
	}
	if c.String("output") == "json" {
		return printReport(rep)
	}
	printLost(rep)
	fmt.Printf("records   %12d\nlive      %12d bytes\non disk   %12d bytes\nsegments  %12d\nbatches   %12d\n",
		rep.LiveRecords, rep.LiveBytes, rep.DiskBytes, rep.Segments, rep.Batches)
	for _, t := range rep.Tables {
		fmt.Printf("table %3d %12d records %12d bytes\n", t.Table, t.Records, t.Bytes)
	}
	return nil
}

func storeRepair(c *cli.Context) error {
	dir, err := storeDir(c)
	if err != nil {
		return err
	}
	rep, err := store.Repair(dir, time.Now())
	if err != nil {
		return storeError(c, err)
	}
	if c.String("output") == "json" {
		return printReport(rep)
	}
	if len(rep.Lost) == 0 {
		fmt.Printf("%s is sound, nothing was changed\n", dir)
		return nil
	}
	printLost(rep)
	fmt.Printf("%d records are left; what was deleted in a lost batch may be among them\n", rep.LiveRecords)
	fmt.Printf("the files as they were found are in %s\n", rep.Copy)
	return nil
}

func storeDump(c *cli.Context) error {
	dir, err := storeDir(c)
	if err != nil {
		return err
	}
	table, most := c.Int("table"), c.Int("bytes")
	if table < -1 || table > 255 || most < 0 {
		return usageError(c, errors.New("--table is 0 to 255, --bytes not below 0"))
	}
	out := bufio.NewWriter(os.Stdout)
	err = store.Dump(dir, func(k store.Key, value []byte) error {
		if table >= 0 && k.Table() != store.Table(table) {
			return nil
		}
		_, err := fmt.Fprintf(out, "%d %d %d %s\n", k.Table(), k.Number(), len(value), shown(value, most))
		return err
	})
	if err = errors.Join(err, out.Flush()); err != nil {
		return storeError(c, err)
	}
	return nil
}

// shown is a value in hexadecimal and as text, cut at most bytes.
func shown(value []byte, most int) string {
	more := ""
	if most > 0 && len(value) > most {
		value, more = value[:most], "…"
	}
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '.'
		}
		return r
	}, string(value))
	return hex.EncodeToString(value) + more + " |" + text + more + "|"
}

func storeCompact(c *cli.Context) error {
	dir, err := storeDir(c)
	if err != nil {
		return err
	}
	before, after, err := store.Compact(dir)
	if err != nil {
		return storeError(c, err)
	}
	fmt.Printf("%s: %d bytes before, %d bytes now, %d records\n", dir, before.DiskBytes, after.DiskBytes, after.LiveRecords)
	return nil
}

func printLost(rep *store.Report) {
	for _, l := range rep.Lost {
		fmt.Println(l)
	}
}

func printReport(rep *store.Report) error {
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	return out.Encode(rep)
}
