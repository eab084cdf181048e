package main

import (
	"context"
	"flag"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/loopmq/loopmq/client"
)

// TestMessagesStayInTheSession: who prints no messages takes none: not sub -E, which may come to a session that has
// some, and not pub.
func TestMessagesStayInTheSession(t *testing.T) {
	port := startBroker(t)
	for _, version := range []string{"mqttv311", "mqttv5"} {
		for qos, who := range []string{1: "sub -E -t t", 2: "pub -t other -m x"} {
			if who == "" {
				continue
			}
			t.Run(version+" "+who, func(t *testing.T) {
				ours := func(command string) result {
					args := append([]string{loopmq}, strings.Fields(command)...)
					return run(t, "", append(args, "-h", "127.0.0.1", "-p", port, "-V", version, "-q", string('0'+rune(qos)))...)
				}
				session := " -c -i session-" + version + who[:3]
				ours("sub -E -t t" + session)
				ours("pub -t t -m kept")
				for range 3 { // the broker may be slower with the message than with SUBACK
					if r := ours(who + session); r.status != 0 || r.out != "" {
						t.Fatalf("%s: status %d, printed %q, said %q", who, r.status, r.out, r.err)
					}
				}
				if r := ours("sub -t t -C 1 -W 5" + session); r.out != "kept\n" {
					t.Errorf("want the message that nobody has printed, got status %d, %q, %q", r.status, r.out, r.err)
				}
			})
		}
	}
}

// TestSubEndsOnBothSides: -W may be over while the last message of -C is printed, here one that comes before SUBACK.
func TestSubEndsOnBothSides(t *testing.T) {
	port := startBroker(t)
	session := []string{"--port", port, "--topic", "t", "--qos", "1", "--count", "1", "--disable-clean-session", "--id", "s"}
	if r := run(t, "", append([]string{loopmq, "sub", "-E"}, session...)...); r.status != 0 {
		t.Fatal(r.err)
	}
	for range 20 {
		if r := run(t, "", loopmq, "pub", "-p", port, "-t", "t", "-m", "x", "-q", "1"); r.status != 0 {
			t.Fatal(r.err)
		}
		s := &subscriber{c: subContext(t, session...), left: 1}
		if err := s.read(); err != nil {
			t.Fatal(err)
		}
		s.out = newOutput(io.Discard)
		ctx, over := context.WithCancel(context.Background())
		s.print = func(dst []byte, _ *client.Message, _ time.Time) []byte {
			over()
			return dst
		}
		_ = s.run(ctx) // either end will do
		over()
		if err := s.out.close(); err != nil {
			t.Fatal(err)
		}
	}
}

// subContext is a command line of sub.
func subContext(t *testing.T, args ...string) *cli.Context {
	t.Helper()
	cmd := subCommand()
	set := flag.NewFlagSet("sub", flag.ContinueOnError)
	for _, f := range cmd.Flags {
		if err := f.Apply(set); err != nil {
			t.Fatal(err)
		}
	}
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	c := cli.NewContext(cli.NewApp(), set, nil)
	c.Command = cmd
	return c
}
