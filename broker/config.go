package broker

import (
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/loopmq/loopmq/auth"
	"github.com/loopmq/loopmq/auth/guard"
	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/router"
)

// Config says what to serve. The zero value serves 127.0.0.1:1883 and
// [::1]:1883.
type Config struct {
	// Listeners are the ways in; see ParseListener. With none the broker serves
	// the loopback addresses of both families, as far as the machine has them.
	Listeners []Listener
	// Engine is "epoll" or "evio"; "" takes the platform's default.
	Engine string
	// Log gets what an operator wants to see; nil discards. It is called from
	// a goroutine of its own and may block.
	Log *slog.Logger
	// Limits bound what clients can make the broker hold.
	Limits Limits
	// QueueFull says what is done when more waits for a session than may, or when
	// its backlog is cut because of the memory limit.
	QueueFull QueueFull
	// Record, if not nil, writes down what happens to the router, for
	// loopmq replay.
	Record *Recording
	// LoopLimits bound buffers and the work of a pass.
	LoopLimits loop.Limits
	// ServerReference names another server (section 4.11 of MQTT 5.0). 5.0
	// clients are told when this one stops. Empty: none.
	ServerReference string
	// ServerMoved says that ServerReference is for good: reason 0x9D, not 0x9C.
	ServerMoved bool
	// ResponsePrefix begins the topic that a 5.0 client is given for responses
	// when it asks for Response Information; its ClientID follows. "" means
	// "response/", "-" that they get none.
	ResponsePrefix string
	// ValidatePayloads refuses payloads that are said to be UTF-8 and are not.
	ValidatePayloads bool
	// AuthMethods start enhanced authentications (MQTT 5.0, section 4.12), by
	// the name of their method; see package auth.
	AuthMethods map[string]func() Exchange
	// PasswordFile holds users and hashes of their passwords; see package
	// auth/password.
	PasswordFile string
	// Tokens lets in who has a signed token; nil: that is not looked at.
	Tokens *Tokens
	// Backends are asked, in turn, for clients that PasswordFile does not know
	// and that have no token.
	Backends []auth.Backend
	// Processes names the clients on unix sockets by the number of the user that
	// their process runs as; who has a name here needs no password.
	Processes map[uint32]string
	// Guard says how patient to be with failed logins; its zero value is a
	// sensible one.
	Guard guard.Config
	// Quotas bound what clients may do in a second, and hold.
	Quotas []QuotaRule
	// Bans keep somebody out. Their Until is in nanoseconds since 1970.
	Bans []guard.Ban
	// BanFile has more of them, a line each; see guard.ReadBans. A Reload reads it
	// again.
	BanFile string
	// Ways are those of Ways that are used, in the order in which they are
	// asked; nil: all.
	Ways []string
	// Anonymous lets clients in that give no user name, or keeps them out. nil:
	// with neither PasswordFile nor Backends clients on this machine are let
	// in, by loopback addresses and unix sockets; otherwise nobody is.
	Anonymous *bool
	// ACLFile says who may publish and subscribe to what; see package auth/acl.
	// With one, what no rule allows is denied.
	ACLFile string
	// DenyCloses closes the connection of a 3.x client that publishes what it
	// may not; otherwise its message is acknowledged and goes nowhere.
	DenyCloses bool
	// StateDir is the directory that keeps sessions and retained messages over
	// the end of the process; "" keeps them in memory only. It is made if need
	// be, and belongs to one broker at a time.
	StateDir string
	// State says how the state directory is used.
	State StateOptions
	// Durability gives topics a class: sync, lazy or none. The first rule that
	// matches counts; without any it is sync.
	Durability []DurabilityRule
	// LazyInterval is how long what nobody waits for may stay in memory; 0 means
	// one second.
	LazyInterval time.Duration
	// Version is what $SYS/broker/version says.
	Version string
	// ShutdownTimeout is the time that clients get to read what is queued for
	// them when the broker stops; 0 means 5 s.
	ShutdownTimeout time.Duration
}

// StateOptions say how a state directory is used.
type StateOptions struct {
	// SegmentBytes is the size of its files, a multiple of 4096; 0 chooses by the
	// size of the file system: 16 MiB, or less.
	SegmentBytes int64
	// BytesMax bounds what they take together; 0 leaves it to the file system.
	BytesMax int64
	// WrittenPerDayWarn is how many bytes may be written in a day (UTC) before the
	// log says so, once a day; 0: it never does.
	WrittenPerDayWarn int64
}

// QueueFull is what is done when more waits for a session than may.
type QueueFull = router.QueueFull

// ParseQueueFull is the one with a name: drop-oldest, drop-newest or disconnect.
func ParseQueueFull(name string) (QueueFull, error) { return router.ParseQueueFull(name) }

// QueueFulls are their names.
func QueueFulls() []string { return router.QueueFulls() }

// DurabilityRule gives the topics that match a filter a class.
type DurabilityRule = router.DurabilityRule

// Durability is what an acknowledgement of a message promises.
type Durability = router.Durability

// ParseDurability is the class with a name: sync, lazy or none.
func ParseDurability(name string) (Durability, error) { return router.ParseDurability(name) }

// Durabilities are the names of the classes.
func Durabilities() []string { return router.Durabilities() }

// Quota bounds what a client may do in a second, and hold.
type Quota = router.Quota

// QuotaRule is a Quota and whom it is for: users, or users that have one of the
// Roles of the access control file, clients by patterns of their identifiers (* is
// any run of characters, ? is one), and listeners by name; none means all. The
// tightest of all that fit counts.
type QuotaRule struct {
	Users, Roles, Clients, Listeners []string
	Quota                            Quota
}

// Exchange is one enhanced authentication of one client. It is used on the
// loop and must not block.
type Exchange = router.Exchange

// Limits bound what clients can make the broker hold; each is an option.
type Limits = router.Limits

// LimitRow is one limit: its option name, its default's reason and what
// reaching it does.
type LimitRow = router.LimitRow

// LimitRows returns the table of all limits.
func LimitRows() []LimitRow { return router.LimitRows() }

// DefaultLimits are the limits in force where nothing else is said.
func DefaultLimits() Limits { return router.DefaultLimits() }

// inputBytesMost is what a connection may have to keep of what it has received: the
// largest packet that any listener takes, and the headers of tiny WebSocket
// frames.
func (c *Config) inputBytesMost() int {
	most := max(c.Limits.PacketBytesMax, router.DefaultLimits().PacketBytesMax)
	for i := range c.Listeners {
		most = max(most, c.Listeners[i].Limits.PacketBytesMax)
	}
	return most + most/8 + 64<<10
}

// Engines lists the event loops of this platform, the default one first.
func Engines() []string { return loop.Kinds() }

// defaultResponsePrefix is Config.ResponsePrefix where that is empty;
// noResponsePrefix says that there is to be none.
const (
	defaultResponsePrefix = "response/"
	noResponsePrefix      = "-"
)

// responsePrefix checks the setting.
func (c *Config) responsePrefix() (string, error) {
	switch p := c.ResponsePrefix; {
	case p == "":
		return defaultResponsePrefix, nil
	case p == noResponsePrefix:
		return "", nil
	case strings.ContainsAny(p, "+#\x00") || p[0] == '$' || len(p) > 1024:
		return "", fmt.Errorf("response prefix %q: must be the beginning of a topic name of at most 1024 bytes, without + # and NUL, not beginning with $; or - for none", p)
	default:
		return p, nil
	}
}

// defaultShutdownTimeout is Config.ShutdownTimeout where that is 0.
const defaultShutdownTimeout = 5 * time.Second

// LoopbackListeners are the loopback addresses. A machine without
// IPv6 is no reason not to start.
func LoopbackListeners(port int) []Listener {
	p := strconv.Itoa(port)
	list := []Listener{{URL: "mqtt://127.0.0.1:" + p}}
	if probe, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		probe.Close()
		list = append(list, Listener{URL: "mqtt://[::1]:" + p})
	}
	return list
}
