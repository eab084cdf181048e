package soak

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/client"
)

// The flood is what slow readers subscribe to: some megabytes in a second. What a connection is sent goes into the
// buffers of the kernel first, 4 MB and more on a loopback interface, and only behind them into those of the broker: a
// client that reads nothing of a trickle is no slow reader for minutes.
const (
	floodBytes = 16 << 10
	floodEvery = 5 * time.Millisecond
)

// flood publishes it.
func (c *crowd) flood() {
	c.again("flood", func() error {
		k := c.dial(c.ctx, client.Options{URL: c.urls[0], ClientID: "flood", CleanStart: true})
		if k == nil {
			return nil
		}
		defer k.Close()
		m := client.Message{Topic: "flood", Payload: []byte(strings.Repeat("f", floodBytes))}
		for c.ctx.Err() == nil {
			if err := k.Publish(c.ctx, &m); err != nil {
				return err
			}
			c.rest(floodEvery)
		}
		return nil
	})
}

// hello is CONNECT and SUBSCRIBE to the flood with QoS 0.
const hello = "\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00\x82\x0a\x00\x01\x00\x05flood\x00"

// listen subscribes to the flood.
func (c *crowd) listen() (net.Conn, error) {
	n, err := net.Dial("tcp", c.tcp)
	if err != nil {
		c.rest(50 * time.Millisecond)
		return nil, err
	}
	c.connects.Add(1)
	if _, err = n.Write([]byte(hello)); err != nil {
		n.Close()
	}
	return n, err
}

// readNothing subscribes and reads nothing, until the broker has had enough of it. It must have, and then the
// connection must be over: what the kernel took before is still there, and its end.
func (c *crowd) readNothing() {
	for c.ctx.Err() == nil {
		generation, closed := c.generation.Load(), c.slowTimeouts.Load()
		n, err := c.listen()
		if err != nil {
			continue
		}
		stop := context.AfterFunc(c.ctx, func() { n.Close() })
		for end := time.Now().Add(patience); c.slowTimeouts.Load() == closed && c.calm(generation) && time.Now().Before(end); {
			c.rest(20 * time.Millisecond)
		}
		if c.calm(generation) {
			if c.slowTimeouts.Load() == closed {
				c.t.Errorf("a client that read nothing for %v, with a slow-timeout of %v, is still served", patience, slowTimeout)
				return
			}
			if !readOut(n) {
				c.t.Errorf("the broker counts a slow reader as closed, but its connection is open")
			} else {
				c.slowClosed.Add(1)
			}
		}
		stop()
		n.Close()
	}
}

// readOut reads to the end and tells whether there was one.
func readOut(n net.Conn) bool {
	_ = n.SetReadDeadline(time.Now().Add(patience))
	for b := make([]byte, 64<<10); ; {
		if _, err := n.Read(b); err != nil {
			return !isTimeout(err)
		}
	}
}

func isTimeout(err error) bool {
	t, ok := err.(net.Error)
	return ok && t.Timeout()
}

// readLittle reads a little of very much, steadily. The broker drops what is too much, and must not close it; that
// would be seen here when all is read that the kernel has, in minutes, but see judgeSlow.
func (c *crowd) readLittle() {
	for c.ctx.Err() == nil {
		generation := c.generation.Load()
		n, err := c.listen()
		if err != nil {
			continue
		}
		_ = n.(*net.TCPConn).SetReadBuffer(4 << 10)
		stop := context.AfterFunc(c.ctx, func() { n.Close() })
		begun := time.Now()
		for b := make([]byte, 8000); ; c.rest(100 * time.Millisecond) {
			if _, err := n.Read(b); err != nil {
				if c.calm(generation) {
					c.t.Errorf("a client that reads slowly, but steadily, was closed after %v: %v", time.Since(begun), err)
				}
				break
			}
		}
		stop()
		n.Close()
	}
}

// judgeSlow fails if the broker has closed others than those that read nothing, of whom there is one at a time. One of
// them may have been closed by each broker without hearing of it before the end.
func (c *crowd) judgeSlow(t *testing.T) {
	t.Helper()
	unheard := 1 + c.generation.Load()/2
	if most := c.slowClosed.Load() + unheard; c.closedInAll > uint64(most) {
		t.Errorf("%d clients were closed as slow readers, but no more than %d read nothing", c.closedInAll, most)
	}
}
