package router

import "strings"

// evictForget is how long after the last session that had to go the count of
// them begins anew, in ns.
const evictForget = int64(3600e9)

// evictions are the sessions that had to make room. A device that makes up a new
// client identifier each time is what fills the table as a rule: the log names
// what most of them have in common, and not each of them.
type evictions struct {
	n     uint64
	at    int64 // when the last one went
	looks heavy // what the identifiers look like
}

// evictRest drops the sessions that a lower limit has no room for, in turns, and
// reports whether there are more.
func (r *Router) evictRest() (more bool) {
	toil, visited := r.toil, r.visited
	for r.offline.n > r.limits.SessionsMax {
		if r.over(toil, visited) {
			return true
		}
		r.toil += toilOfFilter
		r.evict()
	}
	return false
}

// evict drops the session that is away longest.
func (r *Router) evict() {
	r.hit(LimitSessions)
	r.dropAway(r.offline.head, "sessions-max")
}

// dropAway drops s, whose client is away, to make room, which option has no more of.
func (r *Router) dropAway(s *Session, option string) {
	e := &r.evictions
	if r.now-e.at > evictForget {
		*e = evictions{}
	}
	e.n++
	e.at = r.now
	e.looks.add([]byte(looksLike(s.id)), 1)
	if worthTelling(e.n) {
		r.event(&Event{Kind: EventEvict, ClientID: s.id, Detail: e.looks.list[e.looks.largest()].name, Option: option, Count: e.n})
	}
	r.endSession(s)
}

// looksLike is what stands before the part of a client identifier that is made
// up: up to the first digit, or behind the first of the signs that part words.
func looksLike(id string) string {
	if i := strings.IndexAny(id, "0123456789-_/:. "); i >= 0 {
		if id[i] < '0' || id[i] > '9' {
			i++
		}
		return id[:i] + "*"
	}
	return id
}
