package router

// subscriptionsListMax is the number of filters up to which a session's are
// searched one by one: devices have few, and a map costs each of them more
// than it saves.
const subscriptionsListMax = 16

// subscriptions are the filters of one session: a few in a chain through
// Subscription.next, more in a map.
type subscriptions struct {
	first *Subscription
	byKey map[string]*Subscription // nil while there are few; then first is nil
}

func (t *subscriptions) len() int {
	n := len(t.byKey)
	for s := t.first; s != nil; s = s.next {
		n++
	}
	return n
}

func (t *subscriptions) find(filter []byte) *Subscription {
	if t.byKey != nil {
		return t.byKey[string(filter)]
	}
	s := t.first
	for s != nil && s.filter != string(filter) {
		s = s.next
	}
	return s
}

func (t *subscriptions) add(s *Subscription) {
	if t.byKey == nil && t.len() < subscriptionsListMax {
		s.next, t.first = t.first, s
		return
	}
	if t.byKey == nil {
		t.byKey = make(map[string]*Subscription, 2*subscriptionsListMax)
		for old := t.first; old != nil; old = t.first {
			t.byKey[old.filter] = old
			t.first, old.next = old.next, nil
		}
	}
	t.byKey[s.filter] = s
}

func (t *subscriptions) remove(s *Subscription) {
	if t.byKey != nil {
		delete(t.byKey, s.filter)
		return
	}
	for at := &t.first; *at != nil; at = &(*at).next {
		if *at == s {
			*at, s.next = s.next, nil
			return
		}
	}
}

// each calls do for every filter. The order is not defined, so do must not
// send anything, and must not change which filters there are.
func (t *subscriptions) each(do func(*Subscription)) {
	for s := t.first; s != nil; s = s.next {
		do(s)
	}
	for _, s := range t.byKey {
		do(s)
	}
}
