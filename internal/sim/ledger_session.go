package sim

import (
	"slices"
	"time"

	"github.com/loopmq/loopmq/router"
)

// beatSlack is by how much a start may take the end of a connection for later
// than it was.
const beatSlack = int64(660 * time.Second)

// connects takes in a CONNECT, unless it was refused. Whether there was a
// session is perhaps not known until CONNACK.
func (l *ledger) connects(c *conn, r *request) bool {
	if c.closing && !unread(c.why) {
		return false
	}
	n := l.named(r.clientID)
	if n.conn != nil {
		l.parts(n.conn)
	}
	c.name, n.conn, c.connectedAt = n, c, l.w.now
	c.expiry = l.w.model.expiry(&r.packet)
	c.most = c.expiry
	c.opens(&r.packet, l.w.model.limits.InflightMax)
	n.returns(l.w.now, r.clean)
	if r.will != nil {
		l.willComes(c, r.will)
	}
	set := n.live(l.w.now, l.looked)
	for _, h := range n.may {
		if h != nil && (r.clean || !slices.Contains(set, h)) {
			l.ends(n, h)
		}
	}
	switch {
	case r.clean:
		l.joins(c, l.newHolder(c))
	case len(set) > 1:
		c.set = set
	case set[0] == nil:
		l.joins(c, l.newHolder(c))
	default:
		c.resumed = true
		l.joins(c, set[0])
	}
	return true
}

// ends is the end of h, or may be.
func (l *ledger) ends(n *name, h *holder) {
	n.haunt(h)
	if len(h.shares) > 0 || h.void {
		l.stirs = l.w.now
	}
}

// haunt notes that a power cut may bring h back.
func (n *name) haunt(h *holder) {
	if h.high > 0 && !slices.Contains(n.ghosts, h) {
		n.ghosts = append(n.ghosts, h)
	}
}

func (l *ledger) newHolder(c *conn) *holder {
	return &holder{name: c.name, low: c.expiry, high: c.expiry}
}

// joins gives c the session h.
func (l *ledger) joins(c *conn, h *holder) {
	c.holder, c.name.may, c.set = h, []*holder{h}, nil
	if h.conn == nil && h.leftAt != 0 && (h.stale == 0 || h.soonest < h.stale) { // or an earlier return is not written
		h.stale = max(1, h.soonest)
	}
	h.conn, h.expiry, h.found, h.crowded = c, c.expiry, false, false
	h.liar = h.liar || c.client.liar || !c.name.own
	if c.maxPacket < 1<<30 && (h.narrow == 0 || c.maxPacket < h.narrow) {
		h.narrow = c.maxPacket
	}
	h.low, h.high = min(h.low, c.expiry), max(h.high, c.expiry)
	for _, r := range c.asked { // what came before it was known
		if len(r.filters) > 0 {
			l.asks(h, r)
		}
	}
}

// connack holds what CONNACK says against what may be, and decides.
func (l *ledger) connack(c *conn, present bool) {
	n, h := c.name, c.holder
	told := c.level != 3 // which has no such flag
	if h != nil {
		if told && present != c.resumed {
			l.w.fail("%s is told of session present %v, should be %v", n.id, present, c.resumed)
		}
	} else {
		some := slices.DeleteFunc(slices.Clone(c.set), func(h *holder) bool { return h == nil })
		switch {
		case told && !present && !slices.Contains(c.set, nil):
			l.w.fail("%s has lost its session", n.id)
		case told && !present:
			h = l.newHolder(c)
		case len(some) == 0:
			l.w.fail("%s has a session that had ended", n.id)
			h = l.newHolder(c)
		case told && len(some) == 1:
			h = some[0]
		default:
			h = l.newHolder(c)
			for h.void = true; len(some) > 0; some = some[1:] {
				h.low, h.high = min(h.low, some[0].low), max(h.high, some[0].high)
			}
		}
		if h == nil {
			return
		}
		for _, o := range c.set {
			if o != nil && o != h { // its end may not be written
				l.ends(n, o)
			}
		}
		l.joins(c, h)
	}
	h.sure, c.answered, c.was = true, true, &h.session
	h.liar = h.liar || c.client.liar || !c.name.own
	if present || c.level == 3 && c.resumed {
		n.hasReturned(c.connectedAt)
	}
	if t := c.testament; t != nil {
		t.safe = c.expiry > 0 && t.post.class == router.DurabilitySync && !l.troubleSince(c.connectedAt)
	}
	if !l.troubleSince(c.connectedAt) { // all of it is written
		h.low, h.high, h.stale = c.expiry, c.expiry, 0
		n.ghosts = nil
	}
}

// troubleSince reports whether the disk did not take something at or after an
// instant.
func (l *ledger) troubleSince(at int64) bool {
	d := l.w.disk
	return d.trouble() || d.troubled >= at
}

// leaves takes in a DISCONNECT.
func (l *ledger) leaves(c *conn, p *packet) {
	if t := c.testament; t != nil && p.code == 0 && (c.expiry > 0 || p.props.sessionExpiry == 0) {
		t.off, t.offAt = true, l.w.now
	}
	if c.expiry == 0 || !p.props.is(propSessionExpiry) {
		return
	}
	c.expiry = min(l.w.model.limits.SessionExpiry.Nanoseconds(), int64(p.props.sessionExpiry)*int64(time.Second))
	c.most = max(c.most, c.expiry)
	if h := c.holder; h != nil {
		h.expiry = c.expiry
		h.low, h.high = min(h.low, c.expiry), max(h.high, c.expiry)
	}
}

// parts is the end of a connection.
func (l *ledger) parts(c *conn) {
	n := c.name
	if n == nil || n.conn != c {
		return
	}
	l.unanswered(c)
	l.willLeaves(c, c.expiry)
	defer l.crowds()
	n.conn = nil
	if h := c.holder; h != nil {
		l.isLeft(n, h)
		return
	}
	set := c.set
	if c.most > 0 { // what it asked for meanwhile is not known of which
		set = append(slices.Clone(set), &holder{name: n, void: true, low: c.expiry, high: c.most})
	}
	n.may = []*holder{nil}
	for _, h := range set {
		switch {
		case h == nil:
		case c.expiry == 0:
			l.ends(n, h)
		default:
			h.low, h.high = min(h.low, c.expiry), max(h.high, c.expiry)
			h.leftAt, h.soonest, h.latest = l.w.now, 0, max(h.latest, l.w.now+h.high)
			n.may = append(n.may, h)
		}
	}
}

// isLeft is the end of the connection of h.
func (l *ledger) isLeft(n *name, h *holder) {
	h.conn, h.leftAt = nil, l.w.now
	h.soonest, h.latest = l.w.now+h.expiry, l.w.now+h.expiry
	if h.expiry == 0 {
		n.may = []*holder{nil}
		l.ends(n, h)
	}
}

// unanswered gives up hope for what c waits for.
func (l *ledger) unanswered(c *conn) {
	for _, r := range c.asked {
		if c.holder != nil {
			l.answered(c.holder, r, false, nil)
		}
	}
	c.asked = nil
}

// cut is what the model knows when the power has gone: nothing that was not
// acknowledged, but it may be there all the same.
func (l *ledger) cut() {
	now := l.w.now
	l.stirs = now
	for _, n := range l.names {
		l.willsCut(n)
		if c := n.conn; c != nil {
			if c.holder == nil {
				l.parts(c)
			}
			l.unanswered(c)
			n.conn = nil
		}
		old := n.may
		n.may = nil
		for _, h := range old {
			n.found(h, h == nil || !h.sure || h.low == 0 || h.crowded)
		}
		for _, h := range n.ghosts {
			n.found(h, true)
			h.soonest = 0
		}
		n.ghosts = nil
		for _, h := range n.may {
			if h != nil {
				l.dates(h, now)
			}
		}
	}
	l.crowds()
	l.forgets(false)
}

// forgets notes what need not be there after a restart, as its class has it.
func (l *ledger) forgets(inOrder bool) {
	for _, m := range l.order {
		m.loose = m.loose || m.class != router.DurabilitySync
		m.void = m.void || m.ackedAt != 0 && l.lost(m.class, m.ackedAt, inOrder)
	}
	for _, v := range l.values {
		v.void = v.void || v.acked && l.lost(v.class, v.since, inOrder)
	}
	l.began = 0
}

// found adds h to the set of what a start may have found.
func (n *name) found(h *holder, orNone bool) {
	add := func(h *holder) {
		if !slices.Contains(n.may, h) {
			n.may = append(n.may, h)
		}
	}
	if orNone || h == nil || h.high == 0 {
		add(nil)
	}
	if h != nil && h.high > 0 {
		add(h)
	}
}

// dates works out when a start lets h end.
func (l *ledger) dates(h *holder, now int64) {
	if h.found && !h.crowded { // a second start gives no more time
		return
	}
	if h.found = true; h.conn != nil {
		h.leftAt, h.conn = now, nil
	}
	soonest := h.leftAt + h.low
	if l.began != 0 {
		soonest = min(soonest, l.began+h.low)
	}
	if h.stale != 0 {
		soonest = min(soonest, h.stale)
	}
	if h.soonest = soonest; h.crowded {
		h.soonest = 0
	}
	h.latest = max(h.latest, now+beatSlack+h.high)
	h.expiry = h.high
}
