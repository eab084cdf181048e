package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// Endpoint is what the URL of a listener says.
type Endpoint struct {
	_ [0]func() // nobody compares two: no code for that

	Scheme    string // as written: mqtt, tcp, mqtts, tls, ssl, ws, wss, unix
	TLS       bool
	WebSocket bool
	Path      string // of the WebSocket
	Socket    string // path of the unix socket; "" for TCP
	Host      string // "": every address of both families
	Port      int    // 0: the system chooses
}

// socketPathMax is the room for the path of a unix socket on the system that has
// the least.
const socketPathMax = 103

// webPathDefault is where MQTT over WebSocket is, if nothing else is said.
const webPathDefault = "/mqtt"

// Address is HOST:PORT, or the path of the socket.
func (e Endpoint) Address() string {
	if e.Socket != "" {
		return e.Socket
	}
	return net.JoinHostPort(e.Host, strconv.Itoa(e.Port))
}

// schemes are the URLs of listeners and their ports.
//
// table: never written.
var schemes = map[string]Endpoint{
	"mqtt":  {Port: 1883},
	"tcp":   {Port: 1883},
	"mqtts": {Port: 8883, TLS: true},
	"tls":   {Port: 8883, TLS: true},
	"ssl":   {Port: 8883, TLS: true},
	"ws":    {Port: 8083, WebSocket: true},
	"wss":   {Port: 8084, WebSocket: true, TLS: true},
	"unix":  {},
}

var errBehind = errors.New("there is something behind it that does not belong here; settings are keys of their own")

// Endpoint reads the URL.
func (l *Listener) Endpoint() (Endpoint, error) {
	scheme, rest, ok := strings.Cut(l.URL, "://")
	if !ok {
		return Endpoint{}, errors.New("has no scheme; write mqtt://HOST:PORT")
	}
	e, ok := schemes[scheme]
	if !ok {
		return Endpoint{}, fmt.Errorf("nothing serves %s://%s", scheme, schemeHint(scheme))
	}
	e.Scheme = scheme
	if scheme == "unix" {
		return e.unix(rest)
	}
	u, err := url.Parse(l.URL)
	switch {
	case err != nil && strings.Contains(err.Error(), "invalid port"):
		return Endpoint{}, errors.New("the port is none; write a number from 0 to 65535")
	case err != nil && strings.Count(rest, ":") > 1 && !strings.Contains(rest, "["):
		return Endpoint{}, errors.New("an IPv6 address stands in brackets: [::1]")
	case err != nil:
		return Endpoint{}, errors.New("is no URL; write " + scheme + "://HOST:PORT")
	case u.User != nil:
		return Endpoint{}, errors.New("a user does not belong here; see password_file")
	case u.Path != "" && u.Path != "/" && !e.WebSocket, u.RawQuery != "", u.Fragment != "":
		return Endpoint{}, errBehind
	}
	if e.WebSocket {
		said := cmp.Or(l.Path, webPathDefault)
		if e.Path = u.Path; e.Path == "" || e.Path == "/" {
			e.Path = said
		} else if said != webPathDefault && said != e.Path {
			return Endpoint{}, fmt.Errorf("has a path, and the key path says %q; leave one of the two out", said)
		}
	}
	if e.Host = u.Hostname(); e.Host == "*" {
		return Endpoint{}, errors.New("* is no address; leave the host empty: " + scheme + "://:" + strconv.Itoa(e.Port))
	}
	if strings.Count(u.Host, ":") > 1 && !strings.Contains(u.Host, "[") {
		return Endpoint{}, errors.New("an IPv6 address stands in brackets: [::1]")
	}
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return Endpoint{}, errors.New("the port is none; write a number from 0 to 65535")
		}
		e.Port = int(n)
	}
	return e, nil
}

func schemeHint(scheme string) string {
	switch scheme {
	case "http":
		return "; MQTT over WebSocket is ws://"
	case "https":
		return "; MQTT over WebSocket with TLS is wss://"
	}
	return "; there are mqtt://, tcp://, mqtts://, tls://, ws://, wss:// and unix://"
}

func (e Endpoint) unix(rest string) (Endpoint, error) {
	switch {
	case rest == "" || rest[0] != '/':
		return Endpoint{}, errors.New("the path of a socket begins with a slash: unix:///run/loopmq.sock")
	case len(rest) > socketPathMax:
		return Endpoint{}, fmt.Errorf("the path has %d bytes, systems take %d", len(rest), socketPathMax)
	case strings.ContainsAny(rest, "?#"):
		return Endpoint{}, errBehind
	case strings.HasSuffix(rest, "/"):
		return Endpoint{}, errors.New("the path of a socket ends with its name")
	}
	e.Socket = path.Clean(rest)
	return e, nil
}

// overlaps says that two endpoints cannot be opened both.
func (e Endpoint) overlaps(o Endpoint) bool {
	if e.Socket != "" || o.Socket != "" {
		return e.Socket == o.Socket
	}
	if e.Port == 0 || e.Port != o.Port {
		return false
	}
	a, b := e.host(), o.host()
	switch {
	case a == b || a == "" || b == "":
		return true
	}
	x, errA := netip.ParseAddr(a)
	y, errB := netip.ParseAddr(b)
	return errA == nil && errB == nil && x.Is4() == y.Is4() && (x.IsUnspecified() || y.IsUnspecified())
}

// host in one spelling.
func (e Endpoint) host() string {
	if addr, err := netip.ParseAddr(e.Host); err == nil {
		return addr.Unmap().String()
	}
	return strings.ToLower(e.Host)
}
