package router

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
	EventEvict                       // a session was dropped to make room
	EventCrowded                     // a client goes over our Receive Maximum
	EventAuth                        // an enhanced authentication failed
)

// Event tells an operator what happened to a client.
type Event struct {
	Kind     EventKind
	ClientID string
	Peer     Peer
	Version  byte
	Clean    bool
	Present  bool   // EventConnect: a session was resumed
	KeepSecs uint16 // EventConnect: keep alive in seconds
	Err      error  // EventRefuse, EventDisconnect: why; nil after a DISCONNECT packet
	Detail   string // EventDrop: reason; EventDollar: topic; EventCrowded: the limit
	Dropped  uint64 // EventDisconnect: messages the session lost so far
}

func (r *Router) event(e *Event) {
	if r.events != nil {
		r.events(e)
	}
}
