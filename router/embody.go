package router

import "errors"

// What was in flight when the process ended is known by its numbers after a start;
// the bodies are on disk until a client comes who is owed them. Those of shared
// subscriptions are not: they may have to go to somebody else.

// absentMessage is message n without its body. The caller is its first holder.
func (r *Router) absentMessage(n uint64) *Message {
	m := r.cloneMessage(&publication{})
	m.key, m.absent = n, true
	return m
}

// embody gives m, which is absent, its body, for all who hold it.
func (k *keeper) embody(m *Message, v StoreValue) error {
	if v.Err != nil {
		return v.Err
	}
	body, err := decodeMessage(v.Data)
	if err != nil {
		return errors.Join(ErrLost, err)
	}
	o := k.cloneBody(&body)
	m.text, m.large, m.more, m.topicLen, o.text, o.large, o.more, o.topicLen = o.text, o.large, o.more, o.topicLen, m.text, nil, nil, 0
	m.absent = false
	k.r.release(o)
	return nil
}

// readFlights fetches what has to be sent next to the client of s, from the i-th
// flight on. Nothing passes it.
func (s *Session) readFlights(i int) {
	t := s.shelf()
	if t.reading || t.hungry {
		return
	}
	var list []stub
	for ; i < min(s.out.open, int(s.client.window)) && len(list) < unshelveMax; i++ {
		if e := s.out.at(i); e.msg != nil && e.msg.absent {
			list = append(list, stub{entry: e.n, message: e.msg.key})
		}
	}
	t.fetch(list, t.flightsArrived)
}

// flightsArrived takes what was read. Some of it may have come for another session
// meanwhile, or have ended.
func (t *shelf) flightsArrived(list []stub, values []StoreValue) {
	s := t.s
	if t.ended || s.onShelf() != t {
		return
	}
	r := s.r
	for i, b := range list {
		at := s.out.since(b.entry)
		if at == s.out.open {
			break
		}
		e := s.out.at(at)
		if e.n != b.entry || e.msg == nil || !e.msg.absent {
			continue
		}
		err := r.keep.embody(e.msg, values[i])
		if t.mustReread(err) {
			break
		}
		if err != nil {
			r.forgo(s, e)
			r.unreadable(s, values[i].Data, err)
		}
	}
	s.clearShelf()
	r.pump(s)
}
