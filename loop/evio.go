//go:build linux || darwin || freebsd

package loop

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/tidwall/evio"
	"golang.org/x/sys/unix"

	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/internal/invariant"
)

// evioLoop is the portable engine: an adapter on evio, which knows kqueue and epoll. It keeps the promises of Conn in
// spite of what evio v1.0.8 does:
//
//   - output returned while earlier output is unsent replaces it: we look at the length of its buffer and wait;
//   - it does not tell when output has drained: we look after it was about to write (PreWrite) at those who wait;
//   - a wake-up may be cleared unseen, and is then up to 100 ms late: a byte on a connection to ourselves, the control
//     connection, cannot be lost, so it accompanies every wake-up and is how Post and timers reach the loop;
//   - any error of accept ends its loop: we refuse connections well before descriptors run out;
//   - it cannot pause reading: paused input is kept, up to Limits.InputBytesMax;
//   - it cannot close a connection whose peer does not read: after lingerTime we shut the socket down;
//   - it takes descriptor 0 for its own signal: we make sure that no connection gets it;
//   - its shutdown may be missed right after the start: we never stop in the first settleNanos.
//
// What we cannot help: who sends as much as it can is read as often as everybody else, 64 KiB at a time, since we cannot
// choose whose event comes first (what is left of a read takes turns, and posts do); on Linux it wakes ten times a second
// when idle; a peer that sends and does not read makes it spin until its output drains; a failed write loses input that
// had arrived; and on Stop it closes its listeners' descriptors twice, so do not stop one such engine while the rest of
// the process opens files.
type evioLoop struct {
	hooks Hooks
	lim   Limits
	log   *slog.Logger
	pool  *buf.Pool
	crowd crowd
	stats Stats
	opts  Options
	posts posts

	start     time.Time
	now       int64
	timer     *invariant.Timer // rings the control connection at timerAt
	timerAt   int64
	connsMax  int
	control   net.Conn // our end; its other end is a connection of the loop
	sockets   []*Socket
	serving   bool // the control connection is open
	slots     slotTable[evConn]
	open      int       // connections between evio's Opened and Closed
	early     []*evConn // opened before the control connection
	closing   []*evConn // Closed is due at the end of the pass
	dirty     []*evConn // output to hand to evio from the end of the pass on
	late      []*evConn // left over by earlier passes
	waiting   []*evConn // more output, or Drained, when evio has sent what it has
	again     []*evConn // resumed: the tail is due
	lingering []*evConn // closed by us, not yet by evio
	linger    int64     // lingerTime
	share     int64     // shareNanos
	lent      []byte    // given to evio, which copies it after our return

	stopCalls  atomic.Int32
	stopFlush  atomic.Int64 // ns
	stopping   bool
	stopBefore int64
	done       bool
	failure    error // why Run ends before Stop
	ran        atomic.Bool
}

const (
	lingerTime  = 2 * time.Second              // how long a closed connection may take its last words
	settleNanos = int64(20 * time.Millisecond) // evio cannot be stopped before it waits for being stopped
)

func openEvio(o Options) (Engine, error) {
	e := &evioLoop{lim: o.Limits, log: o.Log, pool: o.Pool, opts: o, linger: int64(lingerTime), share: shareNanos}
	e.posts.max = o.Limits.PostsMax
	return e, nil
}

// Run implements Engine.
func (e *evioLoop) Run(h Hooks) error {
	if e.ran.Swap(true) {
		return errors.New("engine was run before; make a new one")
	}
	e.hooks = h.withDefaults()
	e.start = time.Now()
	err := e.serve()
	e.endPosts()
	e.pool.Put(e.lent)
	e.lent = nil
	return err
}

func (e *evioLoop) serve() error {
	files := raiseDescriptorLimit(e.log)
	if e.connsMax = e.lim.ConnsMax; e.connsMax == 0 {
		e.connsMax = connsMaxFor(files) * 3 / 4
	}
	takeDescriptorZero()
	addrs := []string{"tcp4://127.0.0.1:0"} // the control listener first
	for _, spec := range e.opts.Listeners {
		if err := checkForEvio(spec); err != nil {
			return fmt.Errorf("listen %s: %w", spec, err)
		}
		addrs = append(addrs, spec.network()+"://"+spec.Address)
	}
	e.timer = invariant.AfterFunc(time.Hour, e.posts.rouse)
	e.timer.Stop()
	defer e.timer.Stop()
	err := evio.Serve(evio.Events{
		NumLoops: 1,
		Serving:  e.onServing,
		Opened:   e.onOpened,
		Data:     e.onData,
		Closed:   e.onClosed,
		PreWrite: e.onPreWrite,
	}, addrs...)
	if e.control != nil {
		e.control.Close()
	}
	switch {
	case e.failure != nil:
		return e.failure
	case err != nil:
		return e.bindFailure(err)
	case !e.done:
		return errEvioEnded
	}
	return nil
}

var errEvioEnded = errors.New("evio engine ended by itself, after an error of accept; raise the descriptor limit or lower the connection limit")

// checkForEvio refuses what this engine cannot do, and makes sure that evio, which removes any file in the way of a
// unix socket, removes nothing but a stale one.
func checkForEvio(spec Listener) error {
	if spec.File != nil {
		return errors.New("the engine evio cannot take sockets over; use the engine epoll")
	}
	if err := spec.check(); err != nil {
		return err
	}
	if spec.Network == "unix" {
		return removeStale(spec.Address)
	}
	return nil
}

// openUnix gives the socket that evio has made to whom it is for. For a moment it was as the umask wanted.
func openUnix(spec Listener) error {
	uid, gid, err := spec.owner()
	if err == nil {
		err = spec.openTo(uid, gid)
	}
	if err != nil {
		return fmt.Errorf("listen %s: %w", spec, err)
	}
	return nil
}

// Bind implements Engine.
func (e *evioLoop) Bind(Listener) (*Socket, error) { return nil, ErrBindLate }

// Serve implements Engine.
func (e *evioLoop) Serve(*Socket) error { return ErrBindLate }

// Withdraw implements Engine. evio goes on accepting; who comes is sent away.
func (e *evioLoop) Withdraw(s *Socket) { s.withdrawn = true }

// endPosts runs what was posted until now and refuses the rest.
func (e *evioLoop) endPosts() {
	for !e.posts.end() {
		e.posts.run(e.lim.PassPosts)
	}
}

// network is the explicit family for an address that names one: Go would listen on both for 0.0.0.0.
func (s Listener) network() string {
	host, _, _ := net.SplitHostPort(s.Address)
	ip := net.ParseIP(host)
	switch {
	case s.Network != "tcp" || ip == nil:
		return s.Network
	case ip.To4() != nil:
		return "tcp4"
	}
	return "tcp6"
}

// bindFailure finds the listener that an error of evio.Serve is about.
func (e *evioLoop) bindFailure(err error) error {
	var op *net.OpError
	if !errors.As(err, &op) {
		return fmt.Errorf("evio engine: %w", err)
	}
	var cause error = err
	if errno := unix.Errno(0); errors.As(err, &errno) {
		cause = errno
	}
	for _, spec := range e.opts.Listeners {
		a, errAddr := net.ResolveTCPAddr(spec.network(), spec.Address)
		if errAddr == nil && op.Addr != nil && a.String() == op.Addr.String() {
			return bindError(spec, cause)
		}
	}
	if len(e.opts.Listeners) > 0 {
		return bindError(e.opts.Listeners[0], cause)
	}
	return err
}

// takeDescriptorZero opens descriptor 0 if a parent left it closed.
func takeDescriptorZero() {
	if _, err := unix.FcntlInt(0, unix.F_GETFD, 0); err != unix.EBADF {
		return
	}
	if fd, err := unix.Open("/dev/null", unix.O_RDONLY, 0); err == nil && fd != 0 {
		unix.Close(fd)
	}
}

// onServing dials the control connection. evio accepts it when its loop starts.
func (e *evioLoop) onServing(s evio.Server) evio.Action {
	for i, addr := range s.Addrs[1:] {
		spec := e.opts.Listeners[i]
		e.sockets = append(e.sockets, &Socket{spec: spec, addr: addr})
		if spec.Network == "unix" {
			if e.failure = openUnix(spec); e.failure != nil {
				return evio.Shutdown
			}
		}
	}
	control, err := net.Dial("tcp4", s.Addrs[0].String())
	if err != nil {
		e.failure = fmt.Errorf("evio engine: control connection: %w", err)
		return evio.Shutdown
	}
	e.control = control
	e.posts.wake = e.ring
	return evio.None
}

// ring makes the loop run a pass soon. Any goroutine; posts.rouse sees to it that one byte is on its way at most.
func (e *evioLoop) ring() {
	if _, err := e.control.Write([]byte{1}); err != nil {
		e.log.Debug("evio engine: control connection", "error", err)
	}
}

// Post implements Engine.
func (e *evioLoop) Post(f func()) bool { return e.posts.add(f, true) }

// Complete implements Engine.
func (e *evioLoop) Complete(f func()) { e.posts.add(f, false) }

// Take implements Engine.
func (e *evioLoop) Take(n int) { e.lim.InputBytesMax = max(e.lim.InputBytesMax, n) }

// Bound implements Engine.
func (e *evioLoop) Bound(n int64) { e.crowd = e.lim.crowd(e.pool, n, e.stats.Conns) }

// Stats implements Engine.
func (e *evioLoop) Stats() *Stats {
	e.stats.PostsRefused = e.posts.refused.Load()
	return &e.stats
}

// Stop implements Engine.
func (e *evioLoop) Stop(flush time.Duration) {
	e.stopFlush.CompareAndSwap(0, int64(max(flush, 1)))
	e.stopCalls.Add(1)
	e.posts.rouse()
}

// outOf returns evio's unsent output and its descriptor of a connection, both of which it keeps to itself.
func outOf(ec evio.Conn) (out reflect.Value, fd int, err error) {
	v := reflect.ValueOf(ec)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return out, 0, errors.New("evio engine: unknown version of evio; use v1.0.8")
	}
	out = v.Elem().FieldByName("out")
	number := v.Elem().FieldByName("fd")
	if !out.IsValid() || out.Kind() != reflect.Slice || !number.IsValid() || number.Kind() != reflect.Int {
		return out, 0, errors.New("evio engine: evio's connection has no fields out and fd; use v1.0.8")
	}
	return out, int(number.Int()), nil
}
