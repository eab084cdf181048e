package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// gcPercent is how much garbage may gather before it is collected, in percent
// of what is in use. The hot path makes none, so collecting early costs little,
// and what a crowd of clients leaves behind does not stay. GOGC overrides it.
const gcPercent = 50

// tidyEvery is how often the daemon looks whether it has become quiet.
const tidyEvery = 5 * time.Second

// tidyGarbageMin is the least garbage that is worth a collection, in bytes.
const tidyGarbageMin = 512 << 10

// tidyMemory gives memory back to the system while there is little to do, until
// ctx is done: a broker that a thousand clients have joined once should not
// keep what their joining took.
func tidyMemory(ctx context.Context) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	tick := time.NewTicker(tidyEvery)
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
			tidied = now
		}
		last = now
	}
}

// allocated is what was ever taken from the heap, in bytes.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
