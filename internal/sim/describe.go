package sim

import (
	"fmt"
	"strings"
)

func kindName(kind byte) string {
	names := [...]string{
		"RESERVED", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
		"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
	}
	return names[kind&15]
}

// describe writes a packet for people.
func describe(b []byte, level byte) string {
	p, err := decode(b, level)
	if err != nil {
		return fmt.Sprintf("%s that %v: % x", kindName(b[0]>>4), err, b[:min(len(b), 100)])
	}
	return brief(&p)
}

// brief writes the fields that a packet has.
func brief(p *packet) string {
	var b strings.Builder
	b.WriteString(kindName(p.kind))
	add := func(format string, args ...any) { fmt.Fprintf(&b, " "+format, args...) }
	if p.id != 0 {
		add("id=%d", p.id)
	}
	if p.code != 0 {
		add("code=0x%02x", p.code)
	}
	switch p.kind {
	case connect:
		add("level=%d id=%q clean=%v keepalive=%d", p.level, p.clientID, p.clean, p.keepAlive)
		if p.will != nil {
			add("will=(%s)", brief(p.will))
		}
	case connack:
		add("present=%v", p.present)
	case publish:
		text := p.payload[:min(len(p.payload), 24)]
		add("qos=%d dup=%v retain=%v topic=%q payload=%q", p.qos, p.dup, p.retain, p.topic, text)
	case subscribe, unsubscribe:
		for _, f := range p.filters {
			add("%q:%d", f.name, f.qos)
			if f.noLocal || f.rap || f.handling > 0 {
				add("nolocal=%v rap=%v handling=%d", f.noLocal, f.rap, f.handling)
			}
		}
	case suback, unsuback:
		add("% x", p.codes)
	}
	describeProps(add, &p.props)
	return b.String()
}

func describeProps(add func(string, ...any), p *props) {
	number := func(id int, name string, v int) {
		if p.is(id) {
			add("%s=%d", name, v)
		}
	}
	number(propExpiry, "expiry", int(p.expiry))
	number(propSessionExpiry, "session-expiry", int(p.sessionExpiry))
	number(propWillDelay, "will-delay", int(p.willDelay))
	number(propReceiveMax, "receive-max", int(p.receiveMax))
	number(propMaxPacket, "max-packet", int(p.maxPacket))
	number(propAliasMax, "alias-max", int(p.aliasMax))
	number(propAlias, "alias", int(p.alias))
	number(propServerKeepAlive, "server-keepalive", int(p.keepAlive))
	if len(p.subIDs) > 0 {
		add("ids=%v", p.subIDs)
	}
	if p.is(propReason) {
		add("reason=%q", p.reason)
	}
	if p.is(propAssignedID) {
		add("assigned=%q", p.assignedID)
	}
}
