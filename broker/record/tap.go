package record

import (
	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/router"
)

// Tap stands between one connection and the router: it is the handler that the loop sees. What the router sends passes
// it by.
type Tap struct {
	r      *Recorder
	client *router.Client
	n      uint64 // of the connection
	id     uint64 // that the loop has given it
	calls  uint64 // of Data
	redactor
}

// Attach is Router.Attach through a Tap.
func (r *Recorder) Attach(rt *router.Router, c router.Conn, from router.Peer) *Tap {
	r.conns++
	t := &Tap{r: r, n: r.conns, id: c.ID()}
	t.client = rt.Attach(c, from)
	if r.on {
		r.numbers[t.id] = t.n
		l := r.listener(from.Listener)
		r.put(kindAttach, t.n, l)
		r.peer(&from)
	}
	return t
}

func (r *Recorder) peer(p *router.Peer) {
	r.text(p.Addr())
	r.identity(0, p.Identity)
}

// Through is Client.Through.
func (t *Tap) Through(conn router.Conn, from router.Peer) {
	t.client.Through(conn, from)
	if t.r.on {
		t.r.put(kindThrough, t.n)
		t.r.peer(&from)
	}
}

// Data implements loop.Handler. What the router takes is written down, not what it leaves: that comes again.
func (t *Tap) Data(view []byte) (used int, err error) {
	if !t.r.on {
		return t.client.Data(view)
	}
	t.calls++
	t.r.current = t
	used, err = t.client.Data(view)
	t.r.current = nil
	if used == 0 && err == nil {
		return used, err
	}
	taken := view[:used]
	if err != nil {
		taken = view[:min(len(view), used+errorBytes)]
	}
	t.r.put(kindData, t.n, flag(err != nil, flagFailed), uint64(len(taken)))
	from := len(t.r.buf)
	t.r.buf = append(t.r.buf, taken...)
	t.redact(t.r.buf[from:], t.r.opts.Redact, err != nil)
	t.r.flushLong() // not only when the pass ends: it may have read megabytes
	return used, err
}

// errorBytes is how much of what is not a packet is written down: its beginning tells why.
const errorBytes = 16

// fixedBytes is a fixed header at its longest.
const fixedBytes = 5

// Drained implements loop.Handler.
func (t *Tap) Drained() {
	t.client.Drained()
	if t.r.on {
		t.r.put(kindDrained, t.n)
	}
}

// Closed implements loop.Handler.
func (t *Tap) Closed(why error) {
	t.client.Closed(why)
	if !t.r.on {
		return
	}
	text := ""
	if why != nil {
		text = why.Error()
	}
	t.r.put(kindClosed, t.n)
	t.r.text(text)
	t.r.sums()
	delete(t.r.numbers, t.id)
}

// redactor leaves out what is secret of one connection's packets.
type redactor struct {
	version codec.Version // 0 before CONNECT
	auth    bool          // it uses enhanced authentication
}

// redact replaces secrets in b, which begins with a packet. failed: one of them was an error, and may be a second CONNECT.
func (d *redactor) redact(b []byte, what Redact, failed bool) {
	for len(b) > 0 && what != Nothing {
		due := what == Payloads || d.version == 0 || d.auth
		if !due && !failed {
			return
		}
		k, n, err := codec.Next(b, codec.MaxPacketBytes)
		due = due || k.Type == codec.TypeConnect || k.Type == codec.TypeAuth
		if err != nil || n == 0 || due && !d.packet(&k, what) {
			if due {
				cross(b[min(d.plain(&k, err == nil && n > 0), len(b)):])
			}
			return
		}
		b = b[n:]
	}
}

// plain is how much of a packet that makes no sense may be told: what the error is about, and nothing that may be secret.
func (d *redactor) plain(k *codec.Packet, whole bool) int {
	head, b := len(k.Raw)-len(k.Body), k.Body
	switch {
	case !whole && d.version > 0:
		return fixedBytes
	case !whole || len(b) < 2:
	case k.Type == codec.TypeAuth:
		return head + 2
	case k.Type == codec.TypePublish: // up to the topic and the PacketID
		n := head + 2 + int(b[0])<<8 + int(b[1])
		if k.Flags&6 != 0 {
			n += 2
		}
		return n
	case k.Type == codec.TypeConnect: // all, if it has no will, no password and no properties
		if n := 2 + int(b[0])<<8 + int(b[1]); n+4 < len(b) && b[n+1]&0xc4 == 0 && (b[n] < byte(codec.V5) || b[n+4] == 0) {
			return len(k.Raw)
		}
	}
	return errorBytes
}

// packet does it for one, and reports whether it could.
func (d *redactor) packet(k *codec.Packet, what Redact) bool {
	switch k.Type {
	case codec.TypeConnect:
		var p codec.Connect
		if p.Decode(k) != nil {
			return false
		}
		d.version, d.auth = p.Version, len(p.Props.AuthMethod) > 0
		cross(p.Password)
		cross(p.Props.AuthData)
		if what == Payloads {
			cross(p.WillPayload)
		}
	case codec.TypeAuth:
		var p codec.Auth
		if p.Decode(k, d.version) != nil {
			return false
		}
		cross(p.Props.AuthData)
	case codec.TypePublish:
		var p codec.Publish
		if p.Decode(k, d.version) != nil {
			return false
		}
		if what == Payloads {
			cross(p.Payload)
		}
	}
	return true
}

func cross(b []byte) {
	for i := range b {
		b[i] = 'x'
	}
}
