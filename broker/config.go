package broker

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/router"
)

// Config says what to serve. The zero value serves 127.0.0.1:1883 and
// [::1]:1883.
type Config struct {
	// Listeners are URLs: mqtt://HOST:PORT or tcp://HOST:PORT. Without a port
	// 1883 is taken, port 0 lets the system choose, an empty host means every
	// address. With no listener at all the broker serves the loopback
	// addresses of both families, as far as the machine has them.
	Listeners []string
	// Engine is "epoll" or "evio"; "" takes the platform's default.
	Engine string
	// Log gets what an operator wants to see; nil discards. It is called from
	// a goroutine of its own and may block.
	Log *slog.Logger
	// Limits bound what clients can make the broker hold.
	Limits Limits
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
	// ShutdownTimeout is the time that clients get to read what is queued for
	// them when the broker stops; 0 means 5 s.
	ShutdownTimeout time.Duration
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

// Engines lists the event loops of this platform, the default one first.
func Engines() []string { return loop.Kinds() }

// DefaultPort is the port of a listener URL that has none.
const DefaultPort = 1883

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

// ParseListener reads a listener's URL.
func ParseListener(raw string) (loop.Listener, error) {
	bad := func(why string) (loop.Listener, error) {
		return loop.Listener{}, fmt.Errorf("listener %q: %s; write mqtt://HOST:PORT, for instance mqtt://127.0.0.1:1883", raw, why)
	}
	if !strings.Contains(raw, "://") {
		return bad("no scheme")
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return bad(strings.TrimPrefix(err.Error(), "parse "+strconv.Quote(raw)+": "))
	case u.Scheme != "mqtt" && u.Scheme != "tcp":
		return bad(fmt.Sprintf("scheme %q is not served", u.Scheme))
	case u.User != nil:
		return bad("a user does not belong here")
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "":
		return bad("there is something behind the port")
	}
	port := u.Port()
	if port == "" {
		port = strconv.Itoa(DefaultPort)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return bad("the port must be 0 to 65535")
	}
	l := loop.Listener{Name: "mqtt", Network: "tcp", Address: net.JoinHostPort(u.Hostname(), port)}
	if ip := net.ParseIP(u.Hostname()); ip != nil {
		l.Network = "tcp6"
		if ip.To4() != nil {
			l.Network = "tcp4"
		}
	}
	return l, nil
}

// listeners reads all URLs, or makes the default ones.
func (c *Config) listeners() ([]loop.Listener, error) {
	urls := c.Listeners
	if len(urls) == 0 {
		urls = LoopbackListeners(DefaultPort)
	}
	var list []loop.Listener
	for _, raw := range urls {
		l, err := ParseListener(raw)
		if err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	return list, nil
}

// LoopbackListeners are the URLs of the loopback addresses. A machine without
// IPv6 is no reason not to start.
func LoopbackListeners(port int) []string {
	p := strconv.Itoa(port)
	urls := []string{"mqtt://127.0.0.1:" + p}
	if probe, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		probe.Close()
		urls = append(urls, "mqtt://[::1]:"+p)
	}
	return urls
}
