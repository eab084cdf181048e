package router

import (
	"fmt"

	"github.com/loopmq/loopmq/codec"
)

// handlePuback ends the delivery of a QoS 1 message.
//
// hot: no allocation.
func (c *Client) handlePuback(k *codec.Packet) error {
	s, e, err := c.openFlight(k, flightPuback)
	if e == nil {
		return err
	}
	if c.r.ack.Reason.Failed() {
		c.r.stats.NegativeAcks++
	}
	if s.kept != nil {
		c.r.keep.acknowledged(&e.delivery)
	}
	c.r.finish(s, e)
	c.r.pump(s)
	return nil
}

// handlePubrec gives up the message and sends PUBREL [MQTT-4.3.3-1].
func (c *Client) handlePubrec(k *codec.Packet) error {
	s, e, err := c.openFlight(k, flightPubrec)
	if err != nil {
		return err
	}
	id, reason := c.r.ack.PacketID, c.r.ack.Reason
	switch {
	case reason.Failed(): // the client will not have it: that is the end [MQTT-4.3.3-4]
		if e != nil && e.state == flightPubrec {
			c.r.stats.NegativeAcks++
			c.r.finish(s, e)
			c.r.pump(s)
		}
		return nil
	case e == nil && c.v5 != nil:
		return c.acknowledgeWith(codec.TypePubrel, id, codec.PacketIdentifierNotFound, "")
	}
	if e != nil && e.state == flightPubrec {
		c.r.letRelease(s, e)
		if c.undurable() {
			return nil // PUBREL comes after a restart
		}
	}
	c.awaitAll()
	// An unknown PacketID is answered too, so that the peer can finish.
	return c.acknowledge(codec.TypePubrel, id)
}

// handlePubcomp ends the delivery of a QoS 2 message.
func (c *Client) handlePubcomp(k *codec.Packet) error {
	s, e, err := c.openFlight(k, flightPubcomp)
	if e == nil {
		return err
	}
	c.r.finish(s, e)
	c.r.pump(s)
	return nil
}

// openFlight finds the message an acknowledgement is for. e is nil where there
// is none: a stray acknowledgement is counted and does no harm, it may answer
// a repeat. One of the wrong kind breaks the protocol.
func (c *Client) openFlight(k *codec.Packet, want flightState) (s *Session, e *flight, err error) {
	a := &c.r.ack
	if err := a.Decode(k, c.version); err != nil {
		return nil, nil, err
	}
	s = c.session
	e = s.out.find(a.PacketID)
	c.r.toil += uint64(s.out.wentRound() / flightsOfToil)
	if e == nil || e.n >= s.out.resend {
		c.r.stats.StrayAcks++
		return s, nil, nil
	}
	if e.state == want || want == flightPubrec && e.state == flightPubcomp {
		return s, e, nil
	}
	return s, nil, &refusal{codec.ProtocolError, fmt.Sprintf("%v for PacketID %d, which was sent with another QoS or is not that far", k.Type, a.PacketID)}
}

// letRelease gives up the message of e: what is left to do is PUBREL.
func (r *Router) letRelease(s *Session, e *flight) {
	m := e.msg
	r.keepReleased(s, e)
	r.release(m)
	e.msg = nil
	e.state = flightPubcomp
}

// mayBeKnown tells whether the client may have e from an earlier connection, with
// QoS 2, and would take the next message with its PacketID for a repeat: PUBREL
// frees that.
func (e *flight) mayBeKnown() bool { return e.qos == 2 && e.sent }

// forgo is the end of a message in flight that its client is not sent again.
func (r *Router) forgo(s *Session, e *flight) {
	if e.mayBeKnown() {
		r.letRelease(s, e)
		return
	}
	r.finish(s, e)
}

// finish closes an entry of the in-flight window and lets go of its message.
func (r *Router) finish(s *Session, e *flight) {
	r.endFlight(e)
	r.toil += uint64(s.out.finish(e) / flightsOfToil)
}

// endFlight lets go of the message of e, which still has its place.
func (r *Router) endFlight(e *flight) {
	r.dropEntry(&e.delivery)
	if e.msg != nil {
		r.release(e.msg)
	}
	r.stats.Inflight--
	r.memory.origins -= e.originMemory()
}

// handlePubrel frees the PacketID of a QoS 2 message that was received
// [MQTT-4.3.3-2]. PUBCOMP is sent for an unknown one as well: the client
// repeats PUBREL when it did not get the first answer.
func (c *Client) handlePubrel(k *codec.Packet) error {
	a := &c.r.ack
	if err := a.Decode(k, c.version); err != nil {
		return err
	}
	if c.undurable() && !c.session.unwritten(a.PacketID) {
		return nil // the client repeats PUBREL after a restart, which knows the PacketID
	}
	if set := c.session.received; set == nil || !set.remove(a.PacketID) {
		c.r.stats.StrayAcks++
		c.awaitAll()
		if c.v5 != nil {
			return c.acknowledgeWith(codec.TypePubcomp, a.PacketID, codec.PacketIdentifierNotFound, "")
		}
	}
	c.session.dropReceived(a.PacketID)
	c.awaitAll()
	return c.acknowledge(codec.TypePubcomp, a.PacketID)
}
