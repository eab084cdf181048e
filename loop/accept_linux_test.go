package loop

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// Connections for which there is no descriptor are shed as long as the share of a pass lasts, as others are accepted.
func TestSheddingHasAShare(t *testing.T) {
	l := hurried(t)
	ln := served(t, l)
	for range 3 {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	few := limit
	for few.Cur = 0; int(few.Cur) <= l.reserve; { // so that no number below is free
		fd, err := unix.Open("/dev/null", unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		few.Cur = uint64(fd) + 1
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	l.accept(ln)
	shed := l.stats.AcceptShed
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if shed != 1 {
		t.Errorf("%d connections shed in a share that is over at once, want 1", shed)
	}
}

// As many connections are let in as AcceptRate says, also where the pauses between them are no whole numbers of them.
func TestAcceptRateOverAWhile(t *testing.T) {
	l := &epoll{now: 1e9}
	for _, rate := range []int{1, 30, 300, 390, 7000} {
		s := &Socket{spec: Listener{AcceptRate: rate}}
		let, passes := 0, 0
		for from := l.now; l.now-from < 10e9; passes++ {
			for l.tokens(s) {
				s.sys.tokens--
				let++
			}
			l.now += paceNanosMin + int64(passes%7)*1e5
		}
		if most := 11 * rate; let > most || let < most-1-rate/100 {
			t.Errorf("%d connections in 10 s, want a second's at once and %d a second", let, rate)
		}
	}
}
