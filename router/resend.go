package router

import "github.com/loopmq/loopmq/codec"

// resendMost is how many messages in flight are repeated at one go, or let go: a
// client may have tens of thousands of them, and come back taking none.
const resendMost = 2048

// resend repeats what was sent on an earlier connection and is still open, as
// much of it as the client takes at once on this one [MQTT-3.3.4-9]. It reports
// whether all of it has left.
func (r *Router) resend(s *Session, c *Client) bool {
	o := &s.out
	first := o.since(o.resend)
	i, kept, result := first, first, repeatSent // of those from first to i, kept-first stay
	for i < o.open && i-first < resendMost {
		e := o.at(i)
		o.resend = e.n
		if result = r.repeat(s, c, e, kept); result == repeatNotNow {
			break
		}
		if i++; result == repeatSent {
			if kept++; kept < i {
				*o.at(kept - 1) = *e
			}
		}
	}
	r.toil += uint64(i - first + o.cut(kept, i)/flightsOfToil)
	if kept == o.open {
		o.resend = o.next
		return true
	}
	e := o.at(kept)
	switch o.resend = e.n; {
	case result != repeatNotNow:
		if !s.repeating {
			s.repeating = true
			r.repeats = append(r.repeats, s)
		}
	case e.msg != nil && e.msg.absent && kept < int(c.window):
		s.readFlights(kept)
	}
	return false
}

// resendRest goes on with those who had too many for one go, with one in a pass. It
// reports whether some have more.
func (r *Router) resendRest() (more bool) {
	if len(r.repeats) == 0 {
		return false
	}
	s := r.repeats[0]
	r.repeats[0], r.repeats = nil, r.repeats[1:]
	s.repeating = false
	r.pump(s)
	if more = len(r.repeats) > 0; !more {
		r.repeats = nil
	}
	return more
}

// repeated is what became of a message in flight that is to be repeated.
type repeated int

const (
	repeatSent   repeated = iota
	repeatEnded           // it is not in flight any more
	repeatNotNow          // what lets it go on comes
)

// repeat sends e again, before which place others are in flight.
func (r *Router) repeat(s *Session, c *Client, e *flight, place int) repeated {
	release := e.state == flightPubcomp
	switch {
	case !release && e.msg.absent: // a read comes, or an acknowledgement
		return repeatNotNow
	case !release && !r.stillAllowed(s, e.msg):
		return r.forgoRepeat(s, c, e, place, DropNoRight)
	case !release && !e.sent && e.msg.expired(r.now): // it was held [MQTT-3.3.2-5]
		r.drop(s, DropExpired, e.msg.Topic())
		r.endFlight(e)
		return repeatEnded
	case place >= int(c.window): // an acknowledgement comes
		return repeatNotNow
	case s.kept != nil && r.keep.mustWait(s, e): // a commit comes
		return repeatNotNow
	case release:
		return r.repeatRelease(c, e)
	}
	switch r.transmit(c, &e.delivery, e.packetID(), e.sent) { // [MQTT-3.3.1-1]
	case putBlocked:
		return repeatNotNow
	case putTooLarge: // this connection takes less: it counts as delivered [MQTT-3.1.2-25]
		return r.forgoRepeat(s, c, e, place, DropPacketTooLarge)
	}
	e.sent = true
	r.delivered(e.qos, len(e.msg.Payload()))
	return repeatSent
}

// repeatRelease sends PUBREL for e again.
func (r *Router) repeatRelease(c *Client, e *flight) repeated {
	switch err := c.acknowledge(codec.TypePubrel, e.packetID()); {
	case err == errAnswersUnread && c.waits == nil: // there may be more of them than have room behind messages
		r.blocked(c)
		return repeatNotNow
	case err != nil:
		c.close(err)
		return repeatNotNow
	}
	return repeatSent
}

// forgoRepeat is forgo in the middle of a resend.
func (r *Router) forgoRepeat(s *Session, c *Client, e *flight, place int, why DropReason) repeated {
	r.drop(s, why, e.msg.Topic())
	if e.mayBeKnown() {
		r.letRelease(s, e)
		return r.repeat(s, c, e, place)
	}
	r.endFlight(e)
	return repeatEnded
}
