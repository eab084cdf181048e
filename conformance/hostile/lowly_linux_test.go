package hostile

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// lowly has all threads of this process run only when nobody else wants a processor: attackers are other machines in
// real life, which take none from the broker and the witness. Threads that come later inherit it, and so would
// processes. It says what became of it.
func lowly() string {
	idle := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}
	how := "SCHED_IDLE"
	for before := -1; ; { // until no thread has come meanwhile
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return "that of the broker: " + err.Error()
		}
		for _, task := range tasks {
			tid, err := strconv.Atoi(task.Name())
			if err != nil || unix.SchedSetAttr(tid, idle, 0) == nil {
				continue
			}
			how = "nice 19"
			if err := unix.Setpriority(unix.PRIO_PROCESS, tid, 19); err != nil && err != unix.ESRCH {
				return fmt.Sprint("that of the broker: ", err)
			}
		}
		if len(tasks) == before {
			return how
		}
		before = len(tasks)
	}
}

// descriptors is how many files this process may have open; package os has raised it to what is allowed.
func descriptors() int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 1024
	}
	return int(min(l.Cur, 1<<30))
}
