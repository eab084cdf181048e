package router_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

const groups = 3 // of topics, and so of filters

// citizen is a client that keeps its side of MQTT through everything: 3.1.1 or
// 5.0, publisher or subscriber.
type citizen struct {
	town   *town
	id     string
	bit    uint8 // of subscribers
	five   bool
	expiry uint32 // seconds; 5.0 only, 3.1.1 has the broker's
	talks  bool   // publishes
	mortal bool   // has a will
	brief  bool   // leaves for longer than its session lives

	conn  *fakeConn
	there bool // CONNACK came
	inbox []string
	idle  int // steps that it stays away

	known    bool  // there is a session
	up       bool  // it is connected, or connects
	goneAt   int64 // time of day at which the connection before may have ended, at the earliest
	leftAt   int64 // and at the latest
	leftSure bool  // the broker has had time to write that down
	anewed   bool  // CONNECT asked for a new one
	doubt    bool  // a CONNECT without answer may have found no session
	came     int64 // time of day of CONNECT, which decides whether there is one

	nextID byte
	sent   map[string]int // by stream
	open   []outMessage
	subs   [groups]wish
	asking int  // group whose SUBSCRIBE or UNSUBSCRIBE is open; -1 = none
	anew   bool // it was refused and is to be asked again
	inside map[string]bool
	got    map[string][]int

	life   int  // number of the will
	armed  bool // that will is in force: CONNACK came
	buried bool // a DISCONNECT was sent since
}

// wish is the state of a subscription.
type wish uint8

const (
	off wish = iota
	asked
	on
	leaving
)

// outMessage is a PUBLISH without its last acknowledgement.
type outMessage struct {
	topic    string
	qos, id  byte
	n        int
	kept     bool // is to be retained
	empty    bool
	expiry   uint32
	padding  int
	received bool // PUBREC came
}

func (o *outMessage) stream() string { return fmt.Sprint(o.topic, " ", o.qos) }

func (c *citizen) clone(k *town) *citizen {
	after := *c
	after.town, after.conn, after.inbox, after.idle, after.anew = k, nil, nil, 0, false
	after.sent, after.open, after.inside = maps.Clone(c.sent), slices.Clone(c.open), maps.Clone(c.inside)
	after.got = make(map[string][]int, len(c.got))
	for stream, n := range c.got {
		after.got[stream] = slices.Clip(n)
	}
	return &after
}

// lost takes in that the connection has ended without a word.
func (c *citizen) lost() {
	c.conn, c.inbox, c.anew = nil, nil, false
	if c.up {
		c.left(c.town.m.clock())
	}
}

// left notes that it is not connected any more.
func (c *citizen) left(at int64) {
	if c.there && !c.town.faulty { // else it may not be known that it was there again
		c.goneAt = at
	}
	c.up, c.leftAt, c.leftSure, c.there = false, at, false, false
}

func (c *citizen) reset() {
	if c.conn != nil {
		c.conn.reset()
		c.lost()
	}
}

// leave says goodbye, and stays away for a while.
func (c *citizen) leave(steps int) {
	if !c.there {
		return
	}
	c.idle = steps
	c.conn.feed(wire(0xe0))
	c.buried = true
	c.lost()
}

// step connects, or looks at a packet, or does something.
func (c *citizen) step() {
	switch {
	case c.conn == nil && c.idle > 0:
		c.idle--
		return
	case c.conn == nil:
		c.connect()
		return
	case c.conn.closing:
		c.lost()
		return
	}
	if len(c.conn.tail) > 0 { // it was paused, and perhaps is no more
		c.conn.feed(nil)
	}
	c.inbox = append(c.inbox, packets(c.conn.take())...)
	switch {
	case len(c.inbox) > 0:
		p := c.inbox[0]
		c.inbox = c.inbox[1:]
		c.handle(p)
	case c.there && c.anew:
		c.anew = false
		c.ask()
	case !c.there || c.town.last:
	case c.talks && len(c.open) < 6:
		c.publish()
	case !c.talks && c.asking < 0 && c.town.rng.IntN(4) == 0:
		c.wander()
	}
}

func (c *citizen) connect() {
	c.conn, c.up, c.came = c.town.m.dial(), true, c.town.m.clock()
	led := &c.town.led
	for i := range led.posted {
		led.posted[i].unsent &^= c.bit
	}
	if !c.five {
		c.conn.feed(wire(0x10, str("MQTT"), "\x04\x00\x00\x00", str(c.id)))
		return
	}
	props := "\x11" + word(c.expiry)
	must, _ := c.lives()
	flags, testament := "\x00", ""
	switch {
	case c.doubt: // begin anew, then
		flags, c.anewed = "\x02", true
		c.forget()
	case c.known && !must:
		c.doubt = true
	}
	if c.mortal {
		c.life++
		c.armed, c.buried, flags = false, false, "\x14"
		testament = "\x05\x18" + word(5) + str("w/"+c.id) + str(strconv.Itoa(c.life))
		led.enter(post{stream: "w/" + c.id + " 2", n: c.life, group: -1})
	}
	c.conn.feed(wire(0x10, str("MQTT"), "\x05", flags, "\x00\x00", string([]byte{byte(len(props))}), props, str(c.id), testament))
}

func (c *citizen) handle(p string) {
	body := rest(p)
	switch p[0] >> 4 {
	case 2:
		c.connected(body)
	case 3:
		c.message(p[0], body)
	case 4, 5, 7:
		c.acknowledged(p[0]>>4, body)
	case 6:
		delete(c.inside, body[:2])
		c.conn.feed([]byte{0x70, 2, body[0], body[1]})
	case 9, 11:
		c.answered(p[0]>>4, body[len(body)-1])
	}
}

func (c *citizen) connected(body string) {
	if body[1] != 0 {
		if !c.town.faulty {
			c.town.led.fail("%s: CONNACK % x", c.id, body)
		}
		c.lost()
		return
	}
	present := body[0] == 1
	must, may := c.lives()
	if c.anewed {
		must, may = false, false
	}
	switch {
	case c.known && must && !present:
		c.town.led.fail("%s: the session is gone", c.id)
	case c.known && !may && present:
		c.town.led.fail("%s: the session should have expired", c.id)
	}
	if !present {
		c.forget()
	}
	c.there, c.known, c.armed, c.doubt, c.anewed = true, true, !c.town.faulty, false, false
	for i := range c.open {
		if o := &c.open[i]; o.received {
			c.conn.feed([]byte{0x62, 2, 0, o.id})
		} else {
			c.town.led.sentAgain(o, c.town.m.clock())
			c.send(o, 8)
		}
	}
	if c.asking >= 0 {
		c.ask()
	}
}

// lives tells whether the session had to be there still at the last CONNECT, and
// whether it may have been. CONNACK may be read much later.
func (c *citizen) lives() (must, may bool) {
	now, life := c.came, int64(c.expiry)*1e9
	if !c.five {
		return true, true
	}
	const slack = 5e9
	switch cut := c.town.cutAt; {
	case cut == 0: // it never went
		return now < c.goneAt+life, now < c.leftAt+life+slack
	case c.leftAt < cut && c.leftSure: // it had left before
		return now < c.goneAt+life, now < c.leftAt+life+slack
	default:
		return now < c.goneAt+life, now < c.leftAt+660e9+life+slack
	}
}

// forget starts anew, without a session.
func (c *citizen) forget() {
	c.inside, c.asking, c.subs = map[string]bool{}, -1, [groups]wish{}
	led := &c.town.led
	for i := range led.posted {
		led.posted[i].wanted &^= c.bit
	}
}

func (c *citizen) publish() {
	k := c.town
	o := outMessage{qos: byte(1 + k.rng.IntN(2)), padding: k.rng.IntN(30)}
	if k.rng.IntN(30) == 0 {
		o.padding = k.rng.IntN(12_000) // longer than a segment
	}
	group := k.rng.IntN(groups)
	o.topic = fmt.Sprintf("t/%d/%s", group, c.id)
	if k.rng.IntN(4) == 0 {
		o.topic, o.kept, o.qos, o.empty = "r/"+c.id, true, byte(k.rng.IntN(3)), k.rng.IntN(4) == 0
	}
	for used := true; used; {
		c.nextID = c.nextID%8 + 1
		used = slices.ContainsFunc(c.open, func(x outMessage) bool { return x.id == c.nextID })
	}
	o.id = c.nextID
	number := o.stream()
	if o.kept {
		number = o.topic
	}
	c.sent[number]++
	o.n = c.sent[number]
	if o.kept {
		k.led.kept[o.topic] = append(k.led.kept[o.topic], keptValue{n: o.n, empty: o.empty})
	} else {
		p := post{stream: o.stream(), n: o.n, group: group}
		if c.five && k.rng.IntN(4) == 0 {
			o.expiry = 30
			p.sure = k.m.clock() + 30e9
			p.ends = p.sure
		}
		for _, s := range k.all {
			p.wanted |= s.bit * one(s.subs[group] == on)
			p.barred |= s.bit * one(s.subs[group] == off)
			p.unsent |= s.bit * one(s.conn == nil)
		}
		k.led.enter(p)
	}
	if o.qos > 0 {
		c.open = append(c.open, o)
	}
	c.send(&o, 0)
}

func one(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

func (c *citizen) send(o *outMessage, dup byte) {
	first, id, props, payload := 0x30|o.qos<<1|dup|one(o.kept), "", "", ""
	if o.qos > 0 {
		id = string([]byte{0, o.id})
	}
	switch {
	case c.five && o.expiry > 0:
		props = "\x05\x02" + word(o.expiry)
	case c.five:
		props = "\x00"
	}
	if !o.empty {
		payload = strconv.Itoa(o.n) + " " + strings.Repeat(".", o.padding)
	}
	c.conn.feed(wire(first, str(o.topic), id, props, payload))
}

// wander changes a subscription.
func (c *citizen) wander() {
	group := c.town.rng.IntN(groups)
	if c.subs[group] == on && c.town.rng.IntN(3) > 0 {
		return
	}
	c.asking = group
	if c.subs[group] == off {
		c.subs[group] = asked
		c.town.led.each(group, func(p *post) {
			if !p.acked {
				p.barred &^= c.bit
			}
		})
	} else {
		c.subs[group] = leaving
		c.town.led.each(group, func(p *post) { p.wanted &^= c.bit })
	}
	c.ask()
}

// ask sends the SUBSCRIBE or UNSUBSCRIBE that is open.
func (c *citizen) ask() {
	filter, first, opts := str(fmt.Sprintf("t/%d/+", c.asking)), byte(0x82), "\x02"
	if c.subs[c.asking] == leaving {
		first, opts = 0xa2, ""
	}
	props := ""
	if c.five {
		props = "\x00"
	}
	c.conn.feed(wire(first, "\x00\x63", props, filter, opts))
}

// answered takes a SUBACK or UNSUBACK.
func (c *citizen) answered(kind, code byte) {
	if c.asking < 0 {
		return // the answer to one of two
	}
	group := c.asking
	c.asking = -1
	refused := code >= 0x80 && (kind == 9 || c.five)
	switch {
	case refused && !c.town.faulty:
		c.town.led.fail("%s: refused with 0x%02x", c.id, code)
	case refused:
		c.asking, c.anew = group, true // until it is granted: some earlier one may have been
	case kind == 9:
		c.subs[group] = on
	default:
		c.subs[group] = off
	}
}

func (c *citizen) message(first byte, body string) {
	n := 2 + int(body[1])
	topic, body := body[2:n], body[n:]
	qos, id := first>>1&3, ""
	if qos > 0 {
		id, body = body[:2], body[2:]
	}
	if c.five {
		body = body[1+int(body[0]):]
	}
	text, _, _ := strings.Cut(body, " ")
	number, _ := strconv.Atoi(text)
	if qos < 2 || !c.inside[id] {
		c.town.led.came(c, fmt.Sprint(topic, " ", qos), number)
	}
	if qos == 2 {
		c.inside[id] = true
	}
	if qos > 0 {
		c.conn.feed([]byte{0x30 + qos<<4, 2, id[0], id[1]})
	}
}

func (c *citizen) acknowledged(kind byte, body string) {
	i := slices.IndexFunc(c.open, func(o outMessage) bool { return o.id == body[1] })
	if i < 0 {
		return
	}
	o := &c.open[i]
	refused := len(body) > 2 && body[2] >= 0x80
	switch {
	case refused && kind < 7:
		if !c.town.faulty {
			c.town.led.fail("%s: %s %d was refused with 0x%02x", c.id, o.stream(), o.n, body[2])
		}
		c.town.refusals++
		c.town.led.refused(o)
	case kind == 5 && o.qos == 2:
		if !o.received {
			c.town.led.acked(o)
		}
		o.received = true
		c.conn.feed([]byte{0x62, 2, 0, o.id})
		return
	case kind == 4 && o.qos == 1:
		c.town.led.acked(o)
	case kind == 7 && o.received:
	default:
		return
	}
	c.open = slices.Delete(c.open, i, i+1)
}

// wire is one packet.
func wire(first byte, parts ...string) []byte {
	body := strings.Join(parts, "")
	out := binary.AppendUvarint([]byte{first}, uint64(len(body)))
	return append(out, body...)
}

// packets takes output apart.
func packets(out []byte) (list []string) {
	for len(out) > 0 {
		size, n := binary.Uvarint(out[1:])
		end := 1 + n + int(size)
		list = append(list, string(out[:end]))
		out = out[end:]
	}
	return list
}

// rest is a packet without its fixed header.
func rest(p string) string {
	_, n := binary.Uvarint([]byte(p[1:]))
	return p[1+n:]
}

func word(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }

func newCitizen(k *town, id string) *citizen {
	return &citizen{
		town: k, id: id, expiry: 1_000_000, asking: -1,
		sent: map[string]int{}, inside: map[string]bool{}, got: map[string][]int{},
	}
}

// anybody draws one of all.
func anybody(rng *rand.Rand, all []*citizen) *citizen { return all[rng.IntN(len(all))] }
