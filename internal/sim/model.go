package sim

import (
	"slices"
	"time"

	"github.com/loopmq/loopmq/router"
)

// model is what should be: sessions with lists of filters, and for each the
// messages that it is owed, in order. It is slow and plain. In each step it
// first takes in what the router was told, then everything that the router
// sent, then settles what must have happened by then.
type model struct {
	w        *World
	limits   router.Limits
	sessions []*session
	offline  []*session // without a connection, longest away first
	groups   []*group
	retained []*message
	order    int // publications so far
	before   int // order when the step began
	armed    int // deadlines so far
	duels    map[string]*duel

	lasting int // sessions so far that outlive their connection
	filings []*filing
	buried  []*sub // of ended sessions; the router may not have taken them out yet

	// Of this step:
	direct  []*direct
	answers []*answer
	limbo   []*limbo
	kept    []keptSent
	ends    []closing
	chained bool      // sessions ended that may have been given shared messages in this step
	dropped uint64    // groupDrops before the step
	is      []waiting // what the router has in the queue that is looked at
	queued  map[*session][]waiting

	queueFull, tooLarge, ended uint64 // drops that must have been counted
	endedPerhaps               uint64 // more of them in this step, or not
}

// message is one publication.
type message struct {
	topic, payload []byte
	qos            byte
	retain         bool
	props          props
	size           int   // bytes as limits count them
	expireAt       int64 // 0: never
	order          int
	armed          int
}

// delivery is a message that a session is owed.
type delivery struct {
	*message
	qos    byte
	retain bool
	ids    []uint32   // Subscription Identifiers, sorted
	groups []*group   // of which one has sent it; nil: not of a shared subscription
	unsure bool       // it may as well be the one that is not shared
	order  int        // of the publication that caused it
	forms  []form     // what it may be instead
	others []*message // that it may be: where it was sent, properties are not seen
}

// form is how a message looks to a session that gets it for several reasons.
type form struct {
	retain bool
	ids    []uint32
}

// session is what the broker keeps for a client identifier.
type session struct {
	id       string
	conn     *conn
	expiry   int64
	endAt    int64
	away     int64 // since when
	number   int   // in the order in which sessions came that outlive their connection; 0: does not
	armed    int
	subs     []*sub
	pending  []*delivery // QoS 1 and 2, not sent yet
	fresh    int         // how many at the end of pending came in this step and may leave in it
	flights  []*flight
	received []uint16 // QoS 2 PacketIDs of the client that wait for PUBREL
	replays  []*replay
	lent     []lent
	will     *will
	liar     bool // its client does not keep the rules
	dirty    bool
	stuck    bool // retained messages wait for the window
	device   device
}

// flight is a message that was sent and is not finished.
type flight struct {
	*delivery
	id      uint16
	rec     bool  // PUBREC came
	conn    *conn // the last connection that it was sent on
	got     int   // how often the client took it for new
	refused bool  // the client did not want it
}

// sub is one filter of a session.
type sub struct {
	session *session
	name    []byte
	inner   []byte
	qos     byte
	noLocal bool
	rap     bool
	ids     []uint32
	group   *group
}

// group is a shared subscription.
type group struct {
	name    []byte
	members []*sub
}

// replay is what a new subscription is owed of what is retained.
type replay struct {
	name []byte
	qos  byte
	ids  []uint32
	left []*message
	// passed are those of left that were too large for some connection.
	passed []*message
}

// will is a message for the end of a connection.
type will struct {
	packet packet
	delay  int64
	due    int64
	armed  int
}

// side is what the model knows of a connection.
type side struct {
	sess, was  *session // now; and ever
	resumed    bool
	connected  bool
	answered   bool // CONNACK was sent
	terse      bool // wants no Reason Strings
	gone       bool // was closing before this step
	doubtful   bool // was closed in this step for what the model cannot see
	attachedAt int64
	seenAt     int64
	keepAlive  int64
	will       *will
	packetMax  int // bytes of a packet to the broker
	maxPacket  int // bytes of a packet to the client
	window     int // messages that the client takes at once
	open       int // those that it has not acknowledged
	aliasIn    [][]byte
	aliasMax   int
	aliasOut   [][]byte
	late       []*direct // QoS 0 that waits for room
	lateSent   bool      // some of it was sent in this step
	hushed     bool      // its CONNACK waits for the disk, in this step
	held       *packet   // the CONNECT of a duel that waits
	heldUntil  int64
	heldArmed  int
	oldest     *flight // the first of those in flight when the model last looked
	oldestAt   int64   // since when it has been that
	shutAt     int64   // since when messages wait for it
	reported   bool    // for not acknowledging it
	filing     *filing // its long packet
	told       int     // reason of the DISCONNECT that the router sent; -1: none
}

// direct is a QoS 0 message that must be sent in this step.
type direct struct {
	conn *conn
	*delivery
	done bool
}

// answer is a packet that must be sent in this step.
type answer struct {
	conn *conn
	packet
	done    bool
	perhaps bool // with another code, or with that of success
}

// limbo is a message for one of the members of a group.
type limbo struct {
	*message
	groups  []*group // one of them
	members []*sub   // as they were
	order   int
	most    byte // QoS that it may have
	retain  bool
	forced  bool // retain stays as it is
	forms   []form
	unsure  bool // perhaps it need not go to anybody
	taker   *session
	took    *delivery // nil: nobody was seen to take it
	over    *conn     // nil: it is in the queue
}

// closing is a connection that must be closed in this step.
type closing struct {
	conn   *conn
	reason byte // 0: any, or none
}

func (m *model) begin() {
	m.direct, m.answers, m.limbo, m.ends = m.direct[:0], m.answers[:0], m.limbo[:0], m.ends[:0]
	m.kept = m.kept[:0]
	clear(m.queued)
	m.dropped, m.chained, m.before = m.groupDrops(), false, m.order
}

func (m *model) now() int64 { return m.w.now }

func (m *model) find(id string) *session {
	for _, s := range m.sessions {
		if s.id == id {
			return s
		}
	}
	return nil
}

func (m *model) mustClose(c *conn, reason byte) {
	if !c.gone {
		m.ends = append(m.ends, closing{c, reason})
	}
}

// closes reports whether c must be closed in this step.
func (m *model) closes(c *conn) bool {
	return slices.ContainsFunc(m.ends, func(k closing) bool { return k.conn == c })
}

// answer expects a packet on c, or its end where the packet is too large.
func (m *model) answer(c *conn, p packet) bool {
	if len(encode(nil, &p, c.level)) > c.maxPacket {
		m.mustClose(c, 0)
		return false
	}
	m.answers = append(m.answers, &answer{conn: c, packet: p})
	return true
}

func (m *model) attached(c *conn) {
	c.attachedAt, c.movedAt, c.told = m.now(), m.now(), -1
	c.packetMax, c.maxPacket = m.limits.ConnectBytesMax, 1<<30
}

// newMessage copies a PUBLISH or a will.
func (m *model) newMessage(p *packet) *message {
	msg := &message{
		topic: slices.Clone(p.topic), payload: slices.Clone(p.payload),
		qos: p.qos, retain: p.retain, props: p.props.travels(),
	}
	msg.size = len(msg.topic) + len(msg.payload) + len(msg.props.fields(nil))
	if p.props.is(propExpiry) {
		msg.expireAt = m.now() + int64(p.props.expiry)*int64(time.Second)
	}
	return msg
}

func (msg *message) expired(now int64) bool { return msg.expireAt != 0 && now >= msg.expireAt }

// publish works out who gets a message.
func (m *model) publish(msg *message, from *session) (matched bool) {
	m.order++
	msg.order = m.order
	for _, s := range m.sessions {
		var d *delivery
		for _, b := range s.subs {
			if !matches(b.inner, msg.topic) {
				continue
			}
			matched = true
			if b.group != nil || b.noLocal && s == from {
				continue
			}
			if d == nil {
				d = &delivery{message: msg, order: msg.order}
			}
			d.qos = max(d.qos, min(b.qos, msg.qos))
			d.retain = d.retain || b.rap && msg.retain
			d.ids = append(d.ids, b.ids...)
		}
		if d != nil {
			slices.Sort(d.ids)
			m.expect(s, d)
		}
	}
	for _, g := range m.groups {
		if matches(inner(g.name), msg.topic) {
			m.share(msg, []*group{g}, msg.order, msg.qos)
		}
	}
	if msg.retain {
		m.retain(msg)
	}
	return matched
}

// share expects msg at one member of the groups.
func (m *model) share(msg *message, groups []*group, order int, most byte) *limbo {
	l := &limbo{message: msg, groups: groups, order: order, most: most}
	for _, g := range groups {
		for _, b := range g.members {
			as := *b // a long SUBSCRIBE may change it in this step
			l.members = append(l.members, &as)
		}
	}
	for _, b := range l.members {
		b.session.dirty = true
	}
	m.limbo = append(m.limbo, l)
	return l
}

// expect notes that s must get d.
func (m *model) expect(s *session, d *delivery) {
	if d.qos == 0 {
		if s.conn != nil && !s.conn.gone {
			m.direct = append(m.direct, &direct{conn: s.conn, delivery: d})
		}
		return
	}
	s.dirty = true
	if s.conn == nil || len(s.pending) > s.fresh || !s.repeated() {
		m.enqueue(s, d)
		return
	}
	s.pending = append(s.pending, d) // may leave at once
	s.fresh++
}

// repeated reports whether all that an earlier connection left open was sent
// again.
func (s *session) repeated() bool {
	for _, f := range s.flights {
		if f.conn != s.conn {
			return false
		}
	}
	return true
}

// enqueue puts d at the end of the queue, from which the oldest go at a limit.
func (m *model) enqueue(s *session, d *delivery) {
	if d.size > m.limits.QueuedBytesMax {
		m.tooLarge++
		return
	}
	bytes := 0
	for _, q := range s.pending {
		bytes += q.size
	}
	for len(s.pending) >= m.limits.QueuedMessagesMax || bytes+d.size > m.limits.QueuedBytesMax {
		bytes -= s.pending[0].size
		s.pending = s.pending[1:]
		m.queueFull++
	}
	s.pending = append(s.pending, d)
}

// retainable tells whether the limits allow that msg is retained, and where in
// the list is what its topic has; -1: nowhere.
func (m *model) retainable(msg *message) (at int, fits bool) {
	at, bytes := -1, 0
	for i, r := range m.retained {
		if string(r.topic) == string(msg.topic) {
			at = i
			continue
		}
		bytes += r.size
	}
	full := at < 0 && len(m.retained) >= m.limits.RetainedMessagesMax || bytes+msg.size > m.limits.RetainedBytesMax
	return at, len(msg.payload) == 0 || !full
}

// retain keeps msg for its topic. Where it is empty, or does not fit, there is
// none any more.
func (m *model) retain(msg *message) {
	at, fits := m.retainable(msg)
	if at >= 0 {
		m.unretain(at)
	}
	if !fits || len(msg.payload) == 0 {
		return
	}
	m.armed++
	msg.armed = m.armed
	m.retained = append(m.retained, msg)
}

// unretain forgets a retained message; who has not got it does not.
func (m *model) unretain(at int) {
	old := m.retained[at]
	m.retained = append(m.retained[:at], m.retained[at+1:]...)
	for _, s := range m.sessions {
		for _, r := range s.replays {
			if m.w.mem == nil {
				r.forget(old)
			} else if slices.Contains(r.left, old) {
				r.passed = append(r.passed, old) // it may have a PacketID, and wait for the disk
			}
		}
	}
}

// delivery is what msg is to the session.
func (r *replay) delivery(msg *message) *delivery {
	return &delivery{message: msg, qos: min(msg.qos, r.qos), retain: true, ids: r.ids, order: msg.order}
}

// due reports whether msg must still come, over c.
func (r *replay) due(m *model, msg *message, c *conn) bool {
	return !slices.Contains(r.passed, msg) && !m.mayDrop(r.delivery(msg), c)
}

func (r *replay) forget(msg *message) bool {
	i := slices.Index(r.left, msg)
	if i < 0 {
		return false
	}
	r.left = append(r.left[:i], r.left[i+1:]...)
	return true
}
