package codec_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/internal/testkit"
)

// vector is one packet as it stands on the wire, written by hand from the
// standard, and what it says.
type vector struct {
	name    string
	version codec.Version
	wire    string // hexadecimal, blanks do not count
	says    string // as said prints it
	oneWay  bool   // encoding gives a shorter form
}

// table: never written.
var vectors = []vector{
	{"least CONNECT", 4, "10 0c 0004 4d515454 04 02 003c 0000", `CONNECT 3.1.1 clean keepalive=60 id=""`, false},
	{"CONNECT of 3.1", 3, "10 0f 0006 4d5149736470 03 00 000a 0001 61", `CONNECT 3.1 keepalive=10 id="a"`, false},
	{
		"CONNECT with all", 4, "10 1d 0004 4d515454 04 f6 ffff 0001 63 0001 77 0003 000102 0001 75 0003 70ff00",
		`CONNECT 3.1.1 clean keepalive=65535 id="c" will="w" "\x00\x01\x02" qos=2 retain user="u" password="p\xff\x00"`, false,
	},
	{"CONNECT of 5.0", 5, "10 0d 0004 4d515454 05 00 0000 00 0000", `CONNECT 5.0 keepalive=0 id=""`, false},
	{
		"CONNECT of 5.0 with properties", 5, "10 3e 0004 4d515454 05 c6 0005" +
			" 1b 11 00000e10 17 00 19 01 21 0014 22 000a 26 0001 6b 0001 76 27 00010000" +
			" 0001 63 0a 01 01 18 00000007 03 0000 0001 77 0000 0001 75 0000",
		`CONNECT 5.0 clean keepalive=5 id="c" will="w" "" qos=0 1=1 3="" 24=7 user="u" password="" 17=3600 23=0 25=1 33=20 34=10 39=65536 38="k"="v"`, true,
	},
	{"CONNECT of 5.0 with a password alone", 5, "10 10 0004 4d515454 05 42 0000 00 0000 0001 70", `CONNECT 5.0 clean keepalive=0 id="" password="p"`, false},
	{"CONNACK", 4, "20 02 01 00", `CONNACK present code=0`, false},
	{"CONNACK refused", 4, "20 02 00 05", `CONNACK code=5`, false},
	{"CONNACK of 5.0", 5, "20 03 00 00 00", `CONNACK success`, false},
	{"CONNACK of 5.0 with properties", 5, "20 0d 01 87 0a 1f 0002 6e6f 24 01 21 0009", `CONNACK present not authorized 31="no" 33=9 36=1`, true},
	{"CONNACK of 5.0 in the form of 3.1.1", 5, "20 02 00 84", `CONNACK unsupported protocol version`, true},
	{"PUBLISH QoS 0", 4, "30 05 0003 612f62", `PUBLISH "a/b" ""`, false},
	{"PUBLISH QoS 1", 4, "32 08 0001 61 1234 646f67", `PUBLISH "a" qos=1 id=4660 "dog"`, false},
	{"PUBLISH QoS 2, DUP, RETAIN", 4, "3d 06 0001 61 0001 ff", `PUBLISH "a" qos=2 id=1 dup retain "\xff"`, false},
	{"PUBLISH of 5.0", 5, "30 05 0001 61 00 78", `PUBLISH "a" "x"`, false},
	{
		"PUBLISH of 5.0 with properties", 5, "30 2e 0001 61 28 01 01 02 0000003c 03 0001 63 08 0001 72 09 0002 00ff 23 0003 0b 80 01 0b 02 26 0001 6b 0001 76 26 0000 0000 78 79",
		`PUBLISH "a" "xy" 1=1 2=60 3="c" 8="r" 9="\x00\xff" 35=3 11=128 11=2 38="k"="v" 38=""=""`, true,
	},
	{"PUBLISH of 5.0 by alias", 5, "30 06 0000 03 23 0001", `PUBLISH "" "" 35=1`, false},
	{"PUBACK", 4, "40 02 0102", `PUBACK id=258 success`, false},
	{"PUBREC", 4, "50 02 0001", `PUBREC id=1 success`, false},
	{"PUBREL", 4, "62 02 ffff", `PUBREL id=65535 success`, false},
	{"PUBCOMP", 4, "70 02 0001", `PUBCOMP id=1 success`, false},
	{"PUBACK of 5.0, short", 5, "40 02 0001", `PUBACK id=1 success`, false},
	{"PUBACK of 5.0 with a reason", 5, "40 03 0001 10", `PUBACK id=1 no matching subscribers`, false},
	{"PUBREL of 5.0 with a reason", 5, "62 03 0001 92", `PUBREL id=1 packet identifier not found`, false},
	{"PUBREC of 5.0 with properties", 5, "50 09 0001 97 05 1f 0002 6e6f", `PUBREC id=1 quota exceeded 31="no"`, false},
	{"PUBCOMP of 5.0, success said", 5, "70 04 0001 00 00", `PUBCOMP id=1 success`, true},
	{"SUBSCRIBE", 4, "82 0a 0009 0001 61 00 0001 23 02", `SUBSCRIBE id=9 "a"/0 "#"/2`, false},
	{"SUBSCRIBE of 5.0", 5, "82 0c 0009 03 0b 80 02 0003 612f62 2d", `SUBSCRIBE id=9 "a/b"/1 nolocal rap handling=2 11=256`, true},
	{"SUBACK", 4, "90 05 0009 00 02 80", `SUBACK id=9 00 02 80`, false},
	{"SUBACK of 5.0", 5, "90 05 0009 00 01 9e", `SUBACK id=9 01 9e`, false},
	{"UNSUBSCRIBE", 4, "a2 08 0007 0001 61 0001 62", `UNSUBSCRIBE id=7 "a" "b"`, false},
	{"UNSUBSCRIBE of 5.0", 5, "a2 06 0007 00 0001 61", `UNSUBSCRIBE id=7 "a"`, false},
	{"UNSUBACK", 4, "b0 02 0007", `UNSUBACK id=7`, false},
	{"UNSUBACK of 5.0", 5, "b0 05 0007 00 00 11", `UNSUBACK id=7 00 11`, false},
	{"PINGREQ", 4, "c0 00", "PINGREQ", false},
	{"PINGRESP", 4, "d0 00", "PINGRESP", false},
	{"DISCONNECT", 4, "e0 00", "DISCONNECT success", false},
	{"DISCONNECT of 5.0 with Will", 5, "e0 01 04", "DISCONNECT disconnect with will message", false},
	{"DISCONNECT of 5.0 with properties", 5, "e0 07 8e 05 11 00000000", "DISCONNECT session taken over 17=0", false},
	{"AUTH, short", 5, "f0 00", "AUTH success", false},
	{"AUTH", 5, "f0 0d 18 0b 15 0003 582d59 16 0002 00ff", `AUTH continue authentication 21="X-Y" 22="\x00\xff"`, false},
}

// TestVectors decodes each vector, compares what it says, and encodes it again
// to the same bytes.
func TestVectors(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			wire := testkit.Bytes(v.wire)
			k, n, err := codec.Next(wire, codec.MaxPacketBytes)
			if err != nil || n != len(wire) {
				t.Fatalf("Next: %d bytes, %v; want %d", n, err, len(wire))
			}
			got, back, err := said(&k, v.version)
			if err != nil {
				t.Fatal(err)
			}
			if got != v.says {
				t.Errorf("says\n got %s\nwant %s", got, v.says)
			}
			if !v.oneWay && !bytes.Equal(back, wire) {
				t.Errorf("encoded again\n got %x\nwant %x", back, wire)
			}
			// What is encoded again says the same.
			k, n, err = codec.Next(back, codec.MaxPacketBytes)
			if err != nil || n != len(back) {
				t.Fatalf("encoded again: %x does not frame: %d, %v", back, n, err)
			}
			again, _, err := said(&k, v.version)
			if err != nil || again != got {
				t.Errorf("encoded again it says\n got %s, %v\nwant %s", again, err, got)
			}
		})
	}
}

// said decodes any packet, prints it, and encodes it again.
func said(k *codec.Packet, v codec.Version) (text string, back []byte, err error) {
	var b strings.Builder
	b.WriteString(k.Type.String())
	say := func(format string, args ...any) { fmt.Fprintf(&b, " "+format, args...) }
	flag := func(on bool, name string) {
		if on {
			say("%s", name)
		}
	}
	switch k.Type {
	case codec.TypeConnect:
		var c codec.Connect
		if err := c.Decode(k); err != nil {
			return "", nil, err
		}
		say("%v", c.Version)
		flag(c.CleanStart, "clean")
		say("keepalive=%d id=%q", c.KeepAliveSeconds, c.ClientID)
		if c.HasWill {
			say("will=%q %q qos=%d", c.WillTopic, c.WillPayload, c.WillQoS)
			flag(c.WillRetain, "retain")
			sayProps(&b, &c.WillProps)
		}
		if c.HasUsername {
			say("user=%q", c.Username)
		}
		if c.HasPassword {
			say("password=%q", c.Password)
		}
		sayProps(&b, &c.Props)
		back = codec.AppendConnect(nil, &c)
	case codec.TypeConnack:
		var a codec.Connack
		if err := a.Decode(k, v); err != nil {
			return "", nil, err
		}
		flag(a.SessionPresent, "present")
		if v == codec.V5 {
			say("%v", a.Reason)
		} else {
			say("code=%d", a.ReturnCode)
		}
		sayProps(&b, &a.Props)
		back = codec.AppendConnack(nil, v, &a)
	case codec.TypePublish:
		var p codec.Publish
		if err := p.Decode(k, v); err != nil {
			return "", nil, err
		}
		say("%q", p.Topic)
		if p.QoS > 0 {
			say("qos=%d id=%d", p.QoS, p.PacketID)
		}
		flag(p.Dup, "dup")
		flag(p.Retain, "retain")
		say("%q", p.Payload)
		sayProps(&b, &p.Props)
		back = codec.AppendPublish(nil, v, &p)
		if n := codec.PublishBytes(v, &p); n != len(back) {
			return "", nil, fmt.Errorf("PublishBytes says %d of %d", n, len(back))
		}
	case codec.TypePuback, codec.TypePubrec, codec.TypePubrel, codec.TypePubcomp:
		var a codec.Ack
		if err := a.Decode(k, v); err != nil {
			return "", nil, err
		}
		say("id=%d %v", a.PacketID, a.Reason)
		sayProps(&b, &a.Props)
		back = codec.AppendAck(nil, v, k.Type, &a)
	default:
		back, err = saidRest(&b, k, v)
	}
	return b.String(), back, err
}

func saidRest(b *strings.Builder, k *codec.Packet, v codec.Version) ([]byte, error) {
	say := func(format string, args ...any) { fmt.Fprintf(b, " "+format, args...) }
	switch k.Type {
	case codec.TypeSubscribe:
		var s codec.Subscribe
		if err := s.Decode(k, v); err != nil {
			return nil, err
		}
		say("id=%d", s.PacketID)
		var filters []codec.Filter
		for f, ok := s.Next(); ok; f, ok = s.Next() {
			filters = append(filters, f)
			say("%q/%d", f.Name, f.QoS)
			if f.NoLocal {
				say("nolocal")
			}
			if f.RetainAsPublished {
				say("rap")
			}
			if f.RetainHandling != 0 {
				say("handling=%d", f.RetainHandling)
			}
		}
		sayProps(b, &s.Props)
		return codec.AppendSubscribe(nil, v, &s, filters), nil
	case codec.TypeSuback:
		var a codec.Suback
		if err := a.Decode(k, v); err != nil {
			return nil, err
		}
		say("id=%d % x", a.PacketID, a.Codes)
		sayProps(b, &a.Props)
		return codec.AppendSuback(nil, v, &a), nil
	case codec.TypeUnsubscribe:
		var u codec.Unsubscribe
		if err := u.Decode(k, v); err != nil {
			return nil, err
		}
		say("id=%d", u.PacketID)
		var filters [][]byte
		for f, ok := u.Next(); ok; f, ok = u.Next() {
			filters = append(filters, f)
			say("%q", f)
		}
		sayProps(b, &u.Props)
		return codec.AppendUnsubscribe(nil, v, &u, filters), nil
	case codec.TypeUnsuback:
		var a codec.Unsuback
		if err := a.Decode(k, v); err != nil {
			return nil, err
		}
		say("id=%d", a.PacketID)
		if len(a.Codes) > 0 {
			say("% x", a.Codes)
		}
		sayProps(b, &a.Props)
		return codec.AppendUnsuback(nil, v, &a), nil
	case codec.TypeDisconnect:
		var d codec.Disconnect
		if err := d.Decode(k, v); err != nil {
			return nil, err
		}
		say("%v", d.Reason)
		sayProps(b, &d.Props)
		return codec.AppendDisconnect(nil, v, &d), nil
	case codec.TypeAuth:
		var a codec.Auth
		if err := a.Decode(k, v); err != nil {
			return nil, err
		}
		say("%v", a.Reason)
		sayProps(b, &a.Props)
		return codec.AppendAuth(nil, &a), nil
	case codec.TypePingreq:
		return []byte(codec.PingreqFrame), nil
	default:
		return []byte(codec.PingrespFrame), nil
	}
}

// sayProps prints the properties that are set as number=value.
func sayProps(b *strings.Builder, p *codec.Properties) {
	u32 := map[codec.PropertyID]uint32{2: p.MessageExpirySeconds, 17: p.SessionExpirySeconds, 24: p.WillDelaySeconds, 39: p.MaximumPacketBytes}
	u16 := map[codec.PropertyID]uint16{19: p.ServerKeepAliveSeconds, 33: p.ReceiveMaximum, 34: p.TopicAliasMaximum, 35: p.TopicAlias}
	u8 := map[codec.PropertyID]byte{
		1: p.PayloadFormat, 23: p.RequestProblem, 25: p.RequestResponse, 36: p.MaximumQoS, 37: p.RetainAvailable,
		40: p.WildcardAvailable, 41: p.SubscriptionIDAvailable, 42: p.SharedAvailable,
	}
	data := map[codec.PropertyID][]byte{
		3: p.ContentType, 8: p.ResponseTopic, 9: p.CorrelationData, 18: p.AssignedClientID, 21: p.AuthMethod,
		22: p.AuthData, 26: p.ResponseInformation, 28: p.ServerReference, 31: p.ReasonString,
	}
	for id := codec.PropertyID(1); id < 43; id++ {
		if !p.Has.Has(id) || id == codec.PropUser || id == codec.PropSubscriptionID {
			continue
		}
		if v, ok := data[id]; ok {
			fmt.Fprintf(b, " %d=%q", id, v)
			continue
		}
		var value any
		if v, ok := u32[id]; ok {
			value = v
		} else if v, ok := u16[id]; ok {
			value = v
		} else {
			value = u8[id]
		}
		fmt.Fprintf(b, " %d=%v", id, value)
	}
	if p.Has.Has(codec.PropSubscriptionID) {
		for _, id := range p.SubscriptionIDs {
			fmt.Fprintf(b, " 11=%d", id)
		}
	}
	p.EachUser(func(name, value []byte) { fmt.Fprintf(b, " 38=%q=%q", name, value) })
}

// TestPropertiesStandWhereTheyMay holds every property against every packet.
// The letters are those of the standard's table 2-4, in the order of packets.
func TestPropertiesStandWhereTheyMay(t *testing.T) {
	packets := map[byte]func(block []byte) []byte{
		'C': func(b []byte) []byte {
			return frame(0x10, "00044d515454 05 02 0000", b, "0000")
		},
		'W': func(b []byte) []byte {
			return frame(0x10, "00044d515454 05 06 0000 00 0000", b, "000177 0000")
		},
		'c': func(b []byte) []byte { return frame(0x20, "00 00", b, "") },
		'P': func(b []byte) []byte { return frame(0x30, "0001 61", b, "") },
		'a': func(b []byte) []byte { return frame(0x40, "0001 00", b, "") },
		'r': func(b []byte) []byte { return frame(0x50, "0001 00", b, "") },
		'l': func(b []byte) []byte { return frame(0x62, "0001 00", b, "") },
		'm': func(b []byte) []byte { return frame(0x70, "0001 00", b, "") },
		'S': func(b []byte) []byte { return frame(0x82, "0001", b, "0001 61 00") },
		's': func(b []byte) []byte { return frame(0x90, "0001", b, "00") },
		'U': func(b []byte) []byte { return frame(0xa2, "0001", b, "0001 61") },
		'u': func(b []byte) []byte { return frame(0xb0, "0001", b, "00") },
		'D': func(b []byte) []byte { return frame(0xe0, "00", b, "") },
		'A': func(b []byte) []byte { return frame(0xf0, "00", b, "") },
	}
	table := map[string]string{ // property with a value : where it may stand
		"01 01": "PW", "02 00000001": "PW", "03 0001 61": "PW", "08 0001 61": "PW", "09 0001 00": "PW",
		"0b 01": "PS", "11 00000001": "CcD", "12 0001 61": "c", "13 0001": "c", "15 0001 61": "CcA",
		"17 01": "C", "18 00000001": "W", "19 01": "C", "1a 0001 61": "c", "1c 0001 61": "cD",
		"1f 0001 61": "carlmsuDA", "21 0001": "Cc", "22 0001": "Cc", "23 0001": "P", "24 01": "c",
		"25 01": "c", "26 0001 61 0001 62": "CWcParlmSsUuDA", "27 00000001": "Cc", "28 01": "c", "29 01": "c", "2a 01": "c",
		"16 0001 00":            "", // never without a method
		"15 0001 61 16 0001 00": "CcA",
	}
	for prop, where := range table {
		for letter, build := range packets {
			wire := build(testkit.Bytes(prop))
			k, n, err := codec.Next(wire, codec.MaxPacketBytes)
			if err != nil || n != len(wire) {
				t.Fatalf("%c: %v", letter, err)
			}
			_, _, err = said(&k, codec.V5)
			if may := strings.ContainsRune(where, rune(letter)); may != (err == nil) {
				t.Errorf("property %s in %v (%c): may=%v, got %v", prop, k.Type, letter, may, err)
			}
		}
	}
}

// frame puts a property block, with its length, between two halves.
func frame(first byte, front string, block []byte, back string) []byte {
	un := func(s string) []byte { b, _ := hex.DecodeString(strings.ReplaceAll(s, " ", "")); return b }
	body := append(un(front), byte(len(block)))
	body = append(append(body, block...), un(back)...)
	return append([]byte{first, byte(len(body))}, body...)
}

// TestUserPropertiesApart: user properties that do not stand together keep
// their order and are not mixed with what is between them.
func TestUserPropertiesApart(t *testing.T) {
	block := testkit.Bytes("26 0001 61 0001 31  01 01  26 0001 62 0001 32  03 0001 63  26 0001 61 0001 33 26 0000 0000")
	wire := frame(0x30, "0001 74", block, "ff")
	k, _, err := codec.Next(wire, codec.MaxPacketBytes)
	if err != nil {
		t.Fatal(err)
	}
	var p codec.Publish
	if err := p.Decode(&k, codec.V5); err != nil {
		t.Fatal(err)
	}
	want := testkit.Bytes("26 0001 61 0001 31 26 0001 62 0001 32 26 0001 61 0001 33 26 0000 0000")
	if !bytes.Equal(p.Props.User, want) {
		t.Errorf("got %x, want %x", p.Props.User, want)
	}
	var names []string
	p.Props.EachUser(func(name, value []byte) { names = append(names, string(name)+"="+string(value)) })
	if !reflect.DeepEqual(names, []string{"a=1", "b=2", "a=3", "="}) {
		t.Errorf("got %q", names)
	}
	forwarded := testkit.Bytes("01 01 03 0001 63 26 0001 61 0001 31 26 0001 62 0001 32 26 0001 61 0001 33 26 0000 0000")
	if got := p.Props.AppendForwarded(nil); !bytes.Equal(got, forwarded) || p.Props.ForwardedBytes() != len(forwarded) {
		t.Errorf("forwarded: got %x (%d said), want %x", got, p.Props.ForwardedBytes(), forwarded)
	}
}
