package loop

import (
	"time"

	"golang.org/x/sys/unix"
)

// Stop implements Engine.
func (l *epoll) Stop(flush time.Duration) {
	if l.stopCalls.Load() == 0 {
		l.stopFlush.CompareAndSwap(0, int64(max(flush, 1)))
	}
	l.stopCalls.Add(1)
	l.posts.rouse()
}

// checkStop begins the end once Stop was called, and hastens it when Stop was called again.
func (l *epoll) checkStop() {
	calls := l.stopCalls.Load()
	if calls == 0 {
		return
	}
	if !l.stopping {
		l.stopping = true
		l.stopBefore = l.now + l.stopFlush.Load()
		l.closeSockets()
		l.hooks.Stopping()
	}
	if calls > 1 {
		l.stopBefore = l.now
	}
}

// finishStop ends the loop when all is flushed or the time is over.
func (l *epoll) finishStop() {
	if l.stopping && (l.now >= l.stopBefore || l.blocked == 0 && !l.busy()) {
		l.done = true
	}
}

// shutdown closes every connection and runs what was posted until now, in passes that neither wait nor read.
func (l *epoll) shutdown() {
	for {
		l.now = l.clock()
		l.hooks.BeginPass(l.now)
		for _, c := range l.slots.conns {
			if c != nil {
				c.Close(ErrStopped)
			}
		}
		l.stats.Posted += uint64(l.posts.run(l.lim.PassPosts))
		l.hooks.EndPass()
		l.flushAll()
		l.reap()
		if l.stats.Conns == 0 && l.posts.end() {
			return
		}
	}
}

// release closes the engine's own descriptors.
func (l *epoll) release() {
	l.closeSockets()
	if l.waker != nil {
		l.waker.close()
	}
	for _, fd := range []int{l.epfd, l.reserve} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	l.epfd, l.reserve = -1, -1
	l.arena, l.spareArenas = nil, nil
}

func (l *epoll) closeSockets() {
	for _, s := range l.sockets {
		if s != nil {
			s.Close()
		}
	}
}
