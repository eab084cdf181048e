package router

import (
	"time"

	"github.com/loopmq/loopmq/codec"
)

// What another broker has kept is adopted by a router that has restored an
// empty Store: first sessions and their subscriptions, then what they are owed,
// then retained messages and what clients were in the middle of sending. It all
// becomes records as if it had happened here.

// Adopted is a message of another broker. The caller holds it until Disown.
type Adopted struct{ msg *Message }

// AdoptSession makes a session that is away since leftAt, in nanoseconds since
// 1970. False: it is there already, or ends with its connection.
func (r *Router) AdoptSession(clientID, user string, expiry time.Duration, leftAt int64) bool {
	k := r.keep
	if r.sessions[clientID] != nil || clientID == "" || expiry <= 0 {
		return false
	}
	s := r.newSession(clientID)
	s.expiry = min(expiry, r.limits.SessionExpiry).Nanoseconds()
	if user != "" {
		s.identity = &Identity{User: user}
	}
	k.sessions++
	s.kept = &kept{number: k.sessions}
	r.offline.add(s)
	k.putSession(s, min(leftAt, k.now))
	return true
}

// AdoptSubscription gives a session a filter; id is its Subscription
// Identifier, 0 for none. False: there is no such session.
func (r *Router) AdoptSubscription(clientID string, f *codec.Filter, id uint32) (bool, error) {
	s := r.sessions[clientID]
	if s == nil {
		return false, nil
	}
	if err := checkFilter(f); err != nil {
		return false, err
	}
	sub := s.subs.find(f.Name)
	if sub == nil {
		if !r.index.HasRoom(f.Name) {
			return false, errNoMemoryToKeep
		}
		sub = r.enter(s, f.Name)
	}
	var ids []uint32
	if id != 0 {
		ids = []uint32{id}
	}
	sub.qos = f.QoS
	sub.setOptions(f, ids)
	r.keepSubscription(sub)
	return true, nil
}

// Adopt copies a message; expireAt is in nanoseconds since 1970, 0 for never.
func (r *Router) Adopt(p *codec.Publish, expireAt int64) Adopted {
	pub := r.adoptedPublication(p, expireAt)
	return Adopted{r.cloneMessage(&pub)}
}

// Disown gives a message back when all its owners have been named.
func (r *Router) Disown(a Adopted) { r.release(a.msg) }

func (r *Router) adoptedPublication(p *codec.Publish, expireAt int64) publication {
	pub := publication{topic: p.Topic, payload: p.Payload, qos: p.QoS, retain: p.Retain}
	r.setProps(&pub, &p.Props)
	pub.expireAt = r.keep.instantOf(expireAt)
	return pub
}

// AdoptQueued has a message wait for a session. False: there is no such
// session.
func (r *Router) AdoptQueued(clientID string, a Adopted, qos byte, retain bool, id uint32) bool {
	s := r.sessions[clientID]
	if s == nil || qos == 0 {
		return false
	}
	r.enqueue(s, delivery{msg: a.msg, from: adoptedOrigin(id), qos: qos, retain: retain})
	return true
}

// AdoptFlight has a message be in flight to a session with the PacketID that it
// had; released says that PUBREC has come. Messages come in the order in which
// they were sent. False: that cannot be, and the message may be queued.
func (r *Router) AdoptFlight(clientID string, a Adopted, qos byte, retain bool, id uint32, packetID uint16, released bool) bool {
	s := r.sessions[clientID]
	if s == nil || qos == 0 || packetID == 0 || s.out.find(packetID) != nil || s.queue.n > 0 {
		return false
	}
	s.own()
	n := s.out.next - s.out.next%packetIDs + uint64(packetID-1)
	if n < s.out.next {
		n += packetIDs
	}
	s.out.next = n
	e := r.open(s, delivery{msg: a.msg, from: adoptedOrigin(id), qos: qos, retain: retain})
	e.sent = true
	if released && qos == 2 {
		r.keepReleased(s, e)
		r.release(a.msg)
		e.msg, e.state = nil, flightPubcomp
	}
	return true
}

func adoptedOrigin(id uint32) *origin {
	if id == 0 {
		return nil
	}
	return &origin{ids: []uint32{id}}
}

// AdoptRetained makes p the retained message of its topic.
func (r *Router) AdoptRetained(p *codec.Publish, expireAt int64) {
	pub := r.adoptedPublication(p, expireAt)
	f := &r.fan
	f.begin(&pub)
	r.retain(&pub)
	if f.msg != nil {
		r.release(f.msg)
		f.msg = nil
	}
}

// AdoptReceived publishes a QoS 2 message that a client has sent and not yet
// released: the other broker waited for that, this one does not.
func (r *Router) AdoptReceived(clientID string, p *codec.Publish, expireAt int64) bool {
	s := r.sessions[clientID]
	if s == nil || p.PacketID == 0 || s.received != nil && s.received.has(p.PacketID) {
		return false
	}
	pub := r.adoptedPublication(p, expireAt)
	pub.from = s
	r.route(&pub)
	s.markReceived(p.PacketID, DurabilitySync)
	return true
}
