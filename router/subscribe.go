package router

import (
	"fmt"

	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/router/topic"
)

// Subscription is one session's interest in one filter.
type Subscription struct {
	session *Session
	filter  string
	qos     byte
}

// subackFailure is the return code for a filter that was not granted.
const subackFailure = 0x80

// handleSubscribe grants filters:
//
//	check every filter before the first is granted: a malformed one ends the connection
//	enter them, answer with one SUBACK [MQTT-3.8.4-4]
//	then, in the same pass, the first of the retained messages
func (c *Client) handleSubscribe(k *codec.Packet) error {
	var p codec.Subscribe
	if err := p.Decode(k, c.version); err != nil {
		return err
	}
	check := p
	for f, ok := check.Next(); ok; f, ok = check.Next() {
		if err := topic.ValidateFilter(f.Name); err != nil {
			return fmt.Errorf("SUBSCRIBE: %w", err)
		}
	}
	s, r := c.session, c.r
	codes := make([]byte, 0, 16)
	r.stored++ // what is retained from here on reaches the session as it comes
	first := len(s.replays)
	for f, ok := p.Next(); ok; f, ok = p.Next() {
		codes = append(codes, r.subscribe(s, &f))
	}
	r.scratch = codec.AppendSuback(r.scratch[:0], c.version, &codec.Suback{PacketID: p.PacketID, Codes: codes})
	if err := c.answer(r.scratch); err != nil {
		return err
	}
	if len(s.replays) > first {
		r.startReplay(s)
	}
	return nil
}

// subscribe enters one filter, replacing an equal one [MQTT-3.8.4-3], and
// returns its return code.
func (r *Router) subscribe(s *Session, f *codec.Filter) (code byte) {
	if len(f.Name) > r.limits.TopicBytesMax {
		r.hit(LimitTopicBytes)
		return subackFailure
	}
	if topic.Levels(f.Name) > r.limits.TopicLevelsMax {
		r.hit(LimitTopicLevels)
		return subackFailure
	}
	sub := s.subs.find(f.Name)
	if sub == nil {
		if s.subs.len() >= r.limits.SubscriptionsMax {
			r.hit(LimitSubscriptions)
			return subackFailure
		}
		sub = &Subscription{session: s, filter: string(f.Name)}
		s.subs.add(sub)
		r.index.Insert(sub.filter, sub)
	}
	sub.qos = f.QoS
	r.addReplay(s, sub.filter, f.QoS)
	return f.QoS
}

// handleUnsubscribe removes filters and answers, whether there were any or not
// [MQTT-3.10.4-5].
func (c *Client) handleUnsubscribe(k *codec.Packet) error {
	var p codec.Unsubscribe
	if err := p.Decode(k, c.version); err != nil {
		return err
	}
	s, r := c.session, c.r
	for name, ok := p.Next(); ok; name, ok = p.Next() {
		sub := s.subs.find(name)
		if sub == nil {
			continue
		}
		r.index.Remove(sub.filter, sub)
		s.subs.remove(sub)
		r.dropReplays(s, sub.filter)
	}
	return c.acknowledge(codec.TypeUnsuback, p.PacketID)
}

// subscriptionsListMax is the number of filters up to which a session's are
// searched one by one: devices have few, and a map costs each of them more
// than it saves.
const subscriptionsListMax = 16

// subscriptions are the filters of one session.
type subscriptions struct {
	list  []*Subscription
	byKey map[string]*Subscription // nil while list is short; then list is nil
}

func (t *subscriptions) len() int { return len(t.list) + len(t.byKey) }

func (t *subscriptions) find(filter []byte) *Subscription {
	if t.byKey != nil {
		return t.byKey[string(filter)]
	}
	for _, s := range t.list {
		if s.filter == string(filter) {
			return s
		}
	}
	return nil
}

func (t *subscriptions) add(s *Subscription) {
	if t.byKey == nil && len(t.list) < subscriptionsListMax {
		t.list = append(t.list, s)
		return
	}
	if t.byKey == nil {
		t.byKey = make(map[string]*Subscription, 2*subscriptionsListMax)
		for _, old := range t.list {
			t.byKey[old.filter] = old
		}
		t.list = nil
	}
	t.byKey[s.filter] = s
}

func (t *subscriptions) remove(s *Subscription) {
	if t.byKey != nil {
		delete(t.byKey, s.filter)
		return
	}
	for i, old := range t.list {
		if old == s {
			t.list = append(t.list[:i], t.list[i+1:]...)
			return
		}
	}
}

// each calls do for every filter. The order is not defined, so do must not
// send anything.
func (t *subscriptions) each(do func(*Subscription)) {
	for _, s := range t.list {
		do(s)
	}
	for _, s := range t.byKey {
		do(s)
	}
}
