package codec

import "strconv"

// Version is the protocol level of CONNECT.
type Version byte

// The protocol levels.
const (
	V31  Version = 3 // MQTT 3.1, protocol name MQIsdp
	V311 Version = 4 // MQTT 3.1.1
	V5   Version = 5 // MQTT 5.0
)

func (v Version) String() string {
	switch v {
	case V31:
		return "3.1"
	case V311:
		return "3.1.1"
	case V5:
		return "5.0"
	}
	return "level " + strconv.Itoa(int(v))
}

// Type is the kind of a control packet (section 2.1.2).
type Type byte

// The control packets.
const (
	TypeConnect Type = 1 + iota
	TypeConnack
	TypePublish
	TypePuback
	TypePubrec
	TypePubrel
	TypePubcomp
	TypeSubscribe
	TypeSuback
	TypeUnsubscribe
	TypeUnsuback
	TypePingreq
	TypePingresp
	TypeDisconnect
	TypeAuth // 5.0 only
)

func (t Type) String() string {
	names := [...]string{
		"RESERVED", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
		"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
	}
	return names[t&15]
}

// Frames that never vary.
const (
	PingreqFrame    = "\xc0\x00"
	PingrespFrame   = "\xd0\x00"
	DisconnectFrame = "\xe0\x00"
)

// MaxPacketBytes is the largest packet the protocol can express: a remaining
// length of 268,435,455 behind a fixed header of five bytes (section 2.1.4).
const MaxPacketBytes = 268_435_455 + 5

// Error is a refusal of remote bytes.
type Error struct {
	Reason    Reason // what a 5.0 peer is told
	Statement string // of the standard, for instance "MQTT-2.2.2-2"; may be empty
	Text      string // what was found
}

func (e *Error) Error() string {
	if e.Statement == "" {
		return e.Text
	}
	return e.Text + " [" + e.Statement + "]"
}

// malformed is the error of a packet that cannot be read.
func malformed(statement, text string) error {
	return &Error{MalformedPacket, statement, text}
}

// protocol is the error of a packet that can be read and must not be there.
func protocol(statement, text string) error {
	return &Error{ProtocolError, statement, text}
}

// by picks the statement of the version.
func by(v Version, v311, v5 string) string {
	if v == V5 {
		return v5
	}
	return v311
}
