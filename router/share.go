package router

import "slices"

// shareGroup is one shared subscription (section 4.8.2): a filter, and the
// sessions of which each message goes to one.
type shareGroup struct {
	key     string // $share/group/filter
	filter  string
	entry   *Subscription // stands in the index for all members
	members []*Subscription
	turn    int // whose turn it is
}

// shareProbesMax is how many members are looked at for one message.
const shareProbesMax = 64

// joinShare makes sub a member of its group, which it makes where there is
// none.
func (r *Router) joinShare(sub *Subscription, filter []byte) {
	g := r.shares[sub.filter]
	if g == nil {
		g = &shareGroup{key: sub.filter, filter: string(filter)}
		g.entry = &Subscription{filter: g.key, opts: &subOptions{entry: g}}
		r.shares[g.key] = g
		r.index.Insert(g.filter, g.entry)
	}
	sub.opts = &subOptions{origin: origin{group: g}}
	g.members = append(g.members, sub)
	r.sharedSubs++
}

// leaveShare takes sub out of its group, which ends with its last member.
func (r *Router) leaveShare(sub *Subscription) {
	g := sub.opts.group
	i := slices.Index(g.members, sub)
	g.members = slices.Delete(g.members, i, i+1)
	if g.turn > i {
		g.turn--
	}
	r.sharedSubs--
	if len(g.members) == 0 {
		r.index.Remove(g.filter, g.entry)
		delete(r.shares, g.key)
	}
}

// deliverShared hands the fan's PUBLISH to one member.
func (r *Router) deliverShared(g *shareGroup) {
	p := r.fan.p
	for range min(len(g.members), shareProbesMax) {
		sub := g.pick(p.topic, p.qos, p.bytes())
		if sub == nil {
			break
		}
		result := r.deliver(sub.session, min(p.qos, sub.qos), sub.opts.rap && p.retain, sub.origin())
		if result == putSent || result == putTooLarge {
			return
		}
		// The output of this one is full, and QoS 0 does not wait: the next one.
	}
	r.stats.Dropped[DropNoMember]++
}

// pick chooses the member for a message of size bytes: in turn, those first that are
// there and have room in their window, then those that are there, then those whose
// queue keeps the message until they come, then those whose queue is full. nil:
// nobody can take it.
func (g *shareGroup) pick(topic []byte, qos byte, size int) *Subscription {
	best, place := 0, -1
	probes := min(len(g.members), shareProbesMax)
	for k := 0; k < probes; k++ {
		i := (g.turn + k) % len(g.members)
		if g.members[i].session.gone() { // it will be taken out soon
			probes = min(len(g.members), probes+1)
			continue
		}
		if fit := g.members[i].fitness(topic, qos, size); fit > best {
			best, place = fit, i
			if fit == fitNow {
				break
			}
		}
	}
	if place < 0 {
		return nil
	}
	g.turn = (place + 1) % len(g.members)
	return g.members[place]
}

// How well a member can take a message.
const (
	fitNever = iota // is away, and QoS 0 does not wait; or may not have it
	fitFull         // something would be lost: what comes, or what waits
	fitLater        // is away
	fitSoon         // is there, its window is full
	fitNow
)

func (sub *Subscription) fitness(topic []byte, qos byte, size int) int {
	s := sub.session
	acked, here := min(qos, sub.qos) > 0, s.client != nil && !s.client.closing
	switch {
	case !s.mayReceive(topic):
		return fitNever
	case !here && !acked:
		return fitNever
	case !acked || here && s.ready():
		return fitNow
	}
	if _, over := s.over(1, size); over {
		return fitFull
	}
	if here {
		return fitSoon
	}
	return fitLater
}

// passOn gives a message of a session that has ended to another member of its
// group. What was sent with QoS 2 must not go to anybody else [MQTT-4.8.2-5]; nor what
// a disk that has failed still has: the next start finds the session again.
func (r *Router) passOn(d *delivery, sent bool) {
	if d.from == nil || d.from.group == nil || sent && d.qos == 2 || d.key != 0 && r.keep.failed {
		return
	}
	g := r.shares[d.from.group.key] // all members may have changed since
	if g == nil {
		return
	}
	sub := g.pick(d.msg.Topic(), d.qos, d.msg.bytes())
	if sub == nil {
		return
	}
	if d.msg.expired(r.now) { // [MQTT-3.3.2-5]
		r.stats.Dropped[DropExpired]++
		return
	}
	r.stats.PassedOn++
	next := delivery{msg: d.msg, from: sub.origin(), qos: min(d.qos, sub.qos), retain: d.retain}
	if next.qos > 0 {
		r.give(sub.session, next)
		return
	}
	if c := sub.session.client; c != nil && c.behind || !r.sendUnacked(sub.session, &next) {
		r.putLate(sub.session, next)
	}
}
