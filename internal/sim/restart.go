package sim

import (
	"cmp"
	"slices"

	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// DrawDurable is the plan of a seed for a router with a store, which is stopped
// and started anew on the way. Each commit is complete before the router is
// called again: what may happen in between is for the tests of package router,
// which cut the power there. Here the whole model looks at what a start finds.
func DrawDurable(seed uint64) *Plan { return drawDurable(seed).drawLong() }

func drawDurable(seed uint64) *Plan {
	p := draw(seed)
	r := &rng{seed ^ 0x5705e}
	p.Store, p.Batches, p.Stop = true, false, false
	p.Limits.QueuedMessagesMax, p.Limits.QueuedBytesMax = 0, 0 // what waits for the disk is not in the queue
	p.Limits.QueuedWindowMax = r.between(1, 8)
	for range r.between(1, 6) {
		p.Ops = slices.Insert(p.Ops, r.n(len(p.Ops)), Op{opRestart, 0, uint32(r.next())})
	}
	return p
}

// DrawClassed is the plan of a seed for a router with a store and classes of
// durability. It is not stopped, so a class makes no difference to clients.
func DrawClassed(seed uint64) *Plan {
	p := drawDurable(seed)
	p.Ops = slices.DeleteFunc(p.Ops, func(o Op) bool { return o.Kind == opRestart })
	p.drawClasses(&rng{seed ^ 0xc1a55})
	return p.drawLong()
}

func (p *Plan) drawClasses(r *rng) {
	for range r.between(1, 4) {
		filters := [...]string{"#", "a/#", "+", "a", "+/b", "b", "/#", "cold/#", "d/#", "+/+/#"}
		p.Classes = append(p.Classes, router.DurabilityRule{
			Filter: filters[r.n(len(filters))], Class: router.DurabilitySync + router.Durability(r.n(3)),
		})
	}
}

// memStore is store.Mem in the router's words.
type memStore struct{ *store.Mem }

func (m memStore) Put(key uint64, head, body []byte) { m.Mem.Put(store.Key(key), head, body) }
func (m memStore) Delete(key uint64) bool            { return m.Mem.Delete(store.Key(key)) }
func (m memStore) PutShared(key uint64, head []byte, body *buf.Ref) {
	m.Mem.PutShared(store.Key(key), head, body)
}

func (m memStore) DeleteRange(first, last uint64) {
	m.Mem.DeleteRange(store.Key(first), store.Key(last))
}

func (m memStore) Load(each func(key uint64, value []byte) error) error {
	return m.Mem.Load(func(k store.Key, _ int, value []byte) error { return each(uint64(k), value) })
}

func (m memStore) Read(keys []uint64, done func([]router.StoreValue)) bool {
	list := make([]store.Key, len(keys))
	for i, k := range keys {
		list[i] = store.Key(k)
	}
	return m.Mem.Read(list, func(values []store.Value) {
		answer := make([]router.StoreValue, len(values))
		for i, v := range values {
			answer[i] = router.StoreValue{Data: v.Data, Err: v.Err}
		}
		done(answer)
	})
}

// Fetch does not stand in the row of reads.
func (m memStore) Fetch(keys []uint64) (answer []router.StoreValue) {
	durable := m.Crash(store.FlightLost)
	memStore{durable}.Read(keys, func(v []router.StoreValue) { answer = v })
	durable.Answer()
	return answer
}

func (m memStore) Memory() int64 { return 0 }

// start makes a router, of what the store has if there is one.
func (w *World) start() {
	w.pool = buf.NewPool(1 << 16)
	limits := w.plan.Limits
	if b := w.plan.Break.Limits; b != nil {
		b(&limits)
	}
	cfg := router.Config{Limits: limits, Durability: w.plan.Classes, Pool: w.pool, Rand: func() uint64 {
		w.drawn = w.ids.next()
		return w.drawn
	}}
	w.told = nil
	cfg.Events = func(e *router.Event) {
		if e.Kind == router.EventUnacked || e.Kind == router.EventDuel {
			w.told = append(w.told, told{e.Kind, e.ClientID})
		}
	}
	if w.mem != nil {
		cfg.Store, cfg.Wall = memStore{w.mem}, func() int64 { return wallStart + w.now }
	}
	if w.plan.Disk != nil {
		w.newLife()
		cfg.Store = w.disk
	}
	w.router = router.New(cfg)
	if _, err := w.router.Restore(w.now); err != nil {
		w.fail("restore: %v", err)
	}
}

const wallStart = int64(1_700_000_000e9)

// commit lets the store finish, and ends and begins passes until it has.
func (w *World) commit() {
	for {
		w.wake = w.router.EndPass()
		w.endTogether()
		w.keepPromises()
		if !w.mem.Complete(nil) && !w.mem.Answer() {
			return
		}
		w.router.BeginPass(w.now)
	}
}

// restart stops the router without a word to anybody, and starts one on what
// its store has.
func (w *World) restart() {
	defer w.guard()
	if !w.model.mayRestart() || w.err != nil {
		return
	}
	w.note("- restart")
	for _, c := range w.conns {
		c.closing, c.reaped, c.why = true, true, errGone
	}
	was := w.conns
	w.conns, w.low, w.dying, w.ready, w.dirty, w.promises = nil, nil, nil, nil, nil, nil
	_ = w.mem.Close()
	w.mem = w.mem.Crash(store.FlightLost)
	w.start()
	w.router.BeginPass(w.now)
	w.step(stepRestart, nil, nil)
	for _, c := range was {
		w.hangUp(c)
	}
	w.again = true
}

// mayRestart tells whether it is known what a start finds: a session that has
// become one that ends with its connection is ended by a start, which passes on
// what it had, and what never got out to a client has a PacketID all the same.
func (m *model) mayRestart() bool {
	lasting, flights := 0, 0
	for _, s := range m.sessions {
		flights += len(s.flights)
		if s.number > 0 && s.expiry == 0 {
			return false
		}
		lasting += int(bit(s.number > 0, 1))
	}
	return lasting <= m.limits.SessionsMax && flights == m.w.router.Stats().Inflight
}

// restarted takes in that the router is a new one: sessions that end with their
// connection are gone, the others are away.
func (m *model) restarted() {
	m.duels, m.filings, m.buried = nil, nil, nil
	m.queueFull, m.tooLarge, m.ended, m.endedPerhaps = 0, 0, 0, 0
	m.offline = nil
	for _, r := range m.retained {
		m.armed++
		r.armed = m.armed
	}
	for _, s := range slices.Clone(m.sessions) {
		s.replays, s.lent, s.stuck, s.fresh, s.dirty = nil, nil, false, 0, true
		c := s.conn
		if c == nil {
			continue
		}
		w := c.will
		c.sess, c.will, s.conn = nil, nil, nil
		if s.number == 0 {
			for _, b := range s.subs {
				m.leaveGroup(b)
			}
			m.sessions = slices.Delete(m.sessions, slices.Index(m.sessions, s), slices.Index(m.sessions, s)+1)
			continue
		}
		s.away, s.endAt = m.now(), m.now()+s.expiry
		if s.will = w; w != nil {
			w.due = m.now() + w.delay
		}
	}
	m.offline = slices.Clone(m.sessions)
	slices.SortFunc(m.offline, func(a, b *session) int {
		return cmp.Or(cmp.Compare(a.away, b.away), cmp.Compare(a.number, b.number))
	})
	for _, s := range m.offline {
		if m.armed++; s.will != nil {
			s.will.armed = m.armed
		}
		m.armed++
		s.armed = m.armed
	}
}

// dropReplayed takes those out of what waits for s that are not in its queue but
// retained: they have a PacketID and have not left yet.
func (m *model) dropReplayed(s *session) {
	kept := m.is[:0]
	for _, q := range m.is {
		owed, has := 0, 0
		for _, d := range s.pending {
			owed += int(bit(equals(d, &q), 1))
		}
		for i := range kept {
			like := string(kept[i].payload) == string(q.payload) && kept[i].qos == q.qos && kept[i].props.sameTravel(&q.props)
			has += int(bit(like, 1))
		}
		retained := slices.ContainsFunc(s.replays, func(r *replay) bool {
			return slices.ContainsFunc(r.left, func(msg *message) bool { return equals(r.delivery(msg), &q) })
		})
		if has < owed || !retained {
			kept = append(kept, q)
		}
	}
	m.is = kept
}

// mixed reports whether what waits for s is what should, in some order: of two
// that look the same, one may be a retained message that stands elsewhere.
func (m *model) mixed(s *session) bool {
	if m.w.mem == nil || len(m.is) != len(s.pending) {
		return false
	}
	left := slices.Clone(m.is)
	for _, d := range s.pending {
		i := slices.IndexFunc(left, func(q waiting) bool { return equals(d, &q) })
		if i < 0 {
			return false
		}
		left = slices.Delete(left, i, i+1)
	}
	return true
}
