package main

import (
	"context"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// gcPercent is how much garbage may gather before it is collected, in percent
// of what is in use. The hot path makes none, so collecting early costs little,
// and what a crowd of clients leaves behind does not stay. GOGC overrides it.
const gcPercent = 50

// The daemon looks whether it has become quiet every tidyEvery; while nothing
// happens at all it looks less and less often, because each look wakes the
// processor up.
const (
	tidyEvery    = 5 * time.Second
	tidyEveryMax = 80 * time.Second
)

// tidyIdleMax is what a daemon that nobody uses may take from the heap from one
// look to the next, in bytes.
const tidyIdleMax = 64 << 10

// tidyGarbageMin is the least garbage that is worth a collection, in bytes.
const tidyGarbageMin = 512 << 10

// processorsMin is how many of Go's processors there are at least, even on one
// core: the loop keeps one while it waits for the next packet, and the others'
// work is to go on meanwhile. GOMAXPROCS overrides it.
const processorsMin = 2

// haveProcessors sees to it.
func haveProcessors() {
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < processorsMin {
		runtime.GOMAXPROCS(processorsMin)
	}
}

// tidyMemory gives memory back to the system while there is little to do, until
// ctx is done: a broker that a thousand clients have joined once should not
// keep what their joining took.
func tidyMemory(ctx context.Context) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	every := tidyEvery
	tick := time.NewTimer(every)
	defer tick.Stop()
	last, tidied := allocated(), uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := allocated()
		if now-last < tidyGarbageMin && now-tidied > tidyGarbageMin {
			debug.FreeOSMemory()
			forgetProgram()
			tidied = now
		}
		every = min(2*every, tidyEveryMax)
		if now-last > tidyIdleMax {
			every = tidyEvery
		}
		tick.Reset(every)
		last = now
	}
}

// allocated is what was ever taken from the heap, in bytes.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// memoryShare is which part of the memory there is the broker may fill by
// itself: others live on the machine, and Go's heap needs room to breathe.
const memoryShare = 2

// memoryLimit is half of what the cgroup or the machine has, in bytes; 0 where
// neither can be found out.
func memoryLimit() int {
	limit, err := memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)()
	if err != nil || limit == 0 {
		return 0
	}
	return int(min(limit/memoryShare, math.MaxInt))
}

// limitMemory has the collector work harder when the heap comes near the limit.
// GOMEMLIMIT overrides it.
func limitMemory(bytes int) {
	if bytes > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(bytes))
	}
}
