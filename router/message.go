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
	text     []byte       // topic, and behind it the payload of a small one
	large    *buf.Ref     // payload of a large one, which deliveries share; else nil
	more     *messageMore // nil: neither properties nor expiry
	key      uint64       // of its record; 0 = there is none
	holders  int32
	queued   int32 // of those: places in queues, which may be cut
	topicLen uint16
	class    Durability // see keeper.class
	absent   bool       // the body is on disk only, see embody.go
}

// messageMore is what few messages have.
type messageMore struct {
	props    []byte       // encoded properties that travel unaltered
	expireAt int64        // ns; 0 = never
	writer   *Identity    // whose right to publish is looked at again; nil = nobody's
	owner    *userUse     // whose quota counts it while it is retained; nil = nobody's
	end      *retainedEnd // while it is retained; nil = it does not expire
}

// Topic returns the topic name; a view that lives as long as the message.
func (m *Message) Topic() []byte { return m.text[:m.topicLen] }

// Payload returns the payload; a view that lives as long as the message.
func (m *Message) Payload() []byte {
	if m.large != nil {
		return m.large.Bytes()
	}
	return m.text[m.topicLen:]
}

// props are the encoded properties that travel unaltered.
func (m *Message) props() []byte {
	if m.more == nil {
		return nil
	}
	return m.more.props
}

// expireAt is the instant from which the message is not delivered; 0 = never.
func (m *Message) expireAt() int64 {
	if m.more == nil {
		return 0
	}
	return m.more.expireAt
}

// writer is who published it, where that is looked at again.
func (m *Message) writer() *Identity {
	if m.more == nil {
		return nil
	}
	return m.more.writer
}

// owner is whose quota counts the message while it is retained.
func (m *Message) owner() *userUse {
	if m.more == nil {
		return nil
	}
	return m.more.owner
}

// bytes is what the message counts against limits.
func (m *Message) bytes() int { return int(m.topicLen) + len(m.props()) + len(m.Payload()) }

// extra is the memory that the message takes beside itself and what is the
// pool's.
func (m *Message) extra() (bytes int) {
	if cap(m.text) <= exactTextBytesMax {
		bytes = cap(m.text)
	}
	if m.large != nil {
		bytes += refBytes
	}
	if m.more != nil {
		bytes += moreBytes + cap(m.more.props)
	}
	return bytes
}

// weight is all the memory that is free when the message is.
func (m *Message) weight() int {
	n := messageBytes + m.extra()
	if cap(m.text) > exactTextBytesMax {
		n += cap(m.text)
	}
	if m.large != nil {
		n += cap(m.large.Bytes())
	}
	return n
}

// expired reports whether the message must no longer be delivered
// [MQTT-3.3.2-5].
func (m *Message) expired(now int64) bool { at := m.expireAt(); return at != 0 && now >= at }

// remaining is the Message Expiry that a subscriber is told, in seconds,
// rounded up: what was received less the time that went by [MQTT-3.3.2-6].
func remaining(expireAt, now int64) uint32 {
	left := max(0, expireAt-now)
	return uint32(min((left+int64(time.Second)-1)/int64(time.Second), math.MaxUint32))
}

// messagePoolMax bounds how many released messages are kept for reuse.
const messagePoolMax = 1024

// exactTextBytesMax is the longest text that has an allocation of its own size,
// because messages may be kept for long; a longer one comes from the pool.
const exactTextBytesMax = 512

// messagePool recycles messages, so that QoS 1 and 2 in the steady state
// allocate nothing.
type messagePool struct {
	free         []*Message
	live         int
	payloadBytes int64 // of those
	extra        int64 // what they take beside themselves and the pool
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
	small := p.payload
	if len(small) >= sharedBytesMin {
		small, m.large = nil, r.pool.NewRef(p.payload)
	}
	switch n := len(p.topic) + len(small); {
	case n <= cap(m.text):
	case n <= exactTextBytesMax:
		m.text = make([]byte, 0, n)
	default:
		m.text = r.pool.Get(n)
	}
	m.text = append(append(m.text[:0], p.topic...), small...)
	m.topicLen, m.class = uint16(len(p.topic)), durabilityOpen
	m.more = nil
	if len(p.props) > 0 || p.expireAt != 0 || p.writer != nil || p.owner != nil {
		m.more = &messageMore{props: append([]byte(nil), p.props...), expireAt: p.expireAt, writer: p.writer, owner: p.owner}
	}
	m.holders, m.queued, m.key, m.absent = 1, 0, 0, false
	r.messages.live++
	r.messages.payloadBytes += int64(len(p.payload))
	r.messages.extra += int64(m.extra())
	return m
}

func (m *Message) hold() *Message {
	m.holders++
	return m
}

// release gives one hold back.
func (r *Router) release(m *Message) {
	m.holders--
	invariant.Check(m.holders >= 0, "message %q released too often", m.Topic())
	if m.holders > 0 {
		return
	}
	r.messages.payloadBytes -= int64(len(m.Payload()))
	r.messages.extra -= int64(m.extra())
	if m.large != nil {
		m.large.Release()
		m.large = nil
	}
	if cap(m.text) > exactTextBytesMax {
		r.pool.Put(m.text)
		m.text = nil
	}
	m.more = nil
	r.messages.live--
	if len(r.messages.free) < messagePoolMax {
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
	writer   *Identity // set where it has an Access
	owner    *userUse  // set where retained messages have a quota
	most     int       // that quota
	qos      byte
	retain   bool
	v5       bool // raw is a 5.0 packet
	gone     bool // afterwards: its topic has no retained message
}

// bytes is what a message of p counts against limits.
func (p *publication) bytes() int { return len(p.topic) + len(p.props) + len(p.payload) }

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
