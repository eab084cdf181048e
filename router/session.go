package router

import "github.com/loopmq/loopmq/internal/timer"

// Session is what a client identifier stands for: subscriptions and the state
// of QoS 1 and 2 in both directions (section 3.1.2.4). It outlives its
// connection by expiry.
type Session struct {
	r      *Router
	id     string
	client *Client // nil while no connection is there

	identity *Identity // of the last connection
	subs     subscriptions
	*flow          // Router.idle until own
	kept     *kept // nil: it ends with the process
	expiry   int64 // ns; 0 = ends with its connection, sessionGone = it has ended
	rare     *sessionRarely
	timer    timer.Timer

	prev, next *Session // Router.offline
}

// sessionRarely is what few sessions have.
type sessionRarely struct {
	will    *will // waits for its delay
	dropped uint64
	quota   Quota    // of the last connection
	limits  *Limits  // of its listener; nil: the router's
	fan     *overlap // nil until filters of it overlapped
}

// seldom returns what few sessions have, to write to.
func (s *Session) seldom() *sessionRarely {
	if s.rare == nil {
		s.rare = new(sessionRarely)
	}
	return s.rare
}

// delayed returns the will of s that waits for its delay; nil: there is none.
func (s *Session) delayed() *will {
	if s.rare == nil {
		return nil
	}
	return s.rare.will
}

// quota is what s may hold; nil: what Limits say.
func (s *Session) quota() *Quota {
	if s.rare == nil || s.rare.quota == (Quota{}) {
		return nil
	}
	return &s.rare.quota
}

// limits are what bounds s: of the listener through which its client came.
func (s *Session) limits() *Limits {
	switch {
	case s.client != nil:
		return s.client.limits()
	case s.rare != nil && s.rare.limits != nil:
		return s.rare.limits
	}
	return &s.r.limits
}

// bound notes what bounds s from the connection of c on, also when that has
// ended.
func (s *Session) bound(c *Client) {
	var own *Limits
	if l := c.peer.Listener; l != nil {
		own = l.Limits
	}
	if s.rare == nil && own == nil && (c.rare == nil || c.rare.quota == (Quota{})) {
		return
	}
	s.seldom().quota, s.seldom().limits = c.seldom().quota, own
}

// losses is how many messages s did not get.
func (s *Session) losses() uint64 {
	if s.rare == nil {
		return 0
	}
	return s.rare.dropped
}

// flow is what a session has under way. Most sessions have nothing, and share
// the router's idle one, which is never written to.
type flow struct {
	out        inflight
	queue      queue
	late       queue      // QoS 0 that did not fit into the output
	received   *packetSet // QoS 2 PacketIDs that wait for PUBREL; nil = none
	replays    []replay   // retained messages owed
	replaying  bool       // is in Router.replays
	shrinking  bool       // is in Router.shrinks
	repeating  bool       // is in Router.repeats
	lastReplay uint32     // number of the newest
}

// own gives s a flow of its own, to write to.
func (s *Session) own() {
	if s.flow == &s.r.idle {
		s.flow = new(flow)
		s.r.memory.flows++
	}
}

// overlap is the scratch of one fan-out, valid while seq is the router's.
type overlap struct {
	seq   uint64
	first *Subscription
	ids   []uint32 // Subscription Identifiers
	qos   byte
	rap   bool // Retain As Published
}

func (r *Router) newSession(id string) *Session {
	s := &Session{r: r, id: id, flow: &r.idle}
	r.sessions[id] = s
	r.sys.most.clients = max(r.sys.most.clients, uint64(len(r.sessions)))
	return s
}

// attachSession gives s its connection.
func (r *Router) attachSession(s *Session, c *Client, expiry int64) {
	if r.offline.has(s) {
		r.offline.remove(s)
	}
	r.timers.Stop(&s.timer)
	s.dropWill()
	s.client, s.expiry = c, expiry
	if s.flow != &r.idle {
		s.out.resend = 0 // all that is open is owed to the new connection
	}
	c.session = s
}

// takeOver ends the connection of a session because its client identifier came
// again [MQTT-3.1.4-2].
func (r *Router) takeOver(s *Session) {
	old := s.client
	r.stats.Takeovers++
	old.unrestrict() // its place is taken
	r.leave(old, s)
	if s.expiry == 0 {
		r.endSession(s)
	} else {
		r.offline.add(s) // for a moment
	}
	old.close(errTakenOver)
}

// detach takes the connection from its session: the will is sent, a clean
// session ends, others wait for their client until they expire.
func (r *Router) detach(c *Client) {
	s := c.session
	if s == nil {
		return
	}
	r.leave(c, s)
	if s.expiry == 0 {
		r.endSession(s)
		return
	}
	r.offline.add(s)
	r.keepAway(s)
	r.timers.Set(&s.timer, s, r.after(s.expiry))
	if r.offline.n > r.limits.SessionsMax {
		r.evict()
	}
}

// leave parts a connection and its session.
func (r *Router) leave(c *Client, s *Session) {
	r.dropLate(s)
	c.session, s.client = nil, nil
	r.leaveWill(c, s)
}

// Due ends a session that reached its expiry.
func (s *Session) Due(int64) {
	s.r.stats.Expired++
	s.r.event(&Event{Kind: EventExpire, ClientID: s.id})
	s.r.endSession(s)
}

// endSession removes a session without a connection and all it holds, now or soon.
func (r *Router) endSession(s *Session) {
	if r.offline.has(s) {
		r.offline.remove(s)
	}
	r.timers.Stop(&s.timer)
	delete(r.sessions, s.id)
	r.bury(s)
	r.bequeath(s)
	for i := range s.replays {
		if c := s.replays[i].cursor; c != nil {
			c.Close()
		}
	}
	r.keepEnd(s)
	if s.out.open+s.queue.n == 0 {
		s.disown()
	} else {
		s.replays = nil
	}
	if w := s.delayed(); w != nil { // a will does not wait longer than its session lives
		s.rare.will, w.session = nil, nil
		r.publishWill(w)
	}
}

// offlineList holds the sessions without a connection, longest away first.
type offlineList struct {
	head, tail *Session
	cursor     *Session // of a round, see trim.go
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
	if l.cursor == s {
		l.cursor = s.next
	}
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
