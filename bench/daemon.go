//go:build linux

package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Footprint is what a broker costs that nobody uses.
type Footprint struct {
	Resident    int64   // bytes in memory, those of its program included
	WakeupsEach float64 // how often one of its threads woke up, each second
	BinaryBytes int64   // of the program's file
}

// wakeupsSpan is how long wake-ups are counted.
const wakeupsSpan = 10 * time.Second

// daemon waits as long as for idle clients, then looks at the process.
func (r *run) daemon() (Result, error) {
	res := Result{Deliveries: 1, Elapsed: wakeupsSpan, Published: 1, Received: 1, Wanted: 1}
	if r.PID == 0 {
		return res, nil
	}
	time.Sleep(idleWait)
	before, err := wakeups(r.PID)
	if err != nil {
		return res, err
	}
	from, err := r.mark()
	if err != nil {
		return res, err
	}
	time.Sleep(wakeupsSpan)
	after, err := wakeups(r.PID)
	if err != nil {
		return res, err
	}
	to, err := r.mark()
	if err != nil {
		return res, err
	}
	res.BrokerCPU = to.broker - from.broker
	res.Daemon.WakeupsEach = float64(after-before) / wakeupsSpan.Seconds()
	if res.Daemon.Resident, err = statusNumber(fmt.Sprintf("/proc/%d/status", r.PID), "VmRSS:"); err != nil {
		return res, err
	}
	res.Daemon.Resident <<= 10
	// The link's own size is 0; what it leads to counts.
	program, err := os.Stat(fmt.Sprintf("/proc/%d/exe", r.PID))
	if err != nil {
		return res, fmt.Errorf("program of the broker: %w", err)
	}
	res.Daemon.BinaryBytes = program.Size()
	return res, nil
}

// wakeups is how often the threads of a process have gone to sleep so far.
func wakeups(pid int) (n int64, err error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		return 0, err
	}
	for _, file := range threads {
		sleeps, err := statusNumber(file, "voluntary_ctxt_switches:")
		if err != nil {
			return 0, err
		}
		n += sleeps
	}
	return n, nil
}

// statusNumber finds a number in a file like /proc/PID/status.
func statusNumber(file, name string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		if f := bytes.Fields(line); len(f) >= 2 && string(f[0]) == name {
			return strconv.ParseInt(string(f[1]), 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no line %s", file, name)
}
