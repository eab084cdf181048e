package router

import (
	"time"

	"github.com/loopmq/loopmq/internal/timer"
)

// A client that reads slowly costs nobody else anything: what it does not take
// waits, within a bound, and the oldest goes first; one that takes nothing for
// a while is disconnected.

// lateEntryBytes is what an entry counts beside its topic and payload.
const lateEntryBytes = 64

// putLate keeps a QoS 0 message for a client whose output is full. At the limit
// the oldest go, for of a measured value the last one counts; or it goes itself, if
// that is the policy.
func (r *Router) putLate(s *Session, d delivery) {
	c := s.client
	size := d.msg.bytes() + lateEntryBytes
	if c == nil || c.closing || size > r.limits.LateBytesMax || r.memory.level >= memoryTrim {
		r.drop(s, DropOutputFull, d.msg.Topic())
		return
	}
	s.own()
	for s.late.bytes+s.late.n*lateEntryBytes > r.limits.LateBytesMax-size {
		r.hit(LimitLateBytes)
		if r.queueFull == QueueDropNewest {
			r.drop(s, DropOutputFull, d.msg.Topic())
			return
		}
		r.drop(s, DropOutputFull, s.late.front().msg.Topic())
		r.release(r.popLate(s).msg)
	}
	d.msg.hold()
	s.late.push(r, d)
	r.stats.Late++
	r.stats.LateBytes += int64(d.msg.bytes())
	c.behind = true
}

// popLate takes the oldest; the hold passes to the caller.
func (r *Router) popLate(s *Session) delivery {
	d := s.late.pop(r)
	r.isNotLate(&d)
	return d
}

// isNotLate counts d, which has left the queue.
func (r *Router) isNotLate(d *delivery) {
	r.stats.Late--
	r.stats.LateBytes -= int64(d.msg.bytes())
}

// pumpLate sends what is late.
func (r *Router) pumpLate(s *Session) {
	for s.late.n > 0 {
		if !r.sendUnacked(s, s.late.front()) {
			return // Drained comes
		}
		r.release(r.popLate(s).msg)
	}
	s.client.behind = false
}

// dropLate forgets what is late: QoS 0 does not outlive its connection.
func (r *Router) dropLate(s *Session) {
	for s.late.n > 0 {
		r.drop(s, DropOutputFull, s.late.front().msg.Topic())
		r.release(r.popLate(s).msg)
	}
}

// stuckList are the connections that do not take what they are owed.
type stuckList struct {
	clients []*Client // those that were looked at longest ago first
	due     int       // of them, in this round
	timer   timer.Timer
	r       *Router
}

// stuckLooks is how often the list is looked through in the time that a
// connection gets.
const stuckLooks = 4

// stuckPassMax is how many of them are looked at in a pass: for each the kernel
// is asked.
const stuckPassMax = 512

// noteRest notes when a pass comes long after its time, because the machine stood
// still: nobody could take or send anything, so whoever had to do so gets his time
// once more.
func (r *Router) noteRest() {
	if r.wake != 0 && r.now-r.wake > max(int64(time.Second), r.limits.SlowTimeout.Nanoseconds()/stuckLooks) {
		r.wokeAt = r.now
	}
}

// isOver tells whether limit has passed since an instant at which the machine ran.
func (r *Router) isOver(limit time.Duration, since int64) bool {
	return r.now-max(since, r.wokeAt) >= limit.Nanoseconds()
}

// stuck is what is known of one of them.
type stuck struct {
	outputAt int64  // since when nothing of its output was taken; 0 = it is not full
	taken    uint64 // Conn.Taken at the last look
	ackAt    int64  // since when nothing was acknowledged; 0 = its window is open
	oldest   uint64 // number of the message in flight that was the oldest then
	told     bool   // that it does not acknowledge
}

// blocked notes that the output of c is full.
func (r *Router) blocked(c *Client) {
	if c.rare != nil && c.rare.pace != nil && c.rare.pace.blocked {
		return // it is us who wait
	}
	if k := r.watch(c); k.outputAt == 0 {
		k.outputAt = r.now
		_, k.taken = r.output(c)
	}
}

// gotRoom notes that the output of c fell to where there is room again.
func (r *Router) gotRoom(c *Client) {
	if c.rare == nil || c.rare.stuck == nil {
		return
	}
	if k := c.rare.stuck; k.outputAt != 0 {
		k.outputAt = r.now
		_, k.taken = r.output(c)
	}
}

// windowShut notes that messages wait because c does not acknowledge, if it has been
// sent something: a flight may be open that waits for the disk, or for room.
func (r *Router) windowShut(c *Client) {
	if !c.session.out.at(0).sent {
		return
	}
	if k := r.watch(c); k.ackAt == 0 {
		k.ackAt, k.oldest = r.now, c.session.out.at(0).n
	}
}

// watch puts c on the list.
func (r *Router) watch(c *Client) *stuck {
	k := c.seldom()
	if k.stuck == nil {
		k.stuck = new(stuck)
		l := &r.stuck
		l.clients = append(l.clients, c)
		if len(l.clients) == 1 {
			l.r = r
			l.wait()
		}
	}
	return k.stuck
}

// wait has the list looked through in an interval.
func (l *stuckList) wait() {
	r := l.r
	every := min(r.limits.SlowTimeout, r.limits.AckTimeout).Nanoseconds() / stuckLooks
	r.timers.Set(&l.timer, l, r.after(max(int64(time.Millisecond), every)))
}

// Due looks who has moved, some of them in a pass.
func (l *stuckList) Due(now int64) {
	if l.due == 0 {
		l.due = len(l.clients)
	}
	n := min(l.due, stuckPassMax)
	l.due -= n
	for i, c := range l.clients[:n] {
		l.clients[i] = nil
		if c.closing || c.session == nil || !l.r.stillStuck(c) {
			c.rare.stuck = nil
			continue
		}
		l.clients = append(l.clients, c)
	}
	l.clients = l.clients[n:]
	switch {
	case l.due > 0:
		l.r.timers.Set(&l.timer, l, now) // in the next pass
	case len(l.clients) > 0:
		l.wait()
	}
}

// stillStuck judges one, and whether it is worth looking again.
func (r *Router) stillStuck(c *Client) bool {
	k, s := c.rare.stuck, c.session
	if k.outputAt != 0 {
		queued, taken := r.output(c)
		moved := taken != k.taken
		k.taken = taken
		switch {
		case queued == 0 && !c.behind:
			k.outputAt = 0
		case moved:
			k.outputAt = r.now
		case r.isOver(r.limits.SlowTimeout, k.outputAt):
			r.hit(LimitSlowTimeout)
			c.close(errTooSlow)
			return false
		}
	}
	if k.ackAt != 0 {
		switch {
		case s.out.open == 0 || s.windowOpen() || !s.out.at(0).sent:
			k.ackAt, k.told = 0, false
		case s.out.at(0).n != k.oldest:
			k.ackAt, k.oldest, k.told = r.now, s.out.at(0).n, false
		case !k.told && r.isOver(r.limits.AckTimeout, k.ackAt):
			k.told = true
			r.hit(LimitAckTimeout)
			r.event(&Event{Kind: EventUnacked, ClientID: c.id, Peer: c.peer, Count: uint64(s.out.open), Waiting: s.waiting()})
		}
	}
	return k.outputAt != 0 || k.ackAt != 0
}
