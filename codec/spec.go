package codec

// Version is the protocol level of CONNECT.
type Version byte

// The protocol levels.
const (
	V31  Version = 3
	V311 Version = 4
	V5   Version = 5
)

// Type is the kind of a control packet (section 2.2.1).
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
	TypeAuth
)

func (t Type) String() string {
	const names = "reserved   CONNECT    CONNACK    PUBLISH    PUBACK     PUBREC     PUBREL     PUBCOMP    " +
		"SUBSCRIBE  SUBACK     UNSUBSCRIBEUNSUBACK   PINGREQ    PINGRESP   DISCONNECT AUTH       "
	n := int(t&15) * 11
	end := n + 11
	for names[end-1] == ' ' {
		end--
	}
	return names[n:end]
}

// Reason says why a packet was refused, in the numbers of MQTT 5.0.
type Reason byte

// The reasons that decoding gives.
const (
	MalformedPacket            Reason = 0x81
	ProtocolError              Reason = 0x82
	UnsupportedProtocolVersion Reason = 0x84
	TopicNameInvalid           Reason = 0x90
	PacketTooLarge             Reason = 0x95
)

// Frames that never vary.
const (
	PingreqFrame    = "\xc0\x00"
	PingrespFrame   = "\xd0\x00"
	DisconnectFrame = "\xe0\x00"
)

// MaxPacketBytes is the largest packet the protocol can express.
const MaxPacketBytes = 268_435_455 + 5

// Error is a refusal of remote bytes.
type Error struct {
	Reason    Reason
	Statement string // of the standard, for instance "MQTT-2.2.2-2"; may be empty
	Text      string // what was found
}

func (e *Error) Error() string {
	if e.Statement == "" {
		return e.Text
	}
	return e.Text + " [" + e.Statement + "]"
}
