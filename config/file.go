package config

import (
	"net/netip"
	"time"

	"github.com/loopmq/loopmq/broker"
)

// File is a whole configuration. What a field means is told by its row.
type File struct {
	Include              []string
	Engine               string
	StateDir             string // "auto": see loopmq serve; "" or "none": in memory only
	StateSegmentBytes    int
	StateBytesMax        int
	StateBytesPerDayWarn int
	LazyInterval         time.Duration
	ShutdownTimeout      time.Duration
	ServerReference      string
	ServerMoved          bool
	ResponsePrefix       string
	ValidatePayloads     bool
	QueueFull            string
	SysInterval          time.Duration // in Limits for the broker
	Log                  Log
	Listeners            []Listener
	Limits               broker.Limits
	Auth                 Auth
	Quotas               []Quota
	Durability           []Durability

	origins  []origin
	warnings []string
}

// Warnings are files that hold secrets and that everybody may read.
func (f *File) Warnings() []string { return f.warnings }

// Log is where the log goes, and how much of it.
type Log struct {
	Level  string
	Format string
	To     string // stderr, syslog, journal, or a path with a slash in it
}

// Listener is one address that clients connect to.
type Listener struct {
	URL  string // see Endpoint
	Name string // Load fills it in: the URL where nothing is said
	// Versions of MQTT that are allowed: "3.1", "3.1.1", "5". Empty: all.
	Versions         []string
	MaxConnections   int // 0: no bound of its own
	ConnectRate      Rate
	AddressRate      Rate
	Anonymous        Switch
	Auth             []string // names out of AuthNames; empty: as Auth.Chain
	PasswordFile     string   // "": as Auth.PasswordFile
	ACLFile          string   // "": as Auth.ACLFile
	Path             string
	Origins          []string
	ForwardedTrusted []netip.Prefix
	ProxyProtocol    string // off, v1, v2 or any
	ProxyTrusted     []netip.Prefix
	Mode             Mode
	Owner            string
	Group            string
	TLS              TLS
	// Limits for the clients of this listener; a zero is as in File.Limits.
	Limits broker.Limits
}

// TLS is the encryption of a listener.
type TLS struct {
	Cert         string
	Key          string // "": in the file of Cert
	Certificates []Certificate
	CA           string // file, or directory of files
	CRL          string
	ClientCerts  string // none, optional or required
	UserFrom     string // "", cn or subject
	MinVersion   string // 1.2 or 1.3
	ALPN         []string
	MaxRecord    int // 0: as the library likes
}

// Certificate is one more certificate, chosen by the name the client asks for.
type Certificate struct {
	Cert string
	Key  string // "": in the file of Cert
}

// Auth says who may connect and do what.
type Auth struct {
	Chain        []string // names out of AuthNames, in the order they are asked
	Anonymous    Switch
	PasswordFile string
	ACLFile      string
	DenyCloses   bool
	JWT          JWT
	HTTP         HTTP
	Peer         Peer
	Guard        Guard
	Bans         Bans
}

// JWT lets in who has a signed token.
type JWT struct {
	Secret      Secret // after Load also what SecretFile had
	SecretFile  string
	Keys        string // file of public keys: PEM, or a JSON Web Key Set
	Algorithms  []string
	Issuer      string
	Audience    string
	UserClaim   string
	ClientClaim string
	Leeway      time.Duration
}

// HTTP asks a web service who may connect and do what.
type HTTP struct {
	UserURL   string
	Timeout   time.Duration
	Cache     time.Duration
	Token     Secret // after Load also what TokenFile had
	TokenFile string
	CA        string
}

// Peer gives users to processes of this machine by their user on it.
type Peer struct {
	Users map[string]string // uid, or the name of a user of the system
}

// Guard keeps out those who try passwords.
type Guard struct {
	Failures int // 0: no guard
	Window   time.Duration
	Ban      time.Duration
	Exempt   []netip.Prefix
}

// Bans keeps out known ones.
type Bans struct {
	File      string
	Networks  []netip.Prefix
	Users     []string
	ClientIDs []string
}

// AuthNames are the ways to show who one is, in the order in which they are
// asked where nothing else is said.
func AuthNames() []string { return []string{"certificate", "peer", "password", "jwt", "http"} }

// Switch is on, off, or left to the broker.
type Switch int8

// The zero Switch is Auto.
const (
	Auto Switch = iota
	On
	Off
)

// Bool is nil for Auto.
func (s Switch) Bool() *bool {
	if s == Auto {
		return nil
	}
	on := s == On
	return &on
}

// Secret is text that is shown to nobody.
type Secret string

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(secret)"
}

// Rate is how many in how much time; the zero Rate is no bound.
type Rate struct {
	Count int
	Per   time.Duration
}

// Mode is the permissions of a unix socket.
type Mode uint32
