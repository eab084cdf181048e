package sim

import "bytes"

// The properties of MQTT 5.0 that clients here use or must understand.
const (
	propPayloadFormat   = 1
	propExpiry          = 2
	propContentType     = 3
	propResponseTopic   = 8
	propCorrelation     = 9
	propSubscriptionID  = 11
	propSessionExpiry   = 17
	propAssignedID      = 18
	propServerKeepAlive = 19
	propAuthMethod      = 21
	propAuthData        = 22
	propProblem         = 23
	propWillDelay       = 24
	propResponseInfo    = 25
	propResponseText    = 26
	propReference       = 28
	propReason          = 31
	propReceiveMax      = 33
	propAliasMax        = 34
	propAlias           = 35
	propMaxQoS          = 36
	propRetainAvail     = 37
	propUser            = 38
	propMaxPacket       = 39
	propWildcardAvail   = 40
	propSubIDAvail      = 41
	propSharedAvail     = 42

	willPlace = 0 // the will in CONNECT, beside the kinds of packets
)

// props are the properties of one packet. A field counts when its bit is in has.
type props struct {
	has                                     uint64
	expiry, sessionExpiry, willDelay        uint32
	maxPacket                               uint32
	receiveMax, aliasMax, alias, keepAlive  uint16
	payloadFormat, problem                  byte
	contentType, responseTopic, correlation []byte
	assignedID, reason                      []byte
	user                                    []byte // whole user properties, one behind the other
	subIDs                                  []uint32
}

func (p *props) is(id int) bool { return p.has>>id&1 != 0 }
func (p *props) set(id int)     { p.has |= 1 << id }

// places says in which packets a property may stand, by kind.
//
// table: never written.
var places = [43]uint16{
	propPayloadFormat: 1<<publish | 1<<willPlace, propExpiry: 1<<publish | 1<<willPlace,
	propContentType: 1<<publish | 1<<willPlace, propResponseTopic: 1<<publish | 1<<willPlace,
	propCorrelation: 1<<publish | 1<<willPlace, propSubscriptionID: 1<<publish | 1<<subscribe,
	propSessionExpiry: 1<<connect | 1<<connack | 1<<disconnect, propAssignedID: 1 << connack,
	propServerKeepAlive: 1 << connack, propAuthMethod: 1<<connect | 1<<connack | 1<<auth,
	propAuthData: 1<<connect | 1<<connack | 1<<auth, propProblem: 1 << connect, propWillDelay: 1 << willPlace,
	propResponseInfo: 1 << connect, propResponseText: 1 << connack, propReference: 1<<connack | 1<<disconnect,
	propReason: 1<<connack | 1<<puback | 1<<pubrec | 1<<pubrel | 1<<pubcomp | 1<<suback | 1<<unsuback |
		1<<disconnect | 1<<auth,
	propReceiveMax: 1<<connect | 1<<connack, propAliasMax: 1<<connect | 1<<connack, propAlias: 1 << publish,
	propMaxQoS: 1 << connack, propRetainAvail: 1 << connack, propUser: 0xffff &^ (1<<pingreq | 1<<pingresp),
	propMaxPacket: 1<<connect | 1<<connack, propWildcardAvail: 1 << connack, propSubIDAvail: 1 << connack,
	propSharedAvail: 1 << connack,
}

// encode appends the block with its length.
func (p *props) encode(dst []byte) []byte {
	if p.has == 0 {
		return append(dst, 0)
	}
	var room [128]byte
	return append(varint(dst, len(p.fields(room[:0]))), p.fields(room[:0])...)
}

func (p *props) fields(b []byte) []byte {
	four := func(id int, v uint32) {
		if p.is(id) {
			b = u32(append(b, byte(id)), v)
		}
	}
	two := func(id int, v uint16) {
		if p.is(id) {
			b = u16(append(b, byte(id)), v)
		}
	}
	one := func(id int, v byte) {
		if p.is(id) {
			b = append(b, byte(id), v)
		}
	}
	str := func(id int, v []byte) {
		if p.is(id) {
			b = text(append(b, byte(id)), v)
		}
	}
	one(propPayloadFormat, p.payloadFormat)
	four(propExpiry, p.expiry)
	str(propContentType, p.contentType)
	str(propResponseTopic, p.responseTopic)
	str(propCorrelation, p.correlation)
	for _, id := range p.subIDs {
		b = varint(append(b, propSubscriptionID), int(id))
	}
	four(propSessionExpiry, p.sessionExpiry)
	str(propAssignedID, p.assignedID)
	two(propServerKeepAlive, p.keepAlive)
	one(propProblem, p.problem)
	four(propWillDelay, p.willDelay)
	two(propReceiveMax, p.receiveMax)
	two(propAliasMax, p.aliasMax)
	two(propAlias, p.alias)
	one(propRetainAvail, 1)
	b = append(b, p.user...)
	four(propMaxPacket, p.maxPacket)
	one(propWildcardAvail, 1)
	one(propSubIDAvail, 1)
	one(propSharedAvail, 1)
	return b
}

// decode reads a block; kind is the packet's.
func (p *props) decode(from *input, kind byte) {
	in := &input{b: from.take(int(from.varint()))}
	for len(in.b) > 0 && in.err == nil {
		whole := in.b
		id := int(in.varint())
		if id >= len(places) || places[id]>>kind&1 == 0 {
			in.fail(errUnknown)
			break
		}
		in.require(!p.is(id) || id == propUser || id == propSubscriptionID && kind == publish)
		p.set(id)
		p.field(in, id, whole)
	}
	in.require(!p.is(propReceiveMax) || p.receiveMax > 0)
	in.require(!p.is(propMaxPacket) || p.maxPacket > 0)
	in.require(!p.is(propAlias) || p.alias > 0)
	in.require(p.payloadFormat < 2 && p.problem < 2)
	in.require(!bytes.ContainsAny(p.responseTopic, "+#"))
	if in.err != nil {
		from.fail(in.err)
	}
}

func (p *props) field(in *input, id int, whole []byte) {
	switch id {
	case propPayloadFormat:
		p.payloadFormat = byte(in.number(1))
	case propExpiry:
		p.expiry = in.number(4)
	case propContentType:
		p.contentType = in.text()
	case propResponseTopic:
		p.responseTopic = in.text()
	case propCorrelation:
		p.correlation = in.binary()
	case propSubscriptionID:
		v := in.varint()
		in.require(v > 0)
		p.subIDs = append(p.subIDs, v)
	case propSessionExpiry:
		p.sessionExpiry = in.number(4)
	case propAssignedID:
		p.assignedID = in.text()
	case propServerKeepAlive:
		p.keepAlive = uint16(in.number(2))
	case propProblem:
		p.problem = byte(in.number(1))
	case propWillDelay:
		p.willDelay = in.number(4)
	case propReason:
		p.reason = in.text()
	case propReceiveMax:
		p.receiveMax = uint16(in.number(2))
	case propAliasMax:
		p.aliasMax = uint16(in.number(2))
	case propAlias:
		p.alias = uint16(in.number(2))
	case propUser:
		in.text()
		in.text()
		p.user = append(p.user, whole[:len(whole)-len(in.b)]...)
	case propMaxPacket:
		p.maxPacket = in.number(4)
	case propAuthMethod, propResponseText, propReference:
		in.text()
	case propAuthData:
		in.binary()
	default:
		in.require(in.number(1) < 2)
	}
}

// forwarded are the properties that a server passes on unaltered.
const forwarded = 1<<propPayloadFormat | 1<<propContentType | 1<<propResponseTopic | 1<<propCorrelation | 1<<propUser

// travels is what of p reaches subscribers, copied.
func (p *props) travels() (t props) {
	if p.has&forwarded == 0 {
		return t
	}
	t.has = p.has & forwarded
	t.payloadFormat = p.payloadFormat
	t.contentType, t.responseTopic = bytes.Clone(p.contentType), bytes.Clone(p.responseTopic)
	t.correlation, t.user = bytes.Clone(p.correlation), bytes.Clone(p.user)
	return t
}

// sameTravel reports whether what travels is the same in both.
func (p *props) sameTravel(o *props) bool {
	if (p.has|o.has)&forwarded == 0 {
		return true
	}
	return p.has&forwarded == o.has&forwarded && p.payloadFormat == o.payloadFormat &&
		bytes.Equal(p.contentType, o.contentType) && bytes.Equal(p.responseTopic, o.responseTopic) &&
		bytes.Equal(p.correlation, o.correlation) && bytes.Equal(p.user, o.user)
}
