package router

import (
	"time"

	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/internal/timer"
)

// will is what the broker publishes for a client that goes without DISCONNECT
// [MQTT-3.1.2-8].
type will struct {
	_ [0]func() // nobody compares two: no code for that

	msg     *Message
	expiry  int64     // ns that the message lives once it is published; -1 = for ever
	delay   int64     // ns between the end of the connection and publishing
	session *Session  // whose client it is of; for No Local
	writer  *Identity // set where it has an Access
	id      string    // of the client, for the log
	by      *Identity // whose quota of retained messages counts it
	most    int       // that quota; 0 = none
	timer   timer.Timer
	due     int64 // wall clock, while it is restored
	qos     byte
	retain  bool
}

// cloneWill copies the will of a CONNECT.
func cloneWill(r *Router, p *codec.Connect) *will {
	pub := publication{topic: p.WillTopic, payload: p.WillPayload}
	pub.props = p.WillProps.AppendForwarded(nil)
	w := &will{msg: r.cloneMessage(&pub), qos: p.WillQoS, retain: p.WillRetain, expiry: -1}
	if p.WillProps.Has.Has(codec.PropMessageExpiry) {
		w.expiry = int64(p.WillProps.MessageExpirySeconds) * int64(time.Second)
	}
	w.delay = int64(p.WillProps.WillDelaySeconds) * int64(time.Second)
	return w
}

// leaveWill publishes the will of a connection that has ended, or has it wait
// with the session for its delay [MQTT-3.1.3-9].
func (r *Router) leaveWill(c *Client, s *Session) {
	w := c.will
	if w == nil {
		return
	}
	c.will, w.session = nil, s
	switch {
	case w.delay > 0 && s.expiry > 0: // else the session ends now, and the will with it
		s.seldom().will = w
		r.keepWill(s, w)
		r.timers.Set(&w.timer, w, r.after(w.delay))
	default:
		r.publishWill(w)
	}
}

// Due publishes a will whose delay is over.
func (w *will) Due(int64) {
	s := w.session
	s.rare.will = nil
	s.r.publishWill(w)
}

// publishWill publishes w and lets go of it.
func (r *Router) publishWill(w *will) {
	r.timers.Stop(&w.timer)
	r.keepNoWill(w.session)
	r.stats.WillsSent++
	p := publication{
		topic: w.msg.Topic(), payload: w.msg.Payload(), props: w.msg.props(),
		qos: w.qos, retain: w.retain, from: w.session, writer: w.writer,
	}
	if w.expiry >= 0 {
		p.expireAt = max(1, r.after(w.expiry))
	}
	switch {
	case p.topic[0] == '$':
		r.stats.DollarDrops++
	case w.writer != nil && w.writer.Access.MayPublish(p.topic).Denied:
		r.stats.Denied++
		r.event(&Event{
			Kind: EventDeny, ClientID: w.id, Action: "will", Detail: string(p.topic),
			Rule: w.writer.Access.MayPublish(p.topic).Rule, Peer: Peer{Identity: w.writer}, Count: 1,
		})
	default:
		if w.most > 0 {
			p.owner, p.most = r.use(userOf(w.by)), w.most
		}
		r.route(&p)
		if p.owner != nil {
			r.forgetUse(p.owner) // where it left nothing
		}
	}
	r.release(w.msg)
}

// dropWill discards the will after a DISCONNECT [MQTT-3.1.2-10].
func (c *Client) dropWill() {
	if c.will != nil {
		c.r.keepNoWill(c.session)
		c.r.release(c.will.msg)
		c.will = nil
	}
}

// dropWill discards a will that waits: its client is back in time
// [MQTT-3.1.3-9].
func (s *Session) dropWill() {
	if w := s.delayed(); w != nil {
		s.r.timers.Stop(&w.timer)
		s.r.release(w.msg)
		s.rare.will = nil
	}
}

// stays tells whether a will waits over a restart with its session.
func (w *will) stays(s *Session) bool {
	return s != nil && s.kept != nil && s.kept.will && s.expiry > 0 && w.delay > 0
}
