package sim

import (
	"strconv"
	"time"
)

// perform does one operation.
func (w *World) perform(op Op) {
	cl := w.clients[int(op.Client)%len(w.clients)]
	r := &rng{uint64(op.Seed)<<8 | uint64(op.Kind)}
	c := cl.conn
	w.note("- %s %s", cl.name, opName(op.Kind))
	switch kind := op.Kind % opKinds; kind {
	case opConnect:
		cl.connects(r)
		return
	case opRestart:
		switch {
		case w.disk != nil:
			w.cutPower(r)
		case w.mem != nil:
			w.restart()
		}
		return
	case opSleep:
		ms := r.of(100, 1000, 3000, 70_000, 4_000_000)
		if most := w.plan.SleepMillis; most > 0 {
			ms = min(ms, most)
		}
		w.advance(w.now + int64(ms)*int64(time.Millisecond) + int64(r.n(1_000_000)))
		return
	default:
		if c == nil || c.left {
			return
		}
		cl.acts(kind, r, c)
	}
}

// acts does what needs a connection.
func (cl *client) acts(kind uint8, r *rng, c *conn) {
	switch kind {
	case opPublish:
		cl.publishes(r)
	case opSubscribe:
		cl.send(cl.drawSubscribe(r))
	case opUnsubscribe:
		p := &packet{kind: unsubscribe, id: cl.freeID()}
		for range r.between(1, 2) {
			p.filters = append(p.filters, filter{name: cl.drawFilter(r)})
		}
		cl.send(p)
	case opAck:
		cl.settle(r.between(1, 5))
	case opCut:
		c.cut(r.n(len(c.pipe) + 1))
		cl.lost(c)
	case opHalfClose:
		c.hang()
	case opLong:
		cl.sendsLong(r, c)
	case opDisconnect:
		cl.disconnects(r, c)
	case opClog:
		c.deaf = true
	case opUnclog:
		c.deaf = false
		c.planRead()
	case opPing:
		cl.send(&packet{kind: pingreq})
	default:
		cl.misbehaves(kind, r, c)
	}
}

// misbehaves does what no good client does.
func (cl *client) misbehaves(kind uint8, r *rng, c *conn) {
	cl.liar = true
	if c.was != nil {
		c.was.liar = true
	}
	switch kind {
	case opWrongAck:
		cl.reply(byte(r.of(puback, pubrec, pubcomp)), uint16(r.between(1, 8)))
	case opDoubleAck:
		if cl.last.kind != 0 {
			cl.reply(cl.last.kind, cl.last.id)
		}
	case opRelease:
		cl.reply(pubrel, uint16(r.between(1, 9)))
	case opIllegal:
		cl.breaksRules(r, c)
	case opGarbage:
		c.suspect = true
		junk := make([]byte, r.between(1, 20))
		for i := range junk {
			junk[i] = byte(r.next())
		}
		c.write(junk)
	case opMutate:
		c.suspect = true
		b := encode(nil, cl.drawAny(r), cl.level)
		if r.percent(20) { // a connection that begins with a broken CONNECT
			p := cl.drawConnect(r)
			cl.dial(nil)
			cl.level = p.level
			b, c = encode(nil, p, p.level), cl.conn
			c.suspect = true
		}
		for range r.between(1, 2) {
			b[r.n(len(b))] ^= byte(1) << r.n(8)
		}
		c.write(b)
	}
}

// drawAny makes some packet.
func (cl *client) drawAny(r *rng) *packet {
	switch r.n(4) {
	case 0:
		return cl.drawPublish(r)
	case 1:
		return cl.drawSubscribe(r)
	case 2:
		return &packet{kind: byte(r.between(puback, pubcomp)), id: uint16(r.between(1, 5))}
	}
	return &packet{kind: unsubscribe, id: 1, filters: []filter{{name: cl.drawFilter(r)}}}
}

// breaksRules sends what the broker must end the connection for.
func (cl *client) breaksRules(r *rng, c *conn) {
	switch r.n(6) {
	case 0:
		cl.send(&packet{kind: byte(r.of(connack, suback, unsuback, pingresp)), id: 1, codes: []byte{0}})
	case 1:
		cl.send(cl.drawConnect(r))
	case 2:
		cl.send(&packet{kind: auth})
	case 3:
		cl.dial(nil)
		cl.send(cl.drawAny(r))
	case 4:
		p := &packet{kind: publish, topic: []byte("a"), payload: cl.drawPayload(r)}
		p.props.set(propAlias)
		p.props.alias = uint16(r.of(0, 33, 500))
		cl.send(p)
	case 5:
		p := &packet{kind: publish}
		p.props.set(propAlias)
		p.props.alias = uint16(r.between(1, 3)) // perhaps never set
		cl.send(p)
	}
}

// connects opens a connection, over the head of one that is open.
func (cl *client) connects(r *rng) {
	if c := cl.conn; c != nil && !c.left && r.percent(60) {
		c.cut(r.n(len(c.pipe) + 1))
	}
	cl.dial(cl.drawConnect(r))
}

func (cl *client) drawConnect(r *rng) *packet {
	plan := cl.w.plan
	p := &packet{kind: connect, level: 3, clean: r.percent(plan.Clean), clientID: []byte(cl.name)}
	sum := plan.Versions[0] + plan.Versions[1] + plan.Versions[2]
	for at := r.n(sum); at >= plan.Versions[p.level-3]; p.level++ {
		at -= plan.Versions[p.level-3]
	}
	switch other := r.n(30); {
	case plan.Disk != nil && !plan.Disk.Others:
	case other == 0:
		p.clientID = nil
	case other == 1:
		n := r.n(1000)
		if plan.Disk != nil { // it comes again
			n %= 3
		}
		p.clientID = []byte("cold" + strconv.Itoa(n))
	}
	if r.percent(plan.KeepAlive) {
		p.keepAlive = uint16(r.between(1, 30))
	}
	if r.percent(plan.Wills) {
		p.will = cl.drawWill(r, p.level)
	}
	if p.level == 5 {
		cl.drawConnectProps(r, &p.props)
	}
	return p
}

func (cl *client) drawConnectProps(r *rng, p *props) {
	plan := cl.w.plan
	if r.percent(plan.Resume) {
		p.set(propSessionExpiry)
		p.sessionExpiry = uint32(r.of(1, 10, 100, 10_000, -1))
	}
	if r.percent(plan.Narrow) {
		p.set(propReceiveMax)
		p.receiveMax = uint16(r.between(1, 3))
	}
	if r.percent(plan.Narrow) && r.percent(30) {
		p.set(propMaxPacket)
		p.maxPacket = uint32(r.between(20, 80))
	}
	if r.percent(plan.Aliases) {
		p.set(propAliasMax)
		p.aliasMax = uint16(r.between(1, 4))
	}
	if r.percent(10) {
		p.set(propProblem)
	}
}

func (cl *client) drawWill(r *rng, level byte) *packet {
	w := &packet{kind: publish, qos: byte(r.n(3)), retain: r.percent(30)}
	w.topic, w.payload = cl.drawTopic(r), cl.drawPayload(r)
	if level == 5 {
		cl.drawPublishProps(r, &w.props)
		if r.percent(60) {
			w.props.set(propWillDelay)
			w.props.willDelay = uint32(r.of(0, 1, 5, 100))
		}
	}
	return w
}

func (cl *client) disconnects(r *rng, c *conn) {
	p := &packet{kind: disconnect}
	if cl.level == 5 {
		p.code = byte(r.of(0, 0, 0, 4, 0x80))
		if r.percent(30) {
			p.props.set(propSessionExpiry)
			p.props.sessionExpiry = uint32(r.of(0, 5, 1000))
		}
	}
	cl.send(p)
	c.left = true
	c.hang()
	cl.lost(c)
}

func (cl *client) publishes(r *rng) {
	p := cl.drawPublish(r)
	if p.qos > 0 {
		if cl.level == 5 && len(cl.unacked) >= cl.quota && !r.percent(5) {
			p.qos, p.id = 0, 0
		} else {
			o := outgoing{packet: *p, on: cl.conn}
			cl.unacked = append(cl.unacked, o)
		}
	}
	if cl.level == 5 {
		cl.useAlias(r, p)
	}
	cl.send(p)
}

// useAlias sets an alias or sends one that was set in place of the topic.
func (cl *client) useAlias(r *rng, p *packet) {
	if !r.percent(30) || !cl.up {
		return
	}
	for i, t := range cl.alias {
		if string(t) == string(p.topic) && r.percent(80) {
			p.props.set(propAlias)
			p.props.alias, p.topic = uint16(i+1), nil
			return
		}
	}
	n := r.between(1, cl.w.plan.Limits.TopicAliasMax)
	for len(cl.alias) < n {
		cl.alias = append(cl.alias, nil)
	}
	cl.alias[n-1] = p.topic
	p.props.set(propAlias)
	p.props.alias = uint16(n)
}

func (cl *client) drawPublish(r *rng) *packet {
	p := &packet{kind: publish, qos: byte(r.n(3)), retain: r.percent(25)}
	p.topic, p.payload = cl.drawTopic(r), cl.drawPayload(r)
	if p.retain && r.percent(25) {
		p.payload = nil
		if cl.w.plan.Shared > 0 { // in the queues of a group they look alike
			p.qos = 0
		}
	}
	if p.qos > 0 {
		p.id = cl.freeID()
	}
	if cl.level == 5 {
		cl.drawPublishProps(r, &p.props)
	}
	return p
}

func (cl *client) drawPublishProps(r *rng, p *props) {
	if !r.percent(cl.w.plan.Props) {
		return
	}
	if r.percent(40) {
		p.set(propExpiry)
		p.expiry = uint32(r.of(1, 2, 60, 5000))
	}
	if r.percent(30) {
		p.set(propContentType)
		p.contentType = []byte("t/x")
	}
	if r.percent(20) {
		p.set(propResponseTopic)
		p.responseTopic = []byte("re")
		p.set(propCorrelation)
		p.correlation = []byte{0, 1, byte(r.n(256))}
	}
	if r.percent(20) {
		p.set(propPayloadFormat)
	}
	if r.percent(20) {
		p.set(propUser)
		p.user = []byte("\x26\x00\x01k\x00\x01v\x26\x00\x01k\x00\x00")[:r.of(7, 13)]
	}
}

// drawPayload makes a payload that no other message has.
func (cl *client) drawPayload(r *rng) []byte {
	w := cl.w
	w.numbered++
	b := appendNumber(make([]byte, 0, 48), w.numbered)
	size := r.of(0, 0, 10, 40)
	if r.percent(w.plan.Large) {
		size = r.between(4090, 4400)
	}
	for len(b) < size {
		b = append(b, '.')
	}
	return b
}

func appendNumber(b []byte, n int) []byte { return strconv.AppendInt(append(b, 'm'), int64(n), 10) }

func (cl *client) drawTopic(r *rng) []byte {
	if r.percent(cl.w.plan.Cold) {
		return []byte("cold/" + strconv.Itoa(r.n(500)) + "/é")
	}
	hot := [...]string{"a", "a/b", "a/b/c", "b", "a", "a/b", "/", "a//b", "$x", "d/e/f/g"}
	return []byte(hot[r.n(len(hot))])
}

func (cl *client) drawFilter(r *rng) []byte {
	name := "cold/" + strconv.Itoa(r.n(500)) + "/é"
	if !r.percent(cl.w.plan.Cold) {
		hot := [...]string{"#", "a/#", "+", "a/+", "a/b", "+/b", "a", "a/b/c", "+/+", "/#", "$x", "$x/#", "d/e/f/g", "a/+/c"}
		name = hot[r.n(len(hot))]
	}
	if r.percent(cl.w.plan.Shared) {
		groups := [...]string{"$share/g/", "$share/h/"}
		name = groups[r.n(2)] + name
	}
	return []byte(name)
}

func (cl *client) drawSubscribe(r *rng) *packet {
	p := &packet{kind: subscribe, id: cl.freeID()}
	n := r.of(1, 1, 1, 2, 3)
	if r.percent(2) {
		n = 25
	}
	for range n {
		f := filter{name: cl.drawFilter(r), qos: byte(r.n(3))}
		if cl.level == 5 {
			f.noLocal = r.percent(15) && !isShared(f.name)
			f.rap, f.handling = r.percent(30), byte(r.of(0, 0, 1, 2))
		}
		p.filters = append(p.filters, f)
	}
	if cl.level == 5 && r.percent(30) {
		p.props.set(propSubscriptionID)
		p.props.subIDs = []uint32{uint32(r.of(1, 2, 200, 20_000))}
	}
	return p
}

func opName(kind uint8) string {
	names := [...]string{
		"connects", "publishes", "subscribes", "unsubscribes", "acknowledges", "sleeps", "is cut off", "disconnects", "clogs",
		"unclogs", "pings", "acknowledges wrongly", "acknowledges twice", "sends garbage", "sends a damaged packet",
		"breaks a rule", "closes its half", "releases", "sees a restart", "sends a long packet",
	}
	return names[kind%opKinds]
}
