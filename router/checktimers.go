package router

import "github.com/loopmq/loopmq/internal/timer"

// armedTimers counts the timers that somebody holds who is still there. One
// that is armed beside them belongs to something that is gone.
func (r *Router) armedTimers() (n int) {
	count := func(t *timer.Timer) {
		if t.Armed() {
			n++
		}
	}
	for c := r.clients.head; c != nil; c = c.next {
		count(&c.timer)
		if k := c.rare; k != nil {
			if k.held != nil {
				count(&k.held.timer)
			}
			if k.expires != nil {
				count(&k.expires.timer)
			}
			if k.pace != nil {
				count(&k.pace.timer)
			}
		}
	}
	for _, s := range r.sessions {
		count(&s.timer)
		if w := s.delayed(); w != nil {
			count(&w.timer)
		}
	}
	for _, all := range []string{"#", "$SYS/#"} {
		c := r.retained.Cursor(all)
		for !c.Next(1024, func(m *retainedMessage) bool {
			if k := m.msg.more; k != nil && k.end != nil {
				count(&k.end.timer)
			}
			return true
		}) {
		}
		c.Close()
	}
	count(&r.stuck.timer)
	count(&r.sys.timer)
	if k := r.keep; k != nil {
		count(&k.wake.timer)
		count(&k.beat.timer)
		count(&k.again.timer)
	}
	return n
}
