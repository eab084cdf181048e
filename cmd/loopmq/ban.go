package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/loopmq/loopmq/auth/guard"
)

func banCommand() *cli.Command {
	duration := timeFlag(cli.GenericFlag{Name: "for", Usage: "how long, as 30m or 24h", DefaultText: "for ever"}, 0)
	why := &cli.StringFlag{Name: "why", Usage: "`REASON`, for the log and for whoever reads the list"}
	return &cli.Command{
		Name: "ban", Usage: "keep addresses, client identifiers and users out",
		Description: "FILE is the one of auth.bans.file, which a broker reads again at SIGHUP: who is on the list then is " +
			"disconnected. It is replaced in one step; comments stay, bans that are over go.",
		Subcommands: []*cli.Command{
			{
				Name: "add", Usage: "put somebody on the list",
				UsageText: "loopmq ban add [--for TIME] [--why REASON] FILE address|client|user WHOM",
				Flags:     []cli.Flag{duration, why}, ArgsUsage: " ", Action: banAdd,
			},
			{
				Name: "lift", Usage: "take somebody off the list",
				UsageText: "loopmq ban lift FILE address|client|user WHOM", ArgsUsage: " ", Action: banLift,
			},
			{
				Name: "list", Usage: "print the bans that hold",
				UsageText: "loopmq ban list FILE", ArgsUsage: " ", Action: banList,
			},
		},
	}
}

// banFailed ends a subcommand.
func banFailed(c *cli.Context, err error) error {
	return cli.Exit(fmt.Sprintf("loopmq ban %s: %v", c.Command.Name, err), exitRuntime)
}

// readBans reads a list; one that is not there is empty.
func readBans(path string) (text []byte, list []guard.Ban, err error) {
	text, err = os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err == nil {
		list, err = guard.ReadBans(path, bytes.NewReader(text))
	}
	return text, list, err
}

// banArguments reads FILE, KIND and WHOM.
func banArguments(c *cli.Context) (path string, ban guard.Ban, err error) {
	if c.NArg() != 3 {
		return "", ban, fmt.Errorf("%d arguments; want FILE, then address, client or user, then whom; flags go first", c.NArg())
	}
	whom := c.Args().Get(2)
	if c.Args().Get(1) == "client" || c.Args().Get(1) == "user" {
		whom = strconv.Quote(whom)
	}
	ban, err = guard.ParseBan(c.Args().Get(1) + " " + whom)
	return c.Args().Get(0), ban, err
}

func banAdd(c *cli.Context) error {
	path, ban, err := banArguments(c)
	if err == nil && c.IsSet("for") {
		ban.Until, err = banUntil(c.Duration("for"))
	}
	if err == nil {
		ban.Why = c.String("why")
		ban, err = guard.ParseBan(ban.Line()) // a line that is not read takes the whole list with it
	}
	if err != nil {
		return usageError(c, err)
	}
	if _, err := changeBans(path, &ban, ban.Line()); err != nil {
		return banFailed(c, err)
	}
	return nil
}

// banForMax is more than anybody waits; the list can tell no time after 2262.
const banForMax = 100 * 365 * 24 * time.Hour

func banUntil(after time.Duration) (int64, error) {
	switch {
	case after <= 0:
		return 0, errors.New("--for: write a time above 0")
	case after > banForMax:
		return 0, fmt.Errorf("--for: at most %v; leave it out for ever", banForMax)
	}
	return time.Now().Add(after).UnixNano(), nil
}

func banLift(c *cli.Context) error {
	path, ban, err := banArguments(c)
	if err != nil {
		return usageError(c, err)
	}
	found, err := changeBans(path, &ban, "")
	if err == nil && !found {
		err = fmt.Errorf("%s is not on the list %s", ban.Line(), path)
	}
	if err != nil {
		return banFailed(c, err)
	}
	return nil
}

func banList(c *cli.Context) error {
	if c.NArg() != 1 {
		return usageError(c, fmt.Errorf("%d arguments where FILE belongs", c.NArg()))
	}
	_, list, err := readBans(c.Args().First())
	if err != nil {
		return banFailed(c, err)
	}
	now := time.Now().UnixNano()
	for i := range list {
		if !list[i].Over(now) {
			fmt.Println(list[i].Line())
		}
	}
	return nil
}

// changeBans takes a ban off a list, and what is over, and puts line there
// unless it is empty.
func changeBans(path string, ban *guard.Ban, line string) (found bool, err error) {
	unlock, err := lockBans(path)
	if err != nil {
		return false, err
	}
	defer unlock()
	text, _, err := readBans(path) // a list with mistakes is left alone
	if err != nil {
		return false, err
	}
	now := time.Now().UnixNano()
	var out strings.Builder
	for old := range strings.Lines(string(text)) {
		b, err := guard.ParseBan(strings.TrimSpace(old))
		if err == nil && b.Same(ban) {
			found = true
			continue
		}
		if err == nil && b.Over(now) {
			continue
		}
		out.WriteString(strings.TrimSuffix(old, "\n") + "\n")
	}
	if line != "" {
		out.WriteString(line + "\n")
	}
	if line == "" && !found {
		return false, nil
	}
	return found, replaceFile(path, out.String())
}

// lockBans waits until nobody else changes a list in this directory: of two that
// read the same one, the second to write would undo what the first did. The list
// itself is another file afterwards.
func lockBans(path string) (unlock func(), err error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		dir.Close()
		return nil, fmt.Errorf("lock %s: %w", dir.Name(), err)
	}
	return func() { dir.Close() }, nil
}

// replaceFile writes a file in one step; who owned the old one and might read it
// does so on.
func replaceFile(path, text string) error {
	old, err := os.Lstat(path)
	switch {
	case err == nil && !old.Mode().IsRegular():
		return fmt.Errorf("%s: it is not a regular file; name the file itself", path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".bans-*")
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o640)
	if old != nil {
		mode = old.Mode().Perm()
		if s, ok := old.Sys().(*syscall.Stat_t); ok && (int(s.Uid) != os.Geteuid() || int(s.Gid) != os.Getegid()) {
			_ = temp.Chown(int(s.Uid), int(s.Gid)) // not allowed to everybody
		}
	}
	_, err = temp.WriteString(text)
	err = errors.Join(err, temp.Chmod(mode), temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return nil
}
