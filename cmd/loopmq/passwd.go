package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/loopmq/loopmq/auth/password"
)

// passwordBytesMax is what CONNECT can hold.
const passwordBytesMax = 65535

func passwdCommand() *cli.Command {
	return &cli.Command{
		Name: "passwd", Usage: "change a password file, with the flags of mosquitto_passwd",
		UsageText: "loopmq passwd [-c] [--hash KIND] [--stdin] FILE USER\n" +
			"loopmq passwd [-c] [--hash KIND] -b FILE USER PASSWORD\n" +
			"loopmq passwd -D FILE USER\n" +
			"loopmq passwd --verify [--stdin] FILE USER\n" +
			"loopmq passwd -U [--hash KIND] FILE\n" +
			"loopmq passwd --list FILE",
		Description: "Asks for the password on the terminal. The file is replaced in one step, readable by its owner only; " +
			"comments and lines of other users stay. Exit status: 0 done; 1 failed, or not the password; 2 usage.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "create", Aliases: []string{"c"}, Usage: "start a new file, in place of what is there"},
			&cli.BoolFlag{Name: "batch", Aliases: []string{"b"}, Usage: "the password is the last argument, where others can see it in the list of processes"},
			&cli.BoolFlag{Name: "stdin", Usage: "the password is the first line of standard input"},
			&cli.BoolFlag{Name: "delete", Aliases: []string{"D"}, Usage: "remove the user"},
			&cli.BoolFlag{Name: "upgrade", Aliases: []string{"U"}, Usage: "hash the passwords of a file that has them as they are"},
			&cli.BoolFlag{Name: "verify", Usage: "change nothing, say whether this is the password"},
			&cli.BoolFlag{Name: "list", Usage: "print the users and how their passwords are hashed"},
			&cli.StringFlag{
				Name: "hash", Aliases: []string{"H"}, Value: string(password.Argon2id),
				Usage: "`KIND` of new hashes: argon2id, bcrypt or pbkdf2-sha512, which Mosquitto 2.0 reads too",
			},
		},
		ArgsUsage: " ", Action: passwd,
	}
}

// passwdRun is one run of passwd.
type passwdRun struct {
	c          *cli.Context
	path, user string
	params     password.Params
	file       *password.File
}

func passwd(c *cli.Context) error {
	r := &passwdRun{c: c, path: c.Args().Get(0), user: c.Args().Get(1)}
	if err := r.readArguments(); err != nil {
		return usageError(c, err)
	}
	if err := r.run(); err != nil {
		return cli.Exit(fmt.Sprintf("loopmq passwd: %v", err), exitRuntime)
	}
	return nil
}

// readArguments checks which flags go together, and with what arguments.
func (r *passwdRun) readArguments() (err error) {
	c, want, modes := r.c, 2, 0
	for _, name := range []string{"delete", "upgrade", "verify", "list"} {
		if !c.Bool(name) {
			continue
		}
		modes++
		if c.Bool("create") {
			return fmt.Errorf("--create and --%s together", name)
		}
		if (c.Bool("batch") || c.Bool("stdin")) && name != "verify" {
			return fmt.Errorf("--%s takes no password", name)
		}
	}
	switch {
	case modes > 1:
		return errors.New("only one of --delete, --upgrade, --verify and --list")
	case c.Bool("batch") && c.Bool("stdin"):
		return errors.New("--batch and --stdin together")
	case c.Bool("batch"):
		want = 3
	case c.Bool("upgrade") || c.Bool("list"):
		want = 1
	}
	if c.NArg() != want {
		return fmt.Errorf("%d arguments where %s belong; flags go first",
			c.NArg(), strings.Join([]string{"FILE", "USER", "PASSWORD"}[:want], " "))
	}
	if want > 1 {
		if err := password.CheckUser(r.user); err != nil {
			return err
		}
	}
	kind := password.Kind(c.String("hash"))
	if kind == "sha512-pbkdf2" {
		kind = password.PBKDF2SHA512 // as mosquitto_passwd calls it
	}
	r.params, err = password.Defaults(kind)
	return err
}

func (r *passwdRun) run() (err error) {
	if r.file, err = r.open(); err != nil {
		return err
	}
	c, changed := r.c, true
	switch {
	case c.Bool("list"):
		err, changed = r.list(), false
	case c.Bool("verify"):
		err, changed = r.verify(), false
	case c.Bool("upgrade"):
		var n int
		if n, err = r.file.Upgrade(r.params); err == nil {
			fmt.Fprintf(os.Stderr, "%d passwords hashed\n", n)
		}
	case c.Bool("delete"):
		if !r.file.Delete(r.user) {
			err = fmt.Errorf("user %q is not in %s", r.user, r.path)
		}
	default:
		err = r.set()
	}
	if err == nil && changed {
		err = r.file.WriteFile(r.path)
	}
	if bad := r.file.Bad(); bad != nil {
		fmt.Fprintf(os.Stderr, "loopmq passwd: what else is wrong with the file:\n%v\n", bad)
	}
	return err
}

// open reads the file, or starts one.
func (r *passwdRun) open() (*password.File, error) {
	if r.c.Bool("create") {
		return password.Edit(r.path, strings.NewReader(""))
	}
	f, err := os.Open(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; add -c to make it", err)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if why := password.Insecure(r.path); why != "" {
		fmt.Fprintln(os.Stderr, "loopmq passwd:", why)
	}
	return password.Edit(r.path, f)
}

func (r *passwdRun) list() error {
	for _, user := range r.file.Users() {
		if _, err := fmt.Printf("%s\t%s\n", user, r.file.Kind(user)); err != nil {
			return err
		}
	}
	return nil
}

func (r *passwdRun) set() error {
	secret, err := r.password(true)
	if err != nil {
		return err
	}
	if len(secret) == 0 {
		return errors.New("the password is empty")
	}
	text, err := password.Hash(secret, r.params)
	if err != nil {
		return err
	}
	return r.file.Set(r.user, text)
}

func (r *passwdRun) verify() error {
	secret, err := r.password(false)
	if err != nil {
		return err
	}
	ok, err := r.file.Verify(r.user, secret)
	if err == nil && !ok {
		err = fmt.Errorf("user %q does not have this password, or is not in %s", r.user, r.path)
	}
	return err
}

// password takes the password from where the flags say; a new one is asked for
// twice.
func (r *passwdRun) password(isNew bool) ([]byte, error) {
	if r.c.Bool("batch") {
		return []byte(r.c.Args().Get(2)), nil
	}
	if r.c.Bool("stdin") {
		return firstLine(os.Stdin)
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return nil, errors.New("standard input is no terminal to ask on; add --stdin to read the password from it")
	}
	first, err := askPassword("Password: ")
	if err != nil || !isNew {
		return first, err
	}
	again, err := askPassword("Again: ")
	if err == nil && !bytes.Equal(first, again) {
		err = errors.New("the two passwords differ; nothing is changed")
	}
	return first, err
}

// firstLine reads a line, without its end.
func firstLine(from io.Reader) ([]byte, error) {
	line, err := bufio.NewReader(io.LimitReader(from, passwordBytesMax+3)).ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the password: %w", err)
	}
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if len(line) > passwordBytesMax {
		return nil, fmt.Errorf("the password is longer than %d bytes", passwordBytesMax)
	}
	return line, nil
}

// askPassword reads a password from the terminal without showing it. A signal that
// ends the program meanwhile leaves the terminal as it was.
func askPassword(prompt string) ([]byte, error) {
	fd := int(os.Stdin.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("ask for the password: %w", err)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	answered := context.AfterFunc(ctx, func() {
		_ = term.Restore(fd, before)
		fmt.Fprintln(os.Stderr)
		os.Exit(exitRuntime)
	})
	fmt.Fprint(os.Stderr, prompt)
	secret, err := term.ReadPassword(fd)
	answered()
	cancel()
	fmt.Fprintln(os.Stderr)
	if err != nil {
		return nil, fmt.Errorf("ask for the password: %w", err)
	}
	return secret, nil
}
