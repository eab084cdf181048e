package router

import (
	"math"
	"time"

	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/internal/invariant"
)

// Message is one PUBLISH kept beyond its pass: queued, in flight, retained or
// waiting as a will. All holders share it.
type Message struct {
	topic    []byte
	props    []byte // encoded properties that travel unaltered
	payload  *buf.Ref
	expireAt int64 // ns; 0 = never
	holders  int32
}

// Topic returns the topic name; a view that lives as long as the message.
func (m *Message) Topic() []byte { return m.topic }

// Payload returns the payload; a view that lives as long as the message.
func (m *Message) Payload() []byte { return m.payload.Bytes() }

// bytes is what the message counts against limits.
func (m *Message) bytes() int { return len(m.topic) + len(m.props) + len(m.payload.Bytes()) }

// expired reports whether the message must no longer be delivered
// [MQTT-3.3.2-5].
func (m *Message) expired(now int64) bool { return m.expireAt != 0 && now >= m.expireAt }

// remaining is the Message Expiry that a subscriber is told, in seconds,
// rounded up: what was received less the time that went by [MQTT-3.3.2-6].
func remaining(expireAt, now int64) uint32 {
	left := max(0, expireAt-now)
	return uint32(min((left+int64(time.Second)-1)/int64(time.Second), math.MaxUint32))
}

// messagePoolMax bounds how many released messages are kept for reuse.
const messagePoolMax = 1024

// reusedTopicBytesMax is the largest topic or property buffer that a pooled
// message keeps.
const reusedTopicBytesMax = 128

// messagePool recycles messages, so that QoS 1 and 2 in the steady state
// allocate nothing.
type messagePool struct {
	free []*Message
	live int
}

// cloneMessage copies what p points to. The caller is its first holder.
func (r *Router) cloneMessage(p *publication) *Message {
	var m *Message
	if n := len(r.messages.free); n > 0 {
		m = r.messages.free[n-1]
		r.messages.free = r.messages.free[:n-1]
	} else {
		m = new(Message)
	}
	m.topic = append(m.topic[:0], p.topic...)
	m.props = append(m.props[:0], p.props...)
	m.payload = r.pool.NewRef(p.payload)
	m.expireAt = p.expireAt
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
	if len(r.messages.free) < messagePoolMax && cap(m.topic) <= reusedTopicBytesMax && cap(m.props) <= reusedTopicBytesMax {
		r.messages.free = append(r.messages.free, m)
	}
}

// publication is one PUBLISH on its way to its subscribers: of a client, or a
// will. All slices are views.
type publication struct {
	topic    []byte
	payload  []byte
	props    []byte // encoded properties that travel unaltered
	raw      []byte // QoS 0: the packet as it came; nil when it cannot be passed on as it is
	expireAt int64  // ns; 0 = never
	from     *Session
	qos      byte
	retain   bool
	v5       bool // raw is a 5.0 packet
}

// setProps takes what travels from the properties of a PUBLISH.
func (r *Router) setProps(p *publication, props *codec.Properties) {
	p.props, p.expireAt = nil, 0
	if props.Has == 0 {
		return
	}
	r.propsScratch = props.AppendForwarded(r.propsScratch[:0])
	p.props = r.propsScratch
	if p.props == nil {
		p.props = []byte{} // says that there is something to reset
	}
	if props.Has.Has(codec.PropMessageExpiry) {
		p.expireAt = max(1, r.now+int64(props.MessageExpirySeconds)*int64(time.Second))
	}
	if props.Has.Has(codec.PropTopicAlias) {
		p.raw = nil // an alias is between two peers
	}
}
