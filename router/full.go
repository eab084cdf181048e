package router

import "fmt"

// QueueFull says what is done when more waits for a session than may, or when its
// backlog is cut because of the memory limit.
type QueueFull byte

// The policies. An absent client can only lose the oldest, so that is what
// QueueDisconnect comes to for it, and for one whose CONNACK waits for the disk:
// what waited while it was away must not keep it away.
const (
	QueueDropOldest QueueFull = iota // what has waited longest is dropped
	QueueDropNewest                  // what comes is dropped, with QoS 0 and a client that reads slowly, too
	QueueDisconnect                  // its client is disconnected with 0x97
)

// QueueFulls are the names of the policies.
func QueueFulls() []string { return []string{"drop-oldest", "drop-newest", "disconnect"} }

// ParseQueueFull is the policy with that name.
func ParseQueueFull(name string) (QueueFull, error) {
	for i, n := range QueueFulls() {
		if n == name {
			return QueueFull(i), nil
		}
	}
	return 0, fmt.Errorf("queue full %q: must be drop-oldest, drop-newest or disconnect", name)
}

// admits tells whether d, which has size bytes, may wait for s: as it is, or
// because its client is disconnected, or because older ones go.
func (r *Router) admits(s *Session, d *delivery, size int) bool {
	if r.queueFull == QueueDropOldest {
		return true
	}
	limit, over := s.over(1, size)
	if !over {
		return true
	}
	if r.queueFull == QueueDropNewest {
		r.hit(limit)
		r.drop(s, DropQueueFull, d.msg.Topic())
		return false
	}
	if limit != LimitQueuedTotal { // else it is others, too, who have too many
		r.throwOut(s)
	}
	return true
}

// throwOut disconnects the client of s if that is the policy, and reports whether
// s ends with it.
func (r *Router) throwOut(s *Session) (ends bool) {
	c := s.client
	if r.queueFull != QueueDisconnect || c == nil || c.muted() {
		return false
	}
	if !c.closing {
		r.stats.ThrownOut++
		c.close(errQueueFull)
	}
	return s.expiry == 0
}

// popFor takes out of q what s loses under memory pressure.
func (r *Router) popFor(q *queue) delivery {
	if r.queueFull == QueueDropNewest {
		return q.popLast(r)
	}
	return q.pop(r)
}

// cutInMemory drops one message of s that is in memory, as the policy says, and
// returns how many that are; all where its client is disconnected and they go.
func (r *Router) cutInMemory(s *Session) int {
	if r.throwOut(s) {
		return s.waiting()
	}
	q, t := &s.queue, s.onShelf()
	if fresh := t != nil && t.fresh.n > 0; fresh && (q.n == 0 || r.queueFull == QueueDropNewest) {
		q = &t.fresh
	}
	d := r.popFor(q)
	r.stats.Queued--
	r.stats.QueuedBytes -= int64(d.msg.bytes())
	r.dropWaiting(s, DropMemory, d)
	s.clearShelf()
	return 1
}
