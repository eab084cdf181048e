package codec_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/internal/testkit"
)

// Reasons, short for the table.
const (
	mal   = codec.MalformedPacket
	proto = codec.ProtocolError
	name  = codec.TopicNameInvalid
	old   = codec.UnsupportedProtocolVersion
	alias = codec.TopicAliasInvalid
)

// refusals are packets that must not be taken, and the reason that a 5.0 peer
// is told.
//
// table: never written.
var refusals = []struct {
	what    string
	version codec.Version
	wire    string
	reason  codec.Reason
	says    string
}{
	{"type 0", 4, "00 00", mal, "reserved"},
	{"CONNECT flags", 4, "11 00", mal, "MQTT-2.2.2-2"},
	{"PUBACK flags", 4, "42 02 0001", mal, "MQTT-2.2.2-2"},
	{"PUBREL flags", 4, "60 02 0001", mal, "MQTT-2.2.2-2"},
	{"SUBSCRIBE flags", 4, "80 06 0001 0001 61 00", mal, "MQTT-2.2.2-2"},
	{"UNSUBSCRIBE flags", 4, "a0 05 0001 0001 61", mal, "MQTT-2.2.2-2"},
	{"PUBREL with DUP", 4, "6a 02 0001", mal, "MQTT-2.2.2-2"},
	{"PUBREL with DUP, 5.0", 5, "6a 02 0001", mal, "MQTT-2.2.2-2"},
	{"PUBREL with RETAIN, 3.1", 3, "63 02 0001", mal, "MQTT-2.2.2-2"},
	{"SUBSCRIBE with DUP", 4, "8a 06 0001 0001 61 00", mal, "MQTT-2.2.2-2"},
	{"UNSUBSCRIBE with DUP", 4, "aa 05 0001 0001 61", mal, "MQTT-2.2.2-2"},
	{"PUBACK with DUP, 3.1", 3, "48 02 0001", mal, "MQTT-2.2.2-2"},
	{"PINGREQ flags", 4, "c1 00", mal, "MQTT-2.2.2-2"},
	{"DISCONNECT flags", 4, "e8 00", mal, "MQTT-2.2.2-2"},
	{"length of five bytes", 4, "30 ff ff ff ff 01", mal, "four bytes"},
	{"length that does not end", 4, "30 80 80 80 80", mal, "four bytes"},
	{"PINGREQ with a body", 4, "c0 01 00", mal, "with a body"},
	{"PINGRESP with a body", 4, "d0 01 00", mal, "with a body"},
	{"no protocol name", 4, "10 00", mal, "ends in the middle"},
	{"another protocol", 4, "10 0c 0004 48545450 04 02 0000 0000", mal, "MQTT-3.1.2-1"},
	{"level 6", 4, "10 0c 0004 4d515454 06 02 0000 0000", old, "MQTT-3.1.2-2"},
	{"level 3 of MQTT", 4, "10 0c 0004 4d515454 03 02 0000 0000", old, "MQTT-3.1.2-2"},
	{"level 4 of MQIsdp", 4, "10 0e 0006 4d5149736470 04 02 0000 0000", old, "MQTT-3.1.2-2"},
	{"reserved CONNECT flag", 4, "10 0c 0004 4d515454 04 03 0000 0000", mal, "MQTT-3.1.2-3"},
	{"Will QoS 3", 4, "10 12 0004 4d515454 04 1e 0000 0000 0001 77 0001 78", mal, "MQTT-3.1.2-14"},
	{"Will QoS without Will", 4, "10 0c 0004 4d515454 04 0a 0000 0000", mal, "MQTT-3.1.2-13"},
	{"Will Retain without Will", 4, "10 0c 0004 4d515454 04 22 0000 0000", mal, "MQTT-3.1.2-13"},
	{"password without user", 4, "10 0f 0004 4d515454 04 42 0000 0000 0001 70", mal, "MQTT-3.1.2-22"},
	{"bytes behind CONNECT", 4, "10 0d 0004 4d515454 04 02 0000 0000 00", mal, "behind"},
	{"ClientID cut short", 4, "10 0c 0004 4d515454 04 02 0000 0001", mal, "ends in the middle"},
	{"ClientID not UTF-8", 4, "10 0d 0004 4d515454 04 02 0000 0001 ff", mal, "MQTT-1.5.4-1"},
	{"Will topic with a wildcard", 4, "10 11 0004 4d515454 04 06 0000 0000 0001 23 0000", name, "Will topic"},
	{"Will topic empty", 4, "10 10 0004 4d515454 04 06 0000 0000 0000 0000", name, "Will topic"},
	{"CONNACK flags", 4, "20 02 02 00", mal, "CONNACK"},
	{"CONNACK too long", 4, "20 03 00 00 00", mal, "behind"},
	{"QoS 3", 4, "36 06 0001 61 0001 78", mal, "MQTT-3.3.1-4"},
	{"DUP with QoS 0", 4, "38 03 0001 61", mal, "MQTT-3.3.1-2"},
	{"PUBLISH PacketID 0", 4, "32 05 0001 61 0000", proto, "MQTT-2.3.1-1"},
	{"PUBLISH PacketID 0 of 5.0", 5, "32 06 0001 61 0000 00", proto, "MQTT-2.2.1-3"},
	{"PUBLISH without PacketID", 4, "32 03 0001 61", mal, "ends in the middle"},
	{"PUBLISH topic +", 4, "30 03 0001 2b", name, "MQTT-3.3.2-2"},
	{"PUBLISH topic #", 4, "30 04 0002 612f", codec.Success, ""},
	{"PUBLISH topic a/#", 4, "30 05 0003 612f23", name, "MQTT-3.3.2-2"},
	{"PUBLISH topic empty", 4, "30 02 0000", name, "MQTT-4.7.3-1"},
	{"PUBLISH topic empty, no alias", 5, "30 03 0000 00", proto, "neither topic"},
	{"PUBLISH alias 0", 5, "30 07 0001 61 03 23 0000", alias, "Topic Alias 0"},
	{"PUBLISH topic with NUL", 4, "30 04 0002 6100", mal, "MQTT-1.5.4-2"},
	{"PUBLISH topic with NUL after eight", 4, "30 0c 000a 61616161616161616100", mal, "MQTT-1.5.4-2"},
	{"PUBLISH topic with a surrogate", 4, "30 05 0003 eda080", mal, "MQTT-1.5.4-1"},
	{"PUBLISH topic overlong", 4, "30 04 0002 c080", mal, "MQTT-1.5.4-1"},
	{"PUBACK of one byte", 4, "40 01 00", mal, "ends in the middle"},
	{"PUBACK PacketID 0", 4, "40 02 0000", proto, "MQTT-2.3.1-1"},
	{"PUBACK too long", 4, "40 03 0001 00", mal, "behind"},
	{"PUBACK with SUBACK's reason", 5, "40 03 0001 9e", proto, "not its own"},
	{"PUBREL with PUBREC's reason", 5, "62 03 0001 97", proto, "not its own"},
	{"SUBSCRIBE without filter", 4, "82 02 0001", proto, "MQTT-3.8.3-3"},
	{"SUBSCRIBE without filter of 5.0", 5, "82 03 0001 00", proto, "MQTT-3.8.3-2"},
	{"SUBSCRIBE PacketID 0", 4, "82 06 0000 0001 61 00", proto, "MQTT-2.3.1-1"},
	{"SUBSCRIBE QoS 3 of 5.0", 5, "82 07 0001 00 0001 61 03", proto, "QoS 3"},
	{"SUBSCRIBE QoS 3", 4, "82 06 0001 0001 61 03", mal, "MQTT-3.8.3-4"},
	{"SUBSCRIBE option bits in 3.1.1", 4, "82 06 0001 0001 61 04", mal, "MQTT-3.8.3-4"},
	{"SUBSCRIBE reserved bits of 5.0", 5, "82 07 0001 00 0001 61 40", mal, "MQTT-3.8.3-5"},
	{"SUBSCRIBE Retain Handling 3", 5, "82 07 0001 00 0001 61 30", proto, "Handling"},
	{"SUBSCRIBE second filter cut", 4, "82 09 0001 0001 61 00 0002 62", mal, "ends in the middle"},
	{"SUBSCRIBE empty filter", 4, "82 05 0001 0000 00", mal, "empty filter"},
	{"SUBSCRIBE filter not UTF-8", 4, "82 06 0001 0001 ff 00", mal, "UTF-8"},
	{"SUBSCRIBE identifier 0", 5, "82 09 0001 02 0b00 0001 61 00", proto, "Identifier 0"},
	{"SUBSCRIBE two identifiers", 5, "82 0b 0001 04 0b01 0b02 0001 61 00", proto, "twice"},
	{"UNSUBSCRIBE without filter", 4, "a2 02 0001", proto, "MQTT-3.10.3-2"},
	{"UNSUBSCRIBE empty filter", 4, "a2 04 0001 0000", mal, "empty filter"},
	{"UNSUBACK with codes in 3.1.1", 4, "b0 03 0001 00", mal, "behind"},
	{"DISCONNECT with a body", 4, "e0 01 00", mal, "behind"},
	{"DISCONNECT of 5.0 with CONNACK's reason", 5, "e0 01 84", proto, "not its own"},
	{"AUTH in 3.1.1", 4, "f0 00", proto, "AUTH"},
	{"AUTH without method", 5, "f0 02 18 00", proto, "method"},
	{"AUTH with another reason", 5, "f0 02 80 00", proto, "not its own"},
	{"property length beyond the packet", 5, "30 05 0001 61 02 01", mal, "ends in the middle"},
	{"property cut", 5, "30 06 0001 61 02 02 00", mal, "ends in the middle"},
	{"property unknown", 5, "30 06 0001 61 02 04 00", mal, "unknown property 4"},
	{"property number too long", 5, "30 07 0001 61 03 81 00 00", mal, "longer than it need"},
	{"property twice", 5, "30 08 0001 61 04 01 00 01 00", proto, "twice"},
	{"property in the wrong packet", 5, "30 07 0001 61 03 21 0001", mal, "does not belong"},
	{"payload format 2", 5, "30 06 0001 61 02 01 02", proto, "0 or 1"},
	{"Receive Maximum 0", 5, "10 10 0004 4d515454 05 02 0000 03 21 0000 0000", proto, "Receive Maximum 0"},
	{"Maximum Packet Size 0", 5, "10 12 0004 4d515454 05 02 0000 05 27 00000000 0000", proto, "Maximum Packet Size 0"},
	{"auth data alone", 5, "10 10 0004 4d515454 05 02 0000 03 16 0000 0000", proto, "without a method"},
	{"response topic with a wildcard", 5, "30 08 0001 61 04 08 0001 23", proto, "wildcard"},
	{"response topic with NUL", 5, "30 08 0001 61 04 08 0001 00", mal, "MQTT-1.5.4-2"},
}

func TestRefusals(t *testing.T) {
	for _, r := range refusals {
		t.Run(r.what, func(t *testing.T) {
			wire := testkit.Bytes(r.wire)
			k, n, err := codec.Next(wire, codec.MaxPacketBytes)
			if err == nil {
				if n != len(wire) {
					t.Fatalf("framed %d bytes of %d: the row's length is wrong", n, len(wire))
				}
				_, _, err = said(&k, r.version)
			}
			if r.reason == codec.Success {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			refusal, ok := errors.AsType[*codec.Error](err)
			if !ok {
				t.Fatalf("got %v, want an *Error", err)
			}
			if refusal.Reason != r.reason || !strings.Contains(refusal.Error(), r.says) {
				t.Errorf("got %v: %q; want %v and %q", refusal.Reason, refusal.Error(), r.reason, r.says)
			}
		})
	}
}

// TestTooLarge: the limit counts the whole packet and is known from its header
// alone.
func TestTooLarge(t *testing.T) {
	header := []byte{0x30, 0x80, 0x01} // 128 bytes behind three
	if _, n, err := codec.Next(header, 131); n != 0 || err != nil {
		t.Errorf("131 bytes at a limit of 131: got %d, %v; want more bytes", n, err)
	}
	_, _, err := codec.Next(header, 130)
	if refusal, ok := errors.AsType[*codec.Error](err); !ok || refusal.Reason != codec.PacketTooLarge {
		t.Errorf("131 bytes at a limit of 130: got %v, want PacketTooLarge", err)
	}
}

// TestCutAnywhere: each vector, cut at every byte, is either incomplete or
// refused, and arrives whole with the next packet behind it.
func TestCutAnywhere(t *testing.T) {
	for _, v := range vectors {
		wire := testkit.Bytes(v.wire)
		for cut := range wire {
			if _, n, err := codec.Next(wire[:cut], codec.MaxPacketBytes); n != 0 || err != nil {
				t.Errorf("%s cut at %d: got %d, %v; want more bytes", v.name, cut, n, err)
			}
			// The body cut short in a packet whose length says so.
			if cut >= 2 && len(wire) < 128 {
				short := append([]byte{wire[0], byte(cut - 2)}, wire[2:cut]...)
				k, _, err := codec.Next(short, codec.MaxPacketBytes)
				if err != nil {
					t.Fatal(err)
				}
				_, _, _ = said(&k, v.version) // must not panic; some of them are whole packets
			}
		}
		two := append(bytes.Clone(wire), 0xc0, 0x00)
		k, n, err := codec.Next(two, codec.MaxPacketBytes)
		if err != nil || n != len(wire) || !bytes.Equal(k.Raw, wire) {
			t.Errorf("%s with a packet behind it: got %d bytes, %v", v.name, n, err)
		}
		if cap(k.Raw) != cap(two) {
			t.Errorf("%s: Raw's capacity is cut to %d of %d", v.name, cap(k.Raw), cap(two))
		}
	}
}

// TestManyUserProperties: 1024 are taken, one more is refused.
func TestManyUserProperties(t *testing.T) {
	for _, n := range []int{1024, 1025} {
		var p codec.Publish
		p.Topic = []byte("t")
		for range n {
			p.Props.User = codec.AppendUser(p.Props.User, "k", "v")
		}
		p.Props.Has = p.Props.Has.Add(codec.PropUser)
		k, _, err := codec.Next(codec.AppendPublish(nil, codec.V5, &p), codec.MaxPacketBytes)
		if err != nil {
			t.Fatal(err)
		}
		var got codec.Publish
		err = got.Decode(&k, codec.V5)
		refusal, _ := errors.AsType[*codec.Error](err)
		if n == 1024 && err != nil || n == 1025 && (refusal == nil || refusal.Reason != codec.QuotaExceeded) {
			t.Errorf("%d user properties: %v", n, err)
		}
	}
}

func TestValidUTF8(t *testing.T) {
	long := strings.Repeat("a", 65535)
	for s, ok := range map[string]bool{
		"": true, "a": true, long: true, "ä€😀": true, "\ufeff": true, "\uffff": true, "\x01": true, "1234567\x7f": true,
		"\x00": false, "1234567\x00": false, "12345678\x00": false, "é\x00": false, "\xff": false, "\xc0\x80": false,
		"\xed\xa0\x80": false, "\xf4\x90\x80\x80": false, "\xe2\x82": false, long + "\x80": false,
	} {
		if err := codec.ValidUTF8([]byte(s)); (err == nil) != ok {
			t.Errorf("%.20q: got %v, want ok=%v", s, err, ok)
		}
	}
}
