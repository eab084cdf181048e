//go:build linux

package loop

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/internal/invariant"
)

const (
	eventBatch = 512 // events taken per wait; the kernel hands out the others first next time

	wakerSlot    = math.MinInt32 // EpollEvent.Fd of the waker; listeners use -1, -2, …; connections their slot
	nanosPerMsec = int64(time.Millisecond)
)

// epoll is the engine for Linux: one goroutine.
type epoll struct {
	hooks Hooks
	lim   Limits
	log   *slog.Logger
	pool  *buf.Pool
	crowd crowd
	stats Stats
	opts  Options

	now, wake int64 // this pass's clock; the owner's next deadline, 0 = none
	at        int64 // when the clock was last looked at
	lightAt   int64 // when somebody light was last read from
	share     int64 // ns of a pass for each kind of work
	long      int64 // ns of a turn that is long
	rested    bool  // the last pass was long ago
	start     time.Time
	thread    int // Linux thread id of the loop, for assertOwner

	epfd    int
	waker   *waker
	posts   posts
	ready   int  // events of the last wait
	next    int  // the first of them that was not acted on
	lively  bool // the last sleep was short
	lingers bool // may sleep as lingerRaw does
	events  []unix.EpollEvent

	slots slotTable[conn]

	arena   []byte // reads of a pass land here, see input.go
	pos     int    // first byte not named by a view
	reading bool   // Data is being called: SendView may keep views
	viewed  bool   // SendView kept a view since reading was set
	sent    uint64 // bytes queued on all connections, ever
	sends   uint64 // and in how many sends

	age         uint8 // of views, see views.go
	swollen     bool  // a connection has gathered much output since the age began
	holding     bool  // who multiplies what it sends is not read from in this pass
	gathering   bool  // one of them has more to say, of what it was read
	gathered    int   // passes of the age in which that was so
	views       held  // what views of this age point into
	olderViews  held  // and of the one before
	heldBytes   int   // in both
	spareArenas [][]byte

	dirty     connList // connections that have output to flush or interest to change since this pass
	late      connList // and since earlier ones
	readsThen uint64   // Stats.Reads at the last flush
	bytesThen uint64   // and Stats.BytesIn
	sendsThen uint64   // sends at the beginning of the pass
	closing   []*conn  // to reap at the end of the pass
	again     []*conn  // to visit in the next pass without an event
	heavies   []*conn  // to visit before the kernel is asked who else is there
	drained   []*conn  // Drained is due
	spareSegs [][]segment
	iov       [iovMax]unix.Iovec
	blocked   int // connections that wait for EPOLLOUT

	sockets   []*Socket // by index; nil = free
	reserve   int       // descriptor kept for shedding, -1 = none
	connsMax  int
	files     files
	grumbleAt int64 // when accept trouble may be logged again
	grumbles  uint64

	faults faults // without size in a build without the tag faults

	stopCalls  atomic.Int32 // calls of Stop
	stopFlush  atomic.Int64 // ns
	stopping   bool
	stopBefore int64
	ran        atomic.Bool
	done       bool
}

func openEpoll(o Options) (Engine, error) {
	l := &epoll{lim: o.Limits, log: o.Log, pool: o.Pool, opts: o, epfd: -1, reserve: -1, share: shareNanos, long: longNanos}
	l.posts.max = o.Limits.PostsMax
	l.Bound(0)
	var err error
	l.faults, err = newFaults()
	return l, err
}

// Run implements Engine.
func (l *epoll) Run(h Hooks) error {
	if l.ran.Swap(true) {
		return errors.New("engine was run before; make a new one")
	}
	if invariant.On { // otherwise a thread of its own only makes the scheduler's work dearer
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	l.lingers = runtime.GOMAXPROCS(0) > 1
	l.hooks = h.withDefaults()
	l.thread = unix.Gettid()
	l.start = time.Now()
	if err := l.open(); err != nil {
		l.release()
		for !l.posts.end() {
			l.posts.run(l.lim.PassPosts) // completions never get lost
		}
		return err
	}
	for !l.done {
		l.pass()
	}
	l.shutdown()
	l.release()
	return nil
}

// open makes the descriptors, binds the listeners and tells the owner.
func (l *epoll) open() error {
	files := raiseDescriptorLimit(l.log)
	l.files.open(files)
	if l.connsMax = l.lim.ConnsMax; l.connsMax == 0 {
		l.connsMax = connsMaxFor(files)
	}
	var err error
	if l.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll_create: %w", err)
	}
	if l.waker, err = openWaker(); err != nil {
		l.waker = nil
		return fmt.Errorf("eventfd: %w", err)
	}
	l.posts.wake = l.waker.ring
	l.events = make([]unix.EpollEvent, eventBatch)
	l.arena = make([]byte, l.lim.ArenaBytes)
	l.openReserve()
	for _, spec := range l.opts.Listeners {
		s, err := listen(spec)
		if err != nil {
			return err
		}
		l.socketIndex(s)
	}
	l.now = l.clock()
	l.hooks.Serving(slices.Clone(l.sockets))
	if err := l.control(unix.EPOLL_CTL_ADD, l.waker.fd, unix.EPOLLIN, wakerSlot, 0); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	for i, s := range l.sockets {
		if err := l.control(unix.EPOLL_CTL_ADD, s.sys.fd, unix.EPOLLIN, socketSlot(int32(i)), 0); err != nil {
			return fmt.Errorf("epoll_ctl: %w", err)
		}
	}
	return nil
}

// pass is one turn of the loop. The order is the design:
//
//	heavies those whose turns are long, who then wait until all others were asked
//	wait    until a socket, a post or the owner's deadline; no sleep while something capped or put off is left over
//	read    what asked to be visited again, then the ready sockets: each once, at most ReadBytes
//	posts   results of off-loop work, at most PassPosts
//	EndPass the owner's timers: after reads, so that they see all that was caused
//	flush   after EndPass, so that the output of timers leaves in the same system call; what is over the budget waits
//	reap    last: until here a closed slot may still be named by a post of this pass
//
// Each kind of work lasts as long as its share, see share_linux.go, and flush as its budget, see flush.go.
func (l *epoll) pass() {
	l.stats.Passes++
	if l.queueHeavies(); len(l.heavies) > 0 {
		l.begin()
		l.visitHeavies()
		l.poll()
	} else {
		l.wait()
		l.begin()
	}
	l.readReady()
	l.runPosts()
	l.checkStop()
	l.wake = l.hooks.EndPass()
	l.flush()
	if l.reap() {
		l.wake = l.now // Closed may have set a deadline that EndPass did not know of
	}
	l.resumeListeners()
	l.finishStop()
}

// begin sets the clock of a pass, and what holds for all who are read from in it.
func (l *epoll) begin() {
	l.holding = l.swollen && l.late.n > 0
	l.sendsThen, l.gathering = l.sends, false
	last := l.now
	if l.rested {
		last = l.at // its end: to read and write everything may have taken as long as a rest
	}
	l.now = l.clock()
	l.at = l.now
	l.rested = l.now-last > restNanos
	l.hooks.BeginPass(l.now)
}

// clock returns monotonic nanoseconds, never 0.
func (l *epoll) clock() int64 { return int64(time.Since(l.start)) + 1 }

// poll fills events, if the last ones were acted on, and reports whether there are any.
func (l *epoll) poll() bool {
	if l.next < l.ready {
		return true
	}
	n, errno := l.calls().poll(l.epfd, l.events)
	if errno != 0 {
		panic("epoll_wait: " + errno.Error()) // a bug of ours: bad descriptor or address
	}
	l.next, l.ready = 0, n
	return n > 0
}

// wait fills events. It asks without sleeping first: under load there is always something, and the raw call is cheap.
func (l *epoll) wait() {
	if l.poll() || l.busy() {
		return
	}
	if l.timeout() == 0 {
		return
	}
	l.posts.sleeping.Store(true)
	if !l.posts.waiting() && !l.stopAsked() {
		l.sleep()
		l.stats.Wakeups++
	}
	l.posts.sleeping.Store(false)
}

// sleep waits for events. While one follows the other within a millisecond it lingers first: a wait that the scheduler
// knows of has it take the processor away and give it back for each of them.
func (l *epoll) sleep() {
	if l.lively {
		n, errno := l.calls().linger(l.epfd, l.events)
		if n > 0 || errno != 0 { // EINTR: the scheduler wants something
			l.ready = max(n, 0)
			return
		}
	}
	l.dropSpares()
	from := l.clock()
	l.ready = l.calls().sleep(l.epfd, l.events, l.timeout())
	l.lively = l.lingers && l.clock()-from < lingerMsec*nanosPerMsec
}

// busy tells whether work is left over that no event will announce.
func (l *epoll) busy() bool {
	return l.dirty.n > 0 || l.late.n > 0 || len(l.again) > 0 || len(l.heavies) > 0 || l.next < l.ready || len(l.drained) > 0 || len(l.closing) > 0 || l.posts.waiting()
}

// stopAsked tells whether Stop was called and the loop has not acted on it.
func (l *epoll) stopAsked() bool {
	calls := l.stopCalls.Load()
	return calls > 0 && (!l.stopping || calls > 1)
}

// timeout returns the milliseconds until the next deadline, rounded up; -1 means for ever.
func (l *epoll) timeout() int {
	at := l.wake
	for _, s := range l.sockets {
		if s != nil && s.sys.resumeAt != 0 && (at == 0 || s.sys.resumeAt < at) {
			at = s.sys.resumeAt
		}
	}
	if l.stopping && (at == 0 || l.stopBefore < at) {
		at = l.stopBefore
	}
	if at == 0 {
		return -1
	}
	left := at - l.clock()
	if left <= 0 {
		return 0
	}
	return int(min((left+nanosPerMsec-1)/nanosPerMsec, math.MaxInt32))
}

// readReady visits what asked for it, then the sockets of the last wait's events, and after a rest those of all others:
// these events may be older than the rest, or as many as a wait takes.
func (l *epoll) readReady() {
	l.callDrained()
	l.visitAgain()
	l.dispatchAll()
	for left := l.stats.Conns/eventBatch + 1; l.rested && left > 0 && l.poll(); left-- { // see share_linux.go
		l.dispatchAll()
	}
}

// dispatch acts on one event, and reports whether a connection was read that has output now. An event of a connection that
// is gone is told by its generation.
//
// hot: no allocation, no map.
func (l *epoll) dispatch(ev *unix.EpollEvent) (answers bool) {
	if ev.Fd < 0 {
		if ev.Fd == wakerSlot {
			l.waker.clear()
		} else {
			l.accept(l.sockets[socketSlot(ev.Fd)])
		}
		return false
	}
	c := l.slots.get(ev.Fd, uint32(ev.Pad))
	if c == nil {
		l.stats.StaleEvents++
		return false
	}
	if ev.Events&unix.EPOLLOUT != 0 {
		c.unblock()
	}
	if ev.Events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		if c.paused && !c.closed {
			if ev.Events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 { // otherwise it was paused after the kernel was asked
				c.hungUp()
			}
			return false
		}
		l.visit(c)
	}
	return c.dirty
}

// control calls epoll_ctl.
func (l *epoll) control(op, fd int, events uint32, slot int32, gen uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: slot, Pad: int32(gen)}
	return l.calls().control(l.epfd, op, fd, &ev)
}

// socketSlot maps a listening socket's index to EpollEvent.Fd and back.
func socketSlot(i int32) int32 { return -1 - i }

// Post implements Engine.
func (l *epoll) Post(f func()) bool { return l.posts.add(f, true) }

// Complete implements Engine.
func (l *epoll) Complete(f func()) { l.posts.add(f, false) }

// Take implements Engine.
func (l *epoll) Take(n int) { l.lim.InputBytesMax = max(l.lim.InputBytesMax, n) }

// Bound implements Engine.
func (l *epoll) Bound(n int64) { l.crowd = l.lim.crowd(l.pool, n, l.stats.Conns) }

// Stats implements Engine.
func (l *epoll) Stats() *Stats {
	l.stats.PostsRefused = l.posts.refused.Load()
	return &l.stats
}

// assertOwner panics under the invariant tag if the caller is not the loop.
func (l *epoll) assertOwner() {
	if invariant.On {
		invariant.Check(unix.Gettid() == l.thread, "a Conn was used off the loop goroutine")
	}
}
