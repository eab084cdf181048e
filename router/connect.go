package router

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/loopmq/loopmq/codec"
)

// handleConnect takes the first packet of a connection:
//
//	decode, refuse what the standard or a limit refuses
//	authenticate, which may take more packets (auth.go)
//	take over a session with this client identifier, or make one
//	CONNACK, then what the session is owed
func (c *Client) handleConnect(k *codec.Packet) error {
	var p codec.Connect
	if err := p.Decode(k); err != nil {
		return c.refuseBroken(&p, err)
	}
	c.greet(&p)
	if err := c.unwelcome(&p); err != nil {
		c.id = string(p.ClientID[:min(len(p.ClientID), idLogged)])
		return c.refuse(err)
	}
	if p.Props.Has.Has(codec.PropAuthMethod) {
		return c.beginAuth(k, &p)
	}
	return c.admit(k, &p)
}

// idLogged is how many bytes of a client identifier the log wants of who is sent
// away before anybody has looked at it.
const idLogged = 64

// unwelcome tells why nobody is let in here now, or in this version.
func (c *Client) unwelcome(p *codec.Connect) *refusal {
	if l := c.peer.Listener; l != nil && l.Versions != nil && !bytes.Contains(l.Versions, []byte{byte(p.Version)}) {
		return errVersionNotServed
	}
	if c.r.memory.level >= memoryRefuse {
		c.r.hit(LimitMemory)
		return errNoMemory
	}
	return nil
}

// refuseBroken answers a CONNECT that is not right, where its version is
// known and has a word for that.
func (c *Client) refuseBroken(p *codec.Connect, err error) error {
	switch reason := reasonOf(err); {
	case reason == codec.UnsupportedProtocolVersion: // [MQTT-3.1.2-2]
		c.version = codec.V311
		return c.refuse(&refusal{reason, err.Error()})
	case p.Version == codec.V5:
		c.greet(p)
		return c.refuse(&refusal{reason, err.Error()})
	}
	return err
}

// greet notes what the client said of itself that matters to its first answer.
func (c *Client) greet(p *codec.Connect) {
	c.version = p.Version
	c.window = int32(min(c.limits().InflightMax, packetIDs))
	if p.Version != codec.V5 {
		return
	}
	c.v5 = &peer5{problem: true}
	c.group = group5
	if p.Props.Has.Has(codec.PropRequestProblem) {
		c.v5.problem = p.Props.RequestProblem == 1
	}
	if p.Props.Has.Has(codec.PropMaximumPacket) {
		c.sendMax = int32(min(p.Props.MaximumPacketBytes, codec.MaxPacketBytes))
	}
	if p.Props.Has.Has(codec.PropReceiveMaximum) {
		c.window = min(c.window, int32(p.Props.ReceiveMaximum)) // [MQTT-3.3.4-9]
	}
	if n := min(int(p.Props.TopicAliasMaximum), c.limits().TopicAliasOutMax); n > 0 {
		c.aliases = newAliasTable(n) // [MQTT-3.1.2-26]
		c.r.memory.aliases += c.aliases.memory()
		c.group = groupAlias
	}
}

// admit checks what CONNECT asks for, before anybody asks who it is.
func (c *Client) admit(k *codec.Packet, p *codec.Connect) error {
	id, assigned, err := c.clientID(p)
	if err != nil {
		return c.refuse(err) // [MQTT-3.1.3-8], [MQTT-3.1.3-9]
	}
	if p.HasWill {
		if err := c.r.checkTopic(p.WillTopic); err != nil {
			err = fmt.Errorf("will: %w", err)
			if c.v5 != nil {
				return c.refuse(err)
			}
			return err
		}
		c.will = cloneWill(c.r, p)
	}
	return c.identify(k, p, id, assigned)
}

// clientID checks the client identifier and makes one where the client may
// leave that to the broker.
func (c *Client) clientID(p *codec.Connect) (id string, assigned bool, err error) {
	rejected := func(text string) (string, bool, error) {
		return "", false, &refusal{codec.ClientIdentifierNotValid, text}
	}
	switch n, most := len(p.ClientID), c.limits().ClientIDBytesMax; {
	case n > most:
		c.r.hit(LimitClientIDBytes)
		return rejected(fmt.Sprintf("client identifier has %d bytes; client-id-bytes-max is %d", n, most))
	case n > 0:
		return string(p.ClientID), false, nil
	case p.Version == codec.V31:
		return rejected("client identifier is empty, which protocol 3.1 does not allow")
	case p.Version == codec.V311 && !p.CleanStart:
		return rejected("client identifier is empty and clean session is 0 [MQTT-3.1.3-8]")
	}
	for { // [MQTT-3.1.3-6]
		id := "auto-" + strconv.FormatUint(c.r.rand(), 36)
		if c.r.sessions[id] == nil {
			return id, true, nil
		}
	}
}

// refuse answers CONNECT with the reason of why and closes.
func (c *Client) refuse(why error) error {
	c.r.stats.Refused++
	c.connackFailure(reasonOf(why), why.Error())
	c.close(why)
	return nil
}

// accept joins the connection with its session.
func (c *Client) accept(p *codec.Connect, id string, assigned bool) error {
	r := c.r
	if err := c.mayKeep(p, id); err != nil {
		return c.refuse(err)
	}
	mark := r.keep.mark()
	s := r.sessions[id]
	if s != nil && s.client != nil {
		r.takeOver(s)
		s = r.sessions[id] // one that does not outlive its connection ended with it
	}
	if s != nil && p.CleanStart {
		r.endSession(s) // [MQTT-3.1.2-6]
		s = nil
	}
	present := s != nil
	if s == nil {
		s = r.newSession(id)
	}
	s.identity = c.peer.Identity
	s.bound(c)
	if id := s.identity; c.will != nil && id != nil && id.Access != nil {
		c.will.writer, c.will.id = id, s.id
	}
	if q := s.quota(); c.will != nil && q != nil {
		c.will.by, c.will.most = s.identity, q.Retained
	}
	r.attachSession(s, c, c.sessionExpiry(p))
	c.id, c.connected = s.id, true
	c.packetMax = int32(c.packetBytesMax())
	c.keepConnect(s, mark)
	keep := c.startKeepAlive(p.KeepAliveSeconds)
	r.stats.Connects++
	r.stats.Clients++
	if err := c.connack(p, s, present, assigned, keep); err != nil {
		// Without CONNACK there is no DISCONNECT either [MQTT-3.14.0-1].
		c.closing = true
		c.conn.Close(err)
		return nil
	}
	r.event(&Event{
		Kind: EventConnect, ClientID: id, Peer: c.peer, Version: byte(p.Version),
		Clean: p.CleanStart, Present: present, KeepSecs: p.KeepAliveSeconds,
	})
	r.pump(s)
	return nil
}

// sessionExpiry is how long the session outlives its connection, in ns; 0 for
// not at all [MQTT-3.1.2-23].
func (c *Client) sessionExpiry(p *codec.Connect) int64 {
	switch {
	case p.Version == codec.V5:
		return c.cappedExpiry(p.Props.SessionExpirySeconds)
	case p.CleanStart:
		return 0
	}
	return c.limits().SessionExpiry.Nanoseconds()
}

func (c *Client) cappedExpiry(seconds uint32) int64 {
	most := c.limits().SessionExpiry.Nanoseconds()
	want := int64(seconds) * int64(time.Second)
	if want > most {
		c.r.hit(LimitSessionExpiry)
		return most
	}
	return want
}

// connack tells the client that it is in, and in 5.0 what it may do.
func (c *Client) connack(p *codec.Connect, s *Session, present, assigned bool, keep uint16) error {
	a := codec.Connack{SessionPresent: present && p.Version != codec.V31} // a reserved byte in 3.1
	if c.v5 != nil {
		c.announce(&a.Props, p, s, assigned, keep)
	}
	return c.answerFitting(&a.Props, "", func(dst []byte) []byte {
		return codec.AppendConnack(dst, p.Version, &a)
	})
}

// announce sets the properties of CONNACK (section 3.2.2.3).
func (c *Client) announce(a *codec.Properties, p *codec.Connect, s *Session, assigned bool, keep uint16) {
	l := c.limits()
	set := func(id codec.PropertyID) { a.Has = a.Has.Add(id) }
	if granted := uint32(s.expiry / int64(time.Second)); granted != p.Props.SessionExpirySeconds {
		a.SessionExpirySeconds = granted
		set(codec.PropSessionExpiry)
	}
	c.v5.receiveMax, c.v5.aliasMax = uint16(l.ReceiveMaximum), uint16(l.TopicAliasMax)
	a.ReceiveMaximum = c.v5.receiveMax
	set(codec.PropReceiveMaximum)
	a.MaximumPacketBytes = uint32(c.packetBytesMax())
	set(codec.PropMaximumPacket)
	a.TopicAliasMaximum = c.v5.aliasMax
	set(codec.PropTopicAliasMaximum)
	a.WildcardAvailable, a.SubscriptionIDAvailable, a.SharedAvailable, a.RetainAvailable = 1, 1, 1, 1
	set(codec.PropWildcardAvailable)
	set(codec.PropSubscriptionIDAvailable)
	set(codec.PropSharedAvailable)
	set(codec.PropRetainAvailable)
	if assigned {
		a.AssignedClientID = []byte(s.id)
		set(codec.PropAssignedClientID) // [MQTT-3.2.2-16]
	}
	if keep != p.KeepAliveSeconds {
		a.ServerKeepAliveSeconds = keep
		set(codec.PropServerKeepAlive) // [MQTT-3.2.2-21]
	}
	if p.Props.RequestResponse == 1 && c.r.responsePrefix != "" {
		a.ResponseInformation = []byte(c.r.responsePrefix + c.responseName())
		set(codec.PropResponseInformation)
	}
	if auth := c.v5.auth; auth != nil {
		a.AuthMethod = []byte(auth.method)
		set(codec.PropAuthMethod)
		if auth.last != nil {
			a.AuthData = auth.last
			set(codec.PropAuthData)
		}
	}
}

// responseName is a topic level for the client's responses: its identifier,
// or a number where that cannot be a level.
func (c *Client) responseName() string {
	for _, b := range []byte(c.id) {
		if b == '+' || b == '#' || b == '/' {
			return "auto-" + strconv.FormatUint(c.r.rand(), 36)
		}
	}
	return c.id
}

// startKeepAlive replaces the CONNECT deadline by the keep alive, and returns
// the seconds in force: 5.0 clients can be told to use less, and 0 is for ever.
func (c *Client) startKeepAlive(seconds uint16) uint16 {
	most, wish := c.limits().KeepAliveMax, time.Duration(seconds)*time.Second
	if c.v5 != nil && (wish > most || seconds == 0 && most <= math.MaxUint16*time.Second) {
		c.r.hit(LimitKeepAlive)
		seconds = uint16(max(1, most/time.Second)) // 0 would be none
	}
	c.seenAt = c.r.now
	c.keepAlive = seconds
	if seconds == 0 {
		c.r.timers.Stop(&c.timer)
		return 0
	}
	c.r.timers.Set(&c.timer, c, c.seenAt+c.silenceMax())
	return seconds
}

// handleDisconnect ends a connection in good order [MQTT-3.14.4-3].
func (c *Client) handleDisconnect(k *codec.Packet) error {
	var p codec.Disconnect
	if err := p.Decode(k, c.version); err != nil {
		return err
	}
	if s := c.session; s != nil && p.Props.Has.Has(codec.PropSessionExpiry) {
		if s.expiry == 0 && p.Props.SessionExpirySeconds != 0 { // [MQTT-3.14.2-2]
			return &refusal{codec.ProtocolError, "DISCONNECT sets a Session Expiry where CONNECT had none"}
		}
		s.expiry = c.cappedExpiry(p.Props.SessionExpirySeconds)
	}
	if p.Reason == codec.Success {
		c.dropWill() // [MQTT-3.14.4-3]
	}
	c.orderly = true
	c.close(nil)
	return nil
}
