package sim

import (
	"slices"

	"github.com/loopmq/loopmq/router"
)

// Where queues are bounded, or clients take small packets only, a message may be
// missing: if the queue can have been full behind it, or it is too large, and if the
// router has counted a drop for it.

// most is more than a PUBLISH of m may take.
func (m *post) most() int { return m.size + 100 }

// isNarrow reports whether m may be too large for a connection that h has had.
func (h *holder) isNarrow(m *post) bool { return h.narrow > 0 && m.most() > h.narrow }

// excused reports whether m may be missing with h.
func (l *ledger) excused(h *holder, m *post) bool {
	if h.isNarrow(m) || l.allFull() {
		return true
	}
	limits := &l.w.model.limits
	n, bytes := 0, m.size
	for _, o := range l.order {
		copies := h.passedOn(o)
		n, bytes = n+copies, bytes+copies*o.size
		if !o.will && !slices.Contains(o.allowed, h.name) {
			continue
		}
		for _, at := range o.at {
			if at > m.first {
				n, bytes = n+1, bytes+o.size
			}
		}
		if o.will {
			n, bytes = n+1, bytes+o.size
		}
	}
	for _, v := range l.values {
		if v.empty && v.at > m.first {
			n, bytes = n+1, bytes+v.size
		}
	}
	return n >= limits.QueuedMessagesMax || bytes > limits.QueuedBytesMax
}

// allFull reports whether all queues together can have been full.
func (l *ledger) allFull() bool {
	n := len(l.values) * len(l.names)
	for _, o := range l.order {
		if o.will || len(o.shared) > 0 {
			n += o.times * len(l.names)
		} else {
			n += o.times * len(o.allowed)
		}
	}
	return n > l.w.model.limits.QueuedTotalMax
}

// passedOn is how many copies of o can have come to h through shared subscriptions, at
// any time: a session that ends passes on what it has.
func (h *holder) passedOn(o *post) (n int) {
	for _, f := range h.shares {
		n += o.times * int(bit(matches(f, o.topic), 1))
	}
	return n
}

// crowds notes the sessions that may have ended because more than may be are away.
func (l *ledger) crowds() {
	var away []*holder
	names := 0
	for _, n := range l.names {
		before := len(away)
		for _, h := range n.may {
			if h != nil && h.conn == nil {
				away = append(away, h)
			}
		}
		names += int(bit(len(away) > before, 1))
	}
	if names <= l.w.model.limits.SessionsMax {
		return
	}
	for _, h := range away {
		h.crowded, h.soonest = true, 0
		for _, t := range h.name.wills {
			if t.waits() {
				t.due = min(t.due, l.w.now)
			}
		}
	}
}

// noRoom reports whether the limits may have left no room for a retained value of
// topic.
func (l *ledger) noRoom(topic string) bool {
	most := map[string]int{topic: 0}
	for _, v := range l.values {
		if !v.empty {
			most[string(v.topic)] = max(most[string(v.topic)], v.size)
		}
	}
	for _, m := range l.order {
		if m.will && m.retain {
			most[string(m.topic)] = max(most[string(m.topic)], m.size)
		}
	}
	bytes := 0
	for _, n := range most {
		bytes += n
	}
	limits := &l.w.model.limits
	return len(most) > limits.RetainedMessagesMax || bytes > limits.RetainedBytesMax
}

// dropped is how many messages the routers have counted that sessions lost.
func (l *ledger) dropped() int {
	d := &l.w.router.Stats().Dropped
	n := int(d[router.DropQueueFull] + d[router.DropTooLarge] + d[router.DropPacketTooLarge])
	if b := l.w.plan.Break.Drops; b != nil {
		n = b(n)
	}
	return l.drops + n
}
