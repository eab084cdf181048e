package sim

import (
	"math"
	"slices"
	"strconv"
	"time"
)

// connect is a CONNECT that can be read.
func (m *model) connect(c *conn, p *packet) {
	c.level = p.level
	c.window = m.limits.InflightMax
	if p.level == 5 {
		c.terse = p.props.is(propProblem) && p.props.problem == 0
		if p.props.is(propMaxPacket) {
			c.maxPacket = int(p.props.maxPacket)
		}
		if p.props.is(propReceiveMax) {
			c.window = min(c.window, int(p.props.receiveMax))
		}
		c.aliasMax = min(int(p.props.aliasMax), m.limits.TopicAliasOutMax)
		c.aliasOut = make([][]byte, c.aliasMax+1)
	}
	n := len(p.clientID)
	switch {
	case n > m.limits.ClientIDBytesMax, n == 0 && p.level == 3, n == 0 && p.level == 4 && !p.clean:
		m.refuse(c, 2, 0x85)
	case p.will != nil && m.longTopic(p.will.topic):
		if p.level == 5 {
			m.refuse(c, 0, 0x90)
		} else {
			m.mustClose(c, 0)
		}
	case m.holdsBack(c, p):
	default:
		m.admit(c, p)
	}
}

func (m *model) refuse(c *conn, code, reason byte) {
	p := packet{kind: connack, code: code}
	if c.level == 5 {
		p.code = reason
	}
	m.answer(c, p)
	m.mustClose(c, 0)
}

func (m *model) longTopic(t []byte) bool {
	return len(t) > m.limits.TopicBytesMax || levels(t) > m.limits.TopicLevelsMax
}

// admit gives the connection its session.
func (m *model) admit(c *conn, p *packet) {
	id := string(p.clientID)
	if id == "" {
		id = "auto-" + strconv.FormatUint(m.w.drawn, 36)
	}
	s := m.find(id)
	if s != nil && s.conn != nil { // [MQTT-3.1.4-2]
		old := s.conn
		m.leave(old)
		if s.expiry == 0 {
			m.end(s)
			s = nil
		} else {
			m.offline = append(m.offline, s)
		}
		m.mustClose(old, 0x8e)
	}
	if s != nil && p.clean {
		m.end(s)
		s = nil
	}
	c.resumed = s != nil
	if s == nil {
		s = &session{id: id}
		m.sessions = append(m.sessions, s)
	}
	if i := slices.Index(m.offline, s); i >= 0 {
		m.offline = slices.Delete(m.offline, i, i+1)
	}
	s.conn, s.will, s.dirty, s.endAt = c, nil, true, 0
	if s.expiry = m.expiry(p); s.expiry > 0 && s.number == 0 {
		m.lasting++
		s.number = m.lasting
	}
	s.liar = s.liar || c.client.liar || c.suspect
	c.sess, c.was, c.connected, c.packetMax = s, s, true, m.limits.PacketBytesMax
	if w := p.will; w != nil {
		c.will = &will{packet: *w, delay: int64(w.props.willDelay) * int64(time.Second)}
		c.will.packet.topic, c.will.packet.payload = slices.Clone(w.topic), slices.Clone(w.payload)
		travels := w.props.travels()
		travels.has |= w.props.has & (1 << propExpiry)
		travels.expiry = w.props.expiry
		c.will.packet.props = travels
	}
	keep := p.keepAlive
	most := m.limits.KeepAliveMax // no keep alive is a longer one
	if p.level == 5 && (time.Duration(keep)*time.Second > most || keep == 0 && most <= math.MaxUint16*time.Second) {
		keep = uint16(most / time.Second)
	}
	c.keepAlive = int64(keep) * 1_500_000_000
	m.answer(c, m.connack(c, p, id, keep))
}

// expiry is how long the session outlives its connection.
func (m *model) expiry(p *packet) int64 {
	switch most := m.limits.SessionExpiry.Nanoseconds(); {
	case p.level == 5:
		return min(most, int64(p.props.sessionExpiry)*int64(time.Second))
	case p.clean:
		return 0
	default:
		return most
	}
}

func (m *model) connack(c *conn, p *packet, id string, keep uint16) packet {
	a := packet{kind: connack, present: c.resumed && p.level != 3}
	if p.level != 5 {
		return a
	}
	a.props.has = 1<<propReceiveMax | 1<<propMaxPacket | 1<<propAliasMax | 1<<propRetainAvail | 1<<propWildcardAvail |
		1<<propSubIDAvail | 1<<propSharedAvail
	a.props.receiveMax, a.props.aliasMax = uint16(m.limits.ReceiveMaximum), uint16(m.limits.TopicAliasMax)
	a.props.maxPacket = uint32(m.limits.PacketBytesMax)
	if granted := uint32(c.sess.expiry / int64(time.Second)); granted != p.props.sessionExpiry {
		a.props.set(propSessionExpiry)
		a.props.sessionExpiry = granted
	}
	if len(p.clientID) == 0 {
		a.props.set(propAssignedID)
		a.props.assignedID = []byte(id)
	}
	if keep != p.keepAlive {
		a.props.set(propServerKeepAlive)
		a.props.keepAlive = keep
	}
	return a
}

// leave parts a connection from its session; its will is published, or waits.
func (m *model) leave(c *conn) {
	s, w := c.sess, c.will
	c.sess, c.will, s.conn = nil, nil, nil
	s.dirty = true
	switch {
	case w == nil:
	case w.delay > 0 && s.expiry > 0:
		m.armed++
		w.due, w.armed = m.now()+w.delay, m.armed
		s.will = w
	default:
		m.publishWill(w, s)
	}
}

func (m *model) publishWill(w *will, from *session) {
	if w.packet.topic[0] != '$' {
		m.publish(m.newMessage(&w.packet), from)
	}
}

// closed is the end of a connection.
func (m *model) closed(c *conn) {
	s := c.sess
	if s == nil {
		return
	}
	m.leave(c)
	if s.expiry == 0 {
		m.end(s)
		return
	}
	m.armed++
	s.away, s.endAt, s.armed = m.now(), m.now()+s.expiry, m.armed
	m.offline = append(m.offline, s)
	if len(m.offline) > m.limits.SessionsMax {
		m.end(m.offline[0])
	}
}

// end removes a session. Its shared messages go to other members, but for those
// that it may have got with QoS 2.
func (m *model) end(s *session) {
	m.sessions = slices.Delete(m.sessions, slices.Index(m.sessions, s), slices.Index(m.sessions, s)+1)
	if i := slices.Index(m.offline, s); i >= 0 {
		m.offline = slices.Delete(m.offline, i, i+1)
	}
	for _, b := range s.subs {
		m.leaveGroup(b)
	}
	m.buried = append(m.buried, s.subs...)
	for _, f := range s.flights {
		if f.qos == 1 {
			m.passOn(s, f.delivery)
		}
	}
	m.endLimbo(s)
	if n := uint64(len(s.pending)); m.w.mem == nil {
		m.ended += n
	} else { // those that have a PacketID, and wait for the disk, do not count
		m.endedPerhaps += n
	}
	for _, d := range s.pending {
		m.passOn(s, d)
	}
	if w := s.will; w != nil {
		s.will = nil
		m.publishWill(w, s)
	}
}

// passOn gives d, which the ended session s leaves, to its group.
func (m *model) passOn(s *session, d *delivery) {
	var groups []*group
	for _, old := range d.groups {
		for _, g := range m.groups {
			if string(g.name) == string(old.name) {
				groups = append(groups, g)
			}
		}
	}
	twins := 0 // through which group each came cannot always be told
	for _, f := range s.flights {
		twins += int(bit(string(f.payload) == string(d.payload), 1))
	}
	for _, o := range s.pending {
		twins += int(bit(string(o.payload) == string(d.payload), 1))
	}
	unsure := d.unsure || len(d.groups) > len(groups) || twins > 1
	m.chained = m.chained || unsure || len(d.groups) > 1
	if len(groups) > 0 {
		m.order++
		l := m.share(d.message, groups, m.order, d.qos)
		l.forms = d.forms
		l.retain, l.forced, l.unsure = d.retain, true, unsure
	}
}

// join makes b a member of its group.
func (m *model) join(b *sub) {
	for _, g := range m.groups {
		if string(g.name) == string(b.name) {
			b.group = g
		}
	}
	if b.group == nil {
		b.group = &group{name: b.name}
		m.groups = append(m.groups, b.group)
	}
	b.group.members = append(b.group.members, b)
}

func (m *model) leaveGroup(b *sub) {
	if b.group == nil {
		return
	}
	i := slices.Index(b.group.members, b)
	b.group.members = slices.Delete(b.group.members, i, i+1)
	if len(b.group.members) == 0 {
		m.groups = slices.Delete(m.groups, slices.Index(m.groups, b.group), slices.Index(m.groups, b.group)+1)
	}
}

// timePassed does what was due in this pass, in the order of the deadlines.
func (m *model) timePassed() {
	now := m.now()
	for _, c := range m.w.conns {
		switch {
		case c.gone:
		case !c.connected && now >= c.attachedAt+m.limits.ConnectTimeout.Nanoseconds():
			if c.held == nil || c.heldUntil >= c.attachedAt+m.limits.ConnectTimeout.Nanoseconds() {
				m.mustClose(c, 0)
				c.held = nil
			}
		case c.connected && c.keepAlive > 0 && c.filing == nil && now-c.seenAt >= c.keepAlive: // [MQTT-3.1.2-24]
			m.mustClose(c, 0x8d)
		}
	}
	for m.doNext(now) {
	}
}

// overdue reports whether the router has sessions yet whose time is over.
func (m *model) overdue() bool {
	n := len(m.sessions)
	for _, s := range m.sessions {
		n -= int(bit(s.conn == nil && s.endAt != 0 && s.endAt <= m.now(), 1))
	}
	return m.w.router.Stats().Sessions > n
}

// doNext does what was due first, and reports whether there was anything.
func (m *model) doNext(now int64) bool {
	at, armed := int64(0), 0
	var expired, ended *session
	var held *conn
	stale := -1
	first := func(a int64, k int) bool {
		if a == 0 || a > now || at != 0 && (a > at || a == at && k > armed) {
			return false
		}
		at, armed, expired, ended, held, stale = a, k, nil, nil, nil, -1
		return true
	}
	for _, s := range m.sessions {
		if w := s.will; w != nil && first(w.due, w.armed) {
			expired = s
		}
		if s.conn == nil && first(s.endAt, s.armed) {
			ended = s
		}
	}
	for i, r := range m.retained {
		if first(r.expireAt, r.armed) {
			stale = i
		}
	}
	for _, c := range m.w.conns {
		if c.held != nil && !c.gone && first(c.heldUntil, c.heldArmed) {
			held = c
		}
	}
	switch {
	case held != nil:
		m.goesOn(held)
	case expired != nil:
		w := expired.will
		expired.will = nil
		m.publishWill(w, expired)
	case ended != nil:
		m.end(ended)
	case stale >= 0:
		m.unretain(stale)
	}
	return at != 0
}

// checkWake holds the instant at which the router wants to be called next
// against the first deadline.
func (m *model) checkWake() {
	first := int64(0)
	due := func(at int64) {
		if at != 0 && (first == 0 || at < first) {
			first = at
		}
	}
	for _, c := range m.w.conns {
		switch {
		case c.gone:
		case !c.connected:
			due(c.attachedAt + m.limits.ConnectTimeout.Nanoseconds())
		case c.keepAlive > 0 && c.filing == nil:
			due(c.seenAt + c.keepAlive)
		}
		if c.held != nil && !c.gone {
			due(c.heldUntil)
		}
	}
	for _, s := range m.sessions {
		if s.will != nil {
			due(s.will.due)
		}
		if s.conn == nil {
			due(s.endAt)
		}
	}
	for _, r := range m.retained {
		due(r.expireAt)
	}
	if first != 0 && (m.w.wake == 0 || m.w.wake > first) {
		m.w.fail("the router wants to sleep until %d; something is due at %d", m.w.wake, first)
	}
}

// stopping is the end of the router: all wills are published, those that wait
// as well, and all connections are closed.
func (m *model) stopping() {
	for _, c := range slices.Backward(m.w.conns) {
		if w := c.will; w != nil {
			c.will = nil
			m.publishWill(w, c.sess)
		}
	}
	for _, s := range m.offline {
		if w := s.will; w != nil {
			s.will = nil
			m.publishWill(w, s)
		}
	}
	for _, c := range m.w.conns {
		m.mustClose(c, 0x8b)
	}
}
