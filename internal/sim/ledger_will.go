package sim

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/loopmq/loopmq/router"
)

// testament is the will of one connection.
type testament struct {
	post   *post
	name   *name
	packet packet // as it would be published
	delay  int64
	wait   int64 // the shorter one of delay and the expiry of the session
	due    int64 // it is not published before this instant; 0: its connection is there
	latest int64 // and is, if the router looks then; 0: perhaps never
	safe   bool  // it is on the disk
	prompt bool  // it waited for nothing
	off    bool  // it is not published: DISCONNECT came, or the client did
	offAt  int64
	done   bool // it has been published for sure
	gone   bool // it may have been before a power cut, which may have taken what was retained
}

// willComes notes a message that the router may publish some time.
func (l *ledger) willComes(c *conn, p *packet) {
	n := numberOf(p.payload)
	if n == 0 {
		return
	}
	m := &post{
		number: n, topic: bytes.Clone(p.topic), payload: bytes.Clone(p.payload), qos: p.qos, retain: p.retain, will: true,
		class: l.class(p.topic), times: 1, travels: []props{p.props.travels()},
	}
	m.size = len(m.topic) + len(m.payload) + len(m.travels[0].fields(nil))
	if m.retain {
		m.loose = true
	}
	l.posts[n] = m
	l.order = append(l.order, m)
	t := &testament{
		post: m, name: c.name, off: p.topic[0] == '$', delay: int64(p.props.willDelay) * int64(time.Second),
		packet: packet{kind: publish, qos: p.qos, topic: m.topic, props: p.props},
	}
	c.testament, m.of = t, t
}

// willLeaves is the end of a connection: its will is published when its delay is
// over, or the session.
func (l *ledger) willLeaves(c *conn, expiry int64) {
	t := c.testament
	if t == nil {
		return
	}
	c.testament = nil
	if c.name.wills = append(c.name.wills, t); !t.off {
		t.runs(l.w.now, min(t.delay, expiry))
	}
}

func (t *testament) runs(now, delay int64) {
	t.prompt, t.wait = delay == 0, delay
	if t.latest = now + delay; t.due == 0 {
		t.due = t.latest
	}
}

// waits reports whether t may still have to be published.
func (t *testament) waits() bool { return !t.done && !t.off }

// returns is a CONNECT of a client whose wills may wait: a new session has them
// published now, the return to the old one holds them back [MQTT-3.1.3-9].
func (n *name) returns(now int64, clean bool) {
	for _, t := range n.wills {
		switch {
		case !t.waits() || t.prompt:
		case clean:
			t.due, t.latest = min(t.due, now), min(t.latest, now)
		default:
			t.latest = 0
		}
	}
}

// hasReturned is a CONNACK that says that the session goes on.
func (n *name) hasReturned(at int64) {
	for _, t := range n.wills {
		if t.waits() && t.due > at {
			t.off, t.offAt = true, at
		}
	}
}

// willsPass notes which wills must have been published by now, and for whom.
func (l *ledger) willsPass() {
	for _, n := range l.names {
		for _, t := range n.wills {
			if t.waits() && t.latest != 0 && t.latest <= l.w.now {
				l.willIsPublished(t)
			}
		}
	}
}

func (l *ledger) willIsPublished(t *testament) {
	m := t.post
	t.done, m.ackedAt = true, l.w.now
	for _, n := range l.names {
		h := n.one()
		if h == nil || !h.sure || h.void || h.liar || h.conn == nil && l.w.now >= h.soonest {
			continue
		}
		if slices.ContainsFunc(h.filters, func(e *entry) bool {
			return e.sure && e.since < t.due && min(e.low, m.qos) > 0 && !isShared(e.name) && !(e.noLocal && n == t.name) &&
				matches(e.name, m.topic)
		}) {
			m.wanted = append(m.wanted, h)
		}
	}
	if l.stirs < t.due { // its members are those that it had then
		m.shared = l.shared(&t.packet)
	}
	if t.packet.props.is(propExpiry) {
		m.sureTo = t.due + int64(t.packet.props.expiry)*int64(time.Second)
		m.goodTo = l.w.now + int64(t.packet.props.expiry)*int64(time.Second)
	}
	if m.retain {
		l.retains(t)
	}
}

// mayBeOut reports whether t may have been published by now.
func (t *testament) mayBeOut(now int64) bool { return !t.off && t.due != 0 && t.due <= now }

// willSent holds that a will comes when it may.
func (l *ledger) willSent(c *conn, t *testament, p *packet) {
	switch {
	case t.off:
		l.w.fail("%s is sent %s, a will that was taken back", c.name.id, brief(p))
	case t.due == 0:
		l.w.fail("%s is sent %s, the will of a connection that is there", c.name.id, brief(p))
	case l.w.now < t.due:
		l.w.fail("%s is sent %s, a will that is due at %d", c.name.id, brief(p), t.due)
	}
}

// outlasts reports whether a stop in good order leaves t for the next start.
func (t *testament) outlasts() bool { return t.safe && t.delay > 0 }

// willsStop is a stop in good order, which publishes what would not outlast it.
func (l *ledger) willsStop() {
	for _, n := range l.names {
		if c := n.conn; c != nil && c.testament != nil && !c.testament.off && !c.testament.outlasts() {
			c.testament.due = l.w.now
		}
		for _, t := range n.wills {
			if t.waits() && !t.outlasts() {
				t.due = min(t.due, l.w.now)
			}
		}
	}
}

// willsCut is what is known of the wills of n when the power has gone: those of
// sessions that last are published after all, a start takes connections to have
// ended later than they did, and what a client has taken back lately may be there.
func (l *ledger) willsCut(n *name) {
	now := l.w.now
	if c := n.conn; c != nil && c.testament != nil {
		t, h := c.testament, c.holder
		c.testament = nil
		n.wills = append(n.wills, t)
		if !t.off {
			t.due = now
			if t.safe && h != nil && h.low > 0 {
				t.due = l.beganOr(now) + min(t.delay, h.low)
				t.latest = now + beatSlack + min(t.delay, h.high)
			}
		}
	}
	for _, t := range n.wills {
		t.cut(l)
	}
}

func (l *ledger) beganOr(at int64) int64 {
	if l.began != 0 {
		return min(at, l.began)
	}
	return at
}

// cut is what a cut of the power does to t.
func (t *testament) cut(l *ledger) {
	m, now := t.post, l.w.now
	m.goodTo, t.prompt = 0, false
	t.gone = t.gone || t.mayBeOut(now) && !(t.done && !l.lost(router.DurabilityLazy, m.ackedAt, false))
	switch {
	case t.off && t.offAt != 0 && l.lost(router.DurabilityLazy, t.offAt, false): // it may have come back, with its connection
		t.off, t.due, t.latest = false, min(cmp.Or(t.due, now), l.beganOr(now)+t.wait), 0
	case t.off:
	case t.done && !l.lost(router.DurabilityLazy, m.ackedAt, false):
	case !t.safe:
		m.void, t.latest = true, 0
	case t.done: // it is published again, unless its client comes in time
		t.done, m.ackedAt, m.wanted, m.shared = false, 0, nil, nil
		t.latest = now + beatSlack + t.delay
	case t.latest != 0:
		t.latest = max(t.latest, now+beatSlack+t.delay)
		t.due = min(t.due, l.beganOr(t.due)+t.delay)
	}
}

// willsOutlast is what is known of those that wait after a stop in good order: a
// start may take connections to have ended later.
func (l *ledger) willsOutlast() {
	for _, n := range l.names {
		for _, t := range n.wills {
			switch {
			case !t.waits():
			case !t.safe:
				t.latest = 0
			case t.latest != 0:
				t.latest = max(t.latest, l.w.now+beatSlack+t.delay)
			}
		}
	}
}
