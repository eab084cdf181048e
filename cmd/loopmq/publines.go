package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/loopmq/loopmq/client"
	"github.com/loopmq/loopmq/codec"
)

// linePublisher publishes standard input line by line. When the connection is
// lost it connects again, and sends again what was not acknowledged.
type linePublisher struct {
	*publisher
	conn    *connection
	lines   chan []byte   // closed at the end of the input
	failed  chan error    // of reading it
	settled chan struct{} // some line has become settled
	pending []*line       // under mu, in the order of the input
	ended   bool          // lines is closed
}

// line is one message; a pointer to it tells it from others with the same text.
type line struct{ payload []byte }

func newLinePublisher(p *publisher, conn *connection) *linePublisher {
	return &linePublisher{
		publisher: p, conn: conn,
		lines: make(chan []byte), failed: make(chan error, 1), settled: make(chan struct{}, 1),
	}
}

// run publishes each line of the input, without its end. p.client is connected
// before and, unless there was an error, afterwards.
func (p *linePublisher) run(ctx context.Context, from io.Reader) error {
	go p.read(from)
	pause := newBackoff(reconnectFirst, reconnectLast)
	for {
		err := p.session(ctx)
		if err == nil {
			return p.outcome()
		}
		if ctx.Err() != nil || p.client.Err() == nil { // interrupted, or no fault of the connection
			return err
		}
		for up := false; !up; {
			if fatal(err) || ourFault(err) {
				return err
			}
			if err := pause.after(ctx, p.c, err); err != nil {
				return err
			}
			var next *client.Client
			if next, err = client.Dial(ctx, p.conn.Options); err == nil {
				p.client.Abort()
				p.client, up = next, true
				pause.reset()
				debugf(p.c, "connected to %s as %q", p.conn.server.URL(), p.conn.ClientID)
			}
		}
	}
}

// ourFault reports whether the server ended the connection because of what we
// send; it would do so again.
func ourFault(err error) bool {
	e, ok := errors.AsType[*client.ReasonError](err)
	return ok && e.Packet == codec.TypeDisconnect && slices.Contains([]codec.Reason{
		codec.MalformedPacket, codec.ProtocolError, codec.NotAuthorized, codec.SessionTakenOver, codec.TopicNameInvalid,
		codec.PacketTooLarge, codec.TopicAliasInvalid, codec.PayloadFormatInvalid, codec.RetainNotSupported, codec.QoSNotSupported,
	}, e.Reason)
}

// read hands over the lines; it waits in the system, and so on a goroutine of
// its own.
func (p *linePublisher) read(from io.Reader) {
	defer close(p.lines)
	for r := bufio.NewReader(from); ; {
		text, err := r.ReadBytes('\n')
		if n := len(text); n > 0 {
			if text[n-1] == '\n' {
				text = text[:n-1]
			}
			p.lines <- text
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			p.failed <- fmt.Errorf("read standard input: %w", err)
			return
		}
	}
}

// session sends over one connection: first what another left, then the input.
// nil: all of it is settled.
func (p *linePublisher) session(ctx context.Context) error {
	p.mu.Lock()
	left := slices.Clone(p.pending)
	p.mu.Unlock()
	for _, l := range left {
		if err := p.deliver(ctx, l); err != nil {
			return err
		}
	}
	for {
		p.mu.Lock()
		open := len(p.pending)
		p.mu.Unlock()
		in := p.lines
		if p.ended {
			if in = nil; open == 0 {
				return nil
			}
		}
		select {
		case text, more := <-in:
			if !more {
				p.ended = true
				continue
			}
			l := &line{text}
			p.mu.Lock()
			p.pending = append(p.pending, l)
			p.mu.Unlock()
			if err := p.deliver(ctx, l); err != nil {
				return err
			}
		case <-p.settled:
		case <-p.client.Done():
			return p.client.Err()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// deliver sends one line; it is pending until the server has answered.
func (p *linePublisher) deliver(ctx context.Context, l *line) error {
	m := p.message
	m.Payload = l.payload
	err := p.client.PublishAsync(ctx, &m, func(err error) {
		if e, ok := errors.AsType[*client.ReasonError](err); err != nil && (!ok || e.Packet == codec.TypeDisconnect) {
			return // the connection was lost; another one will do
		}
		p.mu.Lock()
		if p.first == nil {
			p.first = err
		}
		p.pending = slices.DeleteFunc(p.pending, func(other *line) bool { return other == l })
		p.mu.Unlock()
		select {
		case p.settled <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return fmt.Errorf("publish to %q: %w", m.Topic, err)
	}
	debugf(p.c, "published %d bytes to %q", len(l.payload), m.Topic)
	return nil
}

// outcome is what went wrong with the input, or with the first line that the
// server refused.
func (p *linePublisher) outcome() error {
	select {
	case err := <-p.failed:
		return err
	default:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.first != nil {
		return fmt.Errorf("publish to %q: %w", p.message.Topic, p.first)
	}
	return nil
}
