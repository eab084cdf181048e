package transport

import (
	"fmt"
	"strings"

	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/loop"
)

// Limits bound what a peer can make a WebSocket hold before its handler sees it. Zero means the default. What the
// handler leaves unconsumed is kept by the engine, under its Limits.InputBytesMax; see WebSocket for what that has to
// hold.
type Limits struct {
	// RequestBytesMax is the longest HTTP request, in bytes with its headers (8 KiB, which is what web servers take).
	// A longer one is answered with 431. Counter: RequestsTooLong.
	RequestBytesMax int
	// FrameBytesMax is the longest payload of a frame, in bytes (256 MiB + 5: the largest MQTT packet). A frame is
	// handed on as it comes, so this bounds no memory. Beyond it the connection is closed with 1009. Counter:
	// FramesTooLong.
	FrameBytesMax int
}

// withDefaults returns l with every zero replaced.
func (l Limits) withDefaults() Limits {
	if l.RequestBytesMax <= 0 {
		l.RequestBytesMax = 8 << 10
	}
	if l.FrameBytesMax <= 0 {
		l.FrameBytesMax = 256<<20 + 5
	}
	return l
}

// Stats are a Door's counters. They are plain fields: read them on the loop goroutine.
type Stats struct {
	Upgraded        uint64 // connections that became a WebSocket
	Refused         uint64 // requests answered with anything else
	RequestsTooLong uint64 // of those, because of Limits.RequestBytesMax
	FramesTooLong   uint64 // connections closed because of Limits.FrameBytesMax
	ProtocolErrors  uint64 // connections closed because they broke RFC 6455
	Pings           uint64 // pings answered
	PongsRefused    uint64 // pings not answered: the peer reads nothing
}

// Options are given to NewDoor.
type Options struct {
	// Path is the one that is served, "/mqtt" by default.
	Path string
	// Origins are the pages whose scripts may connect: https://app.example.org, app.example.org for any scheme and
	// port, *.example.org for all hosts below. None means all. Clients that are no browsers are not held by this.
	Origins []string
	// Secure says that there is TLS in front, for the address shown to people.
	Secure bool
	// CloseCode returns the close code to send when a connection is closed because of why, which is never nil; 0, or
	// no function, leaves the choice to us.
	CloseCode func(why error) uint16
	Limits    Limits
	Pool      *buf.Pool // for output; default: one of its own
	Frames    *Frames   // of the engine, whose owner calls ViewsAge; nil: packets are copied into frames of their own
}

// Door is what the WebSockets of one listener have in common. It belongs to the loop goroutine.
type Door struct {
	path      string
	origins   origins
	secure    bool
	closeCode func(error) uint16
	limits    Limits
	stats     Stats
	pool      *buf.Pool
	frames    *Frames // nil: none
	scratch   []byte  // a frame that is being put together
}

// NewDoor checks the options.
func NewDoor(o Options) (*Door, error) {
	d := &Door{path: o.Path, secure: o.Secure, closeCode: o.CloseCode, limits: o.Limits.withDefaults(), pool: o.Pool, frames: o.Frames}
	if d.path == "" {
		d.path = "/mqtt"
	}
	if !strings.HasPrefix(d.path, "/") || strings.ContainsAny(d.path, "?#") {
		return nil, fmt.Errorf("path %q: write it like /mqtt", o.Path)
	}
	var err error
	if d.origins, err = parseOrigins(o.Origins); err != nil {
		return nil, err
	}
	if d.closeCode == nil {
		d.closeCode = func(error) uint16 { return 0 }
	}
	if d.pool == nil {
		d.pool = buf.NewPool(0)
	}
	return d, nil
}

// WebSocket returns the handler of a new connection c, to give to the engine. accept is called when the peer has
// become a WebSocket; it returns the handler of what comes through it, which sends on the loop.Conn that accept got,
// or nil, which closes the connection. failed, which may be nil, hears why a connection ended before accept had its
// turn.
func (d *Door) WebSocket(c loop.Conn, accept func(loop.Conn, *Request) loop.Handler, failed func(why error)) *WebSocket {
	return &WebSocket{door: d, outer: c, accept: accept, failed: failed}
}

// Stats returns the counters.
func (d *Door) Stats() *Stats { return &d.stats }
