package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/loopmq/loopmq/codec"
)

// waiter is a request that waits for the server's answer.
type waiter struct {
	answer codec.Type // what ends it
	finish func(codes []byte, err error)
	flight bool // holds a token of the window
}

// register gives a waiter a PacketID. There is always one: the window is
// smaller than the number of PacketIDs and other requests are few.
func (c *Client) register(w *waiter) (uint16, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		if c.err != nil {
			return 0, c.err // fail sets it
		}
		return 0, ErrClosed
	}
	for range 65535 {
		c.nextID++
		if c.nextID == 0 {
			c.nextID = 1
		}
		if c.waiting[c.nextID] == nil {
			c.waiting[c.nextID] = w
			return c.nextID, nil
		}
	}
	return 0, errors.New("all 65535 PacketIDs are in use")
}

// finish ends the request with this PacketID, if the answer is its own.
func (c *Client) finish(id uint16, answer codec.Type, codes []byte, err error) {
	c.mu.Lock()
	w := c.waiting[id]
	if w == nil || w.answer != answer {
		c.mu.Unlock()
		return // late, or a stray: it harms nobody
	}
	delete(c.waiting, id)
	c.mu.Unlock()
	if w.flight {
		<-c.window
	}
	w.finish(codes, err)
}

// forget takes back a request whose caller waits no longer. Its PacketID is
// free again, which the server may see as a repeat: so only where nothing was
// sent, or the connection ends.
// False: it is ended already, or will be.
func (c *Client) forget(id uint16, w *waiter) bool {
	c.mu.Lock()
	mine := c.waiting[id] == w
	delete(c.waiting, id)
	c.mu.Unlock()
	if mine && w.flight {
		<-c.window
	}
	return mine
}

// Publish sends a message and returns when its handshake is complete, with QoS
// 0 when it is queued. A *ReasonError says that a 5.0 server refused it, with
// CONNACK already if that is its Packet: then nothing was sent.
func (c *Client) Publish(ctx context.Context, m *Message) error {
	result := make(chan error, 1)
	if err := c.PublishAsync(ctx, m, func(err error) { result <- err }); err != nil {
		return err
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("publish to %q: %w", m.Topic, context.Cause(ctx))
	}
}

// PublishAsync sends a message and returns when it is queued; it waits while
// as many messages are in flight as may be. done is called once if the error is
// nil, when the handshake is complete or the connection has ended; for QoS 0 at
// once. It must not block.
func (c *Client) PublishAsync(ctx context.Context, m *Message, done func(error)) error {
	if err := m.Check(); err != nil {
		return err
	}
	if err := c.allowed(m); err != nil {
		return err
	}
	p := codec.Publish{QoS: m.QoS, Retain: m.Retain, Topic: []byte(m.Topic), Payload: m.Payload, Props: m.Props}
	if m.QoS == 0 {
		err := c.queue(ctx, func(dst []byte) []byte { return codec.AppendPublish(dst, c.opts.Version, &p) })
		if err == nil && done != nil {
			done(nil)
		}
		return err
	}
	select {
	case c.window <- struct{}{}:
	case <-c.done:
		return c.ended()
	case <-ctx.Done():
		return fmt.Errorf("publish to %q: %w", m.Topic, context.Cause(ctx))
	}
	w := &waiter{answer: codec.TypePuback, flight: true, finish: func(_ []byte, err error) {
		if done != nil {
			done(err)
		}
	}}
	if m.QoS == 2 {
		w.answer = codec.TypePubcomp
	}
	id, err := c.register(w)
	if err != nil {
		<-c.window
		return err
	}
	p.PacketID = id
	if err := c.queue(ctx, func(dst []byte) []byte { return codec.AppendPublish(dst, c.opts.Version, &p) }); err != nil && c.forget(id, w) {
		return err
	}
	return nil
}

// Subscribe asks for filters and returns the server's code for each: the
// granted QoS or a failure, of which there is only 0x80 in 3.x.
func (c *Client) Subscribe(ctx context.Context, filters ...codec.Filter) ([]codec.Reason, error) {
	return c.SubscribeWith(ctx, codec.Properties{}, filters...)
}

// SubscribeWith is Subscribe with properties of 5.0.
func (c *Client) SubscribeWith(ctx context.Context, props codec.Properties, filters ...codec.Filter) ([]codec.Reason, error) {
	for i := range filters {
		if err := checkFilter(filters[i].Name); err != nil {
			return nil, err
		}
	}
	if err := checkProps(&props); err != nil {
		return nil, err
	}
	return c.request(ctx, codec.TypeSuback, len(filters), func(dst []byte, id uint16) []byte {
		return codec.AppendSubscribe(dst, c.opts.Version, &codec.Subscribe{PacketID: id, Props: props}, filters)
	})
}

// Unsubscribe takes filters back. The codes are empty in 3.x.
func (c *Client) Unsubscribe(ctx context.Context, filters ...string) ([]codec.Reason, error) {
	return c.UnsubscribeWith(ctx, codec.Properties{}, filters...)
}

// UnsubscribeWith is Unsubscribe with properties of 5.0.
func (c *Client) UnsubscribeWith(ctx context.Context, props codec.Properties, filters ...string) ([]codec.Reason, error) {
	names := make([][]byte, len(filters))
	for i, f := range filters {
		names[i] = []byte(f)
		if err := checkFilter(names[i]); err != nil {
			return nil, err
		}
	}
	if err := checkProps(&props); err != nil {
		return nil, err
	}
	return c.request(ctx, codec.TypeUnsuback, len(filters), func(dst []byte, id uint16) []byte {
		return codec.AppendUnsubscribe(dst, c.opts.Version, &codec.Unsubscribe{PacketID: id, Props: props}, names)
	})
}

// request sends a SUBSCRIBE or UNSUBSCRIBE and waits for its answer.
func (c *Client) request(ctx context.Context, answer codec.Type, n int, encode func(dst []byte, id uint16) []byte) ([]codec.Reason, error) {
	if n == 0 {
		return nil, errors.New("no filter given")
	}
	type result struct {
		codes []byte
		err   error
	}
	got := make(chan result, 1)
	w := &waiter{answer: answer, finish: func(codes []byte, err error) { got <- result{codes, err} }}
	id, err := c.register(w)
	if err != nil {
		return nil, err
	}
	if err := c.queue(ctx, func(dst []byte) []byte { return encode(dst, id) }); err != nil {
		c.forget(id, w)
		return nil, err
	}
	select {
	case r := <-got:
		if r.err != nil {
			return nil, r.err
		}
		if len(r.codes) != n && (answer == codec.TypeSuback || c.opts.Version == codec.V5) {
			return nil, fmt.Errorf("%v has %d codes for %d filters", answer, len(r.codes), n)
		}
		codes := make([]codec.Reason, len(r.codes))
		for i, code := range r.codes {
			codes[i] = codec.Reason(code)
		}
		return codes, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for %v: %w", answer, context.Cause(ctx))
	}
}
