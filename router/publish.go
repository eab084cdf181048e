package router

import (
	"fmt"
	"unicode/utf8"

	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/router/topic"
)

// handlePublish routes one PUBLISH. k is a view into the read buffer.
//
// hot: no allocation, no map write, no call out of the package but Conn.
func (c *Client) handlePublish(k *codec.Packet) error {
	r := c.r
	p := &r.publish
	if err := p.Decode(k, c.version); err != nil {
		return err
	}
	r.stats.Published[p.QoS]++
	r.stats.PayloadBytesIn += uint64(len(p.Payload))
	if c.rare != nil && c.rare.pace != nil {
		c.countIn(len(k.Raw))
	}
	if c.v5 != nil {
		if err := c.check5(p); err != nil {
			return c.refusePublish(p, err)
		}
	}
	if len(p.Topic) >= r.topicShort { // only then can a limit be passed
		if err := r.checkTopic(p.Topic); err != nil {
			return c.refusePublish(p, err)
		}
	}
	if p.QoS == 2 && c.session.received != nil && c.session.received.has(p.PacketID) {
		r.stats.Duplicates++
		if c.undurable() && !(c.session.unwritten(p.PacketID) && r.keep.classes.of(p.Topic) == DurabilityNone) {
			return nil // nobody knows whether it is on the disk; the client repeats it after a restart
		}
		c.awaitAll()
		return c.acknowledge(codec.TypePubrec, p.PacketID) // routed already [MQTT-4.3.3-2]
	}
	if p.Topic[0] == '$' {
		return c.refuseDollar(p)
	}
	writer := c.peer.Identity
	if writer != nil && writer.Access != nil {
		if ok, rule := c.mayPublish(p.Topic); !ok {
			return c.refuseUnauthorized(p, rule)
		}
	} else {
		writer = nil
	}
	class := DurabilityNone
	if p.QoS > 0 {
		if r.keep != nil {
			class = r.keep.classes.of(p.Topic)
		}
		if err := c.mayTake(p, class); err != nil {
			return c.refusePublish(p, err)
		}
	}
	mark := r.keep.mark()
	pub := &r.incoming // field by field: most of it is as it was
	pub.topic, pub.payload, pub.raw = p.Topic, p.Payload, nil
	pub.qos, pub.retain = p.QoS, p.Retain
	pub.from, pub.writer, pub.v5 = c.session, writer, c.v5 != nil
	pub.owner, pub.most = c.retainedQuota()
	if p.QoS == 0 && k.Minimal() {
		pub.raw = k.Raw
	}
	if p.Props.Has != 0 || pub.props != nil {
		r.setProps(pub, &p.Props)
	}
	if err := r.mustRetain(pub); err != nil {
		return c.refusePublish(p, err)
	}
	matched := r.route(pub)
	if p.QoS == 0 {
		return nil
	}
	t := codec.TypePuback // [MQTT-4.3.2-2]
	if p.QoS == 2 {
		t = codec.TypePubrec
		c.session.markReceived(p.PacketID, class)
	}
	c.slowDown(mark)
	c.awaitPublish(mark, p, class)
	if !matched && c.v5 != nil {
		return c.acknowledgeWith(t, p.PacketID, codec.NoMatchingSubscribers, "")
	}
	return c.acknowledge(t, p.PacketID)
}

// retainedQuota is what counts retained messages of c, and how many it may have;
// nil: nothing does.
func (c *Client) retainedQuota() (owner *userUse, most int) {
	if c.rare == nil || c.rare.use == nil || c.rare.quota.Retained == 0 {
		return nil, 0
	}
	return c.rare.use, c.rare.quota.Retained
}

// awaitPublish has the acknowledgement of p wait for what p has put. Where p takes
// a retained message away, somebody else may have done so just now.
func (c *Client) awaitPublish(mark uint64, p *codec.Publish, class Durability) {
	c.awaitSince(mark)
	if p.Retain && c.r.incoming.gone && class == DurabilitySync {
		c.awaitOpen()
	}
}

// check5 holds a PUBLISH against what only 5.0 knows, and resolves its alias.
func (c *Client) check5(p *codec.Publish) error {
	if p.Props.Has != 0 {
		if err := c.resolveAlias(p); err != nil {
			return err
		}
		if c.r.validatePayloads && p.Props.PayloadFormat == 1 && !utf8.Valid(p.Payload) {
			return &refusal{codec.PayloadFormatInvalid, "payload is said to be UTF-8 and is not"}
		}
	}
	if set := c.session.received; p.QoS == 2 && set != nil && set.n >= int(c.v5.receiveMax) {
		return c.checkReceiveMaximum(p, set)
	}
	return nil
}

// checkReceiveMaximum lets a client go somewhat over our Receive Maximum, once
// with a word to the operator, and ends a connection that is far beyond it
// [MQTT-3.3.4-7].
func (c *Client) checkReceiveMaximum(p *codec.Publish, set *packetSet) error {
	most := int(c.v5.receiveMax)
	if set.has(p.PacketID) {
		return nil
	}
	if set.n >= 2*most {
		c.r.hit(LimitReceiveMaximum)
		return &refusal{codec.ReceiveMaximumExceeded, fmt.Sprintf("%d QoS 2 messages without PUBREL; receive-maximum is %d", set.n, most)}
	}
	if !c.v5.crowded {
		c.v5.crowded = true
		c.r.event(&Event{Kind: EventCrowded, ClientID: c.id, Peer: c.peer, Detail: fmt.Sprint(most)})
	}
	return nil
}

// refusePublish answers a PUBLISH that is not taken: in 5.0 with a negative
// acknowledgement where the packet has one and the protocol was not broken,
// otherwise by closing the connection.
func (c *Client) refusePublish(p *codec.Publish, err error) error {
	if c.v5 == nil || p.QoS == 0 {
		return err
	}
	reason := reasonOf(err)
	switch reason {
	case codec.TopicNameInvalid, codec.QuotaExceeded, codec.PayloadFormatInvalid, codec.NotAuthorized,
		codec.ImplementationSpecificError:
	default:
		return err
	}
	t := codec.TypePuback
	if p.QoS == 2 {
		t = codec.TypePubrec
	}
	return c.acknowledgeWith(t, p.PacketID, reason, err.Error())
}

// checkTopic holds a topic name against the limits.
func (r *Router) checkTopic(t []byte) error {
	if len(t) > r.limits.TopicBytesMax {
		r.hit(LimitTopicBytes)
		return &refusal{codec.TopicNameInvalid, fmt.Sprintf("topic of %d bytes; topic-bytes-max is %d", len(t), r.limits.TopicBytesMax)}
	}
	if n := topic.Levels(t); n > r.limits.TopicLevelsMax {
		r.hit(LimitTopicLevels)
		return &refusal{codec.TopicNameInvalid, fmt.Sprintf("topic of %d levels; topic-levels-max is %d", n, r.limits.TopicLevelsMax)}
	}
	return nil
}

// refuseDollar counts a message to a topic that belongs to the broker (section
// 4.7.2). In 3.x it is acknowledged like any other: a client that does this by
// mistake would only repeat it.
func (c *Client) refuseDollar(p *codec.Publish) error {
	c.r.stats.DollarDrops++
	c.r.event(&Event{Kind: EventDollar, ClientID: c.id, Peer: c.peer, Detail: string(p.Topic)})
	if c.v5 != nil {
		if p.QoS == 0 {
			return nil
		}
		return c.refusePublish(p, &refusal{codec.NotAuthorized, "topics beginning with $ are the broker's"})
	}
	switch p.QoS {
	case 1:
		return c.acknowledge(codec.TypePuback, p.PacketID)
	case 2:
		c.session.markReceived(p.PacketID, DurabilitySync)
		return c.acknowledge(codec.TypePubrec, p.PacketID)
	}
	return nil
}

// route delivers p to its subscribers and keeps it if it is to be retained. It
// reports whether there were any subscribers.
//
// hot: no allocation for QoS 0.
func (r *Router) route(p *publication) (matched bool) {
	f := &r.fan
	f.begin(p)
	sets := r.index.Match(p.topic)
	r.toil += uint64(r.index.Steps() / stepsOfToil)
	r.fanOut(sets)
	if p.retain {
		r.retain(p)
	}
	if f.msg != nil {
		r.release(f.msg)
		f.msg = nil
	}
	return len(sets) > 0
}

// markReceived notes a QoS 2 PacketID until its PUBREL.
func (s *Session) markReceived(id uint16, class Durability) {
	s.own()
	s.received = s.r.addTo(s.received, id)
	s.keepReceived(id, class)
}
