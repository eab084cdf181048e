package hostile

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// patience is how long anything may take that must happen.
const patience = 30 * time.Second

// door is one way into the broker.
type door struct {
	name   string
	listen string // URL for broker.Listener
	open   func(addr string) (net.Conn, error)
	frames bool // MQTT goes in WebSocket frames
}

// doors are where attacks knock.
var doors = []door{
	{"tcp", "mqtt://127.0.0.1:0", dialTCP, false},
	{"ws", "ws://127.0.0.1:0/mqtt", func(addr string) (net.Conn, error) { return upgraded(dialTCP(addr)) }, true},
	{"tls", "mqtts://127.0.0.1:0?cert=CERT&key=KEY", dialTLS, false},
	{"wss", "wss://127.0.0.1:0/mqtt?cert=CERT&key=KEY", func(addr string) (net.Conn, error) { return upgraded(dialTLS(addr)) }, true},
}

func dialTCP(addr string) (net.Conn, error) { return net.DialTimeout("tcp", addr, patience) }

const upgrade = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"

func dialTLS(addr string) (net.Conn, error) {
	c, err := dialTCP(addr)
	if err != nil {
		return nil, err
	}
	t := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	_ = c.SetDeadline(time.Now().Add(patience))
	if err := t.Handshake(); err != nil {
		c.Close()
		return nil, err
	}
	return t, nil
}

// upgraded makes c a connection that carries frames from now on.
func upgraded(c net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, upgrade); err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(c, 1) // 16 bytes at least, but nothing follows the answer before we speak
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		c.Close()
		return nil, fmt.Errorf("upgrade: %v, %w", resp, err)
	}
	return c, nil
}

// peer is an attacker's connection. Its reader takes in all that comes, unless the attack is not to read.
type peer struct {
	net.Conn
	door *door
	in   []byte // MQTT bytes received
	raw  []byte // bytes of a frame that is not whole
	over bool   // the broker has closed
}

// say sends MQTT bytes the way the door has them; errors show as a close later.
func (p *peer) say(parts ...[]byte) {
	b := bytes.Join(parts, nil)
	if p.door.frames {
		b = frame(0x82, b)
	}
	p.raws(b)
}

// raws sends bytes as they are.
func (p *peer) raws(b []byte) {
	_ = p.SetWriteDeadline(time.Now().Add(patience))
	_, _ = p.Write(b)
}

// flood sends the same again and again, while reading all that comes back, until all is sent or the broker closes.
func (p *peer) flood(times int, b []byte) {
	if p.door.frames {
		b = frame(0x82, b)
	}
	p.floodRaw(times, b)
}

// floodRaw is flood with bytes that are sent as they are.
func (p *peer) floodRaw(times int, b []byte) {
	var reading sync.WaitGroup
	done := make(chan struct{})
	reading.Go(func() {
		for p.fill(50*time.Millisecond) == nil {
			select {
			case <-done:
				return
			default:
				p.in = tail(p.in)
			}
		}
	})
	for range times {
		_ = p.SetWriteDeadline(time.Now().Add(patience))
		if _, err := p.Write(b); err != nil {
			break
		}
	}
	close(done)
	reading.Wait()
}

// tail forgets whole packets: a flood's answers are too many to keep.
func tail(in []byte) []byte {
	for {
		n := packetLength(in)
		if n == 0 || n > len(in) {
			return in
		}
		in = in[n:]
	}
}

// fill reads once, for at most d; a time that is over is no error.
func (p *peer) fill(d time.Duration) error {
	_ = p.SetReadDeadline(time.Now().Add(d))
	var b [16 << 10]byte
	n, err := p.Read(b[:])
	if p.door.frames {
		p.unframe(b[:n])
	} else {
		p.in = append(p.in, b[:n]...)
	}
	if ne, is := err.(net.Error); is && ne.Timeout() {
		return nil
	}
	p.over = p.over || err != nil
	return err
}

// unframe takes the payloads out of the server's frames, which have no mask.
func (p *peer) unframe(b []byte) {
	p.raw = append(p.raw, b...)
	for len(p.raw) >= 2 {
		head, n := 2, int(p.raw[1])
		switch {
		case n == 126 && len(p.raw) >= 4:
			head, n = 4, int(p.raw[2])<<8|int(p.raw[3])
		case n == 127 && len(p.raw) >= 10:
			head, n = 10, int(p.raw[6])<<24|int(p.raw[7])<<16|int(p.raw[8])<<8|int(p.raw[9])
		case n >= 126:
			return
		}
		if len(p.raw) < head+n {
			return
		}
		if op := p.raw[0] & 15; op <= 2 {
			p.in = append(p.in, p.raw[head:head+n]...)
		}
		p.raw = p.raw[head+n:]
	}
}

// packetLength is the length of the first packet of b, 0 if that is not known yet.
func packetLength(b []byte) int {
	n := 0
	for i := 1; i < len(b) && i < 5; i++ {
		n |= int(b[i]&0x7f) << (7 * (i - 1))
		if b[i] < 0x80 {
			return 1 + i + n
		}
	}
	return 0
}

// next returns the next whole packet, nil if the broker closes or says nothing more for so long.
func (p *peer) next(d time.Duration) []byte {
	for end := time.Now().Add(d); ; {
		if n := packetLength(p.in); n > 0 && n <= len(p.in) {
			k := p.in[:n]
			p.in = p.in[n:]
			return k
		}
		left := time.Until(end)
		if p.over || left <= 0 {
			return nil
		}
		_ = p.fill(left)
	}
}

// closed reads until the broker closes; the last packet that it sent is returned.
func (p *peer) closed() (last []byte, ok bool) {
	for {
		k := p.next(patience)
		if k == nil {
			return last, p.over
		}
		last = k
	}
}

// alive asks with PINGREQ, and returns the first bytes of all that came before the answer.
func (p *peer) alive() (before [][]byte, ok bool) {
	p.say(pingreq)
	for {
		k := p.next(patience)
		if k == nil {
			return before, false
		}
		if bytes.Equal(k, hx("d0 00")) {
			return before, true
		}
		before = append(before, k[:min(len(k), 8)])
	}
}

// halfClose ends our side only.
func (p *peer) halfClose() {
	if c, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
}

// reset ends the connection the rude way.
func (p *peer) reset() {
	c := p.Conn
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn() // without a close_notify
	}
	if c, ok := c.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	c.Close()
}

// is tells whether d is one of the doors that a row knocks at: "" is all.
func (d *door) is(only string) bool {
	return only == "" || slices.Contains(strings.Fields(only), d.name)
}
