package mqttbench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// Process is what the kernel knows of a process of this machine.
type Process struct {
	CPU      time.Duration // user and system, in steps of 10 ms
	Resident int64         // bytes of memory
}

// clockTick is the unit of times in /proc; the kernel has answered 100 a second
// to every program for decades (USER_HZ).
const clockTick = 10 * time.Millisecond

// ReadProcess asks /proc, which only Linux has.
func ReadProcess(pid int) (p Process, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p, fmt.Errorf("process %d: %w", pid, err)
	}
	// Field 2, the command, may hold anything; it ends with the last
	// parenthesis. Fields 14 and 15 are the times, 24 the pages.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 22 {
		return p, fmt.Errorf("/proc/%d/stat has %d fields behind the command", pid, len(fields))
	}
	var ticks [3]int64
	for i, at := range []int{11, 12, 21} {
		if ticks[i], err = strconv.ParseInt(string(fields[at]), 10, 64); err != nil {
			return p, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
	}
	p.CPU = time.Duration(ticks[0]+ticks[1]) * clockTick
	p.Resident = ticks[2] * int64(os.Getpagesize())
	return p, nil
}
