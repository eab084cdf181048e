package router

import (
	"fmt"

	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/router/topic"
)

// Subscription is one session's interest in one filter.
type Subscription struct {
	session *Session // nil in the entry of a group
	filter  string
	opts    *subOptions   // nil: none, as in all of 3.x
	next    *Subscription // of the session's few, see subscriptions
	key     uint64        // of its record; 0 = there is none
	qos     byte
}

// subOptions are what 5.0 and shared subscriptions add. What deliveries point
// to is not changed afterwards.
type subOptions struct {
	origin
	entry   *shareGroup // set in the entry of a group only
	noLocal bool
	rap     bool // Retain As Published
}

// origin is what deliveries of this subscription carry; nil for nothing.
func (sub *Subscription) origin() *origin {
	if o := sub.opts; o != nil && (len(o.ids) > 0 || o.group != nil) {
		return &o.origin
	}
	return nil
}

// group is the group that sub belongs to, or nil.
func (sub *Subscription) group() *shareGroup {
	if sub.opts == nil {
		return nil
	}
	return sub.opts.origin.group
}

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
		if err := checkFilter(&f); err != nil {
			return fmt.Errorf("SUBSCRIBE: %w", err)
		}
	}
	s, r := c.session, c.r
	a := codec.Suback{PacketID: p.PacketID, Codes: make([]byte, 0, 16)}
	var refused error
	r.stored++ // what is retained from here on reaches the session as it comes
	mark := r.keep.mark()
	for f, ok := p.Next(); ok; f, ok = p.Next() {
		err := c.maySubscribe(&f)
		if err == nil {
			err = r.subscribe(s, &f, p.Props.SubscriptionIDs)
		}
		code := f.QoS
		if err != nil {
			refused = err
			code = byte(reasonOf(err))
			if c.v5 == nil {
				code = codec.SubackFailure
			}
		}
		a.Codes = append(a.Codes, code)
	}
	text := ""
	if refused != nil {
		text = refused.Error()
	}
	c.slowDown(mark)
	c.awaitSince(mark)
	err := c.answerFitting(&a.Props, text, func(dst []byte) []byte { return codec.AppendSuback(dst, c.version, &a) })
	if err != nil {
		return err
	}
	if len(s.replays) > 0 {
		r.startReplay(s)
	}
	return nil
}

// maySubscribe asks for the client whether it may subscribe to f.
func (c *Client) maySubscribe(f *codec.Filter) error {
	if err := c.storeTrouble(); err != nil {
		return err
	}
	id := c.peer.Identity
	if id == nil || id.Access == nil {
		return nil
	}
	_, inner, _, err := topic.ParseShare(f.Name)
	if err != nil {
		return err
	}
	if ruling := id.Access.MaySubscribe(inner); ruling.Denied {
		c.deny("subscribe", f.Name, ruling.Rule)
		return errNoRight
	}
	return nil
}

// checkFilter holds a filter against section 4.7 and 4.8.2.
func checkFilter(f *codec.Filter) error {
	_, inner, shared, err := topic.ParseShare(f.Name)
	if err == nil {
		err = topic.ValidateFilter(inner)
	}
	if err != nil {
		return err
	}
	if shared && f.NoLocal {
		return &refusal{codec.ProtocolError, "No Local with a shared subscription [MQTT-3.8.3-4]"}
	}
	return nil
}

// subscribe enters one filter, replacing an equal one [MQTT-3.8.4-3].
func (r *Router) subscribe(s *Session, f *codec.Filter, ids []uint32) error {
	_, inner, shared, err := topic.ParseShare(f.Name)
	if err != nil {
		return err
	}
	if len(f.Name) > r.limits.TopicBytesMax {
		r.hit(LimitTopicBytes)
		return &refusal{codec.TopicFilterInvalid, fmt.Sprintf("filter of %d bytes; topic-bytes-max is %d", len(f.Name), r.limits.TopicBytesMax)}
	}
	if n := topic.Levels(inner); n > r.limits.TopicLevelsMax {
		r.hit(LimitTopicLevels)
		return &refusal{codec.TopicFilterInvalid, fmt.Sprintf("filter of %d levels; topic-levels-max is %d", n, r.limits.TopicLevelsMax)}
	}
	sub := s.subs.find(f.Name)
	known := sub != nil
	if !known {
		most, name := s.limits().SubscriptionsMax, "subscriptions-max"
		if q := s.quota(); q != nil && q.Subscriptions > 0 && q.Subscriptions < most {
			most, name = q.Subscriptions, "a quota's subscriptions"
		}
		if s.subs.len() >= most {
			if most < s.limits().SubscriptionsMax {
				r.stats.OverQuota++
			} else {
				r.hit(LimitSubscriptions)
			}
			return &refusal{codec.QuotaExceeded, fmt.Sprintf("session has %d filters; %s is %d", s.subs.len(), name, most)}
		}
		sub = r.enter(s, f.Name)
	}
	sub.qos = f.QoS
	sub.setOptions(f, ids)
	r.keepSubscription(sub)
	if !shared && (f.RetainHandling == 0 || f.RetainHandling == 1 && !known) { // [MQTT-3.3.1-9..11], none for shared ones
		r.addReplay(s, sub)
	}
	return nil
}

// enter makes a subscription and puts it into the index or its group.
func (r *Router) enter(s *Session, filter []byte) *Subscription {
	sub := &Subscription{session: s, filter: string(filter)}
	r.sys.listen(sub.filter) // first, so that the tree comes as retained messages
	s.subs.add(sub)
	if _, inner, shared, _ := topic.ParseShare(filter); shared {
		r.joinShare(sub, inner)
	} else {
		r.index.Insert(sub.filter, sub)
	}
	return sub
}

// setOptions replaces the options; what deliveries point to stays as it was.
func (sub *Subscription) setOptions(f *codec.Filter, ids []uint32) {
	group := sub.group()
	if group == nil && !f.NoLocal && !f.RetainAsPublished && len(ids) == 0 {
		sub.opts = nil
		return
	}
	sub.opts = &subOptions{noLocal: f.NoLocal, rap: f.RetainAsPublished}
	sub.opts.group = group
	sub.opts.ids = append([]uint32(nil), ids...)
}

// unsubscribe takes one filter out of the index or its group.
func (r *Router) unsubscribe(sub *Subscription) {
	r.sys.unlisten(sub.filter)
	r.dropSubscription(sub)
	if sub.group() != nil {
		r.leaveShare(sub)
		return
	}
	r.index.Remove(sub.filter, sub)
}

// handleUnsubscribe removes filters and answers, whether there were any or not
// [MQTT-3.10.4-5].
func (c *Client) handleUnsubscribe(k *codec.Packet) error {
	var p codec.Unsubscribe
	if err := p.Decode(k, c.version); err != nil {
		return err
	}
	check := p
	for name, ok := check.Next(); ok; name, ok = check.Next() {
		if err := checkFilter(&codec.Filter{Name: name}); err != nil {
			return fmt.Errorf("UNSUBSCRIBE: %w", err)
		}
	}
	s, r := c.session, c.r
	a := codec.Unsuback{PacketID: p.PacketID}
	mark := r.keep.mark()
	for name, ok := p.Next(); ok; name, ok = p.Next() {
		if c.undurable() { // a start would bring it back
			if c.v5 == nil {
				return errStoreFailed
			}
			a.Codes = append(a.Codes, byte(codec.ImplementationSpecificError))
			continue
		}
		sub := s.subs.find(name)
		if sub == nil {
			c.awaitAll()
			a.Codes = append(a.Codes, byte(codec.NoSubscriptionExisted))
			continue
		}
		r.unsubscribe(sub)
		s.subs.remove(sub)
		r.dropReplays(s, sub.filter)
		a.Codes = append(a.Codes, byte(codec.Success))
	}
	c.slowDown(mark)
	c.awaitSince(mark)
	r.scratch = codec.AppendUnsuback(r.scratch[:0], c.version, &a)
	return c.answer(r.scratch)
}

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
