package sim

import (
	"slices"

	"github.com/loopmq/loopmq/router"
)

// Who takes a session over that is connected, more often than takeovers-max in ten
// seconds from the first time, waits a second and then takes it over. Refusals of a
// disk that is full or has failed count as well.

// waits reports whether c, which sends r, has to wait, and holds that it does.
func (l *ledger) waits(c *conn, r *request) bool {
	held := l.counts(r)
	if c.closing {
		return false
	}
	if held != c.paused {
		l.w.fail("conn %d of %s waits in a duel: %v, should be %v", c.id, r.clientID, c.paused, held)
	}
	if held {
		l.w.heldSoFar++
		c.heldAs, c.heldUntil = r, l.w.now+duelDelay
	}
	return held
}

// counts reports whether r is one takeover too many.
func (l *ledger) counts(r *request) bool {
	i := slices.IndexFunc(l.names, func(n *name) bool { return n.conn != nil && n.id == string(r.clientID) && n.id != "" })
	if i < 0 || r.will != nil && l.w.model.longTopic(r.will.topic) {
		return false
	}
	n := l.names[i]
	if l.w.now-n.duel.since > duelWindow || n.duel.n == 0 {
		n.duel.begins(l.w.now)
	}
	n.duel.n++
	most := l.w.model.limits.TakeoversMax
	if n.duel.n > most && n.duel.isTold() && !l.w.model.hears(router.EventDuel, n.id) {
		l.w.fail("nobody was told of the duel for %s", n.id)
	}
	return n.duel.n > most
}

// goOn lets those in who have waited: at an instant each.
func (l *ledger) goOn() {
	for _, c := range l.w.conns {
		if r := c.heldAs; r != nil && c.heldUntil <= l.w.now {
			if c.heldAs = nil; l.connects(c, r) {
				c.asked = append(c.asked, r)
			}
		}
	}
}

// hears holds that no duel was reported that there was not.
func (l *ledger) hears() {
	if i := slices.IndexFunc(l.w.told, func(t told) bool { return t.kind == router.EventDuel }); i >= 0 {
		l.w.fail("a duel for %s is reported without cause", l.w.told[i].id)
	}
	l.w.told = l.w.told[:0]
}
