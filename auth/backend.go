package auth

import (
	"context"
	"net/netip"
	"time"
)

// Backend finds out who a client is, for those who embed the broker. It is
// asked on a goroutine of its own and may block until ctx is done. Several
// clients may be asked for at once.
type Backend interface {
	// Name is what logs call it.
	Name() string
	// Check judges what a client shows. An error means that it could not be
	// judged: the client is refused, and told to come again.
	Check(ctx context.Context, r *Request) (Answer, error)
}

// Request is what a client shows. Password must not be kept.
type Request struct {
	ClientID    string
	Username    string
	HasUsername bool
	Password    []byte // nil: none
	Addr        netip.Addr
	Listener    string
}

// Decision is what a Backend says of a client.
type Decision int

// The decisions.
const (
	Ignore Decision = iota // not one of its clients: the next Backend is asked
	Allow
	Deny
)

// Answer is a Backend's judgement.
type Answer struct {
	Decision Decision
	// User is who the client is; "" takes the user name that it gave.
	User string
	// Limited says that the client may publish to the topics of the filters in
	// Publish and subscribe to those in Subscribe, and do nothing else,
	// whatever the access control file says.
	Limited            bool
	Publish, Subscribe []string
	// Lifetime is how long the connection may last; 0: for ever.
	Lifetime time.Duration
	// Why says more to the operator; the client is not told.
	Why string
}
