//go:build linux || darwin || freebsd

package loop

import (
	"errors"
	"io"
	"net"
	"slices"
	"time"

	"github.com/tidwall/evio"
	"golang.org/x/sys/unix"
)

// controlEnd is the context of the control connection's end on the loop.
type controlEnd struct{}

// onOpened meets every new connection.
func (e *evioLoop) onOpened(ec evio.Conn) (out []byte, opts evio.Options, action evio.Action) {
	if ec.AddrIndex() == 0 {
		return nil, evio.Options{ReuseInputBuffer: true}, e.openControl(ec)
	}
	c, err := e.attach(ec)
	if err != nil {
		return nil, opts, evio.Close
	}
	opts = evio.Options{ReuseInputBuffer: true, TCPKeepAlive: keepAlive}
	if !e.serving {
		e.early = append(e.early, c)
		return nil, opts, evio.None
	}
	e.beginPass()
	e.admit(c)
	e.endPass(c)
	out, action = c.give()
	return out, opts, action
}

const keepAlive = 60 * time.Second // silence before the kernel asks whether the peer is there

// openControl takes our own connection, tells the owner that we serve, and admits those who were early. A stranger on
// the control listener is sent away.
func (e *evioLoop) openControl(ec evio.Conn) evio.Action {
	if ec.RemoteAddr().String() != e.control.LocalAddr().String() {
		return evio.Close
	}
	if _, _, err := outOf(ec); err != nil {
		e.failure = err
		return evio.Shutdown
	}
	ec.SetContext(controlEnd{})
	e.serving = true
	e.now = e.clock()
	e.hooks.Serving(slices.Clone(e.sockets))
	early := e.early
	e.early = nil
	e.beginPass()
	for _, c := range early {
		e.admit(c)
		if len(c.tail) > 0 {
			c.askAgain()
		}
	}
	e.endPass(nil)
	e.posts.sleeping.Store(true)
	e.posts.rouse() // what was posted before now
	return evio.None
}

// attach makes our end of a connection.
func (e *evioLoop) attach(ec evio.Conn) (*evConn, error) {
	socket := e.sockets[ec.AddrIndex()-1]
	if e.open >= e.connsMax || e.stopping || socket.withdrawn || !socket.admits() {
		e.stats.Refused++
		return nil, errors.New("connection limit reached")
	}
	out, fd, err := outOf(ec)
	if err != nil {
		socket.stats.Conns--
		return nil, err
	}
	unix.CloseOnExec(fd)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // a connection that is gone already tells soon
	c := &evConn{e: e, ec: ec, out: out, fd: fd, socket: socket}
	c.slot, c.gen = e.slots.take(c)
	e.open++
	e.stats.Conns++
	ec.SetContext(c)
	return c, nil
}

// admit asks the owner for a handler.
func (e *evioLoop) admit(c *evConn) {
	from := Peer{Listener: c.socket.spec.Name}
	if a, ok := c.ec.RemoteAddr().(*net.TCPAddr); ok {
		from.Remote = unmapped(a.AddrPort())
		from.Local = localAddr(c.fd)
	} else {
		from.Process = processOf(c.fd)
	}
	e.stats.Accepted++
	if c.h = c.socket.welcome(c, from, e.hooks.Accept); c.h == nil {
		e.stats.Refused++
		c.Close(nil)
	}
}

// onData is input of a connection, or a wake-up (in == nil) that comes for its output.
func (e *evioLoop) onData(ec evio.Conn, in []byte) (out []byte, action evio.Action) {
	c, ok := ec.Context().(*evConn)
	switch {
	case !ok:
		return nil, e.controlPass()
	case in == nil:
		return c.give()
	case !e.serving:
		c.keep(in)
		return nil, evio.None
	}
	e.stats.Reads++
	e.stats.BytesIn += uint64(len(in))
	e.beginPass()
	c.input(in)
	e.endPass(c)
	return c.give()
}

// controlPass runs what reached the loop through the control connection: posts, timers, stops, and the second half of
// what earlier passes had to put off.
func (e *evioLoop) controlPass() evio.Action {
	e.posts.sleeping.Store(true) // from here on a new post rings again
	e.stats.Wakeups++
	e.beginPass()
	e.visitWaiting()
	e.visitAgain()
	e.endLingering()
	e.runPosts()
	e.checkStop()
	e.endPass(nil)
	if e.done {
		return evio.Shutdown
	}
	if e.posts.waiting() {
		e.posts.rouse()
	}
	return evio.None
}

// onClosed is the last that evio tells of a connection.
func (e *evioLoop) onClosed(ec evio.Conn, err error) evio.Action {
	c, ok := ec.Context().(*evConn)
	if !ok {
		if _, control := ec.Context().(controlEnd); control && !e.done {
			e.failure = errors.New("evio engine: lost its control connection")
			return evio.Shutdown
		}
		return evio.None
	}
	if err == nil {
		err = io.EOF
	}
	c.gone = true
	e.open--
	c.socket.stats.Conns--
	e.beginPass()
	c.Close(err)
	e.endPass(nil)
	c.drop()
	e.slots.give(c.slot)
	if e.stopping {
		e.posts.rouse()
	}
	return evio.None
}

// onPreWrite comes before evio writes to somebody; afterwards it is worth looking at those who wait for that.
func (e *evioLoop) onPreWrite() {
	if len(e.waiting) > 0 || e.stopping {
		e.posts.rouse()
	}
}

func (e *evioLoop) clock() int64 { return int64(time.Since(e.start)) + 1 }

// beginPass opens a pass: every event of evio is one.
func (e *evioLoop) beginPass() {
	e.now = e.clock()
	e.stats.Passes++
	e.hooks.BeginPass(e.now)
}

// endPass closes a pass. The output of current leaves as the answer to its own event, that of others by waking them.
func (e *evioLoop) endPass(current *evConn) {
	wake := e.hooks.EndPass()
	e.hooks.ViewsAge() // views were copied at once
	e.hooks.ViewsAge()
	for len(e.closing) > 0 { // Closed may close others
		list := e.closing
		e.closing = nil
		wake = e.now // and may set a deadline that EndPass did not know of
		for _, c := range list {
			c.tellClosed()
		}
	}
	if e.wakeDirty(current) || len(e.again) > 0 {
		e.posts.rouse()
	}
	e.setTimer(wake)
}

// wakeDirty has output given to evio: of those with new output and of those that earlier passes left over, half of the
// budget each, and what one of them does not need is for the other. It reports whether somebody was woken or is left.
func (e *evioLoop) wakeDirty(current *evConn) bool {
	half := (e.lim.FlushConns + 1) / 2
	left := e.wakeSome(&e.late, half, current)
	left = e.wakeSome(&e.dirty, e.lim.FlushConns-half+left, current)
	left = e.wakeSome(&e.late, left, current)
	if len(e.dirty) > 0 {
		e.stats.PartFlushes++
		e.late = append(e.late, e.dirty...)
		clear(e.dirty)
		e.dirty = e.dirty[:0]
	}
	return left < e.lim.FlushConns || len(e.late) > 0
}

// wakeSome takes up to n connections that must be woken off the list, and returns how many of n are left.
func (e *evioLoop) wakeSome(list *[]*evConn, n int, current *evConn) int {
	done := 0
	for ; n > 0 && done < len(*list); done++ {
		c := (*list)[done]
		c.dirty = false
		switch {
		case c == current || c.gone:
		case c.out.Len() == 0:
			c.ec.Wake()
			n--
		default:
			c.wait()
		}
	}
	rest := copy(*list, (*list)[done:])
	clear((*list)[rest:])
	*list = (*list)[:rest]
	return n
}

// setTimer rings at the owner's deadline or our own, whichever is first.
func (e *evioLoop) setTimer(wake int64) {
	for _, c := range e.lingering {
		wake = earlier(wake, c.lingerUntil)
	}
	if e.stopping && !e.done {
		wake = earlier(wake, e.stopBefore)
		if e.now < settleNanos {
			wake = settleNanos
		}
	}
	if wake == e.timerAt && wake > e.now {
		return
	}
	e.timerAt = wake
	if wake == 0 {
		e.timer.Stop()
		return
	}
	e.timer.Reset(max(time.Duration(wake-e.clock()), 0))
}

// earlier returns the smaller of two instants, of which 0 means never.
func earlier(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// visitWaiting looks whether evio has sent what it had.
func (e *evioLoop) visitWaiting() {
	list := e.waiting
	e.waiting = nil
	for _, c := range list {
		c.waits = false
		c.sent()
	}
}

// visitAgain hands over the tails of resumed connections, of so many as have room in the share of a pass. The others are
// the first of the next one.
func (e *evioLoop) visitAgain() {
	done, due := 0, len(e.again) // who asks meanwhile is not among them
	for from := e.clock(); done < due && (done == 0 || e.clock()-from < e.share); done++ {
		c := e.again[done]
		c.listed = false
		if len(c.tail) > 0 {
			c.input(nil)
		}
	}
	e.again = slices.Delete(e.again, 0, done)
}

// runPosts runs what was posted, within the share of a pass.
func (e *evioLoop) runPosts() {
	from := e.clock()
	for n := 0; n < e.lim.PassPosts && e.posts.run(1) > 0; n++ {
		if e.stats.Posted++; e.clock()-from >= e.share {
			return
		}
	}
}

// endLingering cuts connections off that did not take their last words in time.
func (e *evioLoop) endLingering() {
	kept := e.lingering[:0]
	for _, c := range e.lingering {
		switch {
		case c.gone:
		case e.now >= c.lingerUntil:
			_ = unix.Shutdown(c.fd, unix.SHUT_RDWR) // evio's next write fails, and it closes
		default:
			kept = append(kept, c)
		}
	}
	clear(e.lingering[len(kept):])
	e.lingering = kept
}

// checkStop begins and ends stopping.
func (e *evioLoop) checkStop() {
	calls := e.stopCalls.Load()
	if calls == 0 {
		return
	}
	if !e.stopping {
		e.stopping = true
		e.stopBefore = e.now + e.stopFlush.Load()
		e.hooks.Stopping()
	}
	if calls > 1 {
		e.stopBefore = min(e.stopBefore, e.now)
	}
	if e.now >= settleNanos && (e.now >= e.stopBefore || e.flushed()) {
		e.closeAll(ErrStopped)
		e.done = true
	}
}

// flushed tells whether no output is left anywhere.
func (e *evioLoop) flushed() bool {
	for _, c := range e.slots.conns {
		if c != nil && !c.gone && (len(c.pend) > 0 || c.out.Len() > 0) {
			return false
		}
	}
	return !e.posts.waiting()
}

// closeAll closes every connection.
func (e *evioLoop) closeAll(why error) {
	for _, c := range e.slots.conns {
		if c != nil {
			c.Close(why)
		}
	}
}
