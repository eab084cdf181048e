package sim

import "bytes"

// opens notes what a client says about itself in CONNECT.
func (c *conn) opens(p *packet, inflightMax int) {
	c.window, c.maxPacket = inflightMax, 1<<30
	if p.props.is(propReceiveMax) {
		c.window = min(c.window, int(p.props.receiveMax))
	}
	if p.props.is(propMaxPacket) {
		c.maxPacket = int(p.props.maxPacket)
	}
}

// delivers judges a PUBLISH that the router sends.
func (l *ledger) delivers(c *conn, p *packet) {
	l.inWindow(c, p)
	if !l.unaliased(c, p) {
		return
	}
	n := numberOf(p.payload)
	if len(p.payload) == 0 {
		return // it removes a retained value
	}
	m := l.posts[n]
	if m == nil || !bytes.Equal(p.topic, m.topic) || p.qos > m.qos {
		l.w.fail("%s is sent %s, which nobody has published", c.name.id, brief(p))
		return
	}
	if !bytes.Equal(p.payload, m.payload) || !m.dressed(c, p) {
		l.w.fail("%s is sent %s, of which payload or properties were others", c.name.id, brief(p))
	}
	if !p.dup && m.goodTo != 0 && l.w.now >= m.goodTo {
		l.w.fail("%s is sent %s after its expiry [MQTT-3.3.2-5]", c.name.id, brief(p))
	}
	if m.of != nil {
		l.willSent(c, m.of, p)
	}
	l.direct(c, m, p)
}

// inWindow holds that a client has no more open than it takes at once, each with a
// PacketID of its own.
func (l *ledger) inWindow(c *conn, p *packet) {
	if p.qos == 0 {
		return
	}
	if !c.client.liar && (place(c.flying, p.id) >= 0 || place(c.releasing, p.id) >= 0) {
		l.w.fail("%s is sent %s, whose PacketID is in use [MQTT-2.2.1-4]", c.name.id, brief(p))
	}
	if c.flying = append(c.flying, p.id); len(c.flying) > c.window {
		l.w.fail("%s is sent %s, has %d open, and takes %d [MQTT-3.3.4-9]", c.name.id, brief(p), len(c.flying), c.window)
	}
}

// lands takes an acknowledgement of a client.
func (c *conn) lands(p *packet) {
	if p.kind == puback || p.kind == pubcomp || p.kind == pubrec && p.code >= 0x80 {
		without := func(list []uint16) []uint16 {
			if i := place(list, p.id); i >= 0 {
				return append(list[:i], list[i+1:]...)
			}
			return list
		}
		c.flying, c.releasing = without(c.flying), without(c.releasing)
	}
}

// unaliased gives p the topic that its alias stands for.
func (l *ledger) unaliased(c *conn, p *packet) bool {
	if !p.props.is(propAlias) {
		return true
	}
	n := int(p.props.alias)
	for len(c.aliasOut) <= n {
		c.aliasOut = append(c.aliasOut, nil)
	}
	if len(p.topic) > 0 {
		c.aliasOut[n] = bytes.Clone(p.topic)
	}
	if p.topic = c.aliasOut[n]; len(p.topic) == 0 {
		l.w.fail("%s is sent %s with an alias that stands for nothing", c.name.id, brief(p))
	}
	return len(p.topic) > 0
}

// dressed reports whether p has the properties of one of the receipts of m.
func (m *post) dressed(c *conn, p *packet) bool {
	if c.level != 5 {
		return true
	}
	for i := range m.travels {
		if m.travels[i].sameTravel(&p.props) {
			return true
		}
	}
	return false
}
