package router

import (
	"errors"

	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/router/topic"
)

// refusal is why the router closes a connection or refuses a packet: what a
// 5.0 client is told, and what the log says.
type refusal struct {
	reason codec.Reason
	text   string
}

func (e *refusal) Error() string { return e.text }

// Reasons for which the router closes a connection by itself.
var (
	errNotConnected       = &refusal{codec.ProtocolError, "first packet is not CONNECT [MQTT-3.1.0-1]"}
	errConnectTwice       = &refusal{codec.ProtocolError, "second CONNECT [MQTT-3.1.0-2]"}
	errConnectTimeout     = &refusal{codec.MaximumConnectTime, "no CONNECT in time; connect-timeout"}
	errKeepAlive          = &refusal{codec.KeepAliveTimeout, "nothing received for 1.5 times the keep alive [MQTT-3.1.2-24]"}
	errTakenOver          = &refusal{codec.SessionTakenOver, "client identifier connected again [MQTT-3.1.4-2]"}
	errShutdown           = &refusal{codec.ServerShuttingDown, "broker is stopping"}
	errUseAnother         = &refusal{codec.UseAnotherServer, "broker is stopping; another one serves"}
	errMoved              = &refusal{codec.ServerMoved, "broker has moved"}
	errAnswersUnread      = &refusal{codec.QuotaExceeded, "answers are not being read; output limit reached"}
	errLongLength         = &refusal{codec.MalformedPacket, "remaining length is longer than it need be [MQTT-1.5.5-1]"}
	errVersionNotServed   = &refusal{codec.UnsupportedProtocolVersion, "this listener does not serve this version of MQTT"}
	errServerPacket       = &refusal{codec.ProtocolError, "packet that only a server sends"}
	errTooSlow            = &refusal{codec.QuotaExceeded, "the client takes nothing of what it is sent; slow-timeout"}
	errStalled            = &refusal{codec.ServerBusy, "a packet that was begun does not go on, and memory is short; slow-timeout"}
	errQueueFull          = &refusal{codec.QuotaExceeded, "more waits for the session than may; queue-full"}
	errTooManyConnections = &refusal{codec.QuotaExceeded, "the user has as many connections as its quota allows"}
	errNoMemoryToKeep     = &refusal{codec.QuotaExceeded, "the broker is at its memory limit; memory-limit"}
	errRetainedMessages   = &refusal{codec.QuotaExceeded, "as many topics have a retained message as may; retained-messages-max"}
	errRetainedBytes      = &refusal{codec.QuotaExceeded, "no room to retain the message; retained-bytes-max"}
	errRetainedQuota      = &refusal{codec.QuotaExceeded, "the user has as many retained messages as its quota allows"}
	errNoMemory           = &refusal{codec.ServerBusy, "the broker is at its memory limit; memory-limit"}
	errHoldsMost          = &refusal{codec.QuotaExceeded, "the broker is at its memory limit, and no client holds more than this one; memory-limit"}
	errNoRight            = &refusal{codec.NotAuthorized, "not authorized"}
	errNoLongerWelcome    = &refusal{codec.NotAuthorized, "the client would no longer be let in"}
	errLoginExpired       = &refusal{codec.NotAuthorized, "what the client logged in with has expired"}
	errHeldTooLong        = &refusal{codec.QuotaExceeded, "there has been no room for messages for too long; hold-timeout"}
	errStoreFull          = &refusal{codec.QuotaExceeded, "the store is full; try again later"}
	errStoreFailed        = &refusal{codec.ImplementationSpecificError, "the store has failed; nothing durable is taken until the broker is restarted"}
	errAnswerTooLarge     = &refusal{codec.PacketTooLarge, "an answer would be larger than the client's Maximum Packet Size"}
)

// ReasonOf is the reason code for which a connection ended, given what was
// passed to Conn.Close or returned by Client.Data.
func ReasonOf(why error) codec.Reason { return reasonOf(why) }

// reasonOf is the reason code that says why.
func reasonOf(why error) codec.Reason {
	if e, ok := errors.AsType[*refusal](why); ok {
		return e.reason
	}
	if e, ok := errors.AsType[*codec.Error](why); ok {
		return e.Reason
	}
	if _, ok := errors.AsType[*topic.Error](why); ok {
		return codec.MalformedPacket
	}
	return codec.UnspecifiedError
}
