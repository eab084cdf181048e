package router

import "reflect"

// A session may end with a million subscriptions, which no peer must be able to
// have taken out of the index at one go. They stay there for a while; whoever
// delivers sees that the session has gone.

// graveMin is the number of filters from which they are taken out in pieces.
const graveMin = 64

// sessionGone is Session.expiry of a session that has ended.
const sessionGone = -1

func (s *Session) gone() bool { return s.expiry == sessionGone }

// grave is a session that has ended and what of its filters is still there.
type grave struct {
	session *Session
	next    *reflect.MapIter // over filters; unlike range, it can be interrupted
	left    int
}

// dropFilters takes the filters of a session that ends out of the index, all or
// little by little.
func (r *Router) dropFilters(s *Session) {
	s.expiry = sessionGone
	if n := s.subs.len(); n > graveMin {
		r.graves = append(r.graves, &grave{s, reflect.ValueOf(s.subs.byKey).MapRange(), n})
		return
	}
	r.toil += uint64(toilOfFilter * s.subs.len())
	s.subs.each(r.unsubscribe)
	s.subs = subscriptions{}
}

// dig goes on with the graves, the oldest first. It reports whether something
// is left.
func (r *Router) dig() (more bool) {
	for left := toilPiece / toilOfFilter; len(r.graves) > 0; left-- {
		if left == 0 {
			return true
		}
		g := r.graves[0]
		if g.next.Next() {
			r.unsubscribe(g.next.Value().Interface().(*Subscription))
			g.left--
			continue
		}
		g.session.subs = subscriptions{}
		r.graves[0] = nil
		r.graves = r.graves[1:]
	}
	r.graves = nil
	return false
}
