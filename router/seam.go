package router

import (
	"net/netip"
	"time"

	"github.com/loopmq/loopmq/internal/buf"
)

// Conn is the router's side of one network connection. The loop's connections
// satisfy it; a simulation brings its own.
type Conn interface {
	// ID names the connection; it is not reused while a completion may hold it.
	ID() uint64
	// Send queues a copy of frame. False: the output limit is reached and
	// nothing was queued; Drained follows once there is room.
	Send(frame []byte) bool
	// SendView queues frame without copying. frame must be part of the view
	// that Data was called with, or stay as it is until ViewsAge was called twice.
	SendView(frame []byte) bool
	// SendShared queues a copy of head and, behind it, a share of body.
	SendShared(head []byte, body *buf.Ref) bool
	// SendControl is Send with some room beyond the limit, so that
	// acknowledgements pass where deliveries no longer do.
	SendControl(frame []byte) bool
	// Queued is the number of bytes that are queued and not yet written.
	Queued() int
	// Taken changes when, and only when, the other end has taken output: equal
	// numbers mean that it took nothing between.
	Taken() uint64
	// Pause stops reading, Resume starts it again.
	Pause()
	Resume()
	// Close marks the connection; Closed is called at the end of the pass.
	Close(why error)
}

// Peer says where a connection comes from.
type Peer struct {
	Listener *Listener      // whose rules hold; nil: none do
	Remote   netip.AddrPort // zero when there is none, as on a unix socket
	// Identity is who the client is: what the transport has shown, a
	// certificate for instance, and then what Listener.Authenticator said.
	Identity *Identity
}

// Addr returns Remote as text, "" when there is none.
func (p *Peer) Addr() string {
	if !p.Remote.IsValid() {
		return ""
	}
	return p.Remote.String()
}

// Listener holds the rules of one way in. Its fields may be changed on the
// loop: connections from then on see the change.
type Listener struct {
	Name string // for logs
	// Versions are the protocol levels that are served (3, 4, 5); nil: all.
	Versions []byte
	// Authenticator finds out who clients are; nil: whoever comes is let in.
	Authenticator Authenticator
	// Limits bound its clients, and their sessions when they are gone, instead
	// of Config.Limits; nil: those do. What all clients share is bounded by
	// Config.Limits alone. See Limits.Over.
	Limits *Limits
}

// Store keeps records over the end of the process. It is called on the loop and
// must not wait for a disk. Keys have their table in the top byte; values are
// copied, but for shared bodies.
type Store interface {
	// Put adds a record to the open batch, or replaces the one with that key.
	// The value is head followed by body.
	Put(key uint64, head, body []byte)
	// PutShared is Put with a body that is not copied, but released when nobody
	// needs it any more.
	PutShared(key uint64, head []byte, body *buf.Ref)
	// Delete takes a record away, if there is one. False: it was put in the open
	// batch, and nothing is left to be written.
	Delete(key uint64) bool
	// DeleteRange takes away all records from first to last.
	DeleteRange(first, last uint64)
	// Room tells whether n bytes more are welcome now. Put takes them all the same.
	Room(n int) bool
	// Err says why puts are not welcome; nil: they are. It wraps ErrStoreFull as
	// long as there is hope.
	Err() error
	// Seal ends the open batch and commits it, whole or not at all; done is
	// called on the loop when it is durable, or is not: see ErrStoreFull. False:
	// a commit is in flight.
	Seal(done func(error)) bool
	// Load calls each for every record, in the order of keys. value is a view, and
	// nil for tables from 0x80 up, which stay where they are.
	Load(each func(key uint64, value []byte) error) error
	// Read fetches what is durable: done is called on the loop with an answer for
	// each key, in their order. False: too many reads wait, the end of one makes
	// room.
	Read(keys []uint64, done func([]StoreValue)) bool
	// Fetch is Read for a start: it waits.
	Fetch(keys []uint64) []StoreValue
	// Memory is what the store itself takes for what it holds, in bytes.
	Memory() int64
}

// StoreValue is the answer of a Store for one key.
type StoreValue struct {
	Data []byte // belongs to who asked; with Err what is there all the same, or nil
	Err  error  // wraps ErrLost where trying again is of no use
}

// Config is what a Router is made of.
type Config struct {
	Limits Limits
	// Rand returns random bits, for client identifiers that the broker makes.
	// Required.
	Rand func() uint64
	// Events is told what an operator may want to see; nil discards. It is
	// called on the loop and must not block.
	Events func(*Event)
	// Pool holds message bodies; nil makes one.
	Pool *buf.Pool
	// ServerReference names another server; clients are told at shutdown
	// [MQTT-4.11]. Empty: none.
	ServerReference string
	// ServerMoved says that ServerReference is for good (0x9D instead of 0x9C).
	ServerMoved bool
	// ResponsePrefix is put in front of a name for each 5.0 client that asks
	// for Response Information; empty: they get none.
	ResponsePrefix string
	// QueueFull says what is done when more waits for a session than may.
	QueueFull QueueFull
	// ValidatePayloads refuses payloads that are said to be UTF-8 and are not.
	ValidatePayloads bool
	// AuthMethods start the enhanced authentications of MQTT 5.0, by method.
	AuthMethods map[string]func() Exchange
	// Identify judges a user who has shown himself in an Exchange; nil: everybody
	// is let in and may do everything.
	Identify func(user, clientID string, from Peer) Verdict
	// Version and Traffic are for the $SYS tree. Traffic is called on the loop,
	// while somebody listens; nil: nothing is known.
	Version string
	Traffic func() Traffic
	// Witness hears what connections answer; nil: nobody asks.
	Witness Witness
	// DenyCloses closes connections of 3.x clients that publish what they may
	// not; otherwise their message is acknowledged and dropped.
	DenyCloses bool
	// Store keeps sessions that outlive their connection, and retained messages;
	// nil: they end with the process. With one, Restore comes before the first
	// connection.
	Store Store
	// Wall returns the time in nanoseconds since 1970; required with Store. It is
	// asked once a pass.
	Wall func() int64
	// Durability gives topics a class; the first that matches counts.
	Durability []DurabilityRule
	// LazyInterval is how long what nobody waits for may stay in memory before it
	// is written; 0 means one second.
	LazyInterval time.Duration
	// Written returns how many bytes the store has written since the start; nil:
	// that is not known. WrittenPerDayWarn is from how many in a day (UTC) on there
	// is an EventWear; 0: none.
	Written           func() uint64
	WrittenPerDayWarn uint64
	// SaveIdentity and LoadIdentity make bytes of an Identity, which are kept with
	// its sessions and messages, and the Identity of them again, where clientID
	// is the session's, or empty for the writer of a message; nil: only the user
	// name is kept.
	SaveIdentity func(*Identity) []byte
	LoadIdentity func(saved []byte, clientID string) *Identity
}
