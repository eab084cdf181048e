package router

import (
	"bytes"

	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/internal/timer"
)

// Two clients with one identifier take the session from each other, reconnect
// at once, and so on for ever. After Limits.TakeoversMax a newcomer has to wait,
// so that the duel costs little, and both addresses are told. Those who reconnect
// more slowly than that cost nothing, but lose messages all the same: they are told
// of, if they have two addresses. With one it may be a client whose network comes and goes.
const (
	duelWindow = int64(10e9) // ns
	duelDelay  = int64(1e9)  // ns
	duelForget = int64(60e9) // ns after which another one begins
	duelsMax   = 1024        // identifiers that are watched
	duelSlow   = 10          // takeovers after which a slow one is told of
)

// duel counts how often a session was taken over.
type duel struct {
	since int64  // ns; when the window began
	n     int    // in it
	all   uint64 // since the duel began
	held  uint64 // newcomers that had to wait since then
}

// duelling counts a takeover of the session id that is about to happen, and
// tells whether the newcomer should wait.
func (r *Router) duelling(id string, c *Client) bool {
	s := r.sessions[id]
	if s == nil || s.client == nil {
		return false
	}
	d := r.duels[id]
	switch {
	case d == nil:
		if len(r.duels) >= duelsMax {
			clear(r.duels)
		}
		d = &duel{since: r.now}
		r.duels[id] = d
	case r.now-d.since > duelForget:
		*d = duel{since: r.now} // another one
	case r.now-d.since > duelWindow:
		d.since, d.n = r.now, 0
	}
	d.n++
	d.all++
	if d.n <= r.limits.TakeoversMax {
		if d.held == 0 && d.all >= duelSlow && worthTelling(d.all) && c.peer.Remote.Addr() != s.client.peer.Remote.Addr() {
			r.event(&Event{Kind: EventDuel, ClientID: id, Peer: c.peer, Other: s.client.peer, Count: d.all})
		}
		return false
	}
	r.hit(LimitTakeovers)
	if d.held++; d.held == 1 || d.held >= 10 && worthTelling(d.held) {
		r.event(&Event{Kind: EventDuel, ClientID: id, Peer: c.peer, Other: s.client.peer, Count: d.all})
	}
	return true
}

// held is a CONNECT that waits for its turn in a duel.
type held struct {
	c        *Client
	raw      []byte
	id       string
	assigned bool
	verdict  Verdict
	timer    timer.Timer
}

// holdBack lets c wait.
func (c *Client) holdBack(k *codec.Packet, id string, assigned bool, v Verdict) {
	c.waiting = true
	c.conn.Pause()
	h := &held{c: c, raw: bytes.Clone(k.Raw), id: id, assigned: assigned, verdict: v}
	c.seldom().held = h
	c.r.memory.pending += int64(len(h.raw))
	c.r.timers.Set(&h.timer, h, c.r.after(duelDelay))
}

// waitsInDuel is the CONNECT of a client that has been let in and waits for its turn;
// nil: it does not.
func (c *Client) waitsInDuel() *held {
	if c.closing || !c.waiting || c.rare == nil {
		return nil
	}
	return c.rare.held
}

// Due goes on with a client that has waited.
func (h *held) Due(int64) {
	h.c.r.memory.pending -= int64(len(h.raw))
	raw := h.raw
	h.raw = nil // a password may be in it, and h stays as long as the connection
	h.c.resume(raw, h.id, h.assigned, h.verdict)
}
