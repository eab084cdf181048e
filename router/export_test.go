package router

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/loopmq/loopmq/internal/timer"
)

// Picture describes all that should outlive the process: equal pictures mean
// that a start has found everything.
func (r *Router) Picture() string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(r.sessions)) {
		if s := r.sessions[id]; s.kept != nil && s.expiry > 0 {
			r.paintSession(&b, s)
		}
	}
	var retained []string
	r.retained.Walk(func(topic string, m *retainedMessage) bool {
		if topic[0] != '$' && (m.key != 0 || r.keep.class(m.msg) != DurabilityNone) {
			retained = append(retained, fmt.Sprintf("retained q%d %s", m.qos, r.paintMessage(m.msg)))
		}
		return true
	})
	slices.Sort(retained)
	b.WriteString(strings.Join(retained, "\n"))
	return b.String()
}

// Lists is how long those lists are that must not grow while the store is full, or
// has failed, or its disk takes long.
type Lists struct{ Lots, Waiting, Shelves, Held, Dirty int }

// Lists tells how long they are.
func (r *Router) Lists() Lists {
	n := Lists{Lots: len(r.keep.lots), Held: len(r.memory.heldBack), Dirty: len(r.keep.dirty) + len(r.keep.lazy)}
	for _, l := range r.keep.lots {
		n.Waiting += len(l.clients)
		n.Shelves += len(l.shelves)
	}
	return n
}

// EndsAtRestart tells whether a session ends with its connection that has not
// always done so: a start ends it, and passes on what it had.
func (r *Router) EndsAtRestart() bool {
	for _, s := range r.sessions {
		if s.kept != nil && s.expiry == 0 {
			return true
		}
	}
	return false
}

func (r *Router) paintSession(b *strings.Builder, s *Session) {
	fmt.Fprintf(b, "session %q expiry %d user %q\n", s.id, s.expiry, userOf(s.identity))
	var subs []string
	s.subs.each(func(sub *Subscription) {
		o := subOptions{}
		if sub.opts != nil {
			o = *sub.opts
		}
		subs = append(subs, fmt.Sprintf("  filter %s q%d nolocal %v rap %v ids %v", sub.filter, sub.qos, o.noLocal, o.rap, o.ids))
	})
	slices.Sort(subs)
	fmt.Fprintln(b, strings.Join(subs, "\n"))
	for i := range s.out.open {
		e := s.out.at(i)
		if e.msg != nil && r.keep.class(e.msg) == DurabilityNone {
			if e.qos == 2 {
				e = &flight{n: e.n, state: flightPubcomp, delivery: delivery{qos: 2, retain: e.retain, from: e.from}}
			} else {
				continue
			}
		}
		fmt.Fprintf(b, "  flight %d state %d %s\n", e.packetID(), e.state, r.paintDelivery(&e.delivery))
	}
	for i := range s.queue.n {
		d := s.queue.at(i)
		if r.keep.class(d.msg) != DurabilityNone {
			fmt.Fprintf(b, "  waits %s\n", r.paintDelivery(d))
		}
	}
	if t := s.onShelf(); t != nil {
		r.paintShelf(b, t)
	}
	for id := range packetIDs {
		if s.received != nil && s.received.has(uint16(id)) && !(s.kept.unwritten != nil && s.kept.unwritten.has(uint16(id))) {
			fmt.Fprintf(b, "  received %d\n", id)
		}
	}
	w := s.delayed()
	if s.client != nil {
		w = s.client.will
	}
	if w != nil && (s.kept.will || r.keep.class(w.msg) != DurabilityNone) {
		fmt.Fprintf(b, "  will q%d retain %v delay %d expiry %d %s\n", w.qos, w.retain, w.delay, w.expiry, r.paintMessage(w.msg))
	}
}

// paintShelf reads what waits on disk only.
func (r *Router) paintShelf(b *strings.Builder, t *shelf) {
	r.eachShelved(t, func(d *delivery, err error) {
		if err != nil {
			fmt.Fprintf(b, "  waits %v\n", err)
			return
		}
		if r.keep.class(d.msg) != DurabilityNone {
			fmt.Fprintf(b, "  waits %s\n", r.paintDelivery(d))
		}
	})
}

func (r *Router) paintDelivery(d *delivery) string {
	origin := ""
	if o := d.from; o != nil {
		origin = fmt.Sprint(o.ids)
		if o.group != nil {
			origin += o.group.key
		}
	}
	if d.msg == nil {
		return fmt.Sprintf("q%d %v %s", d.qos, d.retain, origin)
	}
	return fmt.Sprintf("q%d %v %s %s", d.qos, d.retain, origin, r.paintMessage(d.msg))
}

func (r *Router) paintMessage(m *Message) string {
	if m.absent {
		if err := r.keep.embody(m, r.keep.store.Fetch([]uint64{recordKey(tableMessages, m.key)})[0]); err != nil {
			return err.Error()
		}
	}
	end := fmt.Sprint(r.keep.wallOf(m.expireAt()))
	if m.expired(r.now) {
		end = "over"
	}
	return fmt.Sprintf("%s %q props %x expiry %s", m.Topic(), m.Payload(), m.props(), end)
}

// ArmNobodys arms a timer that belongs to nothing.
func (r *Router) ArmNobodys() { r.timers.Set(new(timer.Timer), &retainedEnd{r: r}, 1<<62) }

// HeldBytes is how long the CONNECT is that is kept of a client who waited in a duel.
func (c *Client) HeldBytes() int { return len(c.rare.held.raw) }

// CheckLots holds what lots want against the deliveries that are not acknowledged.
func (r *Router) CheckLots() error {
	k := r.keep
	if k == nil || k.failed {
		return nil
	}
	unacked := make([]int, len(k.lots))
	note := func(d *delivery) {
		if d.key == 0 || d.qos != 1 || d.msg == nil || d.msg.class != DurabilitySync {
			return
		}
		for i := len(k.lots) - 1; i >= 0; i-- {
			if first := k.lots[i].first; first != 0 && first <= d.key {
				unacked[i]++
				return
			}
		}
	}
	for _, s := range k.r.sessions {
		for i := range s.out.open {
			note(&s.out.at(i).delivery)
		}
		for i := range s.queue.n {
			note(s.queue.at(i))
		}
	}
	for i, l := range k.lots {
		if l.wanted < unacked[i] {
			return fmt.Errorf("lot %d wants %d entries, %d are not acknowledged", k.done+1+uint64(i), l.wanted, unacked[i])
		}
		if !l.firm && len(l.sessions)+len(l.shelves) > 0 {
			return fmt.Errorf("lot %d may go before it is durable, and is waited for", k.done+1+uint64(i))
		}
	}
	return differs("lots", len(k.lots), int(k.open-k.done))
}
