package config

import (
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
	Scheme    string // as written: mqtt, tcp, mqtts, tls, ws, wss, unix
	TLS       bool
	WebSocket bool
	Path      string // of the unix socket; "" for TCP
	Host      string // "": every address of both families
	Port      int    // 0: the system chooses
}

// Address is HOST:PORT, or the path of the socket.
func (e Endpoint) Address() string {
	if e.Path != "" {
		return e.Path
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
	"ws":    {Port: 8083, WebSocket: true},
	"wss":   {Port: 8084, WebSocket: true, TLS: true},
	"unix":  {},
}

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
	case u.Path != "" && u.Path != "/" && e.WebSocket:
		return Endpoint{}, fmt.Errorf("the path stands by itself: path = %q", u.Path)
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "":
		return Endpoint{}, errors.New("there is something behind the port; leave it out")
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
	case "ssl":
		return "; write mqtts://"
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
	case len(rest) > 107:
		return Endpoint{}, fmt.Errorf("the path has %d bytes, the system takes 107", len(rest))
	case strings.HasSuffix(rest, "/"):
		return Endpoint{}, errors.New("the path of a socket ends with its name")
	}
	e.Path = path.Clean(rest)
	return e, nil
}

// overlaps says that two endpoints cannot be opened both.
func (e Endpoint) overlaps(o Endpoint) bool {
	if e.Path != "" || o.Path != "" {
		return e.Path == o.Path
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
