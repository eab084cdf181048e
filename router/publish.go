package router

import (
	"fmt"

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
	if len(p.Topic) >= r.topicShort { // only then can a limit be passed
		if err := r.checkTopic(p.Topic); err != nil {
			return err
		}
	}
	if p.QoS == 2 && c.session.received != nil && c.session.received.has(p.PacketID) {
		r.stats.Duplicates++
		return c.acknowledge(codec.TypePubrec, p.PacketID) // routed already [MQTT-4.3.3-2]
	}
	if p.Topic[0] == '$' {
		c.dropDollar(p.Topic)
	} else {
		var raw []byte
		if p.QoS == 0 {
			raw = k.Raw
		}
		r.route(p, raw)
	}
	switch p.QoS {
	case 1:
		return c.acknowledge(codec.TypePuback, p.PacketID) // [MQTT-4.3.2-2]
	case 2:
		c.session.markReceived(p.PacketID)
		return c.acknowledge(codec.TypePubrec, p.PacketID)
	}
	return nil
}

// checkTopic holds a topic name against the limits.
func (r *Router) checkTopic(t []byte) error {
	if len(t) > r.limits.TopicBytesMax {
		r.hit(LimitTopicBytes)
		return fmt.Errorf("topic of %d bytes; topic-bytes-max is %d", len(t), r.limits.TopicBytesMax)
	}
	if n := topic.Levels(t); n > r.limits.TopicLevelsMax {
		r.hit(LimitTopicLevels)
		return fmt.Errorf("topic of %d levels; topic-levels-max is %d", n, r.limits.TopicLevelsMax)
	}
	return nil
}

// dropDollar counts a message to a topic that belongs to the broker
// (section 4.7.2). It is acknowledged like any other: a client that does this
// by mistake would only repeat it.
func (c *Client) dropDollar(t []byte) {
	c.r.stats.DollarDrops++
	c.r.event(&Event{Kind: EventDollar, ClientID: c.id, Peer: c.peer, Detail: string(t)})
}

// route delivers p to its subscribers and keeps it if it is to be retained.
// raw is the packet as it came, where it can be passed on as it is.
//
// hot: no allocation for QoS 0.
func (r *Router) route(p *codec.Publish, raw []byte) {
	f := &r.fan
	f.begin(p, raw)
	r.fanOut(r.index.Match(p.Topic))
	if p.Retain {
		r.retain(p)
	}
	if f.msg != nil {
		r.release(f.msg)
		f.msg = nil
	}
}

// acknowledge sends a four-byte acknowledgement.
//
// hot: no allocation.
func (c *Client) acknowledge(t codec.Type, id uint16) error {
	c.r.scratch = codec.AppendAckID(c.r.scratch[:0], t, id)
	return c.answer(c.r.scratch)
}

// markReceived notes a QoS 2 PacketID until its PUBREL.
func (s *Session) markReceived(id uint16) {
	if s.received == nil {
		s.received = new(packetSet)
	}
	s.received.add(id)
}
