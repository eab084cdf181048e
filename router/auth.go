package router

import (
	"bytes"
	"errors"

	"github.com/loopmq/loopmq/codec"
)

// Exchange is one enhanced authentication of MQTT 5.0 (section 4.12), from the
// client's first data to success or failure. It is used on the loop and must
// not block.
type Exchange interface {
	// Step takes the client's data and returns what to answer. done says that
	// the client has shown who he is; an error that he has not. data is a view.
	Step(data []byte) (answer []byte, done bool, err error)
	// Identity names who has been shown; valid after done.
	Identity() string
}

// authentication is the enhanced authentication of one connection.
type authentication struct {
	method   string
	identity string
	exchange Exchange // nil when none is going on
	last     []byte   // server's final data, for CONNACK
}

// errNotAuthorized is what a failed authentication is told; more would help a
// stranger.
var errNotAuthorized = &refusal{codec.NotAuthorized, "authentication failed"}

// beginAuth starts the authentication that CONNECT asks for. k is kept until
// it has ended.
func (c *Client) beginAuth(k *codec.Packet, p *codec.Connect) error {
	method := string(p.Props.AuthMethod)
	start := c.r.authMethods[method]
	if start == nil {
		return c.refuse(&refusal{codec.BadAuthenticationMethod, "authentication method is not served"}) // [MQTT-4.12.0-1]
	}
	c.v5.auth = &authentication{method: method, exchange: start()}
	c.v5.pending = bytes.Clone(k.Raw)
	c.r.memory.pending += int64(len(c.v5.pending))
	return c.stepAuth(p.Props.AuthData)
}

// handleAuth goes on with an authentication, or starts it anew on a connection
// that is up (section 4.12.1).
func (c *Client) handleAuth(k *codec.Packet) error {
	var p codec.Auth
	if err := p.Decode(k, c.version); err != nil {
		return err
	}
	auth := c.v5.auth
	switch {
	case auth == nil:
		return &refusal{codec.ProtocolError, "AUTH without an authentication method in CONNECT [MQTT-4.12.0-6]"}
	case string(p.Props.AuthMethod) != auth.method:
		return &refusal{codec.ProtocolError, "AUTH with another method than CONNECT [MQTT-4.12.0-5]"}
	case p.Reason == codec.ReAuthenticate && c.connected && auth.exchange == nil:
		auth.exchange = c.r.authMethods[auth.method]()
	case p.Reason != codec.ContinueAuthentication || auth.exchange == nil:
		return &refusal{codec.ProtocolError, "AUTH with " + p.Reason.String() + " is not what comes next"}
	}
	return c.stepAuth(p.Props.AuthData)
}

// stepAuth hands data to the exchange and sends what it answers.
func (c *Client) stepAuth(data []byte) error {
	auth := c.v5.auth
	answer, done, err := auth.exchange.Step(data)
	if err == nil && done && c.connected && auth.exchange.Identity() != auth.identity {
		err = errors.New("re-authentication of somebody else")
	}
	if err != nil {
		c.r.stats.AuthFailures++
		c.r.event(&Event{Kind: EventAuth, ClientID: c.id, Peer: c.peer, Err: err})
		if c.connected {
			return errNotAuthorized
		}
		return c.refuse(errNotAuthorized) // [MQTT-4.12.0-4]
	}
	if !done {
		return c.sendAuth(codec.ContinueAuthentication, answer)
	}
	auth.identity, auth.exchange = auth.exchange.Identity(), nil
	if c.connected {
		return c.sendAuth(codec.Success, answer)
	}
	return c.finishAuth(answer)
}

// sendAuth sends AUTH.
func (c *Client) sendAuth(reason codec.Reason, data []byte) error {
	a := codec.Auth{Reason: reason}
	a.Props.AuthMethod, a.Props.AuthData = []byte(c.v5.auth.method), data
	a.Props.Has = a.Props.Has.Add(codec.PropAuthMethod)
	if data != nil {
		a.Props.Has = a.Props.Has.Add(codec.PropAuthData)
	}
	c.r.scratch = codec.AppendAuth(c.r.scratch[:0], &a)
	return c.answer(c.r.scratch)
}

// finishAuth lets the client in with the CONNECT that waited.
func (c *Client) finishAuth(last []byte) error {
	raw := c.v5.pending
	c.r.memory.pending -= int64(len(raw))
	c.v5.pending, c.v5.auth.last = nil, last
	k, _, err := codec.Next(raw, len(raw))
	if err != nil {
		return err
	}
	var p codec.Connect
	if err := p.Decode(&k); err != nil {
		return err
	}
	return c.admit(&k, &p)
}

// shown is the verdict for a user who has shown himself in an exchange.
func (r *Router) shown(user, clientID string, from Peer) Verdict {
	if r.identify == nil {
		return Verdict{Identity: &Identity{User: user}}
	}
	return r.identify(user, clientID, from)
}
