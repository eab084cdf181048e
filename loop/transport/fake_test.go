package transport_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/gobwas/ws"

	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/loop/transport"
)

// fakeConn is a connection without an engine: it hands bytes to a handler as an engine does, and keeps what is sent.
type fakeConn struct {
	h       loop.Handler
	sent    []byte
	sends   []int // length of each send
	full    bool  // all sends are refused
	paused  bool
	retry   bool
	tail    []byte
	closed  bool
	why     error
	maxTail int
	id      uint64 // behind 42
}

func (c *fakeConn) ID() uint64                { return 42 + c.id }
func (c *fakeConn) Send(frame []byte) bool    { return c.send(frame) }
func (c *fakeConn) Queued() int               { return len(c.sent) }
func (c *fakeConn) Taken() uint64             { return uint64(len(c.sends)) }
func (c *fakeConn) Room(int) bool             { return !c.closed && !c.full }
func (c *fakeConn) Pause()                    { c.paused = true }
func (c *fakeConn) Resume()                   { c.retry = c.paused || c.retry; c.paused = false }
func (c *fakeConn) SendView(view []byte) bool { return c.send(view) }
func (c *fakeConn) SendControl(f []byte) bool { return c.send(f) }

func (c *fakeConn) SendShared(head []byte, body *buf.Ref) bool { return c.send(head, body.Bytes()) }

func (c *fakeConn) send(parts ...[]byte) bool {
	if c.closed || c.full {
		return false
	}
	n := 0
	for _, part := range parts {
		c.sent = append(c.sent, part...)
		n += len(part)
	}
	c.sends = append(c.sends, n)
	return true
}

func (c *fakeConn) Close(why error) {
	if !c.closed {
		c.closed, c.why = true, why
	}
}

// take returns what was sent since the last call.
func (c *fakeConn) take() []byte {
	sent := c.sent
	c.sent, c.sends = nil, nil
	return sent
}

// feed hands b over behind the tail, in memory that is spoiled afterwards.
func (c *fakeConn) feed(b []byte) {
	if c.closed {
		return
	}
	if c.paused {
		c.tail = append(c.tail, b...)
		return
	}
	view := append(append(make([]byte, 0, len(c.tail)+len(b)+100), c.tail...), b...)
	used, err := c.h.Data(view)
	if used < 0 || used > len(view) {
		panic(fmt.Sprintf("used %d of %d", used, len(view)))
	}
	c.tail = bytes.Clone(view[used:])
	c.maxTail = max(c.maxTail, len(c.tail))
	for i := range view {
		view[i] = 0xCC
	}
	if err != nil {
		c.Close(err)
	}
}

// turn does what an engine does without new bytes: it hands the tail over after Resume, and reaps.
func (c *fakeConn) turn() {
	for c.retry && !c.paused && !c.closed && len(c.tail) > 0 {
		c.retry = false
		c.feed(nil)
	}
	c.retry = false
}

// reap tells the handler that the connection is closed.
func (c *fakeConn) reap() { c.h.Closed(c.why) }

// packets is a handler of packets that begin with two bytes of length.
type packets struct {
	c       loop.Conn
	req     *transport.Request
	got     []string
	calls   int
	perCall int  // packets taken in one call, 0 for all
	pauses  bool // pause behind each call that took one
	yields  bool // likewise, and resume at once
	echo    bool
	err     error // returned behind the first packet
	drained int
	closed  []error
}

func (p *packets) Data(view []byte) (used int, err error) {
	p.calls++
	took := 0
	for len(view)-used >= 2 && (p.perCall == 0 || took < p.perCall) {
		n := 2 + int(binary.BigEndian.Uint16(view[used:]))
		if len(view)-used < n {
			break
		}
		packet := view[used : used+n]
		used += n
		took++
		p.got = append(p.got, string(packet[2:]))
		if p.echo {
			p.c.SendView(packet)
		}
		if p.err != nil {
			return used, p.err
		}
	}
	if (p.pauses || p.yields) && took > 0 {
		p.c.Pause()
	}
	if p.yields && took > 0 {
		p.c.Resume()
	}
	return used, nil
}
func (p *packets) Drained()         { p.drained++ }
func (p *packets) Closed(why error) { p.closed = append(p.closed, why) }

// packet is one of what packets takes.
func packet(body string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(body))), body...)
}

// masked is a frame as a client sends it.
func masked(first byte, payload []byte) []byte {
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n <= 0xFFFF:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, mask[:]...)
	at := len(b)
	b = append(b, payload...)
	ws.Cipher(b[at:], mask, 0)
	return b
}

const (
	binaryFrame = 0x82
	binaryPart  = 0x02
	morePart    = 0x00
	lastPart    = 0x80
	closeFrame  = 0x88
	pingFrame   = 0x89
	pongFrame   = 0x8a
)

// The request and the response of RFC 6455, section 1.3.
const (
	request = "GET /mqtt HTTP/1.1\r\n" +
		"Host: server.example.com\r\n" +
		"Upgrade: websocket\r\n" +
		"Connection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
		"Origin: http://example.com\r\n" +
		"Sec-WebSocket-Protocol: mqtt\r\n" +
		"Sec-WebSocket-Version: 13\r\n\r\n"
	response = "HTTP/1.1 101 Switching Protocols\r\n" +
		"Upgrade: websocket\r\n" +
		"Connection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" +
		"Sec-WebSocket-Protocol: mqtt\r\n\r\n"
)

func newDoor(t testing.TB, o transport.Options) *transport.Door {
	t.Helper()
	d, err := transport.NewDoor(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// opened is a WebSocket behind its handshake.
func opened(t testing.TB, o transport.Options) (*fakeConn, *packets) {
	t.Helper()
	c, p := knocked(newDoor(t, o))
	c.feed([]byte(request))
	if got := string(c.take()); got != response || c.closed {
		t.Fatalf("closed=%v (%v), response:\n%s", c.closed, c.why, got)
	}
	return c, p
}

// knocked is a connection that a door has accepted.
func knocked(d *transport.Door) (*fakeConn, *packets) {
	c, p := &fakeConn{}, &packets{}
	c.h = d.WebSocket(c, func(inner loop.Conn, r *transport.Request) loop.Handler {
		p.c, p.req = inner, r
		return p
	}, func(why error) { p.closed = append(p.closed, why) })
	return c, p
}
