package main

import (
	"context"
	"math/rand/v2"
	"time"
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
