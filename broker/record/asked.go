package record

import "github.com/loopmq/loopmq/router"

// listenIn has the answers to what the router asks written down.
func (r *Recorder) listenIn(rc *router.Config) {
	random := rc.Rand
	rc.Rand = func() uint64 {
		n := random()
		if r.on {
			r.put(kindRandom, n)
		}
		return n
	}
	if identify := rc.Identify; identify != nil {
		rc.Identify = func(user, clientID string, from router.Peer) router.Verdict {
			v := identify(user, clientID, from)
			v.Identity = r.watched(v.Identity)
			if r.on {
				r.put(kindIdentity)
				r.verdict(0, &v)
			}
			return v
		}
	}
	if traffic := rc.Traffic; traffic != nil {
		rc.Traffic = func() router.Traffic {
			now := traffic()
			now.Memory = r.rt.MemoryState() // which a replay knows only where it counts
			if r.on {
				r.put(kindTraffic)
				r.json(now)
			}
			return now
		}
	}
	rc.Witness = (*witness)(r)
	r.keep(rc)
	methods := map[string]func() router.Exchange{}
	for name, start := range rc.AuthMethods {
		methods[name] = func() router.Exchange { return &exchange{start(), r} }
	}
	rc.AuthMethods = methods
}

// Verdict returns done for an Authenticator that is asked now, so that its answer is written down.
func (r *Recorder) Verdict(done func(router.Verdict)) func(router.Verdict) {
	t := r.current
	if !r.on || t == nil {
		return done
	}
	call := t.calls
	return func(v router.Verdict) {
		v.Identity = r.watched(v.Identity)
		atOnce := r.current == t && t.calls == call
		done(v)
		if !r.on {
			return
		}
		r.put(kindVerdict, t.n)
		r.verdict(flag(atOnce, flagAtOnce), &v)
	}
}

func (r *Recorder) verdict(flags uint64, v *router.Verdict) {
	r.identity(flags, v.Identity)
	r.number(uint64(v.Reason))
	r.text(v.Text)
	if v.Quota == (router.Quota{}) {
		r.text("")
	} else {
		r.json(v.Quota)
	}
	r.number(signed(v.Lifetime))
}

// watched is id with denials written down.
func (r *Recorder) watched(id *router.Identity) *router.Identity {
	if id == nil || id.Access == nil || !r.on {
		return id
	}
	return &router.Identity{User: id.User, Access: &access{of: id.Access, r: r}}
}

// access notes denials by the number of the question, counted over everybody.
type access struct {
	of    router.Access
	r     *Recorder
	saved bool // what it is kept as is written down
}

func (a *access) note(ruling router.Ruling) router.Ruling {
	a.r.rulings++
	if ruling.Denied && a.r.on {
		a.r.put(kindDenied, a.r.rulings)
	}
	return ruling
}

// MayPublish implements router.Access.
func (a *access) MayPublish(topic []byte) router.Ruling { return a.note(a.of.MayPublish(topic)) }

// MaySubscribe implements router.Access.
func (a *access) MaySubscribe(filter []byte) router.Ruling {
	return a.note(a.of.MaySubscribe(filter))
}

// MayReceive implements router.Access.
func (a *access) MayReceive(topic []byte) router.Ruling { return a.note(a.of.MayReceive(topic)) }

// exchange notes the steps of an enhanced authentication.
type exchange struct {
	of router.Exchange
	r  *Recorder
}

// Identity implements router.Exchange.
func (x *exchange) Identity() string { return x.of.Identity() }

// Step implements router.Exchange.
func (x *exchange) Step(data []byte) (answer []byte, done bool, err error) {
	answer, done, err = x.of.Step(data)
	if x.r.on {
		identity := ""
		if done {
			identity = x.Identity()
		}
		x.r.put(kindStep, flag(err != nil, flagFailed)|flag(done, flagDone)|flag(answer != nil, flagKnown))
		x.r.bytes(answer)
		x.r.text(identity)
	}
	return answer, done, err
}

// witness hears what the loop answers.
type witness Recorder

// Refused implements router.Witness.
func (w *witness) Refused(conn, sent uint64) { w.note(kindRefused, conn, sent) }

// Queued implements router.Witness.
func (w *witness) Queued(conn uint64, n int, taken uint64) {
	w.note(kindQueued, conn, uint64(n), taken)
}

// memoryPart is from how much of the limit on, in percent, MemoryUsed is written down: below that it changes nothing.
const memoryPart = 60

// Memory implements router.Witness.
func (w *witness) Memory(used, limit int64) int64 {
	if r := (*Recorder)(w); r.on && used >= limit/100*memoryPart {
		r.put(kindMemory, signed(used-r.used))
		r.used = used
	}
	return used
}

func (w *witness) note(k kind, conn uint64, n ...uint64) {
	if r := (*Recorder)(w); r.on {
		r.put(k, r.numbers[conn])
		for _, n := range n {
			r.number(n)
		}
	}
}
