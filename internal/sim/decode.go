package sim

// decode reads a whole packet that came over a connection of a protocol level;
// level 0 is before CONNECT. It holds the packet against the rules that need no
// state.
func decode(raw []byte, level byte) (p packet, err error) {
	p.kind, p.flags, p.length = raw[0]>>4, raw[0]&15, len(raw)
	head := 2
	for raw[head-1] >= 0x80 {
		head++
	}
	in := &input{b: raw[head:]}
	five := level == 5
	switch p.kind {
	case connect:
		decodeConnect(in, &p)
	case connack:
		f := in.number(1)
		in.require(f <= 1)
		p.present, p.code = f == 1, byte(in.number(1))
		if five {
			p.props.decode(in, connack)
		}
	case publish:
		decodePublish(in, &p, five)
	case puback, pubrec, pubrel, pubcomp:
		p.id = uint16(in.number(2))
		in.require(p.id != 0)
		decodeReason(in, &p, five)
	case subscribe, unsubscribe:
		decodeFilters(in, &p, five)
	case suback, unsuback:
		p.id = uint16(in.number(2))
		if five {
			p.props.decode(in, p.kind)
		}
		p.codes, in.b = in.b, nil
	case disconnect:
		decodeReason(in, &p, five)
	case auth:
		in.require(five)
		decodeReason(in, &p, five)
	case 0:
		in.fail(errValue)
	}
	wanted := byte(0)
	switch p.kind {
	case pubrel, subscribe, unsubscribe:
		wanted = 2 | p.flags&bit(level == 3, 8) // 3.1 has DUP in what it repeats
	}
	in.require(p.kind == publish || p.flags == wanted)
	if in.err == nil && len(in.b) > 0 {
		in.err = errLeft
	}
	return p, in.err
}

func decodeReason(in *input, p *packet, five bool) {
	if five && len(in.b) > 0 {
		p.code = byte(in.number(1))
		if len(in.b) > 0 {
			p.props.decode(in, p.kind)
		}
	}
}

func decodePublish(in *input, p *packet, five bool) {
	p.dup, p.qos, p.retain = p.flags&8 != 0, p.flags>>1&3, p.flags&1 != 0
	in.require(p.qos < 3 && (!p.dup || p.qos > 0))
	p.topic = in.text()
	if p.qos > 0 {
		p.id = uint16(in.number(2))
		in.require(p.id != 0)
	}
	if five {
		p.props.decode(in, publish)
	}
	in.require(len(p.topic) > 0 || p.props.alias != 0)
	for _, c := range p.topic {
		in.require(c != '+' && c != '#')
	}
	p.payload, in.b = in.b, nil
}

func decodeFilters(in *input, p *packet, five bool) {
	p.id = uint16(in.number(2))
	in.require(p.id != 0)
	if five {
		p.props.decode(in, p.kind)
	}
	in.require(len(in.b) > 0)
	for len(in.b) > 0 && in.err == nil {
		f := filter{name: in.text()}
		in.require(validFilter(f.name))
		if p.kind == subscribe {
			o := byte(in.number(1))
			f.qos, f.noLocal, f.rap, f.handling = o&3, o&4 != 0, o&8 != 0, o>>4&3
			in.require(f.qos < 3 && f.handling < 3 && o < 0x40 && (five || o < 3))
			in.require(!f.noLocal || !isShared(f.name))
		}
		p.filters = append(p.filters, f)
	}
}

func decodeConnect(in *input, p *packet) {
	name := string(in.text())
	p.level = byte(in.number(1))
	in.require(name == "MQTT" && (p.level == 4 || p.level == 5) || name == "MQIsdp" && p.level == 3)
	f := byte(in.number(1))
	in.require(f&1 == 0 && f>>3&3 < 3 && (f&4 != 0 || f&0x38 == 0))
	in.require(p.level == 5 || f&0xc0 != 0x40)
	p.clean = f&2 != 0
	p.keepAlive = uint16(in.number(2))
	if p.level == 5 {
		p.props.decode(in, connect)
	}
	p.clientID = in.text()
	if f&4 != 0 {
		w := &packet{kind: publish, qos: f >> 3 & 3, retain: f&0x20 != 0}
		if p.level == 5 {
			w.props.decode(in, willPlace)
		}
		w.topic, w.payload = in.text(), in.binary()
		in.require(len(w.topic) > 0)
		for _, c := range w.topic {
			in.require(c != '+' && c != '#')
		}
		p.will = w
	}
	if f&0x80 != 0 {
		in.text()
	}
	if f&0x40 != 0 {
		in.binary()
	}
}
