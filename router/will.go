package router

import "github.com/loopmq/loopmq/codec"

// will is what the broker publishes for a client that goes without DISCONNECT
// [MQTT-3.1.2-8].
type will struct {
	msg    *Message
	qos    byte
	retain bool
}

// cloneWill copies the will of a CONNECT.
func cloneWill(r *Router, p *codec.Connect) *will {
	m := r.cloneMessage(&codec.Publish{Topic: p.WillTopic, Payload: p.WillPayload})
	return &will{msg: m, qos: p.WillQoS, retain: p.WillRetain}
}

// sendWill publishes the client's will, once.
func (r *Router) sendWill(c *Client) {
	w := c.will
	if w == nil {
		return
	}
	c.will = nil
	r.stats.WillsSent++
	p := codec.Publish{Topic: w.msg.Topic(), Payload: w.msg.Payload(), QoS: w.qos, Retain: w.retain}
	if p.Topic[0] == '$' {
		r.stats.DollarDrops++
	} else {
		r.route(&p, nil)
	}
	r.release(w.msg)
}

// dropWill discards the will after a DISCONNECT [MQTT-3.1.2-10].
func (c *Client) dropWill() {
	if c.will != nil {
		c.r.release(c.will.msg)
		c.will = nil
	}
}
