//go:build faults

package loop

import (
	"fmt"
	"math/rand/v2"
	"os"

	"golang.org/x/sys/unix"
)

// faultsOn tells whether system calls are made to fail now and then.
const faultsOn = true

// FaultsEnv is the environment variable that says how often system calls fail, for instance
//
//	LOOPMQ_FAULTS="seed=7 rate=0.1 fatal=0.001"
//
// rate is the part of calls that is cut short, interrupted or put off, which nobody may notice; fatal is the part
// that ends a connection, which nobody else may notice. Without the variable no call fails.
const FaultsEnv = "LOOPMQ_FAULTS"

// faultsMost is how many of all calls may fail: a wait that is always interrupted never ends.
const faultsMost = 0.9

// faults is the fault injector of an engine; nil in: none. Loop goroutine only.
type faults struct{ in *injector }

type injector struct {
	rng         *rand.Rand
	rate, fatal float64
	struck      [faultCalls]uint64 // calls that were made to fail
}

// mild are errors that the engine gets over, by call. They are what the kernel may answer at any time.
//
// table: never written.
var mild = [faultCalls][]unix.Errno{
	callRead:  {unix.EINTR, unix.EAGAIN},
	callWrite: {unix.EINTR, unix.EAGAIN},
	callAccept: { // the last two cost a tenth of a second each: not too often
		unix.EINTR, unix.EINTR, unix.EINTR, unix.EINTR, unix.EAGAIN, unix.EAGAIN, unix.EAGAIN, unix.EAGAIN,
		unix.ECONNABORTED, unix.ECONNABORTED, unix.ECONNABORTED, unix.ECONNABORTED, unix.EPROTO, unix.EPROTO,
		unix.ENOBUFS, unix.ENOMEM,
	},
	callPoll: {unix.EINTR},
	callWait: {unix.EINTR},
}

// deadly are errors that cost a connection. EMFILE is one of them: it has the engine shed whoever waits.
//
// table: never written.
var deadly = [faultCalls][]unix.Errno{
	callRead:    {unix.ECONNRESET, unix.ETIMEDOUT, unix.ENOBUFS, unix.ENOMEM, unix.EHOSTUNREACH},
	callWrite:   {unix.EPIPE, unix.ECONNRESET, unix.ETIMEDOUT, unix.ENOBUFS, unix.ENOMEM, unix.EHOSTUNREACH},
	callAccept:  {unix.EMFILE, unix.ENFILE},
	callControl: {unix.ENOMEM, unix.ENOSPC},
}

// newFaults reads the environment.
func newFaults() (faults, error) {
	text := os.Getenv(FaultsEnv)
	if text == "" {
		return faults{}, nil
	}
	in := &injector{}
	var seed uint64
	var rest string
	n, _ := fmt.Sscanf(text, "seed=%d rate=%g fatal=%g%s", &seed, &in.rate, &in.fatal, &rest)
	if sum := in.rate + in.fatal; n != 3 || in.rate < 0 || in.fatal < 0 || !(sum > 0 && sum <= faultsMost) {
		return faults{}, fmt.Errorf("%s=%q: write it like seed=1 rate=0.1 fatal=0, together above 0 and at most %g", FaultsEnv, text, faultsMost)
	}
	in.rng = rand.New(rand.NewPCG(seed, 0))
	return faults{in}, nil
}

func (l *epoll) calls() calls { return calls{l.faults} }

// calls of a connection that is about to be closed do not fail: what cannot be moved then is lost, as it is with a
// kernel that refuses, so nobody could tell a fault from a defect.
func (c *conn) calls() calls {
	if c.closed || c.failed {
		return calls{}
	}
	return c.l.calls()
}

// strike returns the error that a call is to end with; 0: it is made.
func (f faults) strike(call faultCall) unix.Errno {
	if f.in == nil {
		return 0
	}
	list, p := mild[call], f.in.rng.Float64()
	switch {
	case p < f.in.fatal:
		list = deadly[call]
	case p >= f.in.fatal+f.in.rate:
		return 0
	}
	if len(list) == 0 {
		return 0
	}
	f.in.struck[call]++
	return list[f.in.rng.IntN(len(list))]
}

// cut is strike for a call that moves bytes: it may also be given less of them, often a single one.
func (f faults) cut(call faultCall, b []byte) ([]byte, unix.Errno) {
	if errno := f.strike(call); errno != 0 || f.in == nil {
		return b, errno
	}
	return b[:f.less(len(b))], 0
}

// cutVector is cut for a vector: fewer of its parts are written, and of one perhaps a single byte.
func (f faults) cutVector(v []unix.Iovec) ([]unix.Iovec, unix.Errno) {
	if errno := f.strike(callWrite); errno != 0 || f.in == nil {
		return v, errno
	}
	v = v[:f.less(len(v))]
	if last := &v[len(v)-1]; last.Len > 1 {
		last.SetLen(f.less(int(last.Len)))
	}
	return v, 0
}

// fewer is cut for events. None at all would be a lie: the engine goes to sleep then.
func (f faults) fewer(events []unix.EpollEvent) ([]unix.EpollEvent, unix.Errno) {
	if errno := f.strike(callPoll); errno != 0 || f.in == nil {
		return events, errno
	}
	return events[:f.less(len(events))], 0
}

// less is mostly n; at the rate of mild faults it is 1, or anything up to n.
func (f faults) less(n int) int {
	switch p := f.in.rng.Float64(); {
	case p < f.in.rate/2:
		return 1
	case p < f.in.rate:
		return 1 + f.in.rng.IntN(n)
	}
	return n
}
