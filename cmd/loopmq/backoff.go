package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/loopmq/loopmq/client"
)

// backoff is the pause between attempts: it doubles up to last, and a random
// part of it keeps clients from coming back all at once.
type backoff struct {
	first, last time.Duration
	pause       time.Duration
}

func newBackoff(first, last time.Duration) *backoff {
	return &backoff{first: first, last: last, pause: first}
}

// reset begins anew, after an attempt that worked.
func (b *backoff) reset() { b.pause = b.first }

// next is the pause before the next attempt, between half and all of it.
func (b *backoff) next() time.Duration {
	wait := b.pause/2 + rand.N(b.pause/2)
	b.pause = min(2*b.pause, b.last)
	return wait
}

// sleep waits for the time, or for the end of ctx, which it reports.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// after tells why the last attempt failed, and waits for the next one.
func (b *backoff) after(ctx context.Context, c *cli.Context, failed error) error {
	wait := b.next()
	if !c.Bool("quiet") {
		fmt.Fprintf(os.Stderr, "loopmq %s: %v%s; next attempt in %v\n", c.Command.Name, failed, hint(failed), wait.Round(time.Millisecond))
	}
	return sleep(ctx, wait)
}

// dial connects, and with --retry tries until it works or the server says that
// it never will.
func (conn *connection) dial(ctx context.Context, c *cli.Context) (*client.Client, error) {
	for pause := newBackoff(reconnectFirst, reconnectLast); ; {
		cl, err := client.Dial(ctx, conn.Options)
		if err == nil || !c.Bool("retry") || ctx.Err() != nil || fatal(err) {
			return cl, err
		}
		if err := pause.after(ctx, c, err); err != nil {
			return nil, err
		}
	}
}
