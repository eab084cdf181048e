package router

import (
	"bytes"

	"github.com/loopmq/loopmq/codec"
)

// Authenticator finds out who a client is, by what its CONNECT says.
type Authenticator interface {
	// Authenticate calls done once, on the loop, at once or later. The client
	// waits, nothing is read from it meanwhile. done may be called when the
	// connection is gone.
	Authenticate(cr *Credentials, done func(Verdict))
}

// Credentials are what a client shows. They belong to the Authenticator.
type Credentials struct {
	ClientID    string
	Username    string
	HasUsername bool
	Password    []byte // nil: none
	Peer        Peer   // with the Identity that the transport has shown, if any
}

// Verdict is an Authenticator's answer.
type Verdict struct {
	// Reason is codec.Success, or why the client is refused: BadUserNameOrPassword,
	// NotAuthorized, Banned, ServerBusy, ServerUnavailable.
	Reason codec.Reason
	// Text says more, to the operator; the client is told no more than Reason.
	Text string
	// Identity is who the client is; nil: nobody in particular, who may do
	// everything.
	Identity *Identity
	// Quota is what the client may do; zero: anything within Limits.
	Quota Quota
	// Lifetime is how long the connection may last, in ns; 0: for ever.
	Lifetime int64
}

// identify asks the listener's Authenticator, if it has one, and goes on with
// accept.
func (c *Client) identify(k *codec.Packet, p *codec.Connect, id string, assigned bool) error {
	if a := c.auth5(); a != nil { // has shown who he is in an exchange
		return c.enter(k, p, id, assigned, a.verdict)
	}
	l := c.peer.Listener
	if l == nil || l.Authenticator == nil {
		return c.enter(k, p, id, assigned, Verdict{Identity: c.peer.Identity})
	}
	cr := &Credentials{ClientID: id, HasUsername: p.HasUsername, Username: string(p.Username), Peer: c.peer}
	if p.HasPassword {
		cr.Password = append(make([]byte, 0, len(p.Password)), p.Password...)
	}
	var answer *Verdict
	asking := true
	var raw []byte
	l.Authenticator.Authenticate(cr, func(v Verdict) {
		if asking {
			answer = &v
			return
		}
		c.r.memory.pending -= int64(credentialCopies * len(raw))
		c.resume(raw, id, assigned, v)
	})
	asking = false
	if answer != nil {
		return c.enter(k, p, id, assigned, *answer)
	}
	raw = bytes.Clone(k.Raw)
	c.r.memory.pending += int64(credentialCopies * len(raw))
	c.waiting = true
	c.conn.Pause()
	return nil
}

// credentialCopies is how often a CONNECT is held while its client is judged: as
// it came, and in Credentials.
const credentialCopies = 2

// auth5 is the finished enhanced authentication, or nil.
func (c *Client) auth5() *authentication {
	if c.v5 == nil {
		return nil
	}
	return c.v5.auth
}

// resume goes on with a client that waited for its verdict.
func (c *Client) resume(raw []byte, id string, assigned bool, v Verdict) {
	if c.closing || !c.waiting {
		return
	}
	c.waiting = false
	c.conn.Resume()
	k, _, err := codec.Next(raw, len(raw))
	var p codec.Connect
	if err == nil {
		err = p.Decode(&k)
	}
	if err == nil {
		err = c.enter(&k, &p, id, assigned, v)
	}
	if err != nil {
		c.conn.Close(c.fail(err))
	}
}

// enter lets a client in, or not, as the verdict says.
func (c *Client) enter(k *codec.Packet, p *codec.Connect, id string, assigned bool, v Verdict) error {
	if v.Reason != codec.Success {
		c.id = id // for the log
		c.r.stats.AuthFailures++
		c.r.event(&Event{Kind: EventAuth, ClientID: id, Peer: c.peer, User: string(p.Username), Err: &refusal{v.Reason, v.Text}})
		return c.refuse(&refusal{v.Reason, publicWords(v.Reason)})
	}
	c.peer.Identity = v.Identity
	c.r.guard(v.Identity)
	if s := c.r.sessions[id]; s != nil && !sameUser(s.identity, v.Identity) {
		c.id = id
		c.r.event(&Event{Kind: EventStranger, ClientID: id, Peer: c.peer, User: userOf(s.identity)})
		return c.refuse(&refusal{codec.NotAuthorized, "the session with this client identifier belongs to another user"})
	}
	if (c.rare == nil || c.rare.held == nil) && c.r.duelling(id, c) {
		c.holdBack(k, id, assigned, v)
		return nil
	}
	if v.Lifetime > 0 {
		end := &lifetime{c: c}
		c.seldom().expires = end
		c.r.timers.Set(&end.timer, end, c.r.after(v.Lifetime))
	}
	if err := c.restrict(v.Quota, id); err != nil {
		c.id = id
		return c.refuse(err)
	}
	return c.accept(p, id, assigned)
}

// publicWords is what a stranger is told: nothing that helps him on.
func publicWords(reason codec.Reason) string {
	switch reason {
	case codec.BadUserNameOrPassword:
		return "user name or password is wrong"
	case codec.Banned:
		return "banned"
	case codec.ServerBusy, codec.ServerUnavailable, codec.ConnectionRateExceeded, codec.QuotaExceeded:
		return "try again later"
	}
	return "not authorized"
}

// User names who it is; "" for nobody in particular.
func (p *Peer) User() string { return userOf(p.Identity) }

func userOf(id *Identity) string {
	if id == nil {
		return ""
	}
	return id.User
}

// sameUser tells whether a session of one may be taken up by the other.
func sameUser(a, b *Identity) bool { return userOf(a) == userOf(b) }

// Regrant replaces the Identity of every client and session by what of makes
// of it; from has no address where the client is away.
func (r *Router) Regrant(of func(old *Identity, clientID string, from Peer) *Identity) {
	for c := r.clients.head; c != nil; c = c.next {
		if !c.connected {
			continue
		}
		c.peer.Identity = of(c.peer.Identity, c.id, c.peer)
		r.guard(c.peer.Identity)
		if c.session != nil {
			c.session.identity = c.peer.Identity
		}
	}
	for s := r.offline.head; s != nil; s = s.next {
		s.identity = of(s.identity, s.id, Peer{})
		r.guard(s.identity)
	}
}
