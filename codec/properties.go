package codec

import "slices"

// PropertyID names a property of MQTT 5.0 (section 2.2.2.2).
type PropertyID byte

// The properties.
const (
	PropPayloadFormat           PropertyID = 1
	PropMessageExpiry           PropertyID = 2
	PropContentType             PropertyID = 3
	PropResponseTopic           PropertyID = 8
	PropCorrelationData         PropertyID = 9
	PropSubscriptionID          PropertyID = 11
	PropSessionExpiry           PropertyID = 17
	PropAssignedClientID        PropertyID = 18
	PropServerKeepAlive         PropertyID = 19
	PropAuthMethod              PropertyID = 21
	PropAuthData                PropertyID = 22
	PropRequestProblem          PropertyID = 23
	PropWillDelay               PropertyID = 24
	PropRequestResponse         PropertyID = 25
	PropResponseInformation     PropertyID = 26
	PropServerReference         PropertyID = 28
	PropReasonString            PropertyID = 31
	PropReceiveMaximum          PropertyID = 33
	PropTopicAliasMaximum       PropertyID = 34
	PropTopicAlias              PropertyID = 35
	PropMaximumQoS              PropertyID = 36
	PropRetainAvailable         PropertyID = 37
	PropUser                    PropertyID = 38
	PropMaximumPacket           PropertyID = 39
	PropWildcardAvailable       PropertyID = 40
	PropSubscriptionIDAvailable PropertyID = 41
	PropSharedAvailable         PropertyID = 42
	propertyCount                          = 43
)

// PropertySet is a set of properties.
type PropertySet uint64

// Has reports whether id is in s.
func (s PropertySet) Has(id PropertyID) bool { return s>>id&1 != 0 }

// Add returns s with id.
func (s PropertySet) Add(id PropertyID) PropertySet { return s | 1<<id }

// Remove returns s without id.
func (s PropertySet) Remove(id PropertyID) PropertySet { return s &^ (1 << id) }

// Properties are the properties of one packet. A field means something only
// when its bit is in Has. When decoded, slices are views.
type Properties struct {
	Has PropertySet

	SessionExpirySeconds, MessageExpirySeconds, WillDelaySeconds, MaximumPacketBytes uint32
	ReceiveMaximum, TopicAlias, TopicAliasMaximum, ServerKeepAliveSeconds            uint16

	PayloadFormat, RequestProblem, RequestResponse, MaximumQoS, RetainAvailable byte
	WildcardAvailable, SubscriptionIDAvailable, SharedAvailable                 byte

	ContentType, ResponseTopic, CorrelationData, AssignedClientID []byte
	AuthMethod, AuthData, ResponseInformation                     []byte
	ServerReference, ReasonString                                 []byte

	// SubscriptionIDs has at most one element but in PUBLISH.
	SubscriptionIDs []uint32
	// User holds the user properties in order, each encoded with its
	// identifier; see AppendUser and EachUser.
	User []byte
	// Raw is the whole property block as it came, without its length.
	Raw []byte
	// Encoded is appended to the block as it is. It is not set by decoding.
	Encoded []byte
}

// form is how a property's value is encoded.
type form byte

const (
	formNone form = iota
	formByte
	formU16
	formU32
	formVarint
	formString
	formBinary
	formPair
)

// place is where a property may stand: packets by their type, and the will
// properties of CONNECT.
type place uint32

const (
	placeWill       place = 1
	placeFromClient place = 1 << 16 // of a PUBLISH
)

func in(types ...Type) (p place) {
	for _, t := range types {
		p |= 1 << t
	}
	return p
}

// rule says how a property is encoded and where it may stand.
type rule struct {
	form   form
	places place
}

// rules is the table of section 2.2.2.2.
//
// table: never written.
var rules = [propertyCount]rule{
	PropPayloadFormat:           {formByte, in(TypePublish) | placeWill},
	PropMessageExpiry:           {formU32, in(TypePublish) | placeWill},
	PropContentType:             {formString, in(TypePublish) | placeWill},
	PropResponseTopic:           {formString, in(TypePublish) | placeWill},
	PropCorrelationData:         {formBinary, in(TypePublish) | placeWill},
	PropSubscriptionID:          {formVarint, in(TypePublish, TypeSubscribe)},
	PropSessionExpiry:           {formU32, in(TypeConnect, TypeConnack, TypeDisconnect)},
	PropAssignedClientID:        {formString, in(TypeConnack)},
	PropServerKeepAlive:         {formU16, in(TypeConnack)},
	PropAuthMethod:              {formString, in(TypeConnect, TypeConnack, TypeAuth)},
	PropAuthData:                {formBinary, in(TypeConnect, TypeConnack, TypeAuth)},
	PropRequestProblem:          {formByte, in(TypeConnect)},
	PropWillDelay:               {formU32, placeWill},
	PropRequestResponse:         {formByte, in(TypeConnect)},
	PropResponseInformation:     {formString, in(TypeConnack)},
	PropServerReference:         {formString, in(TypeConnack, TypeDisconnect)},
	PropReasonString:            {formString, in(TypeConnack, TypePuback, TypePubrec, TypePubrel, TypePubcomp, TypeSuback, TypeUnsuback, TypeDisconnect, TypeAuth)},
	PropReceiveMaximum:          {formU16, in(TypeConnect, TypeConnack)},
	PropTopicAliasMaximum:       {formU16, in(TypeConnect, TypeConnack)},
	PropTopicAlias:              {formU16, in(TypePublish)},
	PropMaximumQoS:              {formByte, in(TypeConnack)},
	PropRetainAvailable:         {formByte, in(TypeConnack)},
	PropUser:                    {formPair, ^in(TypePingreq, TypePingresp)},
	PropMaximumPacket:           {formU32, in(TypeConnect, TypeConnack)},
	PropWildcardAvailable:       {formByte, in(TypeConnack)},
	PropSubscriptionIDAvailable: {formByte, in(TypeConnack)},
	PropSharedAvailable:         {formByte, in(TypeConnack)},
}

// userPropertiesMax bounds the user properties of one packet, and with them
// what a reader of the packet has to look through.
const userPropertiesMax = 1024

// reset empties p and keeps the memory of SubscriptionIDs.
func (p *Properties) reset() {
	ids := p.SubscriptionIDs[:0]
	*p = Properties{SubscriptionIDs: ids}
}

// decode reads a property block with its length.
func (p *Properties) decode(r *reader, at place, t Type) error {
	p.reset()
	n := r.varint()
	block := r.take(int(n))
	if err := r.err(t); err != nil {
		return err
	}
	p.Raw = block
	users, copied := 0, false
	for b := (reader{b: block}); len(b.b) > 0; {
		before := b.b
		id := b.varint()
		if id >= propertyCount || rules[id].form == formNone {
			return malformed("", t.String()+": unknown property "+itoa(int(id)))
		}
		rule := rules[id]
		if rule.places&at == 0 {
			return malformed("", t.String()+": property "+itoa(int(id))+" does not belong here") // section 2.2.2.2
		}
		many := PropertyID(id) == PropUser || PropertyID(id) == PropSubscriptionID && t == TypePublish
		if p.Has.Has(PropertyID(id)) && !many {
			return protocol("", t.String()+": property "+itoa(int(id))+" twice")
		}
		if PropertyID(id) == PropSubscriptionID && at&placeFromClient != 0 { // at once: there may be a million
			return protocol("MQTT-3.3.4-6", "PUBLISH of a client with a Subscription Identifier")
		}
		p.Has = p.Has.Add(PropertyID(id))
		switch rule.form {
		case formPair:
			b.str()
			b.str()
			if users++; users > userPropertiesMax {
				return &Error{QuotaExceeded, "", t.String() + ": more than " + itoa(userPropertiesMax) + " user properties"}
			}
			copied = p.addUser(before[:len(before)-len(b.b)], copied)
		case formString:
			*p.data(PropertyID(id)) = b.str()
		case formBinary:
			*p.data(PropertyID(id)) = b.bin()
		default:
			p.setNumber(PropertyID(id), b.number(rule.form))
		}
		if err := b.err(t); err != nil {
			return err
		}
	}
	return p.check(t)
}

// number reads a value of a numeric form.
func (r *reader) number(f form) uint32 {
	switch f {
	case formByte:
		return uint32(r.u8())
	case formU16:
		return uint32(r.u16())
	case formU32:
		return r.u32()
	}
	return r.varint()
}

// addUser joins one encoded user property to those before it. They stay views
// as long as they stand together, as almost always; copied says that they no
// longer are.
func (p *Properties) addUser(entry []byte, copied bool) bool {
	switch n := len(p.User); {
	case n == 0:
		p.User = entry
	case copied:
		p.User = append(p.User, entry...)
	case cap(p.User)-n == cap(entry): // both reach to the end of the same buffer
		p.User = p.User[:n+len(entry)]
	default:
		p.User = append(p.User[:n:n], entry...)
		return true
	}
	return copied
}

// check holds values against their ranges.
func (p *Properties) check(t Type) error {
	bad := func(what, statement string) error { return protocol(statement, t.String()+": "+what) }
	switch {
	case p.Has.Has(PropReceiveMaximum) && p.ReceiveMaximum == 0:
		return bad("Receive Maximum 0", "")
	case p.Has.Has(PropMaximumPacket) && p.MaximumPacketBytes == 0:
		return bad("Maximum Packet Size 0", "")
	case p.Has.Has(PropTopicAlias) && p.TopicAlias == 0:
		return &Error{TopicAliasInvalid, "MQTT-3.3.2-8", t.String() + ": Topic Alias 0"}
	case p.PayloadFormat > 1 || p.RequestProblem > 1 || p.RequestResponse > 1 || p.MaximumQoS > 1 || p.RetainAvailable > 1,
		p.WildcardAvailable > 1 || p.SubscriptionIDAvailable > 1 || p.SharedAvailable > 1:
		return bad("a property that is 0 or 1 has another value", "")
	case p.Has.Has(PropAuthData) && !p.Has.Has(PropAuthMethod):
		return bad("authentication data without a method", "")
	}
	if slices.Contains(p.SubscriptionIDs, 0) {
		return bad("Subscription Identifier 0", "")
	}
	for _, c := range p.ResponseTopic {
		if c == '+' || c == '#' {
			return bad("response topic with a wildcard", "MQTT-3.3.2-14")
		}
	}
	return nil
}
