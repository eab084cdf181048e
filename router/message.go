package router

import (
	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/internal/invariant"
)

// Message is one PUBLISH kept beyond its pass: queued, in flight, retained or
// waiting as a will. All holders share it.
type Message struct {
	topic   []byte
	payload *buf.Ref
	holders int32
}

// Topic returns the topic name; a view that lives as long as the message.
func (m *Message) Topic() []byte { return m.topic }

// Payload returns the payload; a view that lives as long as the message.
func (m *Message) Payload() []byte { return m.payload.Bytes() }

// bytes is what the message counts against limits.
func (m *Message) bytes() int { return len(m.topic) + len(m.payload.Bytes()) }

// messagePoolMax bounds how many released messages are kept for reuse.
const messagePoolMax = 1024

// reusedTopicBytesMax is the largest topic buffer a pooled message keeps.
const reusedTopicBytesMax = 128

// messagePool recycles messages, so that QoS 1 and 2 in the steady state
// allocate nothing.
type messagePool struct {
	free []*Message
	live int
}

// cloneMessage copies what p points to. The caller is its first holder.
func (r *Router) cloneMessage(p *codec.Publish) *Message {
	var m *Message
	if n := len(r.messages.free); n > 0 {
		m = r.messages.free[n-1]
		r.messages.free = r.messages.free[:n-1]
	} else {
		m = new(Message)
	}
	m.topic = append(m.topic[:0], p.Topic...)
	m.payload = r.pool.NewRef(p.Payload)
	m.holders = 1
	r.messages.live++
	return m
}

func (m *Message) hold() *Message {
	m.holders++
	return m
}

// release gives one hold back.
func (r *Router) release(m *Message) {
	m.holders--
	invariant.Check(m.holders >= 0, "message %q released too often", m.topic)
	if m.holders > 0 {
		return
	}
	m.payload.Release()
	m.payload = nil
	r.messages.live--
	if len(r.messages.free) < messagePoolMax && cap(m.topic) <= reusedTopicBytesMax {
		r.messages.free = append(r.messages.free, m)
	}
}
