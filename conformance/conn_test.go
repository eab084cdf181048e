package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// patience is how long anything may take that is not a timer of the standard.
const patience = 20 * time.Second

// conn is one connection to a broker. Each method fails the test by itself. At
// the end of the test a connection that is still open must have nothing more
// to read.
type conn struct {
	net.Conn
	t       testing.TB
	name    string
	in      []byte // received, and not yet expected by anybody
	connack []byte // of MQTT 5.0
	up      bool   // CONNECT was accepted, so that PINGREQ will be answered
	over    bool   // closed by one side
}

// dial opens a connection and sends nothing.
func dial(t testing.TB, tg target) *conn {
	t.Helper()
	n, err := net.DialTimeout("tcp", tg.addr(), patience)
	if err != nil {
		t.Fatal(err)
	}
	c := &conn{Conn: n, t: t, name: n.LocalAddr().String()}
	t.Cleanup(func() {
		if !c.over && !t.Failed() {
			c.expectNothing()
		}
		c.Conn.Close()
	})
	return c
}

// join connects and expects a new session.
func join(t testing.TB, tg target, id string, opts ...connectOption) *conn {
	t.Helper()
	c := dial(t, tg).send(connect(id, opts...)).expect("20 02 00 00")
	c.name = id
	return c
}

// resume connects and expects an old session.
func resume(t testing.TB, tg target, id string, opts ...connectOption) *conn {
	t.Helper()
	c := dial(t, tg).send(connect(id, opts...)).expect("20 02 01 00")
	c.name = id
	return c
}

// send writes parts in one segment: strings are in notation, []byte is taken
// as it is.
func (c *conn) send(parts ...any) *conn {
	c.t.Helper()
	c.write(bytesOf(parts))
	return c
}

// sendAndGo is send to a broker that may close before all is written.
func (c *conn) sendAndGo(parts ...any) *conn {
	_ = c.SetWriteDeadline(time.Now().Add(patience))
	_, _ = c.Write(bytesOf(parts))
	return c
}

// dribble writes parts byte by byte, each in a segment of its own as far as
// the system goes along.
func (c *conn) dribble(parts ...any) *conn {
	c.t.Helper()
	for _, b := range bytesOf(parts) {
		c.write([]byte{b})
	}
	return c
}

func (c *conn) write(b []byte) {
	c.t.Helper()
	_ = c.SetWriteDeadline(time.Now().Add(patience))
	if _, err := c.Write(b); err != nil {
		c.t.Fatalf("%s: writing %s: %v", c.name, describe(b), err)
	}
}

// expect reads exactly parts.
func (c *conn) expect(parts ...any) *conn {
	c.t.Helper()
	want := bytesOf(parts)
	var err error
	for err == nil && len(c.in) < len(want) && bytes.HasPrefix(want, c.in) {
		err = c.fill(patience)
	}
	if !bytes.HasPrefix(c.in, want) {
		c.t.Fatalf("%s:\nwant %s\n got %s%s", c.name, describe(want), describe(c.in), ending(err))
	}
	c.in = c.in[len(want):]
	if len(want) == 4 && want[0] == 0x20 && want[3] == 0 {
		c.up = true
	}
	return c
}

// fill reads once, for at most d.
func (c *conn) fill(d time.Duration) error {
	_ = c.SetReadDeadline(time.Now().Add(d))
	var b [16 << 10]byte
	n, err := c.Read(b[:])
	c.in = append(c.in, b[:n]...)
	return err
}

// packet reads one whole packet, whatever it is.
func (c *conn) packet() []byte {
	c.t.Helper()
	p, err := c.next()
	if err != nil {
		c.t.Fatalf("%s:\nwant a packet\n got %s%s", c.name, describe(c.in), ending(err))
	}
	return p
}

// next is packet for goroutines, which may not end the test.
func (c *conn) next() ([]byte, error) {
	for {
		if n := packetLen(c.in); n > 0 && len(c.in) >= n {
			p := c.in[:n]
			c.in = c.in[n:]
			return p, nil
		}
		if err := c.fill(patience); err != nil {
			return nil, err
		}
	}
}

// expectPublish reads a PUBLISH with this first byte, topic and payload, and
// returns its PacketID, which the broker chooses; 0 for QoS 0.
func (c *conn) expectPublish(first byte, topic, payload string) (id int) {
	c.t.Helper()
	p := c.packet()
	qos := first >> 1 & 3
	if qos > 0 {
		at := packetLen(p) - len(payload) - 2
		if at > 0 && at+2 <= len(p) {
			id = int(p[at])<<8 | int(p[at+1])
		}
	}
	if want := publish(first, id, topic, payload); !bytes.Equal(p, want) || qos > 0 && id == 0 {
		c.t.Fatalf("%s:\nwant %s (any PacketID but 0)\n got %s", c.name, describe(want), describe(p))
	}
	return id
}

// expectNothing shows that nothing is on its way: the answer to a PINGREQ is
// the next and the last to arrive.
func (c *conn) expectNothing() *conn {
	c.t.Helper()
	if c.up {
		c.send(pingreq).expect(pingresp)
	}
	if len(c.in) > 0 {
		c.t.Fatalf("%s:\nwant nothing\n got %s", c.name, describe(c.in))
	}
	return c
}

// settle makes sure that the broker has handled all that was sent.
func (c *conn) settle() *conn { c.t.Helper(); return c.expectNothing() }

// expectClosed waits for the broker to close the connection, with nothing
// arriving before that.
func (c *conn) expectClosed() {
	c.t.Helper()
	c.expectClosedWithin(patience)
}

func (c *conn) expectClosedWithin(d time.Duration) {
	c.t.Helper()
	var err error
	for end := time.Now().Add(d); err == nil && len(c.in) == 0; {
		err = c.fill(time.Until(end))
	}
	if errors.Is(err, os.ErrDeadlineExceeded) || len(c.in) > 0 {
		c.t.Fatalf("%s:\nwant the connection closed\n got %s%s", c.name, describe(c.in), ending(err))
	}
	c.over = true
	c.Conn.Close()
}

// reset breaks the connection: the broker sees a reset, not an end.
func (c *conn) reset() {
	c.t.Helper()
	c.over = true
	if err := c.Conn.(*net.TCPConn).SetLinger(0); err != nil {
		c.t.Fatal(err)
	}
	c.Conn.Close()
}

// hangUp closes the connection without DISCONNECT.
func (c *conn) hangUp() { c.over = true; c.Conn.Close() }

// leave disconnects in good order, and waits for the broker to close.
func (c *conn) leave() { c.t.Helper(); c.send(disconnect).expectClosed() }

// subscribed subscribes to one filter and expects what was asked for.
func (c *conn) subscribed(filter string, qos byte) *conn {
	c.t.Helper()
	return c.send(subscribe(1, filter, qos)).expect(suback(1, qos))
}

// bytesOf puts parts behind each other.
func bytesOf(parts []any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			b = append(b, notation(p)...)
		case []byte:
			b = append(b, p...)
		default:
			panic(fmt.Sprintf("%T cannot be sent", p))
		}
	}
	return b
}

// packetLen is the length of the packet that b begins with; 0 when b does not
// say yet, len(b) when it says nonsense.
func packetLen(b []byte) int {
	n := 0
	for i := 1; i < len(b) && i < 5; i++ {
		n |= int(b[i]&0x7f) << (7 * (i - 1))
		if b[i] < 0x80 {
			return 1 + i + n
		}
	}
	if len(b) >= 5 {
		return len(b)
	}
	return 0
}

// describe shows bytes packet by packet.
func describe(b []byte) string {
	if len(b) == 0 {
		return "nothing"
	}
	var out []string
	for len(b) > 0 {
		n := packetLen(b)
		if n == 0 || n > len(b) {
			n = len(b)
		}
		show, more := b[:n], ""
		if n > 64 {
			show, more = b[:64], fmt.Sprintf(" … %d bytes", n)
		}
		out = append(out, fmt.Sprintf("%s [% x%s]", typeNames[b[0]>>4], show, more))
		b = b[n:]
		if len(out) == 8 && len(b) > 0 {
			out = append(out, fmt.Sprintf("… %d bytes more", len(b)))
			break
		}
	}
	return strings.Join(out, "\n     ")
}

var typeNames = [16]string{
	"type 0", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
	"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "type 15",
}

func ending(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ", then silence"
	}
	return ", then " + err.Error()
}
