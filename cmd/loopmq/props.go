package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/loopmq/loopmq/codec"
)

// propertySeparator joins the words of one -D.
const propertySeparator = "\x00"

// joinProperties makes one word of the three or four that stand behind -D:
// packet, property, value, and for a user property a name before the value.
// -D of passwd is another one.
func joinProperties(args []string) []string {
	if len(args) > 1 && args[1] == "passwd" {
		return args
	}
	var out []string
	for i := 0; i < len(args); i++ {
		out = append(out, args[i])
		if !slices.Contains([]string{"-D", "--D", "-property", "--property"}, args[i]) {
			continue
		}
		n := 3
		if i+2 < len(args) && args[i+2] == "user-property" {
			n = 4
		}
		words := args[i+1 : min(i+1+n, len(args))]
		if len(words) > 0 {
			out = append(out, strings.Join(words, propertySeparator))
		}
		i += len(words)
	}
	return out
}

// propertyKind is how the value of a property is written.
type propertyKind int

const (
	kindByte propertyKind = iota
	kindU16
	kindU32
	kindText
	kindData
	kindUser
)

// propertyName is a property that -D knows.
type propertyName struct {
	name string
	id   codec.PropertyID
	kind propertyKind
}

// propertyNames are the names that Mosquitto's clients use.
//
// table: never written.
var propertyNames = []propertyName{
	{"payload-format-indicator", codec.PropPayloadFormat, kindByte},
	{"message-expiry-interval", codec.PropMessageExpiry, kindU32},
	{"content-type", codec.PropContentType, kindText},
	{"response-topic", codec.PropResponseTopic, kindText},
	{"correlation-data", codec.PropCorrelationData, kindData},
	{"subscription-identifier", codec.PropSubscriptionID, kindU32},
	{"session-expiry-interval", codec.PropSessionExpiry, kindU32},
	{"authentication-method", codec.PropAuthMethod, kindText},
	{"authentication-data", codec.PropAuthData, kindData},
	{"request-problem-information", codec.PropRequestProblem, kindByte},
	{"will-delay-interval", codec.PropWillDelay, kindU32},
	{"request-response-information", codec.PropRequestResponse, kindByte},
	{"receive-maximum", codec.PropReceiveMaximum, kindU16},
	{"topic-alias-maximum", codec.PropTopicAliasMaximum, kindU16},
	{"topic-alias", codec.PropTopicAlias, kindU16},
	{"maximum-packet-size", codec.PropMaximumPacket, kindU32},
	{"user-property", codec.PropUser, kindUser},
}

// properties are the -D of a command line, by packet.
type properties struct {
	connect, publish, subscribe, unsubscribe, disconnect, will codec.Properties
}

// parseProperties reads all -D.
func parseProperties(flags []string) (*properties, error) {
	p := new(properties)
	for _, flag := range flags {
		words := strings.Split(flag, propertySeparator)
		if err := p.add(words); err != nil {
			return nil, fmt.Errorf("-D %s: %w", strings.Join(words, " "), err)
		}
	}
	return p, p.check()
}

func (p *properties) add(words []string) error {
	if len(words) < 3 {
		return errors.New("write -D PACKET PROPERTY VALUE, or -D PACKET user-property NAME VALUE")
	}
	packets := map[string]*codec.Properties{
		"connect": &p.connect, "publish": &p.publish, "subscribe": &p.subscribe,
		"unsubscribe": &p.unsubscribe, "disconnect": &p.disconnect, "will": &p.will,
	}
	to := packets[words[0]]
	if to == nil {
		return fmt.Errorf("%q is not a packet that has properties here; use connect, publish, subscribe, unsubscribe, disconnect or will", words[0])
	}
	i := slices.IndexFunc(propertyNames, func(n propertyName) bool { return n.name == words[1] })
	if i < 0 {
		return fmt.Errorf("property %q is not known", words[1])
	}
	n := propertyNames[i]
	if n.kind == kindUser && len(words) < 4 {
		return errors.New("a user property has a name and a value")
	}
	if to.Has.Has(n.id) && n.kind != kindUser {
		return errors.New("given twice")
	}
	if err := set(to, n, words[2:]); err != nil {
		return err
	}
	to.Has = to.Has.Add(n.id)
	return nil
}

// set stores one value.
func set(to *codec.Properties, n propertyName, values []string) error {
	for _, v := range values {
		if len(v) > 65535 {
			return errors.New("a text has at most 65535 bytes")
		}
	}
	text := []byte(values[0])
	switch n.kind {
	case kindUser:
		to.User = codec.AppendUser(to.User, values[0], values[1])
		return nil
	case kindText, kindData:
		switch n.id {
		case codec.PropContentType:
			to.ContentType = text
		case codec.PropResponseTopic:
			to.ResponseTopic = text
		case codec.PropCorrelationData:
			to.CorrelationData = text
		case codec.PropAuthMethod:
			to.AuthMethod = text
		default:
			to.AuthData = text
		}
		return nil
	}
	bits := map[propertyKind]int{kindByte: 8, kindU16: 16, kindU32: 32}[n.kind]
	v, err := strconv.ParseUint(values[0], 10, bits)
	if err != nil {
		return fmt.Errorf("%q is not a number of 0 to %d", values[0], uint64(1)<<bits-1)
	}
	return setNumber(to, n.id, uint32(v))
}

func setNumber(to *codec.Properties, id codec.PropertyID, v uint32) error {
	switch id {
	case codec.PropPayloadFormat:
		to.PayloadFormat = byte(v)
	case codec.PropRequestProblem:
		to.RequestProblem = byte(v)
	case codec.PropRequestResponse:
		to.RequestResponse = byte(v)
	case codec.PropReceiveMaximum:
		to.ReceiveMaximum = uint16(v)
	case codec.PropTopicAliasMaximum:
		to.TopicAliasMaximum = uint16(v)
	case codec.PropTopicAlias:
		to.TopicAlias = uint16(v)
	case codec.PropMessageExpiry:
		to.MessageExpirySeconds = v
	case codec.PropSessionExpiry:
		to.SessionExpirySeconds = v
	case codec.PropWillDelay:
		to.WillDelaySeconds = v
	case codec.PropMaximumPacket:
		to.MaximumPacketBytes = v
	default:
		if v > 268_435_455 {
			return errors.New("at most 268435455")
		}
		to.SubscriptionIDs = []uint32{v}
	}
	return nil
}

// check has the codec read what was given: it knows which property may stand
// in which packet, and with which value.
func (p *properties) check() error {
	topic := []byte("t")
	return errors.Join(
		readable("connect", codec.AppendConnect(nil, &codec.Connect{
			Version: codec.V5, Props: p.connect, HasWill: true, WillTopic: topic, WillProps: p.will,
		}), func(k *codec.Packet) error { return new(codec.Connect).Decode(k) }),
		readable("publish", codec.AppendPublish(nil, codec.V5, &codec.Publish{Topic: topic, Props: p.publish}),
			func(k *codec.Packet) error {
				if p.publish.Has.Has(codec.PropSubscriptionID) {
					return errors.New("only a server sets a subscription identifier there")
				}
				return new(codec.Publish).Decode(k, codec.V5)
			}),
		readable("subscribe", codec.AppendSubscribe(nil, codec.V5, &codec.Subscribe{PacketID: 1, Props: p.subscribe}, []codec.Filter{{Name: topic}}),
			func(k *codec.Packet) error { return new(codec.Subscribe).Decode(k, codec.V5) }),
		readable("unsubscribe", codec.AppendUnsubscribe(nil, codec.V5, &codec.Unsubscribe{PacketID: 1, Props: p.unsubscribe}, [][]byte{topic}),
			func(k *codec.Packet) error { return new(codec.Unsubscribe).Decode(k, codec.V5) }),
		readable("disconnect", codec.AppendDisconnect(nil, codec.V5, &codec.Disconnect{Props: p.disconnect}),
			func(k *codec.Packet) error { return new(codec.Disconnect).Decode(k, codec.V5) }),
	)
}

func readable(packet string, wire []byte, decode func(*codec.Packet) error) error {
	k, _, err := codec.Next(wire, codec.MaxPacketBytes)
	if err == nil {
		err = decode(&k)
	}
	if err != nil {
		return fmt.Errorf("-D %s: %w", packet, err)
	}
	return nil
}

// any reports whether something was given.
func (p *properties) any() bool {
	return p.connect.Has|p.publish.Has|p.subscribe.Has|p.unsubscribe.Has|p.disconnect.Has|p.will.Has != 0
}
