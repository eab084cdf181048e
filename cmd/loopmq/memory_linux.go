package main

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
)

// forgetProgram takes the program's own pages out of this process. The kernel
// maps sixteen for each that is needed, and most were needed only to start;
// those that are needed again come back from the page cache.
//
// A page that was written to would come back as it is in the file, so only
// parts are given back that have none.
func forgetProgram() {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	for _, m := range programParts(text, exe) {
		// A refusal leaves the pages where they are, which is no harm.
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, m[0], m[1]-m[0], syscall.MADV_DONTNEED)
	}
}

// programParts finds the parts of a program in the text of /proc/PID/smaps that
// cannot be written to and never were: from where to where.
func programParts(smaps []byte, exe string) (parts [][2]uintptr) {
	var part [2]uintptr
	ours := false
	for line := range bytes.Lines(smaps) {
		fields := bytes.Fields(line)
		if len(fields) < 2 {
			continue
		}
		if !bytes.HasSuffix(fields[0], []byte(":")) { // the head of a part
			_, err := fmt.Sscanf(string(fields[0]), "%x-%x", &part[0], &part[1])
			ours = err == nil && len(fields) == 6 && string(fields[5]) == exe && fields[1][1] == '-'
			continue
		}
		if ours && string(fields[0]) == "Anonymous:" && string(fields[1]) == "0" {
			parts = append(parts, part)
		}
	}
	return parts
}
