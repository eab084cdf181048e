package sim

import (
	"bytes"
	"slices"
	"time"

	"github.com/loopmq/loopmq/router"
)

// ledger is the model of a router whose store takes its time, fails and loses
// its power. It holds what docs/durability.md promises to those who look at the
// wire: what was acknowledged is delivered, in order, and with QoS 2 once. It
// knows nothing of batches. What was not acknowledged may be there or not, and
// which sessions a start has found is seen when their clients come: until then
// a name has a set of sessions that may be its own.
type ledger struct {
	w      *World
	began  int64 // when trouble began for the first time in this life of the router; 0: it has not
	names  []*name
	posts  map[int]*post // by number; never walked through
	order  []*post       // those, as they came
	values []*value      // of retained topics, as they came
	clock  int           // receipts so far
	looked int64         // instant of the last EndPass
	now    []owedNow     // QoS 0 of this pass
	drops  int           // messages that earlier lives of the router have counted as dropped
	stirs  int64         // when a shared subscription last got a member, or lost one, or may have
}

// name is a client identifier.
type name struct {
	id     string
	own    bool      // it is that of a client, who comes back; nothing is wanted for others
	may    []*holder // one of them is the session that the router has; nil stands for none
	ghosts []*holder // those that have ended, and whose end a power cut may take back
	conn   *conn
	wills  []*testament // of connections that have ended
	duel   duel
}

// holder is a session as those see it who look at the wire.
type holder struct {
	session // of which only the device counts
	name    *name
	sure    bool // CONNACK has left
	crowded bool // it may have ended, to make room for others
	void    bool // nothing is wanted of it: it may be another one
	conn    *conn
	leftAt  int64
	expiry  int64    // ns, as the router has it
	low     int64    // the least that a start may find
	high    int64    // and the most
	soonest int64    // when it may end, having no connection
	latest  int64    // when it must have ended
	stale   int64    // soonest as a start may find it, where a return may not be written; 0: it is
	found   bool     // it has had no connection since the last start
	filters []*entry // subscriptions
	shares  [][]byte // filters of the shared ones that it has had
	got     []*post  // in the order in which the client took them for new
	once    []*post  // those of them that came with QoS 2
	refused []*post  // which the client did not want
	sent    []copies // what it was sent for the first time
	narrow  int      // the least Maximum Packet Size of its connections; 0: there was none
}

// entry is a subscription that may be there.
type entry struct {
	filter
	sure bool // SUBACK has left, and no UNSUBSCRIBE has come
	low  byte // the QoS that it has at least
	high byte // and at most
	open int  // requests for it without an answer

	since int64 // when it was last granted
}

// post is a message.
type post struct {
	number  int
	topic   []byte
	payload []byte
	travels []props // of each receipt
	size    int     // bytes as limits count them
	qos     byte
	retain  bool
	will    bool
	of      *testament // whose will it is; nil: it is none
	class   router.Durability
	by      *holder // the session that sent it
	several bool    // it was sent in several sessions
	first   int     // its receipts
	last    int
	at      []int       // all of them
	times   int         // how often it was published, or may have been
	sureTo  int64       // instant at which it may have expired; 0: never
	goodTo  int64       // and at which it has
	wanted  []*holder   // who must get it
	shared  [][]*holder // one of each must get it
	allowed []*name     // who may
	ackedAt int64       // 0: it was not
	void    bool        // it need not arrive any more
	loose   bool        // it may come twice
}

// value is what was published to a retained topic.
type value struct {
	topic []byte
	post  *post
	empty bool
	by    *name
	id    uint16
	again bool // a repetition that may have changed nothing
	acked bool
	void  bool // its acknowledgement means nothing any more
	class router.Durability
	since int64 // when it was acknowledged
	at    int   // its receipt; 0: it is a will
	when  int64 // the first instant at which it may have come into force
	until int64 // and the last
	size  int
}

// request is what a client waits for an answer to.
type request struct {
	packet
	post    *post
	value   *value
	entries []*entry // of its filters; nil: there was none
}

func newLedger(w *World) *ledger {
	l := &ledger{w: w, posts: map[int]*post{}}
	for i := range w.plan.Clients {
		l.names = append(l.names, &name{id: clientName(i), own: true, may: []*holder{nil}})
	}
	return l
}

// named finds a client identifier; "": the broker makes one that nobody else has.
func (l *ledger) named(id []byte) *name {
	for _, n := range l.names {
		if n.id == string(id) && len(id) > 0 {
			return n
		}
	}
	n := &name{id: string(id), may: []*holder{nil}}
	l.names = append(l.names, n)
	return n
}

// one is the session that n has for sure; nil: none, or it is not known.
func (n *name) one() *holder {
	if len(n.may) == 1 {
		return n.may[0]
	}
	return nil
}

// live takes those out of the set that must have ended by now, when the router
// last looked at the time at looked.
func (n *name) live(now, looked int64) []*holder {
	var set []*holder
	for _, h := range n.may {
		none := h == nil || h.conn == nil && now >= h.soonest
		if h != nil && (h.conn != nil || looked < h.latest) {
			set = append(set, h)
		}
		if none && !slices.Contains(set, nil) {
			set = append(set, nil)
		}
	}
	return set
}

func (l *ledger) class(topic []byte) router.Durability {
	for _, r := range l.w.plan.Classes {
		if matches([]byte(r.Filter), topic) {
			return r.Class
		}
	}
	return router.DurabilitySync
}

// received takes in a packet that the router was given.
func (l *ledger) received(c *conn, raw []byte) {
	p, bad := decode(raw, c.level)
	if p.kind == connect && c.level == 0 {
		c.level = p.level
	}
	if bad != nil || c.connected == (p.kind == connect) {
		l.mustClose(c, &p)
		return
	}
	if _, under := l.w.router.Filing(c.id); under && !p.isLong() {
		l.w.fail("conn %d is read from while a packet is done in pieces", c.id)
	}
	r := &request{packet: p}
	switch p.kind {
	case connect:
		if c.connected = true; l.waits(c, r) || !l.connects(c, r) {
			return
		}
	case publish:
		if !l.resolve(c, &r.packet) || r.topic[0] == '$' {
			r.value, r.post = nil, nil
			break
		}
		l.publishes(c, r)
	case subscribe, unsubscribe:
		r.filters = slices.Clone(p.filters)
		for i := range r.filters {
			r.filters[i].name = bytes.Clone(r.filters[i].name)
		}
		if h := c.holder; h != nil {
			l.asks(h, r)
		}
	case pubrel:
	case puback, pubrec, pubcomp:
		c.lands(&p)
		return
	case disconnect:
		l.leaves(c, &p)
		return
	case pingreq:
		return
	default:
		l.mustClose(c, &p)
		return
	}
	if p.kind != publish || p.qos > 0 {
		c.asked = append(c.asked, r)
	}
}

// mustClose holds that p, which nobody may send, ends its connection.
func (l *ledger) mustClose(c *conn, p *packet) {
	if !c.closing && !p.isLong() {
		l.w.fail("conn %d has sent %s, and was not closed", c.id, brief(p))
	}
}

// resolve puts the topic in where a client sends an alias.
func (l *ledger) resolve(c *conn, p *packet) bool {
	if !p.props.is(propAlias) {
		return true
	}
	n := int(p.props.alias)
	for len(c.aliasIn) <= n {
		c.aliasIn = append(c.aliasIn, nil)
	}
	if len(p.topic) > 0 {
		c.aliasIn[n] = bytes.Clone(p.topic)
	}
	p.topic = c.aliasIn[n]
	return len(p.topic) > 0
}

// publishes takes in a PUBLISH: who must get it, and who may.
func (l *ledger) publishes(c *conn, r *request) {
	l.clock++
	n := numberOf(r.payload)
	if r.retain {
		v := &value{topic: bytes.Clone(r.topic), empty: len(r.payload) == 0, by: c.name, id: r.id, at: l.clock}
		v.when, v.until = l.w.now, l.w.now
		travels := r.props.travels()
		v.class, v.size = l.class(r.topic), len(r.topic)+len(r.payload)+len(travels.fields(nil))
		v.void = c.holder != nil && c.holder.void || r.qos == 2 && c.mixesIDs()
		v.again = r.qos == 2 && (r.dup || l.came(v, n))
		r.value = v
		l.values = append(l.values, v)
	}
	if n == 0 {
		return
	}
	m, wanted := l.posts[n], l.wanted(c.holder, &r.packet)
	if m == nil {
		m = &post{
			number: n, topic: bytes.Clone(r.topic), payload: bytes.Clone(r.payload), qos: r.qos, retain: r.retain,
			class: l.class(r.topic), size: len(r.topic) + len(r.payload),
			by: c.holder, first: l.clock, wanted: wanted,
		}
		l.posts[n] = m
		l.order = append(l.order, m)
	}
	m.loose = m.loose || m.first != l.clock && !r.dup // from a connection given up, later than its repetition
	m.last = l.clock
	m.times, m.at, m.travels = m.times+1, append(m.at, l.clock), append(m.travels, r.props.travels())
	m.size = max(m.size, len(m.topic)+len(m.payload)+len(m.travels[m.times-1].fields(nil)))
	m.several = m.several || m.by != c.holder || m.by == nil
	m.void = m.void || c.holder != nil && c.holder.void || r.qos == 2 && c.mixesIDs()
	m.loose = m.loose || c.mixesIDs()
	m.wanted = slices.DeleteFunc(m.wanted, func(h *holder) bool { return !slices.Contains(wanted, h) })
	if shared := l.shared(&r.packet); m.first == m.last {
		m.shared = shared
	} else if !slices.EqualFunc(m.shared, shared, slices.Equal) {
		m.shared = nil // which of them it was is not known
	}
	l.allow(m)
	l.owesNow(c, m, r)
	m.lasts(l.w.now, &r.packet)
	if r.post = m; r.value != nil {
		r.value.post = m
	}
}

// mixesIDs reports whether the PacketIDs of c may stand for other messages: after what
// breaks the rules, and where several clients have one session in turn, each with
// PacketIDs of its own. The broker then takes one message for the repetition of another.
func (c *conn) mixesIDs() bool { return c.client.liar || !c.name.own && c.name.id != "" }

// came reports whether v, with message n, has come before: what was sent first may
// come behind its repetition, from a connection given up, and without DUP.
func (l *ledger) came(v *value, n int) bool {
	return l.posts[n] != nil || n == 0 && slices.ContainsFunc(l.values, func(o *value) bool {
		return o.empty == v.empty && o.by == v.by && o.id == v.id && bytes.Equal(o.topic, v.topic)
	})
}

// lasts notes when a receipt expires: one that is repeated over an older version
// of the protocol never does.
func (m *post) lasts(now int64, p *packet) {
	end := int64(0)
	if p.props.is(propExpiry) {
		end = now + int64(p.props.expiry)*int64(time.Second)
	}
	if m.first == m.last {
		m.sureTo, m.goodTo = end, end
		return
	}
	if end != 0 && (m.sureTo == 0 || end < m.sureTo) {
		m.sureTo = end
	}
	if m.goodTo != 0 {
		m.goodTo = max(m.goodTo, end) * int64(bit(end != 0, 1))
	}
}

// wanted are the sessions that a message must reach once it is acknowledged.
func (l *ledger) wanted(from *holder, p *packet) (list []*holder) {
	for _, n := range l.names {
		h := n.one()
		if h == nil || !h.sure || h.void || h.liar || h.conn == nil && l.w.now >= h.soonest {
			continue
		}
		for _, e := range h.filters {
			if e.sure && min(e.low, p.qos) > 0 && !isShared(e.name) && !(e.noLocal && h == from) && matches(e.name, p.topic) {
				list = append(list, h)
				break
			}
		}
	}
	return list
}

// allow notes who may get m now.
func (l *ledger) allow(m *post) {
	for _, n := range l.names {
		if slices.Contains(m.allowed, n) {
			continue
		}
		undecided := n.conn != nil && n.conn.holder == nil
		for _, h := range append(slices.Clone(n.may), n.ghosts...) {
			if h != nil && (h.void || slices.ContainsFunc(h.filters, func(e *entry) bool {
				return matches(inner(e.name), m.topic)
			})) {
				undecided = true
			}
		}
		if undecided {
			m.allowed = append(m.allowed, n)
		}
	}
}

// asks notes that filters may come or go.
func (l *ledger) asks(h *holder, r *request) {
	for i := range r.filters {
		f := r.filters[i]
		if isShared(f.name) {
			l.stirs = l.w.now
		}
		at := slices.IndexFunc(h.filters, func(e *entry) bool { return string(e.name) == string(f.name) })
		var e *entry
		switch {
		case at >= 0 && r.kind == unsubscribe:
			e = h.filters[at]
			e.sure = false
		case at >= 0:
			e = h.filters[at]
			e.low, e.high = min(e.low, f.qos), max(e.high, f.qos)
			e.noLocal = e.noLocal || f.noLocal
		case r.kind == subscribe:
			if isShared(f.name) {
				h.shares = append(h.shares, inner(f.name))
			}
			e = &entry{filter: f, low: f.qos, high: f.qos}
			h.filters = append(h.filters, e)
		}
		if e != nil {
			e.open++
		}
		r.entries = append(r.entries, e)
	}
}

// answered takes in SUBACK or UNSUBACK; that no answer comes when codes is nil.
func (l *ledger) answered(h *holder, r *request, answer bool, codes []byte) {
	for i, e := range r.entries {
		if e == nil {
			continue
		}
		if isShared(e.name) {
			l.stirs = l.w.now
		}
		switch e.open--; {
		case !answer || e.open > 0: // another request decides
		case i < len(codes) && codes[i] >= 0x80: // it stays as it was
		case r.kind == unsubscribe:
			h.filters = slices.DeleteFunc(h.filters, func(o *entry) bool { return o == e })
		case i < len(codes):
			e.filter, e.sure, e.low, e.high, e.since = r.filters[i], true, codes[i], codes[i], l.w.now
		}
	}
}
