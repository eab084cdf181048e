package client

import (
	"errors"
	"fmt"

	"github.com/loopmq/loopmq/codec"
)

// textBytesMax is what the length of a string or of binary data can say.
const textBytesMax = 65535

// checkProps says which property does not fit; written all the same, it would make another packet of what follows.
func checkProps(p *codec.Properties) error {
	for _, text := range [...][]byte{
		p.ContentType, p.ResponseTopic, p.CorrelationData, p.AuthMethod, p.AuthData, p.ReasonString, p.ServerReference,
	} {
		if len(text) > textBytesMax {
			return fmt.Errorf("a property of %d bytes: at most %d", len(text), textBytesMax)
		}
	}
	return nil
}

// checkFilter says what is wrong with a filter's length.
func checkFilter(name []byte) error {
	switch {
	case len(name) == 0:
		return errors.New("a filter is empty")
	case len(name) > textBytesMax:
		return fmt.Errorf("a filter of %d bytes: at most %d", len(name), textBytesMax)
	}
	return nil
}

// allowed says what the server has ruled out in CONNACK.
func (c *Client) allowed(m *Message) error {
	p := &c.connack.Props
	switch {
	case c.opts.Version != codec.V5 && m.Topic == "":
		return errors.New("topic is empty")
	case p.Has.Has(codec.PropMaximumQoS) && m.QoS > p.MaximumQoS:
		return ruledOut(codec.QoSNotSupported, "Maximum QoS %d", p.MaximumQoS)
	case p.Has.Has(codec.PropRetainAvailable) && m.Retain && p.RetainAvailable == 0:
		return ruledOut(codec.RetainNotSupported, "Retain Available 0")
	case c.opts.Version == codec.V5 && m.Props.Has.Has(codec.PropTopicAlias) && m.Props.TopicAlias > p.TopicAliasMaximum:
		return ruledOut(codec.TopicAliasInvalid, "Topic Alias Maximum %d", p.TopicAliasMaximum)
	}
	return nil
}

// tooLarge is an encoded packet that may not be sent.
func (c *Client) tooLarge(packetBytes int) error {
	if packetBytes > c.packetMax {
		return ruledOut(codec.PacketTooLarge, "%d bytes of %d", packetBytes, c.packetMax)
	}
	return nil
}

func ruledOut(reason codec.Reason, text string, args ...any) error {
	return &ReasonError{Packet: codec.TypeConnack, Reason: reason, Text: fmt.Sprintf(text, args...)}
}
