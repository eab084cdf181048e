package mosquitto

import (
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/loopmq/loopmq/config"
)

// finish makes the configuration of what was read.
func (c *converter) finish(file string) {
	c.at = place{file: file}
	c.f.Log.Level = c.level()
	if c.logTo != "" {
		c.f.Log.To = c.logTo
	}
	if c.persistence {
		c.f.StateDir = filepath.Join(c.location, "loopmq")
	} else {
		c.f.StateDir = config.StateDirNone
	}
	defer c.absolute(file)
	if c.messageSize > 0 && !c.packetSize {
		c.packetSize = true
		c.f.Limits.PacketBytesMax = min(c.messageSize+messageOverhead, packetBytesMax)
		c.option = "message_size_limit"
		c.note("became a bound of packets: who sends a larger message is disconnected")
	}
	c.defaults()
	c.address()
	c.f.Auth.PasswordFile, c.f.Auth.ACLFile = c.global.passwordFile, c.global.aclFile
	c.f.Auth.Anonymous = c.global.anonymous
	switch {
	case c.f.Auth.Anonymous != config.Auto, c.perListener && c.named:
	case c.named:
		c.f.Auth.Anonymous = config.Off
	case c.f.Auth.PasswordFile != "":
		c.at, c.option = place{file: file}, "allow_anonymous"
		c.note("is not there, and no listener: who gives no name is let in, from this machine, as with Mosquitto")
		c.f.Auth.Anonymous = config.On
	}
	for _, l := range c.listeners {
		if !l.drop {
			c.f.Listeners = append(c.f.Listeners, c.finishListener(l))
		}
	}
	if len(c.f.Listeners) == 0 && len(c.listeners) > 0 {
		c.at, c.option = place{file: file}, "listener"
		c.refuse("nothing is left to listen on")
	}
	for i := range c.f.Listeners {
		c.f.Listeners[i].Name = c.f.Listeners[i].URL
	}
}

// absolute makes all paths so.
func (c *converter) absolute(file string) {
	var relative []string
	abs := func(path *string) {
		if *path != "" && !filepath.IsAbs(*path) {
			relative = append(relative, *path)
			*path = filepath.Join(c.dir, *path)
		}
	}
	if c.persistence {
		abs(&c.f.StateDir)
	}
	if strings.Contains(c.f.Log.To, "/") {
		abs(&c.f.Log.To)
	}
	abs(&c.f.Auth.PasswordFile)
	abs(&c.f.Auth.ACLFile)
	for i := range c.f.Listeners {
		l := &c.f.Listeners[i]
		for _, path := range []*string{&l.PasswordFile, &l.ACLFile, &l.TLS.Cert, &l.TLS.Key, &l.TLS.CA, &l.TLS.CRL} {
			abs(path)
		}
	}
	if len(relative) > 0 {
		c.at, c.option = place{file: file}, "paths"
		c.note("relative ones begin in %s, the directory of this command: %s", c.dir, strings.Join(relative, ", "))
	}
}

// defaults are those of Mosquitto where ours mean something else.
func (c *converter) defaults() {
	c.f.QueueFull = "drop-newest"
	if !c.expirySet {
		c.f.Limits.SessionExpiry = forEver
	}
	if !c.packetSize {
		c.option = "max_packet_size"
		c.note("is not there: packets may have %d bytes, as with Mosquitto 2.1; Mosquitto 2.0 has no bound", c.f.Limits.PacketBytesMax)
	}
	if c.persistence {
		c.option = "persistence"
		c.note("the state begins empty: mosquitto.db is not read")
	}
}

// address says where options lead that stand before any listener. Mosquitto 2.0
// opens port 1883 for them, to everybody, without a password.
func (c *converter) address() {
	if c.implicit == nil || c.implicitNamed {
		return
	}
	c.at, c.option = c.implicit.at, "listener"
	if c.named {
		c.implicit.drop = true
		c.note("there is none before this line: Mosquitto 2.0 opens port 1883 besides for what stands here, which is left out; write it below its listener")
		return
	}
	c.implicit.host = "127.0.0.1"
	c.note("there is none before this line: what it belongs to is served on 127.0.0.1 only; write listener 1883 before it to open it")
}

func (c *converter) finishListener(l *listener) config.Listener {
	o := config.NewListener()
	o.MaxConnections, o.Versions, o.Origins, o.Limits = l.out.MaxConnections, l.out.Versions, l.out.Origins, l.out.Limits
	encrypted := l.cert != "" && l.key != ""
	c.at, c.option = l.at, "listener"
	if (l.cert == "") != (l.key == "") {
		c.refuse("has one of certfile and keyfile, and needs both")
	}
	o.URL = c.url(l, encrypted)
	if _, err := o.Endpoint(); err != nil {
		c.refuse("%q is no address that can be served: %v", l.host+l.unix, err)
	}
	if len(o.Origins) > 0 && !l.websockets {
		c.note("left out: its websockets_origin, since it is not of protocol websockets")
		o.Origins = nil
	}
	if l.websockets {
		c.note("WebSockets are served at the paths / and %s; Mosquitto serves every path", o.Path)
	}
	o.Anonymous = l.sec.anonymous
	if c.perListener && o.Anonymous == config.Auto {
		o.Anonymous = onOff(!c.named)
	}
	o.PasswordFile, o.ACLFile = l.sec.passwordFile, l.sec.aclFile
	c.finishTLS(l, &o, encrypted)
	if l.proxy > 0 {
		c.at, c.option = l.proxyAt, "enable_proxy_protocol"
		if l.identity || l.subject {
			c.refuse("cannot be left out: the certificate of a client is not taken from the proxy")
		}
		o.ProxyProtocol = "v" + strconv.Itoa(l.proxy)
		o.ProxyTrusted = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
		c.note("everybody who reaches the listener can say to be somebody else, as with Mosquitto; name the proxies in proxy_trusted")
	}
	c.locked(l, &o)
	return o
}

// locked tells that a listener is there and nobody can log in.
func (c *converter) locked(l *listener, o *config.Listener) {
	if slices.ContainsFunc(c.notes, func(n Note) bool { return n.Refuses }) {
		return // there are other things to mend
	}
	anonymous, passwords := o.Anonymous, o.PasswordFile+c.f.Auth.PasswordFile
	if anonymous == config.Auto {
		anonymous = c.f.Auth.Anonymous
	}
	if anonymous == config.Off && passwords == "" && o.TLS.UserFrom == "" {
		c.at, c.option = l.at, "listener"
		c.note("nobody can log in, as with Mosquitto: there is neither allow_anonymous true nor a password_file")
	}
}

func (c *converter) url(l *listener, encrypted bool) string {
	if l.unix != "" {
		path := l.unix
		if !strings.HasPrefix(path, "/") {
			path = filepath.Join(c.dir, path)
			c.note("the path of the socket begins in %s, the directory of this command", c.dir)
		}
		if l.websockets || encrypted {
			c.refuse("a unix socket is served without WebSocket and TLS only")
		}
		return "unix://" + path
	}
	scheme := "mqtt"
	switch {
	case l.websockets && encrypted:
		scheme = "wss"
	case l.websockets:
		scheme = "ws"
	case encrypted:
		scheme = "mqtts"
	}
	host := l.host
	switch {
	case host == "" && l.domain == "ipv4":
		host = "0.0.0.0"
	case host == "" && l.domain == "ipv6":
		host = "::"
	}
	if host == "" {
		return scheme + "://:" + strconv.Itoa(l.port)
	}
	return scheme + "://" + net.JoinHostPort(host, strconv.Itoa(l.port))
}

func (c *converter) finishTLS(l *listener, o *config.Listener, encrypted bool) {
	if !encrypted {
		// Mosquitto ignores them too, and listens without TLS.
		if l.required || l.identity || l.subject {
			c.at, c.option = l.at, "listener"
			c.refuse("asks for certificates of clients and has none itself: it would be open without them")
		} else if l.ca != "" || l.capath != "" || l.crl != "" {
			c.at, c.option = l.at, "listener"
			c.note("left out: its TLS options, since there is neither certfile nor keyfile; it is served without TLS, as Mosquitto 2.0 does")
		}
		return
	}
	t := &o.TLS
	t.Cert, t.Key, t.CA = l.cert, l.key, l.ca
	if l.tlsVersion != "" {
		t.MinVersion = l.tlsVersion
	}
	switch {
	case t.CA == "":
		t.CA = l.capath
	case l.capath != "":
		c.at, c.option = l.capathAt, "capath"
		c.note("left out: there is cafile too, and one of the two is taken")
	}
	byName := l.identity || l.subject
	switch {
	case l.required || byName:
		t.ClientCerts = "required"
		t.CRL = l.crl
		if t.CA == "" {
			c.at, c.option = l.at, "listener"
			c.refuse("asks for certificates of clients, and there is neither cafile nor capath to say who signs them")
		}
	case l.crl != "":
		c.at, c.option = l.crlAt, "crlfile"
		c.note("left out: clients are not asked for certificates without require_certificate true")
	}
	if t.ClientCerts == "none" {
		t.CA = ""
	}
	switch {
	case l.identity:
		t.UserFrom = "cn"
	case l.subject:
		t.UserFrom = "subject"
	}
	if byName && !l.required {
		c.at, c.option = l.identityAt, "use_identity_as_username"
		c.note("certificates of clients are required: without one nobody has a name")
	}
}
