package client

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Server is what a URL says.
type Server struct {
	Network   string // tcp or unix
	Address   string // HOST:PORT or a path
	Host      string // for TLS
	TLS       bool
	WebSocket bool
	Username  string
	Password  []byte // nil: none
	implied   bool   // the port is the scheme's
	// Path is what stands behind the host, without its slash; for a WebSocket
	// the request's path with its slash and its query.
	Path string
}

// scheme is what the first word of a URL stands for.
type scheme struct {
	tls, webSocket bool
	port           string // when the URL has none
}

// table: the schemes in use. A WebSocket has the ports of HTTP, as in every
// other program that takes such a URL.
var schemes = map[string]scheme{
	"mqtt": {port: "1883"}, "tcp": {port: "1883"},
	"mqtts": {tls: true, port: "8883"}, "ssl": {tls: true, port: "8883"}, "tls": {tls: true, port: "8883"},
	"ws": {webSocket: true, port: "80"}, "wss": {tls: true, webSocket: true, port: "443"},
	"unix": {},
}

// DefaultWebSocketPath is asked for when a ws or wss URL has no path.
const DefaultWebSocketPath = "/mqtt"

// unixPathBytesMax is what the kernel's address of a unix socket holds.
const unixPathBytesMax = 107

// ParseURL reads the URL of a server. The error says what is expected; it
// holds no password.
func ParseURL(raw string) (Server, error) {
	bad := func(why string, args ...any) (Server, error) {
		return Server{}, fmt.Errorf("server %q: %s; write mqtt://[USER:PASSWORD@]HOST[:PORT], mqtts://..., ws://...[/PATH], wss://... or unix:///PATH",
			withoutUser(raw), fmt.Sprintf(why, args...))
	}
	name, rest, found := strings.Cut(raw, "://")
	if !found {
		return bad("no scheme")
	}
	name = strings.ToLower(name)
	kind, known := schemes[name]
	if !known {
		return bad("scheme %q is not known", name)
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	u, err := url.Parse(name + "://" + authority)
	if err != nil || u.Fragment != "" {
		if strings.ContainsAny(authority, "@#") {
			return bad("user and password hold signs that must be written as %%XX, or behind them is no HOST[:PORT]")
		}
		return bad("no HOST[:PORT], with a port of 1 to 65535, behind ://")
	}
	s := Server{Network: "tcp", Host: u.Hostname(), TLS: kind.tls, WebSocket: kind.webSocket, Username: u.User.Username()}
	if pw, is := u.User.Password(); is {
		s.Password = []byte(pw)
	}
	if name == "unix" {
		s.Network, s.Address, s.Host = "unix", decoded(u.Host+path), ""
		switch {
		case s.Address == "":
			return bad("no path")
		case len(s.Address) > unixPathBytesMax:
			return bad("the path has %d bytes, a unix socket at most %d", len(s.Address), unixPathBytesMax)
		}
		return s, nil
	}
	switch {
	case s.Host == "":
		return bad("no host")
	case strings.Contains(s.Host, ":") && u.Host[0] != '[':
		return bad("an IPv6 address stands in brackets: [::1]")
	}
	port := u.Port()
	if s.implied = port == ""; s.implied {
		port = kind.port
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return bad("port %s: a port is 1 to 65535", port)
	}
	s.Address = net.JoinHostPort(s.Host, port)
	if !s.WebSocket {
		s.Path = decoded(strings.TrimPrefix(path, "/"))
		return s, nil
	}
	s.Path, _, _ = strings.Cut(path, "#") // a fragment is the browser's own
	if s.Path == "" || s.Path[0] == '?' {
		s.Path = DefaultWebSocketPath + s.Path
	}
	if _, err := url.ParseRequestURI(s.Path); err != nil {
		return bad("signs in the path must be written as %%XX")
	}
	return s, nil
}

// decoded is s with its %XX read, or s as it is: topics hold any sign.
func decoded(s string) string {
	if d, err := url.PathUnescape(s); err == nil {
		return d
	}
	return s
}

// withoutUser is a URL for people to read: without user, password and query.
func withoutUser(raw string) string {
	name, rest, found := strings.Cut(raw, "://")
	if !found {
		name, rest = "", raw
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	if at := strings.LastIndexByte(rest[:end], '@'); at >= 0 {
		rest = rest[at+1:]
	} else if at := strings.LastIndexByte(rest, '@'); at >= 0 && strings.Contains(rest[:at], ":") {
		rest = rest[at+1:] // a password with a slash in it
	}
	rest, _, _ = strings.Cut(rest, "?")
	if !found {
		return rest
	}
	return name + "://" + rest
}

// URL is the address for people to read: without user, password and query.
func (s *Server) URL() string {
	name := "mqtt"
	switch {
	case s.Network == "unix":
		return "unix://" + s.Address
	case s.WebSocket && s.TLS:
		name = "wss"
	case s.WebSocket:
		name = "ws"
	case s.TLS:
		name = "mqtts"
	}
	path := ""
	if s.WebSocket {
		path, _, _ = strings.Cut(s.Path, "?")
	}
	return name + "://" + s.Address + path
}
