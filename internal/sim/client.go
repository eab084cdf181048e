package sim

import (
	"slices"
	"strconv"
)

// client is a device with a client identifier of its own. It keeps its side of
// the session, as the standard wants, over its connections.
type client struct {
	w     *World
	name  string
	rand  rng
	conn  *conn // nil: none
	up    bool  // CONNACK was read
	level byte
	alias [][]byte // topics of the aliases that were set on this connection

	*device
	held   []reply // acknowledgements that we owe
	last   reply   // the last one sent
	nextID uint16
	early  uint16 // PacketIDs used before CONNACK

	quota   int  // messages that the broker takes at once
	healing bool // behaves as well as it can
	liar    bool // has misbehaved
}

// device is a client's side of one session. It lies with the session: which one
// a client is in is known from CONNACK, and 3.1 does not even tell there.
type device struct {
	unacked  []outgoing // our messages that are not finished
	received []uint16   // PacketIDs of QoS 2 messages that wait for PUBREL
}

// outgoing is a message of QoS 1 or 2 on its way to the broker.
type outgoing struct {
	packet   packet
	released bool // PUBREC came, PUBREL was sent
}

// reply is an acknowledgement.
type reply struct {
	kind byte
	id   uint16
}

func newClient(w *World, i int) *client {
	return &client{w: w, name: "c" + strconv.Itoa(i), rand: rng{w.plan.Seed + uint64(i)*0x632be59b}, nextID: 1, early: 30_000, device: &device{}}
}

// send writes a packet.
func (cl *client) send(p *packet) {
	if cl.conn != nil {
		cl.conn.write(encode(nil, p, cl.level))
	}
}

func (cl *client) reply(kind byte, id uint16) {
	cl.last = reply{kind, id}
	cl.send(&packet{kind: kind, id: id})
}

// owe sends an acknowledgement, or keeps it for later.
func (cl *client) owe(kind byte, id uint16) {
	if !cl.healing && cl.rand.percent(cl.w.plan.SlowAcks) {
		cl.held = append(cl.held, reply{kind, id})
		return
	}
	cl.reply(kind, id)
}

// settle sends up to n acknowledgements that were kept.
func (cl *client) settle(n int) {
	for ; n > 0 && len(cl.held) > 0; n-- {
		i := 0
		if !cl.healing && cl.rand.percent(20) {
			i = cl.rand.n(len(cl.held))
		}
		r := cl.held[i]
		cl.held = append(cl.held[:i], cl.held[i+1:]...)
		cl.reply(r.kind, r.id)
	}
}

// dial opens a connection; one that is still open is left alone with its fate.
func (cl *client) dial(p *packet) {
	w := cl.w
	w.dialled++
	c := &conn{w: w, id: w.dialled, client: cl, rand: rng{w.rand.next()}}
	cl.device = new(device)
	cl.conn, cl.up, cl.held, cl.alias = c, false, cl.held[:0], nil
	cl.quota = 65535
	w.events.push(w.now+1, eventDial, c, 0)
	c.lastAt = w.now + 1
	if p != nil {
		cl.level = p.level
		cl.send(p)
	}
}

// lost is called when the client finds that a connection is gone.
func (cl *client) lost(c *conn) {
	c.left = true
	if cl.conn == c {
		cl.conn, cl.up = nil, false
	}
}

// takes handles a packet from the broker.
func (cl *client) takes(c *conn, raw []byte) {
	if c != cl.conn {
		return // we gave that one up
	}
	level := c.level
	if level == 0 {
		level = cl.level
	}
	p, err := decode(raw, level)
	if err != nil {
		cl.w.fail("%s cannot read what the broker sent: %v: % x", cl.name, err, raw)
		return
	}
	switch p.kind {
	case connack:
		cl.takesConnack(c, &p)
	case publish:
		cl.takesPublish(c, &p)
	case pubrel:
		if i := place(cl.received, p.id); i >= 0 {
			cl.received = append(cl.received[:i], cl.received[i+1:]...)
		}
		cl.owe(pubcomp, p.id)
	case puback, pubcomp:
		cl.finish(p.id)
	case pubrec:
		cl.takesPubrec(&p)
	}
}

func (cl *client) takesConnack(c *conn, p *packet) {
	if p.code != 0 {
		return
	}
	cl.up = true
	if p.props.is(propReceiveMax) {
		cl.quota = int(p.props.receiveMax)
	}
	if c.was == nil {
		return
	}
	before, stored := cl.unacked, &c.was.device
	if cl.healing { // what the broker will never take is given up
		stored.unacked = slices.DeleteFunc(stored.unacked, func(o outgoing) bool { return !cl.welcome(&o.packet) })
	}
	for i := range stored.unacked {
		o := &stored.unacked[i]
		o.packet.dup = true
		cl.repeat(o)
	}
	stored.unacked = append(stored.unacked, before...)
	cl.device = stored
}

// welcome reports whether a message is within the broker's limits.
func (cl *client) welcome(p *packet) bool {
	l := &cl.w.model.limits
	return !cl.w.model.longTopic(p.topic) && len(encode(nil, p, 5)) <= l.PacketBytesMax
}

func (cl *client) repeat(o *outgoing) {
	if o.released {
		cl.send(&packet{kind: pubrel, id: o.packet.id})
		return
	}
	cl.send(&o.packet)
}

func (cl *client) takesPublish(c *conn, p *packet) {
	switch p.qos {
	case 1:
		cl.w.model.delivered(c, p.id)
		cl.owe(puback, p.id)
	case 2:
		if place(cl.received, p.id) < 0 {
			cl.received = append(cl.received, p.id)
			cl.w.model.delivered(c, p.id)
		}
		cl.owe(pubrec, p.id)
	}
}

func (cl *client) takesPubrec(p *packet) {
	for i := range cl.unacked {
		if o := &cl.unacked[i]; o.packet.id == p.id {
			if p.code >= 0x80 {
				cl.finish(p.id)
				return
			}
			o.released = true
		}
	}
	cl.owe(pubrel, p.id)
}

// finish forgets a message of ours.
func (cl *client) finish(id uint16) {
	for i := range cl.unacked {
		if cl.unacked[i].packet.id == id {
			cl.unacked = append(cl.unacked[:i], cl.unacked[i+1:]...)
			return
		}
	}
}

// freeID returns a PacketID that is not in use.
func (cl *client) freeID() uint16 {
	if !cl.up { // which ones are in use is not known yet
		cl.early++
		return cl.early
	}
	for {
		id := cl.nextID
		if cl.nextID++; cl.nextID > 9 && len(cl.unacked) < 5 || cl.nextID == 0 {
			cl.nextID = 1
		}
		used := false
		for i := range cl.unacked {
			used = used || cl.unacked[i].packet.id == id
		}
		if !used && id != 0 {
			return id
		}
	}
}

func place(list []uint16, id uint16) int {
	for i, v := range list {
		if v == id {
			return i
		}
	}
	return -1
}
