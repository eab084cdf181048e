package codec

// The return codes of a 3.x CONNACK (3.1.1, table 3.1).
const (
	ReturnAccepted              byte = 0
	ReturnUnacceptableVersion   byte = 1
	ReturnIdentifierRejected    byte = 2
	ReturnServerUnavailable     byte = 3
	ReturnBadUserNameOrPassword byte = 4
	ReturnNotAuthorized         byte = 5
)

// Connack is a CONNACK packet (section 3.2).
type Connack struct {
	SessionPresent bool
	ReturnCode     byte   // 3.x
	Reason         Reason // 5.0
	Props          Properties
}

// ReturnCode is the 3.x return code that says what r says, as near as there is
// one.
func (r Reason) ReturnCode() byte {
	switch r {
	case Success:
		return ReturnAccepted
	case UnsupportedProtocolVersion:
		return ReturnUnacceptableVersion
	case ClientIdentifierNotValid:
		return ReturnIdentifierRejected
	case BadUserNameOrPassword, BadAuthenticationMethod:
		return ReturnBadUserNameOrPassword
	case NotAuthorized, Banned:
		return ReturnNotAuthorized
	}
	return ReturnServerUnavailable
}

// Decode reads a CONNACK.
func (a *Connack) Decode(k *Packet, v Version) error {
	*a = Connack{}
	r := reader{b: k.Body}
	flags, code := r.u8(), r.u8()
	if err := r.err(TypeConnack); err != nil {
		return err
	}
	if flags > 1 {
		return malformed("MQTT-3.2.2-1", "CONNACK with reserved flags set")
	}
	a.SessionPresent = flags == 1
	if v != V5 {
		a.ReturnCode = code
		return r.end(TypeConnack)
	}
	a.Reason = Reason(code)
	if len(r.b) == 0 && a.Reason.Failed() {
		return nil // a server that refuses the version may answer in the form of 3.1.1
	}
	if err := a.Props.decode(&r, in(TypeConnack), TypeConnack); err != nil {
		return err
	}
	return r.end(TypeConnack)
}

// AppendConnack encodes a.
func AppendConnack(dst []byte, v Version, a *Connack) []byte {
	var flags byte
	if a.SessionPresent {
		flags = 1
	}
	if v != V5 {
		return append(dst, byte(TypeConnack)<<4, 2, flags, a.ReturnCode)
	}
	dst = appendFixed(dst, byte(TypeConnack)<<4, 2+a.Props.blockBytes())
	return a.Props.appendBlock(append(dst, flags, byte(a.Reason)))
}
