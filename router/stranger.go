package router

import (
	"fmt"
)

// stranger adds to an error before CONNECT what the bytes look like, if they
// are no MQTT: who reads the log wants to know which client has the wrong port.
func (c *Client) stranger(view []byte, err error) error {
	if c.connected || len(view) < 2 {
		return err
	}
	what := ""
	switch a, b := view[0], view[1]; {
	case a == 0x16 && b == 3:
		what = "TLS on a listener without; the client must use none, or another port"
	case a == 'P' && b == 'R', a == '\r' && b == '\n':
		what = "PROXY protocol on a listener that does not expect it"
	case 'A' <= a && a <= 'Z' && 'A' <= b && b <= 'Z':
		what = "HTTP where MQTT is to come; for WebSocket there must be a listener with ws"
	default:
		return err
	}
	return fmt.Errorf("%s (%w)", what, err)
}
