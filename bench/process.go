//go:build linux

package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// clockTick is the unit of times in /proc; the kernel has answered 100 a second
// to every program for decades (USER_HZ).
const clockTick = 10 * time.Millisecond

// processCPU is the user and system time of a process.
func processCPU(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("processor time of the broker: %w", err)
	}
	return parseStat(stat)
}

// parseStat finds fields 14 and 15 of /proc/PID/stat. The command, field 2, may
// hold anything; it ends with the last parenthesis.
func parseStat(stat []byte) (time.Duration, error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/PID/stat has %d fields behind the command", len(fields))
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/PID/stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}

// processMemory is the memory that a process has for itself alone: its
// anonymous pages, without the program's text and what it shares.
func processMemory(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, fmt.Errorf("memory of the broker: %w", err)
	}
	return parseSmaps(text)
}

// parseSmaps finds the line Anonymous of /proc/PID/smaps_rollup.
func parseSmaps(text []byte) (int64, error) {
	for line := range bytes.Lines(text) {
		f := bytes.Fields(line)
		if len(f) != 3 || string(f[0]) != "Anonymous:" {
			continue
		}
		n, err := strconv.ParseInt(string(f[1]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/PID/smaps_rollup: %w", err)
		}
		return n << 10, nil
	}
	return 0, errors.New("/proc/PID/smaps_rollup has no line Anonymous")
}

// threadCPU is the user and system time of the calling thread.
func threadCPU() (time.Duration, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		return 0, fmt.Errorf("getrusage: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// pin locks the calling goroutine to its thread and the thread to a core, until
// unpin is called. A negative core leaves the choice to the kernel.
func pin(core int) (unpin func(), err error) {
	runtime.LockOSThread()
	if core < 0 {
		return runtime.UnlockOSThread, nil
	}
	var before, only unix.CPUSet
	only.Set(core)
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("sched_getaffinity: %w", err)
	}
	if err := unix.SchedSetaffinity(0, &only); err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("pin to core %d: %w", core, err)
	}
	return func() {
		// Only fails when the cores were taken away meanwhile; then where the
		// thread runs no longer matters.
		_ = unix.SchedSetaffinity(0, &before)
		runtime.UnlockOSThread()
	}, nil
}
