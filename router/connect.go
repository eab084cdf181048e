package router

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/loopmq/loopmq/codec"
)

// Return codes of a 3.x CONNACK (section 3.2.2.3).
const (
	connackAccepted           = 0
	connackBadVersion         = 1
	connackIdentifierRejected = 2
)

// handleConnect takes the first packet of a connection:
//
//	decode, refuse what the standard or a limit refuses
//	take over a session with this client identifier, or make one
//	CONNACK, then what the session is owed
func (c *Client) handleConnect(k *codec.Packet) error {
	var p codec.Connect
	if err := p.Decode(k); err != nil {
		var e *codec.Error
		if errors.As(err, &e) && e.Reason == codec.UnsupportedProtocolVersion {
			return c.refuse(connackBadVersion, err) // [MQTT-3.1.2-2]
		}
		return err
	}
	if p.Version == codec.V5 {
		return c.refuse(connackBadVersion, errors.New("protocol version 5 is not served"))
	}
	id, err := c.clientID(&p)
	if err != nil {
		return c.refuse(connackIdentifierRejected, err) // [MQTT-3.1.3-8], [MQTT-3.1.3-9]
	}
	if p.HasWill {
		if err := c.r.checkTopic(p.WillTopic); err != nil {
			return fmt.Errorf("will: %w", err)
		}
		c.will = cloneWill(c.r, &p)
	}
	c.accept(&p, id)
	return nil
}

// clientID checks the client identifier and makes one where the client may
// leave that to the broker.
func (c *Client) clientID(p *codec.Connect) (string, error) {
	switch n := len(p.ClientID); {
	case n > c.r.limits.ClientIDBytesMax:
		c.r.hit(LimitClientIDBytes)
		return "", fmt.Errorf("client identifier has %d bytes; client-id-bytes-max is %d", n, c.r.limits.ClientIDBytesMax)
	case n > 0:
		return string(p.ClientID), nil
	case p.Version == codec.V31:
		return "", errors.New("client identifier is empty, which protocol 3.1 does not allow")
	case !p.CleanStart:
		return "", errors.New("client identifier is empty and clean session is 0 [MQTT-3.1.3-8]")
	}
	for { // [MQTT-3.1.3-6]
		id := "auto-" + strconv.FormatUint(c.r.rand(), 36)
		if c.r.sessions[id] == nil {
			return id, nil
		}
	}
}

// refuse answers CONNECT with a return code and closes.
func (c *Client) refuse(code byte, why error) error {
	c.r.stats.Refused++
	c.conn.SendControl([]byte{0x20, 2, 0, code}) // [MQTT-3.2.2-4]
	c.close(why)
	return nil
}

// accept joins the connection with its session.
func (c *Client) accept(p *codec.Connect, id string) {
	r := c.r
	s := r.sessions[id]
	if s != nil && s.client != nil {
		r.takeOver(s)
		s = r.sessions[id] // a clean session ended with its connection
	}
	if s != nil && p.CleanStart {
		r.endSession(s) // [MQTT-3.1.2-6]
		s = nil
	}
	present := s != nil
	if s == nil {
		s = r.newSession(id)
	}
	r.attachSession(s, c, p.CleanStart)
	c.id, c.version, c.connected = s.id, p.Version, true
	c.packetMax = r.limits.PacketBytesMax
	c.startKeepAlive(p.KeepAliveSeconds)
	r.stats.Connects++
	r.stats.Clients++

	ack := [4]byte{0x20, 2, 0, connackAccepted}
	if present && p.Version != codec.V31 {
		ack[2] = 1 // [MQTT-3.2.2-2]; a reserved byte in 3.1
	}
	c.conn.SendControl(ack[:])
	r.event(&Event{
		Kind: EventConnect, ClientID: id, Peer: c.peer, Version: byte(p.Version),
		Clean: p.CleanStart, Present: present, KeepSecs: p.KeepAliveSeconds,
	})
	r.pump(s)
}

// startKeepAlive replaces the CONNECT deadline by the keep alive.
func (c *Client) startKeepAlive(seconds uint16) {
	c.seenAt = c.r.now
	c.keepAlive = int64(seconds) * 1_500_000_000 // [MQTT-3.1.2-24]
	if seconds == 0 {
		c.r.timers.Stop(&c.timer)
		return
	}
	c.r.timers.Set(&c.timer, c, c.seenAt+c.keepAlive)
}

// handleDisconnect ends a connection in good order [MQTT-3.14.4-3].
func (c *Client) handleDisconnect(k *codec.Packet) error {
	var p codec.Disconnect
	if err := p.Decode(k, c.version); err != nil {
		return err
	}
	c.dropWill()
	c.clean = true
	c.close(nil)
	return nil
}
