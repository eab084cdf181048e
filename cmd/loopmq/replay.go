package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/broker/record"
	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/config"
	"github.com/loopmq/loopmq/router"
)

// recordFlags are those of serve about recording.
func recordFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Category: "recording", Name: "record", Usage: "write all that happens to the router into `FILE`, for loopmq replay; one that is there becomes FILE.old"},
		&cli.StringFlag{Category: "recording", Name: "record-bytes-max", Value: "256MiB", Usage: "`SIZE` at which the recording ends"},
		&cli.StringFlag{Category: "recording", Name: "record-redact", Value: record.Passwords.String(), Usage: "what to leave out: passwords, payloads (and passwords) or none"},
	}
}

// readRecording reads them; nil: nothing is recorded.
func readRecording(c *cli.Context) (*broker.Recording, error) {
	redact, ok := record.ParseRedact(c.String("record-redact"))
	most, err := config.ParseSize(c.String("record-bytes-max"))
	switch {
	case !ok:
		return nil, fmt.Errorf("--record-redact %q: use passwords, payloads or none", c.String("record-redact"))
	case err != nil:
		return nil, fmt.Errorf("--record-bytes-max %q: %w", c.String("record-bytes-max"), err)
	case most < 1<<10:
		return nil, fmt.Errorf("--record-bytes-max %s: must be at least 1024", c.String("record-bytes-max"))
	case c.String("record") == "" && (c.IsSet("record-redact") || c.IsSet("record-bytes-max")):
		return nil, errors.New("--record-redact and --record-bytes-max go with --record FILE")
	case c.String("record") == "":
		return nil, nil
	}
	return &broker.Recording{File: c.String("record"), BytesMax: most, Redact: redact}, nil
}

func replayCommand() *cli.Command {
	return &cli.Command{
		Name: "replay", Usage: "have what serve --record wrote down happen again, and say what the router sent",
		ArgsUsage: "FILE", Action: replay,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "print the packets received (>) and sent (<), and events"},
			&cli.BoolFlag{Name: "check", Usage: "check the router's invariants after each pass"},
		},
		Description: "The exit status is 1 where the router did something else than then: sent other packets, or broke an invariant.",
	}
}

// replay plays one file.
func replay(c *cli.Context) error {
	if c.NArg() != 1 {
		return usageError(c, errors.New("name one file that serve --record wrote"))
	}
	f, err := os.Open(c.Args().First())
	if err != nil {
		return cli.Exit("loopmq replay: "+err.Error(), exitRuntime)
	}
	defer f.Close()
	out := bufio.NewWriter(c.App.Writer)
	defer out.Flush()
	o := record.ReplayOptions{Check: c.Bool("check")}
	if c.Bool("verbose") {
		o.Received = func(at time.Duration, conn uint64, b []byte) { printPackets(out, at, conn, '>', b) }
		o.Sent = func(at time.Duration, conn uint64, b []byte) { printPackets(out, at, conn, '<', b) }
		o.Event = func(at time.Duration, e *router.Event) {
			if e.Kind == router.EventDisconnect || e.Kind == router.EventRefuse {
				fmt.Fprintf(out, "%12.6f  - %q ended: %v\n", at.Seconds(), e.ClientID, e.Err)
			}
		}
	}
	rep, err := record.Replay(f, o)
	if err != nil {
		return cli.Exit(fmt.Sprintf("loopmq replay: %s: %v", f.Name(), err), exitRuntime)
	}
	printReplay(out, rep)
	if len(rep.Differs) > 0 {
		return cli.Exit("", exitRuntime)
	}
	return nil
}

// packetBytesShown is how much of a packet is printed.
const packetBytesShown = 48

// printPackets prints each packet of b.
func printPackets(out io.Writer, at time.Duration, conn uint64, way byte, b []byte) {
	for len(b) > 0 {
		k, n, err := codec.Next(b, codec.MaxPacketBytes)
		name := k.Type.String()
		if err != nil || n == 0 {
			name, n = "no packet", len(b)
		}
		more := ""
		if n > packetBytesShown {
			more = "…"
		}
		fmt.Fprintf(out, "%12.6f %d%c %s, %d bytes: % x%s\n", at.Seconds(), conn, way, name, n, b[:min(n, packetBytesShown)], more)
		b = b[n:]
	}
}

func printReplay(out io.Writer, rep *record.Report) {
	ended := rep.Ended
	if ended == "" {
		ended = "it breaks off"
	}
	fmt.Fprintf(out, "recorded   %s, %v, left out: %s; ends because: %s\n",
		rep.Header.Started.Format(time.RFC3339), rep.Span.Round(time.Millisecond), rep.Header.Redacted, ended)
	fmt.Fprintf(out, "happened   %d connections, %d passes, %d messages in\n",
		rep.Conns, rep.Passes, rep.Stats.Published[0]+rep.Stats.Published[1]+rep.Stats.Published[2])
	fmt.Fprintf(out, "sent       %d packets, %d bytes\n", rep.Packets, rep.Bytes)
	fmt.Fprintf(out, "digest     %s\n", rep.Digest)
	if len(rep.Differs) == 0 {
		fmt.Fprintln(out, "as then    yes, as far as it was written down")
	}
	for _, d := range rep.Differs {
		fmt.Fprintf(out, "DIFFERS    %s\n", d)
	}
}
