package client

import (
	"errors"
	"fmt"

	"github.com/loopmq/loopmq/codec"
)

// Errors of a Client that has ended.
var (
	// ErrClosed is what Close leaves.
	ErrClosed = errors.New("client is closed")
	// ErrPingTimeout: the server did not answer a PINGREQ in time.
	ErrPingTimeout = errors.New("server does not answer PINGREQ")
	// ErrAnswersUnread: the server sends on and does not read what it is answered.
	ErrAnswersUnread = errors.New("server sends without reading the answers")
)

// ConnectError is a CONNECT that the server refused.
type ConnectError struct {
	Version    codec.Version
	ReturnCode byte         // 3.x
	Reason     codec.Reason // 5.0
	Text       string       // reason string of the server; mostly empty
}

func (e *ConnectError) Error() string {
	what := e.Reason.String()
	if e.Version != codec.V5 {
		switch e.ReturnCode {
		case codec.ReturnUnacceptableVersion:
			what = "protocol version not served"
		case codec.ReturnIdentifierRejected:
			what = "client identifier rejected"
		case codec.ReturnServerUnavailable:
			what = "server unavailable"
		case codec.ReturnBadUserNameOrPassword:
			what = "bad user name or password"
		case codec.ReturnNotAuthorized:
			what = "not authorized"
		default:
			what = fmt.Sprintf("return code %d", e.ReturnCode)
		}
	}
	return "connection refused: " + what + quoted(e.Text)
}

// ReasonError is an answer of the server other than success.
type ReasonError struct {
	Packet codec.Type
	Reason codec.Reason
	Text   string // reason string of the server; mostly empty
}

func (e *ReasonError) Error() string {
	return fmt.Sprintf("%v says %v%s", e.Packet, e.Reason, quoted(e.Text))
}

func quoted(text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf(" (%q)", text)
}
