//go:build linux && faults

package loop

// Struck returns how many system calls of each kind were made to fail.
func Struck(e Engine) map[string]uint64 {
	in := e.(*epoll).faults.in
	return map[string]uint64{
		"read": in.struck[callRead], "write": in.struck[callWrite], "accept": in.struck[callAccept],
		"poll": in.struck[callPoll], "wait": in.struck[callWait], "control": in.struck[callControl],
	}
}
