package broker

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/loop/transport"
	"github.com/loopmq/loopmq/router"
)

// errNotTheProxy closes a connection to a listener for proxies that comes from
// elsewhere.
var errNotTheProxy = errors.New("the listener is for a proxy, and this address is not trusted to be one; see trust")

// door makes the handlers of the connections of one listener: what is spoken
// on the wire before MQTT is peeled off in layers,
//
//	PROXY header ─► TLS ─► WebSocket ─► router.Client
//
// and plain MQTT goes to the Client without any.
type door struct {
	broker    *Broker
	loop      loop.Listener
	socket    *loop.Socket // once it is open
	scheme    scheme
	path      string
	login     *login
	rate      *connectRate
	rules     *router.Listener
	secure    *secure         // nil: no TLS
	webSocket *transport.Door // nil: none
	proxy     bool
	version   int // of the PROXY header; 0: any
	trusted   []netip.Prefix
}

// newDoor prepares what the connections of a listener have in common.
func (b *Broker) newDoor(from *sources, l *Listener) (*door, error) {
	cfg := from.cfg
	p, err := l.parse()
	if err != nil {
		return nil, err
	}
	d := &door{
		broker: b, loop: p.loop, scheme: p.scheme, path: p.path, proxy: l.Proxy, version: l.ProxyVersion, trusted: l.Trusted,
	}
	d.rate = &connectRate{perSecond: l.AddressRate}
	if d.login, err = from.login(b, l); err != nil {
		return nil, err
	}
	d.loop.Accept = d.accept
	d.rules = &router.Listener{
		Name: l.name(), Versions: l.Versions, Authenticator: d.login, Limits: l.Limits.Over(cfg.Limits),
	}
	if p.scheme.tls {
		if d.secure, err = b.newSecure(l, p.scheme.webSocket); err != nil {
			return nil, err
		}
		d.loop.Busy = func() bool { return d.secure.door.Busy() }
	}
	if p.scheme.webSocket {
		limit := cmp.Or(l.Limits.PacketBytesMax, cfg.Limits.PacketBytesMax)
		if limit == 0 {
			limit = router.DefaultLimits().PacketBytesMax
		}
		d.webSocket, err = transport.NewDoor(transport.Options{
			Path: p.path, Origins: l.Origins, CloseCode: closeCode, Pool: b.pool, Frames: &b.frames, Secure: p.scheme.tls,
			Limits: transport.Limits{FrameBytesMax: limit + framePacketsBytes},
		})
		if err != nil {
			return nil, fmt.Errorf("listener %q: %w", l.URL, err)
		}
	}
	return d, nil
}

// sameSocket tells whether other could be served on the socket of d.
func (d *door) sameSocket(other *door) bool {
	a, b := &d.loop, &other.loop
	return a.File == b.File && a.Network == b.Network && a.Address == b.Address &&
		a.Mode == b.Mode && a.Owner == b.Owner && a.Group == b.Group
}

// url is where a client finds the listener.
func (d *door) url() string {
	addr := d.socket.Addr()
	if addr.Network() == "unix" {
		return "unix://" + addr.String()
	}
	return d.scheme.name + "://" + addr.String() + d.path
}

// framePacketsBytes is how much longer than the longest packet a frame may be:
// several packets may share one.
const framePacketsBytes = 1 << 20

// inbound is the router's end of a connection: a router.Client, alone or behind
// a record.Tap.
type inbound interface {
	loop.Handler
	Through(conn router.Conn, from router.Peer)
}

// attach gives a new connection to the router.
func (b *Broker) attach(c loop.Conn, from router.Peer) inbound {
	if b.recording != nil {
		return b.recording.Attach(b.router, c, from)
	}
	return b.router.Attach(c, from)
}

// accept is the loop's hook for new connections. The Client exists from the
// first moment, so that one deadline holds for all that comes before CONNECT.
func (d *door) accept(c loop.Conn, from loop.Peer) loop.Handler {
	peer := router.Peer{Listener: d.rules, Remote: from.Remote}
	if d.proxy && from.Remote.IsValid() && !d.trusts(from.Remote.Addr()) {
		d.broker.attach(c, peer).Closed(errNotTheProxy)
		return nil
	}
	if !d.proxy && d.broker.bans.FindAddress(time.Now().UnixNano(), from.Remote.Addr()) != nil {
		return nil // no word to it, and no line in the log for each try
	}
	if !d.rate.allows(d.broker.monotonic(), from.Remote.Addr()) {
		if n := d.rate.refused; n&(n-1) == 0 { // the first, second, fourth, eighth …
			d.broker.logger().Warn("connections closed: their address opens too many; address-rate",
				"listener", d.rules.Name, "addr", from.Remote.String(), "times", n)
		}
		return nil
	}
	if p := from.Process; p != nil && d.login.peer {
		if user, ok := d.broker.cfg.Processes[p.UID]; ok {
			peer.Identity = &router.Identity{User: user}
		}
	}
	client := d.broker.attach(c, peer)
	if d.proxy {
		return transport.NewProxy(func(h transport.ProxyHeader) loop.Handler {
			if d.version != 0 && h.Version != d.version {
				client.Closed(fmt.Errorf("PROXY protocol header of version %d, and this listener takes version %d", h.Version, d.version))
				return nil
			}
			if h.Source.IsValid() {
				peer.Remote = h.Source
			}
			return d.begin(c, client, peer)
		}, client.Closed)
	}
	return d.begin(c, client, peer)
}

// begin returns the handler of what comes behind a PROXY header, if there was
// one.
func (d *door) begin(c loop.Conn, client inbound, peer router.Peer) loop.Handler {
	if d.secure != nil {
		client.Through(c, peer)
		return d.encrypted(c, client, peer)
	}
	return d.open(c, client, peer)
}

// open returns the handler of what comes behind PROXY and TLS.
func (d *door) open(c loop.Conn, client inbound, peer router.Peer) loop.Handler {
	client.Through(c, peer)
	if d.webSocket == nil {
		return client
	}
	return d.webSocket.WebSocket(c, func(inside loop.Conn, r *transport.Request) loop.Handler {
		if addr := d.forwarded(peer.Remote.Addr(), r); addr.IsValid() {
			peer.Remote = netip.AddrPortFrom(addr, 0)
		}
		client.Through(inside, peer)
		return client
	}, client.Closed)
}

func (d *door) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(d.trusted, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
}

// forwarded returns the address that proxies in front say the client has: the
// last one that no proxy of ours has. Zero if there is none to be believed.
func (d *door) forwarded(from netip.Addr, r *transport.Request) (client netip.Addr) {
	if len(d.trusted) == 0 || from.IsValid() && !d.trusts(from) {
		return netip.Addr{}
	}
	for _, text := range slices.Backward(r.ForwardedFor()) {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return client
		}
		if client = addr; !d.trusts(addr) {
			return client
		}
	}
	if !client.IsValid() {
		client, _ = netip.ParseAddr(r.RealIP())
	}
	return client
}

// closeCode is the WebSocket close code (RFC 6455, section 7.4.1) for why a
// connection ends.
func closeCode(why error) uint16 {
	switch router.ReasonOf(why) {
	case codec.MalformedPacket, codec.ProtocolError:
		return 1002
	case codec.PacketTooLarge:
		return 1009
	case codec.ServerShuttingDown, codec.UseAnotherServer, codec.ServerMoved:
		return 1001
	case codec.ServerBusy, codec.ServerUnavailable:
		return 1013
	}
	return 0
}
