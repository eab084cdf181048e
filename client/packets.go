package client

import (
	"fmt"

	"github.com/loopmq/loopmq/codec"
)

// handle takes one packet of the server, on the reading goroutine.
func (c *Client) handle(k *codec.Packet) error {
	switch k.Type {
	case codec.TypePublish:
		return c.handlePublish(k)
	case codec.TypePuback, codec.TypePubrec, codec.TypePubrel, codec.TypePubcomp:
		return c.handleAck(k)
	case codec.TypeSuback:
		var a codec.Suback
		if err := a.Decode(k, c.opts.Version); err != nil {
			return err
		}
		c.finish(a.PacketID, k.Type, append([]byte(nil), a.Codes...), nil)
		return nil
	case codec.TypeUnsuback:
		var a codec.Unsuback
		if err := a.Decode(k, c.opts.Version); err != nil {
			return err
		}
		c.finish(a.PacketID, k.Type, append([]byte(nil), a.Codes...), nil)
		return nil
	case codec.TypePingresp:
		c.mu.Lock()
		c.pinging = false
		c.mu.Unlock()
		return nil
	case codec.TypeDisconnect:
		var d codec.Disconnect
		if err := d.Decode(k, c.opts.Version); err != nil {
			return err
		}
		return &ReasonError{Packet: k.Type, Reason: d.Reason, Text: string(d.Props.ReasonString)}
	}
	return fmt.Errorf("server sent %v, which only a client sends", k.Type)
}

// handlePublish hands a message over and acknowledges it.
func (c *Client) handlePublish(k *codec.Packet) error {
	k.Body = append([]byte(nil), k.Body...) // the message is its receiver's
	var p codec.Publish
	if err := p.Decode(k, c.opts.Version); err != nil {
		return err
	}
	topic := string(p.Topic)
	if p.Props.Has.Has(codec.PropTopicAlias) {
		if p.Props.TopicAlias > c.opts.Props.TopicAliasMaximum {
			return fmt.Errorf("server sent Topic Alias %d, and %d was the most that was asked for", p.Props.TopicAlias, c.opts.Props.TopicAliasMaximum)
		}
		if topic != "" {
			c.aliases[p.Props.TopicAlias] = topic
		} else if topic = c.aliases[p.Props.TopicAlias]; topic == "" {
			return fmt.Errorf("server sent Topic Alias %d, which it never set", p.Props.TopicAlias)
		}
	}
	if c.over || c.opts.OnMessage == nil || p.QoS > 0 && c.leaving() {
		return nil // nobody takes it, or it could not be acknowledged any more
	}
	more := true
	if !(p.QoS == 2 && c.received[p.PacketID]) {
		more = c.opts.OnMessage(&Message{
			Topic: topic, Payload: p.Payload, QoS: p.QoS, Retain: p.Retain, Dup: p.Dup, PacketID: p.PacketID, Props: p.Props,
		})
	}
	var err error
	switch p.QoS {
	case 1:
		err = c.answer(codec.TypePuback, p.PacketID)
	case 2:
		c.received[p.PacketID] = true
		err = c.answer(codec.TypePubrec, p.PacketID)
	}
	if !more {
		c.over = true
		c.finishWriting(&codec.Disconnect{})
	}
	return err
}

// handleAck goes on with a handshake of QoS 1 or 2.
func (c *Client) handleAck(k *codec.Packet) error {
	var a codec.Ack
	if err := a.Decode(k, c.opts.Version); err != nil {
		return err
	}
	var failed error
	if a.Reason.Failed() {
		failed = &ReasonError{Packet: k.Type, Reason: a.Reason, Text: string(a.Props.ReasonString)}
	}
	switch k.Type {
	case codec.TypePubrec:
		if failed != nil {
			c.finish(a.PacketID, codec.TypePubcomp, nil, failed)
			return nil
		}
		return c.answer(codec.TypePubrel, a.PacketID)
	case codec.TypePubrel:
		delete(c.received, a.PacketID)
		return c.answer(codec.TypePubcomp, a.PacketID)
	default:
		c.finish(a.PacketID, k.Type, nil, failed)
	}
	return nil
}
