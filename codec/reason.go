package codec

import "strconv"

// Reason is a reason code of MQTT 5.0 (section 2.4). Those from 0x80 on are
// failures.
type Reason byte

// The reason codes.
const (
	Success                             Reason = 0x00 // also NormalDisconnection and GrantedQoS0
	GrantedQoS1                         Reason = 0x01
	GrantedQoS2                         Reason = 0x02
	DisconnectWithWill                  Reason = 0x04
	NoMatchingSubscribers               Reason = 0x10
	NoSubscriptionExisted               Reason = 0x11
	ContinueAuthentication              Reason = 0x18
	ReAuthenticate                      Reason = 0x19
	UnspecifiedError                    Reason = 0x80
	MalformedPacket                     Reason = 0x81
	ProtocolError                       Reason = 0x82
	ImplementationSpecificError         Reason = 0x83
	UnsupportedProtocolVersion          Reason = 0x84
	ClientIdentifierNotValid            Reason = 0x85
	BadUserNameOrPassword               Reason = 0x86
	NotAuthorized                       Reason = 0x87
	ServerUnavailable                   Reason = 0x88
	ServerBusy                          Reason = 0x89
	Banned                              Reason = 0x8a
	ServerShuttingDown                  Reason = 0x8b
	BadAuthenticationMethod             Reason = 0x8c
	KeepAliveTimeout                    Reason = 0x8d
	SessionTakenOver                    Reason = 0x8e
	TopicFilterInvalid                  Reason = 0x8f
	TopicNameInvalid                    Reason = 0x90
	PacketIdentifierInUse               Reason = 0x91
	PacketIdentifierNotFound            Reason = 0x92
	ReceiveMaximumExceeded              Reason = 0x93
	TopicAliasInvalid                   Reason = 0x94
	PacketTooLarge                      Reason = 0x95
	MessageRateTooHigh                  Reason = 0x96
	QuotaExceeded                       Reason = 0x97
	AdministrativeAction                Reason = 0x98
	PayloadFormatInvalid                Reason = 0x99
	RetainNotSupported                  Reason = 0x9a
	QoSNotSupported                     Reason = 0x9b
	UseAnotherServer                    Reason = 0x9c
	ServerMoved                         Reason = 0x9d
	SharedSubscriptionsNotSupported     Reason = 0x9e
	ConnectionRateExceeded              Reason = 0x9f
	MaximumConnectTime                  Reason = 0xa0
	SubscriptionIdentifiersNotSupported Reason = 0xa1
	WildcardSubscriptionsNotSupported   Reason = 0xa2
)

// Failed reports whether r says that something did not work.
func (r Reason) Failed() bool { return r >= 0x80 }

func (r Reason) String() string {
	if r >= UnspecifiedError && r <= WildcardSubscriptionsNotSupported {
		return failures()[r-UnspecifiedError]
	}
	switch r {
	case Success:
		return "success"
	case GrantedQoS1:
		return "granted QoS 1"
	case GrantedQoS2:
		return "granted QoS 2"
	case DisconnectWithWill:
		return "disconnect with will message"
	case NoMatchingSubscribers:
		return "no matching subscribers"
	case NoSubscriptionExisted:
		return "no subscription existed"
	case ContinueAuthentication:
		return "continue authentication"
	case ReAuthenticate:
		return "re-authenticate"
	}
	return "reason 0x" + strconv.FormatUint(uint64(r), 16)
}

// failures are the names of 0x80 and up.
func failures() [35]string {
	return [...]string{
		"unspecified error", "malformed packet", "protocol error", "implementation specific error",
		"unsupported protocol version", "client identifier not valid", "bad user name or password",
		"not authorized", "server unavailable", "server busy", "banned", "server shutting down",
		"bad authentication method", "keep alive timeout", "session taken over", "topic filter invalid",
		"topic name invalid", "packet identifier in use", "packet identifier not found",
		"receive maximum exceeded", "topic alias invalid", "packet too large", "message rate too high",
		"quota exceeded", "administrative action", "payload format invalid", "retain not supported",
		"QoS not supported", "use another server", "server moved", "shared subscriptions not supported",
		"connection rate exceeded", "maximum connect time", "subscription identifiers not supported",
		"wildcard subscriptions not supported",
	}
}

// mayCarry reports whether a packet of type t may have reason r (the tables of
// sections 3.x.2.1).
func (r Reason) mayCarry(t Type) bool {
	switch t {
	case TypePuback, TypePubrec:
		switch r {
		case Success, NoMatchingSubscribers, UnspecifiedError, ImplementationSpecificError, NotAuthorized,
			TopicNameInvalid, PacketIdentifierInUse, QuotaExceeded, PayloadFormatInvalid:
			return true
		}
		return false
	case TypePubrel, TypePubcomp:
		return r == Success || r == PacketIdentifierNotFound
	case TypeAuth:
		return r == Success || r == ContinueAuthentication || r == ReAuthenticate
	case TypeDisconnect:
		switch r {
		case Success, DisconnectWithWill:
			return true
		case UnsupportedProtocolVersion, ClientIdentifierNotValid, BadUserNameOrPassword, ServerUnavailable,
			Banned, PacketIdentifierInUse, PacketIdentifierNotFound:
			return false
		}
		return r >= UnspecifiedError && r <= WildcardSubscriptionsNotSupported
	}
	return true
}
