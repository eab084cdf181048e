package router

import "github.com/loopmq/loopmq/internal/timer"

// Session is what a client identifier stands for: subscriptions and the state
// of QoS 1 and 2 in both directions (section 3.1.2.4). A clean session lives
// as long as its connection, others until they expire.
type Session struct {
	r        *Router
	id       string
	client   *Client // nil while no connection is there
	subs     subscriptions
	out      inflight
	queue    queue
	received *packetSet // QoS 2 PacketIDs that wait for PUBREL; nil = none
	replays  []replay   // retained messages owed
	timer    timer.Timer
	dropped  uint64

	prev, next *Session // Router.offline

	// Scratch of one fan-out, valid while fanSeq is the router's.
	fanSeq   uint64
	fanFirst *Subscription
	fanQoS   byte

	clean     bool
	replaying bool // is in Router.replays
}

func (r *Router) newSession(id string) *Session {
	s := &Session{r: r, id: id}
	r.sessions[id] = s
	return s
}

// attachSession gives s its connection.
func (r *Router) attachSession(s *Session, c *Client, clean bool) {
	if r.offline.has(s) {
		r.offline.remove(s)
	}
	r.timers.Stop(&s.timer)
	s.client, s.clean = c, clean
	s.out.resend = 0 // all that is open is owed to the new connection
	c.session = s
}

// takeOver ends the connection of a session because its client identifier came
// again [MQTT-3.1.4-2].
func (r *Router) takeOver(s *Session) {
	old := s.client
	r.stats.Takeovers++
	r.detach(old)
	old.close(errTakenOver)
}

// detach takes the connection from its session: the will is sent, a clean
// session ends, others wait for their client until they expire.
func (r *Router) detach(c *Client) {
	s := c.session
	if s == nil {
		return
	}
	c.session, s.client = nil, nil
	r.sendWill(c)
	if s.clean {
		r.endSession(s)
		return
	}
	r.offline.add(s)
	r.timers.Set(&s.timer, s, r.after(r.limits.SessionExpiry.Nanoseconds()))
	if r.offline.n > r.limits.SessionsMax {
		r.hit(LimitSessions)
		oldest := r.offline.head
		r.event(&Event{Kind: EventEvict, ClientID: oldest.id})
		r.endSession(oldest)
	}
}

// Due ends a session that reached its expiry.
func (s *Session) Due(int64) {
	s.r.hit(LimitSessionExpiry)
	s.r.event(&Event{Kind: EventExpire, ClientID: s.id})
	s.r.endSession(s)
}

// endSession removes a session without a connection and all it holds.
func (r *Router) endSession(s *Session) {
	if r.offline.has(s) {
		r.offline.remove(s)
	}
	r.timers.Stop(&s.timer)
	s.subs.each(func(sub *Subscription) { r.index.Remove(sub.filter, sub) })
	s.subs = subscriptions{}
	for s.queue.n > 0 {
		r.drop(s, DropSession)
		r.release(s.dequeue().msg)
	}
	for s.out.open > 0 {
		r.finish(s, s.out.at(0))
	}
	for i := range s.replays {
		s.replays[i].cursor.Close()
	}
	s.replays, s.received = nil, nil
	delete(r.sessions, s.id)
}

// offlineList holds the sessions without a connection, longest away first.
type offlineList struct {
	head, tail *Session
	n          int
}

func (l *offlineList) has(s *Session) bool {
	return s.prev != nil || s.next != nil || l.head == s
}

func (l *offlineList) add(s *Session) {
	s.prev = l.tail
	if l.tail != nil {
		l.tail.next = s
	} else {
		l.head = s
	}
	l.tail = s
	l.n++
}

func (l *offlineList) remove(s *Session) {
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		l.head = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	} else {
		l.tail = s.prev
	}
	s.prev, s.next = nil, nil
	l.n--
}
