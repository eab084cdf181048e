package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/loopmq/loopmq/codec"
)

// Client is one connection to a server.
type Client struct {
	opts    Options
	server  Server
	conn    net.Conn
	web     *wsConn // conn, if it is a WebSocket
	connack codec.Connack
	// packetMax is the largest packet that may be sent.
	packetMax int

	mu       sync.Mutex
	out      []byte             // what the writer sends next
	answers  int                // bytes of out that answer the server
	room     chan struct{}      // closed and replaced when the writer took out
	kick     chan struct{}      // wakes the writer; holds one
	window   chan struct{}      // a token for each message in flight
	waiting  map[uint16]*waiter // by PacketID
	nextID   uint16
	received map[uint16]bool // QoS 2 messages handed over, their PUBREL not seen
	over     bool            // OnMessage wants no more; the reading goroutine's
	aliases  map[uint16]string
	pinging  bool // a PINGREQ is not answered
	closing  bool // Close was called; nothing more may be queued
	parting  bool // the writer has begun to send the last bytes
	err      error

	// heard is set while something has come since the last PINGREQ, or is worked
	// on: then PINGRESP may only wait its turn.
	heard atomic.Bool
	busy  atomic.Bool

	end  sync.Once
	done chan struct{} // closed with err set
	gone sync.WaitGroup
}

// outBytesMax is how much may wait for the writer before senders wait too.
const outBytesMax = 256 << 10

// answersBytesMax is how much of that may be answers. There are 65535 PacketIDs
// each way, and at most two answers of four bytes to each before the server must
// have read one.
const answersBytesMax = 1 << 20

// readBytes is the size of a read, and of the buffer while packets are small.
const readBytes = 32 << 10

// closeTimeout bounds what Close waits for its last bytes to leave. Nothing bounds
// other writes: a server that is full may read nothing for a while.
const closeTimeout = 5 * time.Second

// Dial connects and waits for CONNACK. A refusal is a *ConnectError.
func Dial(ctx context.Context, o Options) (*Client, error) {
	o, server, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.ConnectTimeout, timeoutError(o.ConnectTimeout))
	defer cancel()
	conn, err := o.open(ctx, &server)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", server.URL(), err)
	}
	c := &Client{
		opts: o, server: server, conn: conn, room: make(chan struct{}), kick: make(chan struct{}, 1), done: make(chan struct{}),
		packetMax: codec.MaxPacketBytes, waiting: make(map[uint16]*waiter), received: make(map[uint16]bool), aliases: make(map[uint16]string),
	}
	if w, ok := conn.(*wsConn); ok {
		c.web, w.wake = w, c.wake
	}
	stop := interrupted(ctx, conn)
	rest, err := c.handshake()
	if !stop() && err == nil {
		err = context.Cause(ctx) // the deadline is set that ends all reads
	}
	if err != nil {
		conn.Close()
		if ctx.Err() != nil {
			err = fmt.Errorf("no CONNACK in time: %w", context.Cause(ctx))
		}
		return nil, fmt.Errorf("connect to %s: %w", server.URL(), err)
	}
	window := o.InflightMax
	if p := &c.connack.Props; p.Has.Has(codec.PropReceiveMaximum) {
		window = min(window, int(p.ReceiveMaximum))
	}
	if p := &c.connack.Props; p.Has.Has(codec.PropMaximumPacket) && p.MaximumPacketBytes < codec.MaxPacketBytes {
		c.packetMax = int(p.MaximumPacketBytes)
	}
	c.window = make(chan struct{}, window)
	c.gone.Add(2)
	go c.read(rest)
	go c.write()
	return c, nil
}

// handshake sends CONNECT and reads CONNACK. rest is what came behind it.
func (c *Client) handshake() (rest []byte, err error) {
	if _, err := c.conn.Write(c.opts.connect()); err != nil {
		switch alert := lastAlert(c.conn, err); {
		case alert != nil:
			return nil, alert
		case ended(err):
			return nil, c.turnedAway(err)
		}
		return nil, fmt.Errorf("send CONNECT: %w", err)
	}
	buf := make([]byte, 0, 512)
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := c.conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		k, used, bad := codec.Next(buf, c.opts.PacketBytesMax)
		switch {
		case bad != nil && stranger(&c.server, buf) != nil:
			return nil, stranger(&c.server, buf)
		case bad != nil:
			return nil, fmt.Errorf("in the answer to CONNECT: %w", bad)
		case used > 0:
			if err := c.welcome(&k); err != nil {
				return nil, err
			}
			return buf[used:], nil
		case ended(err):
			return nil, c.turnedAway(err)
		case remoteAlert(err) != nil:
			return nil, remoteAlert(err)
		case err != nil:
			return nil, fmt.Errorf("wait for CONNACK: %w", err)
		}
	}
}

// turnedAway is why the server may have closed the connection before CONNACK.
func (c *Client) turnedAway(err error) error {
	why := "it may not speak MQTT " + c.opts.Version.String()
	switch {
	case c.server.TLS && (c.opts.TLS == nil || len(c.opts.TLS.Certificates) == 0):
		why += ", or ask for a client certificate"
	case c.server.Network == "tcp" && !c.server.TLS && !c.server.WebSocket:
		why += ", or TLS only (" + withTLS(&c.server) + ")"
	}
	return explain(err, "server closed the connection without a CONNACK; %s", why)
}

// welcome reads CONNACK.
func (c *Client) welcome(k *codec.Packet) error {
	if k.Type != codec.TypeConnack {
		return fmt.Errorf("the answer to CONNECT is %v", k.Type)
	}
	k.Body = append([]byte(nil), k.Body...) // c.connack is kept
	a := &c.connack
	if err := a.Decode(k, c.opts.Version); err != nil {
		return err
	}
	if a.ReturnCode != 0 || a.Reason.Failed() {
		return &ConnectError{Version: c.opts.Version, ReturnCode: a.ReturnCode, Reason: a.Reason, Text: string(a.Props.ReasonString)}
	}
	if a.Props.Has.Has(codec.PropServerKeepAlive) {
		c.opts.KeepAlive = time.Duration(a.Props.ServerKeepAliveSeconds) * time.Second
	}
	return nil
}

// SessionPresent reports whether the server had a session for the ClientID.
func (c *Client) SessionPresent() bool { return c.connack.SessionPresent }

// Connack returns what the server answered; it must not be written to.
func (c *Client) Connack() *codec.Connack { return &c.connack }

// TLS returns what was agreed on with a server behind TLS; ok is false without.
func (c *Client) TLS() (state tls.ConnectionState, ok bool) {
	conn := c.conn
	if c.web != nil {
		conn = c.web.Conn
	}
	if t, ok := conn.(*tls.Conn); ok {
		return t.ConnectionState(), true
	}
	return state, false
}

// Done is closed when the connection has ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err says why the connection has ended: ErrClosed after Close; nil before.
func (c *Client) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// fail ends the connection for one reason, the first one.
func (c *Client) fail(err error) {
	c.end.Do(func() {
		c.mu.Lock()
		c.err, c.closing = err, true
		waiting := c.waiting
		c.waiting = nil
		c.mu.Unlock()
		close(c.done)
		c.conn.Close()
		for _, w := range waiting {
			w.finish(nil, err)
		}
	})
}

// Close says DISCONNECT behind everything that was queued, and ends the
// connection. It does not wait for acknowledgements.
func (c *Client) Close() error { return c.Disconnect(&codec.Disconnect{}) }

// Disconnect is Close with a DISCONNECT packet of the caller's.
func (c *Client) Disconnect(d *codec.Disconnect) error {
	c.finishWriting(d)
	c.gone.Wait()
	if err := c.Err(); !errors.Is(err, ErrClosed) {
		return err
	}
	return nil
}

// finishWriting has the writer end the connection behind what is queued.
func (c *Client) finishWriting(d *codec.Disconnect) {
	c.mu.Lock()
	if !c.closing {
		c.closing = true
		c.out = codec.AppendDisconnect(c.out, c.opts.Version, d)
	}
	c.mu.Unlock()
	_ = c.conn.SetWriteDeadline(time.Now().Add(closeTimeout))
	c.wake()
}

// Abort ends the connection without DISCONNECT, so that the will is sent.
func (c *Client) Abort() {
	c.fail(ErrClosed)
	c.gone.Wait()
}

func (c *Client) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// queue appends a packet for the writer. It waits while too much is queued.
func (c *Client) queue(ctx context.Context, encode func(dst []byte) []byte) error {
	for {
		c.mu.Lock()
		if c.closing {
			c.mu.Unlock()
			return c.ended()
		}
		if begin := len(c.out); begin < outBytesMax {
			c.out = encode(c.out)
			err := c.tooLarge(len(c.out) - begin)
			if err != nil {
				c.out = c.out[:begin]
			}
			c.mu.Unlock()
			c.wake()
			return err
		}
		room := c.room
		c.mu.Unlock()
		select {
		case <-room:
		case <-c.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// answer queues an acknowledgement from the reading goroutine, which must not
// wait: a server that waits for it to read would wait for ever.
func (c *Client) answer(t codec.Type, id uint16) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return nil
	}
	begin := len(c.out)
	c.out = codec.AppendAckID(c.out, t, id)
	if c.answers += len(c.out) - begin; c.answers > answersBytesMax {
		return ErrAnswersUnread
	}
	c.wake()
	return nil
}

// lost is why reading came to its end: a server may be faster in closing after
// our DISCONNECT than we are.
func (c *Client) lost(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.parting:
		return ErrClosed
	case ended(err):
		return explain(err, "server closed the connection")
	case remoteAlert(err) != nil:
		return remoteAlert(err)
	}
	if e, ok := errors.AsType[*CloseError](err); ok {
		return e
	}
	return fmt.Errorf("receive: %w", err)
}

// leaving reports whether DISCONNECT is queued already.
func (c *Client) leaving() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// ended is the error of a call that came too late.
func (c *Client) ended() error {
	if err := c.Err(); err != nil {
		return err
	}
	return ErrClosed
}

// write sends what is queued, and PINGREQ in silence.
func (c *Client) write() {
	defer c.gone.Done()
	keep := c.opts.KeepAlive
	timer := time.NewTimer(max(keep, time.Second))
	defer timer.Stop()
	if keep <= 0 {
		timer.Stop()
	}
	var spare []byte
	for {
		c.mu.Lock()
		buf, last := c.out, c.closing
		c.parting = last
		c.out, c.answers = spare[:0], 0
		close(c.room)
		c.room = make(chan struct{})
		c.mu.Unlock()
		if len(buf) > 0 || c.web.owes() {
			if _, err := c.conn.Write(buf); err != nil {
				if ended(err) {
					err = explain(err, "server closed the connection")
				} else {
					err = fmt.Errorf("send: %w", err)
				}
				c.fail(err)
				return
			}
			if keep > 0 && !c.unanswered() {
				timer.Reset(keep)
			}
		}
		spare = buf
		if last {
			c.fail(ErrClosed)
			return
		}
		select {
		case <-c.kick:
		case <-c.done:
			return
		case <-timer.C:
			if c.unanswered() && !c.heard.Load() && !c.busy.Load() {
				c.fail(ErrPingTimeout)
				return
			}
			c.ping()
			timer.Reset(keep)
		}
	}
}

func (c *Client) unanswered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pinging
}

func (c *Client) ping() {
	c.mu.Lock()
	c.pinging = true
	c.heard.Store(false)
	c.out = append(c.out, codec.PingreqFrame...)
	c.mu.Unlock()
	c.wake()
}

// read handles what comes until the connection ends. buf holds what is there
// already. It grows as bytes come, not as a header promises.
func (c *Client) read(buf []byte) {
	defer c.gone.Done()
	for {
		c.busy.Store(true)
		for {
			k, n, err := codec.Next(buf, c.opts.PacketBytesMax)
			if err == nil && n > 0 {
				err = c.handle(&k)
			}
			if err != nil {
				c.fail(err)
				return
			}
			if n == 0 {
				break
			}
			buf = buf[n:]
		}
		if cap(buf)-len(buf) < readBytes/4 {
			buf = append(make([]byte, 0, max(readBytes, 2*len(buf))), buf...)
		}
		c.busy.Store(false)
		n, err := c.conn.Read(buf[len(buf):cap(buf)])
		c.heard.Store(true)
		buf = buf[:len(buf)+n]
		if err != nil && n == 0 {
			c.fail(c.lost(err))
			return
		}
	}
}
