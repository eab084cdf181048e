package router

import "reflect"

// A session may end with a million subscriptions and as many messages, which no
// peer must be able to have let go at one go. They stay for a while; whoever
// delivers sees that the session has gone.

// So much goes at once, of what has more all goes in pieces.
const (
	graveFilters  = 64
	graveMessages = 1024 // in flight and in the queue; what is kept behind that: estate.go
)

// sessionGone is Session.expiry of a session that has ended.
const sessionGone = -1

func (s *Session) gone() bool { return s.expiry == sessionGone }

// grave is a session that has ended and what of it is still there.
type grave struct {
	session *Session
	next    *reflect.MapIter // over filters; unlike range, it can be interrupted
	filters int              // that are left
	flow    bool             // its messages go here, too
}

// bury takes the filters of a session that ends out of the index and lets its
// messages go, all or little by little. What a start would not take for an estate,
// messages in flight, goes with the record of the session.
func (r *Router) bury(s *Session) {
	s.expiry = sessionGone
	g := &grave{session: s}
	if g.filters = s.subs.len(); g.filters > graveFilters {
		g.next = reflect.ValueOf(s.subs.byKey).MapRange()
	} else {
		r.toil += uint64(toilOfFilter * g.filters)
		s.subs.each(r.unsubscribe)
		s.subs, g.filters = subscriptions{}, 0
	}
	n := s.out.open + s.queue.n
	switch {
	case n <= graveMessages:
	case s.kept != nil:
		n = s.out.open
	default:
		n, g.flow = 0, true
	}
	r.toil += uint64(toilOfMessage * n)
	for range n {
		r.dropNext(s)
	}
	if g.flow || g.filters > 0 {
		r.graves = append(r.graves, g)
	}
}

// dropNext lets go of what s, which has ended, would have been sent next.
func (r *Router) dropNext(s *Session) {
	if s.out.open > 0 {
		e := s.out.at(0)
		if e.msg != nil {
			r.passOn(&e.delivery, e.sent)
		}
		r.finish(s, e)
		return
	}
	d := s.dequeue()
	r.passOn(&d, false)
	r.dropWaiting(s, DropSession, d)
}

// dig goes on with the graves, the oldest first. It reports whether something
// is left.
func (r *Router) dig() (more bool) {
	for left := toilPiece; len(r.graves) > 0; {
		g := r.graves[0]
		switch {
		case left <= 0:
			return true
		case g.flow && g.session.out.open+g.session.queue.n > 0:
			r.dropNext(g.session)
			left -= toilOfMessage
		case g.filters > 0:
			g.next.Next()
			r.unsubscribe(g.next.Value().Interface().(*Subscription))
			g.filters--
			left -= toilOfFilter
		default:
			if g.flow {
				g.session.disown()
			}
			g.session.subs = subscriptions{}
			r.graves[0] = nil
			r.graves = r.graves[1:]
		}
	}
	r.graves = nil
	return false
}
