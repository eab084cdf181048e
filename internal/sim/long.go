package sim

import (
	"slices"
	"strconv"
	"time"
)

// Long packets: a SUBSCRIBE or UNSUBSCRIBE of some length is done in pieces. How
// many of its filters each pass does is for the router to say, and the model watches;
// but all are checked before the first, they are done in their order, the client is
// not read from meanwhile, and the answer comes with the last.

// longBytes is the length from which the router does a packet in pieces.
const longBytes = 2 << 10

func (p *packet) isLong() bool {
	return (p.kind == subscribe || p.kind == unsubscribe) && p.length >= longBytes
}

// filing is a long packet under way.
type filing struct {
	conn *conn
	packet
	bad   bool // it must end its connection, and nothing else
	codes []byte
}

// file does a packet of filters, or begins to.
func (m *model) file(c *conn, p *packet, bad bool) {
	f := &filing{conn: c, packet: *p, bad: bad}
	f.filters, f.props.subIDs = slices.Clone(p.filters), slices.Clone(p.props.subIDs)
	for i := range f.filters {
		f.filters[i].name = slices.Clone(f.filters[i].name)
	}
	if p.isLong() {
		c.filing, m.filings = f, append(m.filings, f)
		return
	}
	m.enter(f, len(f.filters))
	m.filed(f)
}

// enter does the filters of f up to the n-th.
func (m *model) enter(f *filing, n int) {
	c := f.conn
	for i := len(f.codes); i < n; i++ {
		if f.kind == subscribe {
			f.codes = append(f.codes, m.grant(c, c.sess, &f.filters[i], f.props.subIDs))
		} else {
			f.codes = append(f.codes, m.ungrant(c.sess, f.filters[i].name))
		}
	}
	c.sess.dirty = true
}

// filed expects the answer.
func (m *model) filed(f *filing) {
	a := packet{kind: f.kind + 1, id: f.id}
	if f.kind == subscribe || f.conn.level == 5 {
		a.codes = f.codes
	}
	m.answer(f.conn, a)
}

// fileOn does what the router has done of the packets under way.
func (m *model) fileOn() {
	m.filings = slices.DeleteFunc(m.filings, func(f *filing) bool {
		done := m.filesOn(f)
		if done {
			f.conn.filing = nil
		}
		return done
	})
}

func (m *model) filesOn(f *filing) (done bool) {
	c := f.conn
	n, under := m.w.router.Filing(c.id)
	switch {
	case c.gone, c.sess == nil, m.closes(c):
		return true
	case f.bad && n > 0:
		m.w.fail("conn %d: %d filters of a packet were entered that is malformed", c.id, n)
		return true
	case under:
		m.enter(f, n)
		return false
	case f.bad:
		m.mustClose(c, 0)
		return true
	case c.closing && !unread(c.why): // for what it did, or did not do, before
		return true
	}
	m.enter(f, len(f.filters))
	m.filed(f)
	c.seenAt = m.now()
	c.sess.stuck = false
	return true
}

// drawLong has clients send long packets in some runs, with numbers of its own.
func (p *Plan) drawLong() *Plan {
	r := &rng{p.Seed ^ 0x6c6f6e67}
	if !r.percent(30) || p.Limits.PacketBytesMax != 0 {
		return p
	}
	for range r.between(1, 4) {
		p.Ops = slices.Insert(p.Ops, r.n(len(p.Ops)), Op{opLong, uint8(r.n(p.Clients)), uint32(r.next())})
	}
	return p
}

// Short takes the long packets out of a plan.
func (p *Plan) Short() *Plan {
	p.Ops = slices.DeleteFunc(p.Ops, func(o Op) bool { return o.Kind == opLong })
	return p
}

// sendsLong sends a long packet, and perhaps lets something happen before it is done.
func (cl *client) sendsLong(r *rng, c *conn) {
	w := cl.w
	p := cl.drawFilters(r)
	cl.send(p)
	w.hurry = r.of(0, 3, 10)
	next := r.n(12)
	if next < 6 && r.percent(70) {
		for range 300 {
			at := w.next()
			if _, under := w.router.Filing(c.id); under || at == 0 || at > w.now+int64(time.Second) || w.err != nil {
				break
			}
			w.advance(at)
		}
	}
	switch {
	case next == 0:
		c.cut(r.n(len(c.pipe) + 1))
		cl.lost(c)
	case next == 1:
		cl.dial(cl.drawConnect(r))
	case next == 2:
		c.hang()
	case next <= 4 && w.disk != nil:
		w.cutPower(r)
	case next <= 4 && w.mem != nil && len(w.plan.Classes) == 0:
		w.restart()
	case next == 5 && w.disk != nil:
		w.disk.doomed = true
	case next == 6 && cl.conn == c && !c.left:
		cl.disconnects(r, c)
	case next == 7:
		cl.publishes(r)
	case next <= 9:
		p.kind, p.id, p.props = unsubscribe+subscribe-p.kind, cl.freeID(), props{}
		cl.send(p)
	}
}

// drawFilters makes a long packet.
func (cl *client) drawFilters(r *rng) *packet {
	p := &packet{kind: subscribe, id: cl.freeID()}
	if r.percent(25) {
		p.kind = unsubscribe
	}
	padded := r.of(20, 50, 90)
	n, length := r.between(100, 300), 0
	for len(p.filters) < n || length < longBytes+100 {
		f := filter{name: cl.drawFilter(r), qos: byte(r.n(3))}
		if isShared(f.name) && len(p.filters) > 20 { // how a message goes through many groups takes long to find out
			f.name = inner(f.name)
		}
		if r.percent(padded) {
			f.name = append(strconv.AppendInt([]byte("pad"), int64(r.n(400)), 10), "....................."...)
		}
		if cl.level == 5 {
			f.rap, f.handling = r.percent(30), byte(r.of(0, 0, 1, 2))
		}
		p.filters = append(p.filters, f)
		length += len(f.name) + 2
	}
	if r.percent(8) {
		p.filters[r.n(len(p.filters))].name = []byte("a/#/b")
	}
	return p
}
