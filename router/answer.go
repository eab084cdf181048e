package router

import "github.com/loopmq/loopmq/codec"

// reasonStringBytesMax bounds the Reason String of our answers.
const reasonStringBytesMax = 256

// answer sends an acknowledgement. A peer that lets even these pile up is
// closed.
func (c *Client) answer(frame []byte) error {
	if len(frame) > int(c.sendMax) {
		return errAnswerTooLarge
	}
	if c.waits != nil {
		return c.answerLater(frame)
	}
	if !c.control(frame) {
		return errAnswersUnread
	}
	c.r.stats.Answers++
	return nil
}

// control queues an answer.
func (c *Client) control(frame []byte) bool {
	if !c.conn.SendControl(frame) {
		c.r.refusedAnswer(c)
		return false
	}
	return true
}

// dispensable are the properties of answers that are left out where the packet
// would become too large for the client, the first first: [MQTT-3.4.2-2] and its
// like.
//
// table: never written.
var dispensable = [...]codec.PropertyID{codec.PropReasonString, codec.PropServerReference, codec.PropResponseInformation}

// answerFitting sends an answer that may carry a Reason String, without it
// where the client does not want it, and without what is dispensable where the
// packet would become too large for the client.
func (c *Client) answerFitting(props *codec.Properties, text string, encode func(dst []byte) []byte) error {
	if c.v5 != nil && c.v5.problem && text != "" {
		props.ReasonString = []byte(text[:min(len(text), reasonStringBytesMax)])
		if codec.ValidUTF8(props.ReasonString) == nil {
			props.Has = props.Has.Add(codec.PropReasonString)
		}
	}
	c.r.scratch = encode(c.r.scratch[:0])
	for _, id := range dispensable {
		if len(c.r.scratch) > int(c.sendMax) && props.Has.Has(id) {
			props.Has = props.Has.Remove(id)
			c.r.scratch = encode(c.r.scratch[:0])
		}
	}
	return c.answer(c.r.scratch)
}

// acknowledge sends an acknowledgement of success.
//
// hot: no allocation.
func (c *Client) acknowledge(t codec.Type, id uint16) error {
	c.r.scratch = codec.AppendAckID(c.r.scratch[:0], t, id)
	return c.answer(c.r.scratch)
}

// acknowledgeWith sends an acknowledgement with a reason, which 3.x cannot
// express.
func (c *Client) acknowledgeWith(t codec.Type, id uint16, reason codec.Reason, text string) error {
	a := codec.Ack{PacketID: id, Reason: reason}
	return c.answerFitting(&a.Props, text, func(dst []byte) []byte {
		return codec.AppendAck(dst, c.version, t, &a)
	})
}

// farewell tells a 5.0 client why its connection ends [MQTT-3.14.0-1]. What
// cannot be sent is not: the connection ends anyhow.
func (c *Client) farewell(why error) {
	muted := c.muted()
	c.r.keep.dropWaits(c)
	if c.v5 == nil || !c.connected || muted {
		return
	}
	d := codec.Disconnect{Reason: reasonOf(why)}
	text := why.Error()
	if ref := c.r.serverReference; ref != "" && (d.Reason == codec.UseAnotherServer || d.Reason == codec.ServerMoved) {
		d.Props.Has = d.Props.Has.Add(codec.PropServerReference)
		d.Props.ServerReference = []byte(ref)
	}
	_ = c.answerFitting(&d.Props, text, func(dst []byte) []byte {
		return codec.AppendDisconnect(dst, codec.V5, &d)
	})
}

// connackFailure answers a CONNECT that is refused [MQTT-3.2.2-4].
func (c *Client) connackFailure(reason codec.Reason, text string) {
	a := codec.Connack{Reason: reason, ReturnCode: reason.ReturnCode()}
	_ = c.answerFitting(&a.Props, text, func(dst []byte) []byte {
		return codec.AppendConnack(dst, c.version, &a)
	})
}
