package broker

import (
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/loopmq/loopmq/loop"
)

// Listener is one way in. URL is required, the rest is optional; ParseListener
// reads all of it from a URL with options.
type Listener struct {
	// URL is one of
	//
	//	mqtt://HOST:PORT      tcp:// is the same         port 1883
	//	mqtts://HOST:PORT     with TLS; tls://, ssl://   port 8883
	//	ws://HOST:PORT/PATH   MQTT over WebSocket        port 8083, path /mqtt
	//	wss://HOST:PORT/PATH  the same with TLS          port 8084, path /mqtt
	//	unix:///PATH          a unix socket
	//
	// Port 0 lets the system choose, no host means every address of both
	// families.
	URL string
	// Name is what logs call the listener; "" means the scheme of its URL.
	Name string
	// Versions are the protocol levels served, of 3 (3.1), 4 (3.1.1) and 5;
	// none means all.
	Versions []byte
	// ConnsMax is the number of connections served at a time; 0: no limit of
	// its own.
	ConnsMax int
	// AcceptRate is how many connections are accepted in a second, others wait;
	// 0: any. The engine evio does not know that.
	AcceptRate int
	// AddressRate is how many connections of one address, of IPv6 one /64
	// network, are taken in a second; more are closed at once. 0: any. Behind a
	// proxy it is the proxy's address.
	AddressRate int
	// Proxy says that each connection begins with a PROXY protocol header
	// (version 1 or 2), and with it who is behind the proxy.
	Proxy bool
	// ProxyVersion is the only version of that header which is taken; 0: both.
	ProxyVersion int
	// Trusted are the networks of proxies. With Proxy, connections from
	// elsewhere are closed; with a WebSocket, X-Forwarded-For and X-Real-IP
	// of these are believed.
	Trusted []netip.Prefix
	// TLS is required for mqtts and wss, and for no others.
	TLS *TLS
	// Origins are the pages whose scripts may open a WebSocket:
	// https://app.example.org, app.example.org, *.example.org; none means all.
	Origins []string
	// Anonymous, PasswordFile, ACLFile and Ways override those of Config.
	Anonymous             *bool
	PasswordFile, ACLFile string
	Ways                  []string
	// Limits bound the clients of this listener; what is 0 is as in
	// Config.Limits. What all clients share is bounded there alone: sessions,
	// retained messages, memory, topics, slow readers.
	Limits Limits
	// Mode, Owner and Group are those of a unix socket; see loop.Listener.
	Mode         fs.FileMode
	Owner, Group string
	// File is a listening socket that somebody else has opened, for instance
	// systemd. URL says what is spoken on it; its address is not used.
	File *os.File
}

// scheme is what the beginning of a URL means.
type scheme struct {
	name      string
	port      int // default
	tls       bool
	webSocket bool
	unix      bool
}

// schemes lists what can be served.
//
// table: never written.
var schemes = []scheme{
	{name: "mqtt", port: 1883},
	{name: "tcp", port: 1883},
	{name: "mqtts", port: 8883, tls: true},
	{name: "tls", port: 8883, tls: true},
	{name: "ssl", port: 8883, tls: true},
	{name: "ws", port: 8083, webSocket: true},
	{name: "wss", port: 8084, tls: true, webSocket: true},
	{name: "unix", unix: true},
}

// DefaultPort is the port of plain MQTT.
const DefaultPort = 1883

// listenerOption is one word behind the ? of a listener's URL.
type listenerOption struct {
	name string
	set  func(l *Listener, value string) error
}

// listenerOptions are the options that a URL may have.
//
// table: never written.
var listenerOptions = []listenerOption{
	{"name", func(l *Listener, v string) error { l.Name = v; return nil }},
	{"versions", func(l *Listener, v string) (err error) { l.Versions, err = parseVersions(v); return err }},
	{"max-connections", func(l *Listener, v string) (err error) { l.ConnsMax, err = parseCount(v); return err }},
	{"accept-rate", func(l *Listener, v string) (err error) { l.AcceptRate, err = parseCount(v); return err }},
	{"address-rate", func(l *Listener, v string) (err error) { l.AddressRate, err = parseCount(v); return err }},
	{"proxy", parseProxy},
	{"trust", func(l *Listener, v string) error { return parseNetworks(&l.Trusted, v) }},
	{"origin", func(l *Listener, v string) error {
		l.Origins = append(l.Origins, strings.Split(v, ",")...)
		return nil
	}},
	{"anonymous", func(l *Listener, v string) error {
		yes, err := parseBool(v)
		l.Anonymous = &yes
		return err
	}},
	{"password-file", func(l *Listener, v string) error { l.PasswordFile = v; return nil }},
	{"acl-file", func(l *Listener, v string) error { l.ACLFile = v; return nil }},
	{"cert", func(l *Listener, v string) error { l.tls().Certificates = strings.Split(v, ","); return nil }},
	{"key", func(l *Listener, v string) error { l.tls().Keys = strings.Split(v, ","); return nil }},
	{"ca", func(l *Listener, v string) error { l.tls().ClientCAs = strings.Split(v, ","); return nil }},
	{"crl", func(l *Listener, v string) error { l.tls().CRLs = strings.Split(v, ","); return nil }},
	{"client-certs", func(l *Listener, v string) error { l.tls().ClientCertificates = v; return nil }},
	{"user-from", func(l *Listener, v string) error { l.tls().UserFrom = v; return nil }},
	{"min-version", func(l *Listener, v string) error { l.tls().MinVersion = v; return nil }},
	{"alpn", func(l *Listener, v string) error { l.tls().ALPN = strings.Split(v, ","); return nil }},
	{"max-record", func(l *Listener, v string) (err error) { l.tls().RecordBytesMax, err = parseCount(v); return err }},
	{"mode", func(l *Listener, v string) error {
		n, err := strconv.ParseUint(v, 8, 9)
		if err != nil {
			return fmt.Errorf("%q: write an octal number like 0660", v)
		}
		l.Mode = fs.FileMode(n)
		return nil
	}},
	{"owner", func(l *Listener, v string) error { l.Owner = v; return nil }},
	{"group", func(l *Listener, v string) error { l.Group = v; return nil }},
}

// ParseListener reads a listener's URL with its options, for instance
// ws://:8083/mqtt?origin=https://app.example.org&max-connections=100.
func ParseListener(raw string) (Listener, error) {
	base, query, _ := strings.Cut(raw, "?")
	l := Listener{URL: base}
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, has := strings.Cut(pair, "=")
		value, err := url.PathUnescape(value)
		i := slices.IndexFunc(listenerOptions, func(o listenerOption) bool { return o.name == name })
		switch {
		case i < 0:
			return l, fmt.Errorf("listener %q: option %q is not known; there are %s", raw, name, optionNames())
		case err == nil && !has:
			err = fmt.Errorf("has no value; write %s=…", name)
		case err == nil:
			err = listenerOptions[i].set(&l, value)
		}
		if err != nil {
			return l, fmt.Errorf("listener %q: option %s: %w", raw, name, err)
		}
	}
	_, err := l.parse()
	return l, err
}

func optionNames() string {
	var names []string
	for _, o := range listenerOptions {
		names = append(names, o.name)
	}
	return strings.Join(names, ", ")
}

func parseVersions(v string) (levels []byte, err error) {
	for word := range strings.SplitSeq(v, ",") {
		level, ok := map[string]byte{"3.1": 3, "3.1.1": 4, "5": 5, "5.0": 5}[word]
		if !ok {
			return nil, fmt.Errorf("%q: use 3.1, 3.1.1 and 5, separated by commas", word)
		}
		levels = append(levels, level)
	}
	return levels, nil
}

func parseCount(v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q: write a number from 1", v)
	}
	return n, nil
}

func parseBool(v string) (bool, error) {
	switch v {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, fmt.Errorf("%q: write true or false", v)
}

// parseProxy reads which PROXY protocol headers are taken.
func parseProxy(l *Listener, v string) (err error) {
	l.ProxyVersion = 0
	switch v {
	case "v1":
		l.Proxy, l.ProxyVersion = true, 1
	case "v2":
		l.Proxy, l.ProxyVersion = true, 2
	case "any":
		l.Proxy = true
	default:
		if l.Proxy, err = parseBool(v); err != nil {
			err = fmt.Errorf("%q: write v1, v2, any or off", v)
		}
	}
	return err
}

func parseNetworks(list *[]netip.Prefix, v string) error {
	for word := range strings.SplitSeq(v, ",") {
		p, err := netip.ParsePrefix(word)
		if err != nil {
			a, errAddr := netip.ParseAddr(word)
			if errAddr != nil {
				return fmt.Errorf("%q: write a network like 10.0.0.0/8, or an address", word)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		*list = append(*list, p.Masked())
	}
	return nil
}

// parsed is what a listener's URL says.
type parsed struct {
	scheme scheme
	path   string // of a WebSocket
	loop   loop.Listener
}

// parse reads the URL and checks what does not go together.
func (l *Listener) parse() (*parsed, error) {
	bad := func(why string, args ...any) (*parsed, error) {
		return nil, fmt.Errorf("listener %q: %s; write mqtt://HOST:PORT, for instance mqtt://127.0.0.1:1883, or mqtts://, ws://, wss://, unix:///PATH",
			l.URL, fmt.Sprintf(why, args...))
	}
	name, _, ok := strings.Cut(l.URL, "://")
	if !ok {
		return bad("no scheme")
	}
	i := slices.IndexFunc(schemes, func(s scheme) bool { return s.name == name })
	if i < 0 {
		return bad("scheme %q is not served", name)
	}
	u, err := url.Parse(l.URL)
	switch {
	case err != nil:
		return bad("%s", strings.TrimPrefix(err.Error(), "parse "+strconv.Quote(l.URL)+": "))
	case u.User != nil:
		return bad("a user does not belong here")
	case u.RawQuery != "" || u.Fragment != "":
		return bad("options do not belong here")
	}
	p := &parsed{scheme: schemes[i], path: u.Path}
	p.loop = loop.Listener{
		Name: l.name(), ConnsMax: l.ConnsMax, AcceptRate: l.AcceptRate,
		File: l.File, Mode: l.Mode, Owner: l.Owner, Group: l.Group,
	}
	if p.scheme.unix {
		if u.Host != "" || u.Path == "" {
			return bad("a path has to begin with /, so that there are three of them")
		}
		p.loop.Network, p.loop.Address = "unix", u.Path
	} else if err := p.address(u); err != nil {
		return bad("%v", err)
	}
	return p, l.check(p)
}

// name is what logs call the listener.
func (l *Listener) name() string {
	if l.Name != "" {
		return l.Name
	}
	name, _, _ := strings.Cut(l.URL, "://")
	return name
}

// address reads host and port.
func (p *parsed) address(u *url.URL) error {
	if !p.scheme.webSocket && u.Path != "" && u.Path != "/" {
		return fmt.Errorf("there is something behind the port")
	}
	port := u.Port()
	if port == "" {
		port = strconv.Itoa(p.scheme.port)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("the port must be 0 to 65535")
	}
	p.loop.Network, p.loop.Address = "tcp", net.JoinHostPort(u.Hostname(), port)
	if ip := net.ParseIP(u.Hostname()); ip != nil {
		p.loop.Network = "tcp6"
		if ip.To4() != nil {
			p.loop.Network = "tcp4"
		}
	}
	return nil
}

// check refuses settings that would do nothing where they stand: whoever wrote
// them expects something.
func (l *Listener) check(p *parsed) error {
	bad := func(option, where string) error {
		return fmt.Errorf("listener %q: %s is for %s", l.URL, option, where)
	}
	switch {
	case p.scheme.tls && (l.TLS == nil || len(l.TLS.Certificates) == 0):
		return fmt.Errorf("listener %q: a certificate is missing; add cert=FILE and key=FILE", l.URL)
	case !p.scheme.tls && l.TLS != nil:
		return bad("cert, key and the like", "listeners with TLS (mqtts://, wss://)")
	case len(l.Origins) > 0 && !p.scheme.webSocket:
		return bad("origin", "WebSocket listeners (ws://)")
	case (l.Mode != 0 || l.Owner != "" || l.Group != "") && (!p.scheme.unix || l.File != nil):
		return bad("mode, owner or group", "unix sockets (unix://) that the broker opens")
	case l.Proxy && len(l.Trusted) == 0 && !p.scheme.unix:
		return fmt.Errorf("listener %q: proxy without trust: anybody could claim to be anybody; add trust=NETWORK with the addresses of the proxy", l.URL)
	case l.ProxyVersion < 0 || l.ProxyVersion > 2:
		return fmt.Errorf("listener %q: PROXY protocol version %d: there are 1 and 2", l.URL, l.ProxyVersion)
	case l.ProxyVersion != 0 && !l.Proxy:
		return bad("a version of the PROXY protocol", "listeners with proxy=true")
	case len(l.Trusted) > 0 && !l.Proxy && !p.scheme.webSocket:
		return bad("trust", "listeners with proxy=true, and WebSocket ones")
	}
	return nil
}
