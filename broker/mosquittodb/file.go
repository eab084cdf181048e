package mosquittodb

import "fmt"

// File is what a file holds, each list in its order. Slices are views.
type File struct {
	Version       int
	Clients       []Client
	Subscriptions []Subscription
	Messages      []Message
	Retained      []uint64 // identifiers of messages
	Entries       []Entry
	Unknown       int // chunks of types that are not known, passed over
}

// Client is a session.
type Client struct {
	ID       []byte
	Username []byte
	// ExpiryInterval is how many seconds it outlives its connection; the largest
	// number, and all before version 5: for ever.
	ExpiryInterval uint32
	ExpiresAt      int64 // in seconds since 1970; 0: never, or not known
}

// Forever is an ExpiryInterval without end.
const Forever = 1<<32 - 1

// Subscription is one filter of a client; one in a group begins with $share/.
type Subscription struct {
	ClientID          []byte
	Filter            []byte
	QoS               byte
	NoLocal           bool
	RetainAsPublished bool
	Identifier        uint32 // 0: none
}

// Message is what was published; Retained and Entries name it.
type Message struct {
	ID        uint64
	SourceID  []byte
	Topic     []byte
	Payload   []byte
	Props     []byte // as in a PUBLISH of MQTT 5.0, with the length in front; nil: none
	QoS       byte
	Retain    bool
	ExpiresAt int64 // in seconds since 1970; 0: never
}

// Entry is a message that a client is owed, or has sent and not finished.
type Entry struct {
	ClientID   []byte
	Message    uint64
	PacketID   uint16
	QoS        byte
	Retain     bool
	State      State
	FromClient bool   // with QoS 2: the client sent it
	Props      []byte // as in Message
}

// State is how far an Entry is.
type State byte

// The states that matter.
const (
	WaitForPubrel  State = 7
	ResendPubrel   State = 6
	WaitForPubcomp State = 9
	Queued         State = 11
)

// Error tells where a file is not as it should be.
type Error struct {
	Offset int
	What   string
}

func (e *Error) Error() string { return fmt.Sprintf("byte %d: %s", e.Offset, e.What) }
