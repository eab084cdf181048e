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

// tooLarge is an encoded packet that may not be sent.
func (c *Client) tooLarge(packetBytes int) error {
	if packetBytes > c.packetMax {
		return fmt.Errorf("a packet of %d bytes: the server takes %d at most", packetBytes, c.packetMax)
	}
	return nil
}
