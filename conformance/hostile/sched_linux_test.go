package hostile

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lowly has all threads of this process run only when nobody else wants a processor: attackers are other machines in
// real life, which take none from the broker and the witness. It says what became of it.
func lowly() string {
	return scheduled("SCHED_IDLE", &unix.SchedAttr{Policy: unix.SCHED_IDLE}, 19)
}

// above has all threads of this process, the broker's, run before those of attackers. These are the least already, but
// the scheduler gives the least of tasks a tick now and then, four milliseconds perhaps.
func above() {
	scheduled("", &unix.SchedAttr{Policy: unix.SCHED_NORMAL, Nice: -20}, -20)
}

// prompt has this thread run as soon as it has something to do: the witness is another machine as well, and what it
// measures must not be how long it waits for a processor. It says what became of it.
func prompt() string {
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}
	if unix.SchedSetAttr(0, &attr, 0) == nil {
		return "SCHED_FIFO"
	}
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, -20); err != nil {
		return fmt.Sprint("that of the broker: ", err)
	}
	return "nice -20"
}

// waiting is a socket whose reads and writes wait in the kernel.
type waiting int

// dialWaiting connects a socket whose reads wait as long as everybody's.
func dialWaiting(addr string) (io.ReadWriter, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	limit := unix.NsecToTimeval(patience.Nanoseconds())
	return waiting(fd), errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit),
		unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}))
}

func (w waiting) Read(b []byte) (n int, err error) {
	for n, err = unix.Read(int(w), b); err == unix.EINTR; {
		n, err = unix.Read(int(w), b)
	}
	if n == 0 && err == nil {
		err = io.EOF
	}
	return max(n, 0), err
}

func (w waiting) Write(b []byte) (int, error) { return unix.Write(int(w), b) }

// doze is the pace of the witness, in the kernel; nobody is waited for.
func doze(d time.Duration) {
	ts := unix.NsecToTimespec(d.Nanoseconds())
	_ = unix.Nanosleep(&ts, nil) // a signal may cut it short
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

// lostPackets is how many packets the kernel has not taken since it started, of this machine's processes to each other as
// well: net.core.netdev_max_backlog were on their way on one processor. Whoever sent one sends it again 0.2 s later, which
// is the longest round trip then. See Documentation/admin-guide/sysctl/net.rst of Linux.
func lostPackets() (n uint64) {
	b, _ := os.ReadFile("/proc/net/softnet_stat")
	for line := range strings.Lines(string(b)) {
		if fields := strings.Fields(line); len(fields) > 1 {
			lost, _ := strconv.ParseUint(fields[1], 16, 64)
			n += lost
		}
	}
	return n
}

// descriptors is how many files this process may have open; package os has raised it to what is allowed.
func descriptors() int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 1024
	}
	return int(min(l.Cur, 1<<30))
}
