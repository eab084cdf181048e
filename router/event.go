package router

import "fmt"

// EventKind says what happened.
type EventKind int

// The kinds of events.
const (
	EventConnect    EventKind = iota // a CONNECT was accepted
	EventRefuse                      // a CONNECT was refused
	EventDisconnect                  // a connection past CONNECT ended
	EventDrop                        // the first drop for a session
	EventDollar                      // a client published to a topic beginning with $
	EventExpire                      // a session reached its expiry
	EventEvict                       // sessions were dropped to make room; some of many are told
	EventCrowded                     // a client goes over our Receive Maximum
	EventAuth                        // a client could not show who it is
	EventDeny                        // a client wanted to do what it may not
	EventUnacked                     // a client leaves a full window unacknowledged
	EventDuel                        // clients take a session from each other
	EventMemory                      // the broker comes near its memory limit, or leaves it behind
	EventHeld                        // a publisher that was held back for HoldTimeout hears that there is no room
	EventStranger                    // a client wants a session that belongs to another user
	EventWear                        // more was written in a day than was meant to; once a day
	EventUnreadable                  // the store cannot read messages that wait for a session
	EventReadAgain                   // the disk fails to read what waits for a session, which is tried until it succeeds
	EventStore                       // the store takes nothing, Err says why; or, without Err, has taken records again for a minute
)

// Event tells an operator what happened to a client.
type Event struct {
	_        [0]func() // nobody compares two: no code for that
	Kind     EventKind
	ClientID string
	Peer     Peer
	Version  byte
	Clean    bool
	Present  bool         // EventConnect: a session was resumed
	KeepSecs uint16       // EventConnect: keep alive in seconds
	Err      error        // EventRefuse, EventDisconnect, EventUnreadable, EventReadAgain: why; nil after a DISCONNECT packet
	Detail   string       // EventDrop: reason; EventDollar: topic; EventCrowded: the limit; EventEvict: what most identifiers look like
	Dropped  uint64       // EventDisconnect: messages the session lost so far
	Topic    string       // EventDrop, EventUnreadable: of the message, "" where it is not known; EventWear: those that caused most
	Option   string       // EventDrop: what to change, EventEvict: what there is no more room in; "" for nothing of the kind
	User     string       // EventAuth: the name it gave; EventStranger: whose session it is; EventWear: clients that caused most
	Action   string       // EventDeny: publish, subscribe or will; Detail is the topic or filter
	Rule     fmt.Stringer // EventDeny: what said so; nil: nothing allows it
	Count    uint64       // EventDeny: denials of this connection so far; EventDrop: messages that the session did not get so far; EventEvict: sessions so far; EventUnacked: messages in flight; EventDuel: takeovers; EventMemory: bytes in use; EventHeld: times so far; EventWear: bytes written; EventStore: how often it was full; EventUnreadable: messages so far; EventReadAgain: times that this began
	Waiting  int          // EventUnacked: messages that wait; EventMemory, EventWear: the limit
	Other    Peer         // EventDuel: who had the session
}

func (r *Router) event(e *Event) {
	if r.events != nil {
		r.events(e)
	}
}
