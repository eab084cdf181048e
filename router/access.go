package router

import (
	"fmt"

	"github.com/loopmq/loopmq/codec"
)

// Identity is who a client has shown to be. Several connections may share one;
// a session keeps that of its last connection.
type Identity struct {
	User   string
	Access Access // nil: everything is allowed
}

// Access decides what a client may do. It is asked on the loop, for every
// message: it must be quick, allocate nothing and not block. Its answers may
// change from one call to the next. topic and filter are views.
type Access interface {
	// MayPublish tells whether messages may be published to topic.
	MayPublish(topic []byte) Ruling
	// MaySubscribe tells whether filter, without $share/group/, may be
	// subscribed to. What comes of it is still asked for one by one.
	MaySubscribe(filter []byte) Ruling
	// MayReceive tells whether messages of topic may be delivered.
	MayReceive(topic []byte) Ruling
}

// Ruling is an answer of Access.
type Ruling struct {
	Denied bool
	Rule   fmt.Stringer // which rule said so, for people; nil when none allowed it
}

// mayPublish asks for the client; text says what was denied.
func (c *Client) mayPublish(topic []byte) (ok bool, rule fmt.Stringer) {
	id := c.peer.Identity
	if id == nil || id.Access == nil {
		return true, nil
	}
	ruling := id.Access.MayPublish(topic)
	return !ruling.Denied, ruling.Rule
}

// refuseUnauthorized answers a PUBLISH that the client has no right to. 3.x has
// no word for that: the message is acknowledged and goes nowhere, because a
// client that got no answer would only repeat it.
func (c *Client) refuseUnauthorized(p *codec.Publish, rule fmt.Stringer) error {
	c.deny("publish", p.Topic, rule)
	if c.v5 != nil {
		if p.QoS == 0 {
			return nil
		}
		return c.refusePublish(p, errNoRight)
	}
	if c.r.denyCloses {
		return errNoRight
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

// deny counts and tells what a client was not allowed to do. The first denials
// of a connection are told one by one, then fewer and fewer.
func (c *Client) deny(action string, topic []byte, rule fmt.Stringer) {
	c.r.stats.Denied++
	k := c.seldom()
	k.denied++
	if !worthTelling(k.denied) {
		return
	}
	c.r.event(&Event{
		Kind: EventDeny, ClientID: c.id, Peer: c.peer, Action: action, Detail: string(topic), Rule: rule, Count: k.denied,
	})
}

// worthTelling picks from a row of equal events: 1 to 10, 20 to 100, 200 …
func worthTelling(n uint64) bool {
	for n >= 10 && n%10 == 0 {
		n /= 10
	}
	return n < 10
}

// mayReceive tells whether s may get messages of topic.
//
// hot: two loads for a client without rules.
func (s *Session) mayReceive(topic []byte) bool {
	id := s.identity
	return id == nil || id.Access == nil || !id.Access.MayReceive(topic).Denied
}

// stillAllowed tells whether m may be delivered to s now, whatever was allowed
// when it was queued or retained.
func (r *Router) stillAllowed(s *Session, m *Message) bool {
	if !r.guarded {
		return true
	}
	if w := m.writer(); w != nil && w.Access.MayPublish(m.Topic()).Denied {
		return false
	}
	return s.mayReceive(m.Topic())
}

// guard notes that there are rules from now on.
func (r *Router) guard(id *Identity) {
	if id != nil && id.Access != nil {
		r.guarded = true
	}
}
