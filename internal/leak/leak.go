package leak

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/loopmq/loopmq/internal/invariant"
)

// patience is how long what is ending gets to end.
const patience = 10 * time.Second

// Main runs tests and returns the status to exit with. When they pass and leave something behind, it says what, and
// that they failed.
func Main(tests interface{ Run() int }) int {
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		l.Close() // the runtime's own descriptors for the network are open from now on
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt) // nor does its goroutine for signals ever end, and fuzzing starts it
	signal.Stop(c)
	before := Now()
	code := tests.Run()
	if code != 0 {
		return code
	}
	if err := before.Wait(patience); err != nil {
		fmt.Fprintln(os.Stderr, "FAIL: tests left something behind:", err)
		return 1
	}
	return 0
}

// Held is what a process holds.
type Held struct {
	Goroutines int
	Timers     int      // of invariant.AfterFunc
	Files      []string // what the open descriptors stand for
}

// Now looks.
func Now() Held {
	h := Held{Goroutines: runtime.NumGoroutine(), Timers: invariant.Timers()}
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		if name, err := os.Readlink(link); err == nil { // the one of the directory itself is gone by now
			h.Files = append(h.Files, name)
		}
	}
	slices.Sort(h.Files)
	return h
}

// Wait waits until no more is held than h; the error tells what still is after so long.
func (h Held) Wait(patience time.Duration) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		runtime.GC() // what is closed by a finalizer is closed now
		now := Now()
		if now.Goroutines <= h.Goroutines && len(now.Files) <= len(h.Files) {
			if now.Timers > h.Timers { // nobody is left to stop them, and waiting would end them
				return fmt.Errorf("%d timers that are set, %d before", now.Timers, h.Timers)
			}
			return nil
		}
		if !time.Now().After(deadline) {
			continue
		}
		stacks := make([]byte, 1<<20)
		return fmt.Errorf("%d goroutines, %d before; %d descriptors, %d before, new ones: %s\n\n%s",
			now.Goroutines, h.Goroutines, len(now.Files), len(h.Files), strings.Join(added(h.Files, now.Files), ", "),
			stacks[:runtime.Stack(stacks, true)])
	}
}

// added returns what now has and before has not.
func added(before, now []string) (more []string) {
	left := slices.Clone(before)
	for _, name := range now {
		if i := slices.Index(left, name); i >= 0 {
			left = slices.Delete(left, i, i+1)
		} else {
			more = append(more, name)
		}
	}
	return more
}
