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
	dials int
	rand  rng
	net   rng   // start of its connections' randomness
	conn  *conn // nil: none
	up    bool  // CONNACK was read
	level byte
	alias [][]byte // topics of the aliases that were set on this connection

	*device
	known  bool    // device is that of the broker's session
	held   []reply // acknowledgements that we owe
	last   reply   // the last one sent
	nextID uint16
	early  uint16 // PacketIDs used before CONNACK

	quota   int  // messages that the broker takes at once
	healing bool // behaves as well as it can
	tries   int  // connections made to heal
	liar    bool // has misbehaved

	kept map[string]int // the retained messages that it is sent, by topic; nil: nobody asks
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
	on       *conn // sent last
	released bool  // PUBREC came, PUBREL was sent
}

// reply is an acknowledgement.
type reply struct {
	kind byte
	id   uint16
	code byte
}

func newClient(w *World, i int) *client {
	r := rng{w.plan.Seed + uint64(i)*0x632be59b}
	return &client{w: w, name: clientName(i), rand: r, net: r, nextID: 1, early: 30_000, device: new(device)}
}

func clientName(i int) string { return "c" + strconv.Itoa(i) }

// send writes a packet.
func (cl *client) send(p *packet) {
	if cl.conn != nil {
		cl.conn.write(encode(nil, p, cl.level))
	}
}

func (cl *client) reply(kind byte, id uint16) { cl.replies(reply{kind: kind, id: id}) }

func (cl *client) replies(r reply) {
	cl.last = r
	cl.send(&packet{kind: r.kind, id: r.id, code: r.code})
}

// owe sends an acknowledgement, or keeps it for later.
func (cl *client) owe(kind byte, id uint16) { cl.owes(reply{kind: kind, id: id}) }

func (cl *client) owes(r reply) {
	if !cl.healing && cl.rand.percent(cl.w.plan.SlowAcks) {
		cl.held = append(cl.held, r)
		return
	}
	cl.replies(r)
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
		cl.replies(r)
	}
}

// dial opens a connection; one that is still open is left alone with its fate.
func (cl *client) dial(p *packet) {
	w := cl.w
	w.dialled++
	cl.dials++
	seed := rng{cl.net.state + uint64(cl.dials)<<32} // not w's: what others do must not matter
	c := &conn{w: w, id: w.dialled, client: cl, rand: rng{seed.next()}}
	if cl.known { // which session this will be is not known yet
		cl.device, cl.known = new(device), false
	}
	cl.conn, cl.up, cl.held, cl.alias = c, false, cl.held[:0], nil
	cl.quota = 65535
	w.events.push(w.now+1, eventDial, c, 0)
	c.lastAt = w.now + 1
	if p != nil {
		c.other = string(p.clientID) != cl.name
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
	if c.doubtful {
		return
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
	stored.unacked = append(stored.unacked, before...)
	for i := range stored.unacked {
		if o := &stored.unacked[i]; o.on != c {
			o.on, o.packet.dup = c, true
			cl.repeat(o)
		}
	}
	cl.device, cl.known = stored, true
}

// welcome reports whether a message is within the broker's limits.
func (cl *client) welcome(p *packet) bool {
	l := &cl.w.model.limits
	return !cl.w.model.longTopic(p.topic) && len(encode(nil, p, 5)) <= l.PacketBytesMax
}

func (cl *client) repeat(o *outgoing) {
	if o.released {
		cl.send(&packet{kind: pubrel, id: o.packet.id, dup: true})
		return
	}
	cl.send(&o.packet)
}

func (cl *client) takesPublish(c *conn, p *packet) {
	if cl.kept != nil && p.retain {
		cl.kept[string(p.topic)] = numberOf(p.payload)
	}
	switch p.qos {
	case 1:
		cl.w.model.delivered(c, p.id)
		refuses := c.level == 5 && cl.rand.percent(cl.w.plan.Refusals)
		cl.took(c, p, !refuses)
		cl.owes(reply{puback, p.id, bit(refuses, 0x97)})
	case 2:
		if place(cl.received, p.id) < 0 {
			if c.level == 5 && cl.rand.percent(cl.w.plan.Refusals) { // that is its end [MQTT-4.3.3-4]
				cl.took(c, p, false)
				cl.owes(reply{pubrec, p.id, 0x97})
				return
			}
			cl.w.model.delivered(c, p.id)
			cl.took(c, p, true)
			cl.received = append(cl.received, p.id)
		}
		cl.owe(pubrec, p.id)
	}
}

// took tells the ledger of a message that is new, and whether the client wants it.
func (cl *client) took(c *conn, p *packet, wanted bool) {
	if l := cl.w.ledger; l != nil && c.holder != nil {
		l.took(c, p, wanted)
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
