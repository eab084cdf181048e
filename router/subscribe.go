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
	owed    uint32        // number of the replay of retained messages for it; 0 = none
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
	return c.file(k, new(subscribing))
}

// subscribing is a SUBSCRIBE that is being handled.
type subscribing struct {
	p, unchecked codec.Subscribe
	ack          codec.Suback
	refused      error
	mark         uint64
}

func (f *subscribing) decode(c *Client, k *codec.Packet) error {
	if err := f.p.DecodeHead(k, c.version); err != nil {
		return err
	}
	f.unchecked = f.p
	return nil
}

func (f *subscribing) check(c *Client) (more bool, err error) {
	filter, more, err := f.unchecked.Check()
	if !more {
		return false, err
	}
	c.r.toil += toilToCheck(filter.Name)
	if err := checkFilter(&filter); err != nil {
		return false, fmt.Errorf("SUBSCRIBE: %w", err)
	}
	return true, nil
}

func (f *subscribing) begin(c *Client) {
	f.mark = c.r.keep.mark()
	f.ack = codec.Suback{PacketID: f.p.PacketID, Codes: make([]byte, 0, 16)}
}

func (f *subscribing) enter(c *Client) (more bool, err error) {
	filter, ok := f.p.Next()
	if !ok {
		return false, nil
	}
	err = c.maySubscribe(&filter)
	if err == nil {
		err = c.r.subscribe(c.session, &filter, f.p.Props.SubscriptionIDs)
	}
	code := filter.QoS
	if err != nil {
		f.refused = err
		code = byte(reasonOf(err))
		if c.v5 == nil {
			code = codec.SubackFailure
		}
	}
	f.ack.Codes = append(f.ack.Codes, code)
	return true, nil
}

func (f *subscribing) finish(c *Client) error {
	text := ""
	if f.refused != nil {
		text = f.refused.Error()
	}
	c.awaitRoom(f.mark)
	if err := c.awaitFiled(f.mark); err != nil {
		return err
	}
	err := c.answerFitting(&f.ack.Props, text, func(dst []byte) []byte { return codec.AppendSuback(dst, c.version, &f.ack) })
	if err != nil {
		return err
	}
	if len(c.session.replays) > 0 {
		c.r.startReplay(c.session)
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
		if r.memory.level >= memoryRefuse && !r.sys.mayListen(f.Name) || r.memory.level >= memoryTrim && s.subs.len() >= filtersAtLevel || !r.index.HasRoom(inner) {
			r.hit(LimitMemory)
			return errNoMemoryToKeep
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
	r.memory.filters += int64(len(filter))
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
	r.memory.filters -= int64(len(sub.filter))
	r.dropSubscription(sub)
	if sub.group() != nil {
		r.leaveShare(sub)
		return
	}
	r.index.Remove(sub.filter, sub)
}
