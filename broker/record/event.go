package record

import (
	"encoding/json"
	"time"

	"github.com/loopmq/loopmq/router"
)

// magic begins a recording; behind it stands a line of JSON, the Header, and then events: a byte that says which, and
// its fields. Numbers are varints, strings have their length before them.
const magic = "LOOPMQ-RECORDING 6\n"

// kind is an event's first byte. What happens inside of another event stands before it, so that it is known when that
// happens again.
type kind byte

const (
	kindPass     kind = 'P' // BeginPass: ns since the one before
	kindEnd      kind = 'E' // EndPass
	kindListener kind = 'l' // number, flags, name, versions, limits
	kindAttach   kind = 'A' // connection, listener, address, flags, user
	kindThrough  kind = 'T' // connection, address, flags, user: what TLS, WebSocket or PROXY told
	kindData     kind = 'D' // connection, flags, bytes that the router took
	kindDrained  kind = 'R' // connection
	kindClosed   kind = 'C' // connection, why
	kindSums     kind = 's' // how each of the sums has changed
	kindVerdict  kind = 'V' // connection, flags, user, reason, text, quota, lifetime
	kindIdentity kind = 'I' // what Identify said: flags, user, reason, text, quota, lifetime
	kindStep     kind = 'S' // of an Exchange: flags, answer, identity
	kindRandom   kind = 'N' // number
	kindRefused  kind = 'F' // connection, packets sent before
	kindQueued   kind = 'Q' // connection, bytes that wait, Taken
	kindDenied   kind = 'X' // number of the question
	kindTraffic  kind = 'Y' // router.Traffic
	kindMemory   kind = 'm' // router.MemoryUsed: how it has changed since the one before
	kindStopping kind = 'Z'
	kindReload   kind = 'M' // Settings
	kindWall     kind = 'w' // ns since the one before: what the router was told of the time
	kindWritten  kind = 'b' // bytes that the store has written
	kindRecord   kind = 'k' // of the store at the start: key since the one before, flags, value
	kindFetched  kind = 'f' // values
	kindRestored kind = 'r' // now
	kindSays     kind = 'q' // of the store: question, its number, outcome
	kindCommit   kind = 'c' // outcome
	kindRead     kind = 'v' // number of the read, values
	kindSaved    kind = 'i' // what an Identity is kept as
	kindLoaded   kind = 'j' // flags, user: the Identity that was kept
	kindOver     kind = 'O' // why the recording ends
)

// Flags of events.
const (
	flagFailed  = 1 << iota // kindData: Data returned an error; kindStep too
	flagAtOnce              // kindVerdict: inside of Data
	flagKnown               // there is an Identity
	flagGuarded             // and it has an Access
	flagDone                // kindStep
)

// Settings are what of router.Config can be written down.
type Settings struct {
	_ [0]func() // not to be compared, which would be program

	Limits           router.Limits
	ServerReference  string
	ServerMoved      bool
	ResponsePrefix   string
	ValidatePayloads bool
	DenyCloses       bool
	QueueFull        router.QueueFull `json:",omitempty"`
	Version          string
	Durability       []router.DurabilityRule `json:",omitempty"`
	LazyInterval     time.Duration           `json:",omitempty"`
	WrittenWarn      uint64                  `json:",omitempty"`
}

//go:noinline
func settingsOf(c *router.Config) *Settings {
	return &Settings{
		Limits: c.Limits, ServerReference: c.ServerReference, ServerMoved: c.ServerMoved, ResponsePrefix: c.ResponsePrefix,
		ValidatePayloads: c.ValidatePayloads, DenyCloses: c.DenyCloses, QueueFull: c.QueueFull, Version: c.Version,
		Durability: c.Durability, LazyInterval: c.LazyInterval, WrittenWarn: c.WrittenPerDayWarn,
	}
}

// config is a router.Config with them.
//
//go:noinline
func (s *Settings) config() *router.Config {
	return &router.Config{
		Limits: s.Limits, ServerReference: s.ServerReference, ServerMoved: s.ServerMoved, ResponsePrefix: s.ResponsePrefix,
		ValidatePayloads: s.ValidatePayloads, DenyCloses: s.DenyCloses, QueueFull: s.QueueFull, Version: s.Version,
		Durability: s.Durability, LazyInterval: s.LazyInterval, WrittenPerDayWarn: s.WrittenWarn,
	}
}

// Header is the beginning of a recording.
type Header struct {
	Started  time.Time
	Redacted string
	Settings Settings
	// AuthMethods are the names of the enhanced authentications.
	AuthMethods []string `json:",omitempty"`
	// Identifies says that there was a router.Config.Identify.
	Identifies bool `json:",omitempty"`
	// Keeps says that there was a router.Config.Store; Saves, Loads and Writes that there were SaveIdentity, LoadIdentity
	// and Written.
	Keeps, Saves, Loads, Writes bool `json:",omitempty"`
}

func (h *Header) line() []byte {
	b, err := json.Marshal(h)
	if err != nil {
		panic("record: " + err.Error()) // plain fields only
	}
	return append(append([]byte(magic), b...), '\n')
}

// Redact says what is left out of a recording: replaced by as many x.
type Redact byte

// What can be left out.
const (
	Nothing   Redact = iota
	Passwords        // of CONNECT and AUTH
	Payloads         // of messages and wills, and passwords
)

func (r Redact) String() string { return [...]string{"none", "passwords", "payloads"}[r] }

// ParseRedact reads what String writes.
func ParseRedact(s string) (Redact, bool) {
	for r := Nothing; r <= Payloads; r++ {
		if s == r.String() {
			return r, true
		}
	}
	return Passwords, false
}
