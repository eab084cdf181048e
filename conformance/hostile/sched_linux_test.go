package hostile

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// lowly has all threads of this process run only when nobody else wants a processor: attackers are other machines in
// real life, which take none from the broker and the witness. It says what became of it.
func lowly() string {
	return scheduled("SCHED_IDLE", &unix.SchedAttr{Policy: unix.SCHED_IDLE}, 19)
}

// prompt has all threads of this process run as soon as they have something to do: the witness is another machine as
// well, and what it measures must not be how long it waits for a processor. It says what became of it.
func prompt() string {
	return scheduled("SCHED_FIFO", &unix.SchedAttr{Policy: unix.SCHED_FIFO, Priority: 1}, -20)
}

// scheduled gives all threads of this process a policy, or this niceness where that is not allowed. Threads that come
// later inherit it, and so would processes.
func scheduled(how string, attr *unix.SchedAttr, nice int) string {
	attr.Size = unix.SizeofSchedAttr
	for before := -1; ; { // until no thread has come meanwhile
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return "that of the broker: " + err.Error()
		}
		for _, task := range tasks {
			tid, err := strconv.Atoi(task.Name())
			if err != nil || unix.SchedSetAttr(tid, attr, 0) == nil {
				continue
			}
			how = fmt.Sprint("nice ", nice)
			if err := unix.Setpriority(unix.PRIO_PROCESS, tid, nice); err != nil && err != unix.ESRCH {
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
