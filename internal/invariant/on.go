//go:build invariant || race

package invariant

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// On tells whether the checks are compiled in.
const On = true

// Check panics with the formatted message if cond is false: a broken invariant is a bug of ours, never a peer's.
func Check(cond bool, format string, args ...any) {
	if !cond {
		panic("invariant broken: " + fmt.Sprintf(format, args...))
	}
}

// Mangle fills b with 0xCC, so that whoever still reads memory that was given back reads rubbish at once.
func Mangle(b []byte) {
	for i := range b {
		b[i] = 0xCC
	}
}

// Timer is a time.Timer that counts while it is set.
type Timer struct {
	timer *time.Timer
	mu    sync.Mutex
	set   bool
}

// table: of the process, as what the runtime itself counts is.
var timers atomic.Int64

// Timers returns how many timers of AfterFunc are set.
func Timers() int { return int(timers.Load()) }

// AfterFunc is time.AfterFunc; Timers counts what it returns.
func AfterFunc(d time.Duration, f func()) *Timer {
	t := &Timer{}
	t.count(true)
	t.timer = time.AfterFunc(d, func() { t.count(false); f() })
	return t
}

// Stop is that of time.Timer.
func (t *Timer) Stop() bool {
	stopped := t.timer.Stop()
	if stopped {
		t.count(false)
	}
	return stopped
}

// Reset is that of time.Timer.
func (t *Timer) Reset(d time.Duration) bool {
	t.count(true)
	return t.timer.Reset(d)
}

func (t *Timer) count(set bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case set && !t.set:
		timers.Add(1)
	case !set && t.set:
		timers.Add(-1)
	}
	t.set = set
}
