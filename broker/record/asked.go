package record

import (
	"encoding/binary"
	"encoding/json"

	"github.com/loopmq/loopmq/router"
)

// listenIn has the answers to what the router asks written down.
func (r *Recorder) listenIn(rc *router.Config) {
	random := rc.Rand
	rc.Rand = func() uint64 {
		n := random()
		if r.on {
			r.buf = binary.AppendUvarint(append(r.buf, byte(kindRandom)), n)
		}
		return n
	}
	if identify := rc.Identify; identify != nil {
		rc.Identify = func(user, clientID string, from router.Peer) router.Verdict {
			v := identify(user, clientID, from)
			v.Identity = r.watched(v.Identity)
			if r.on {
				b := appendIdentity(append(r.buf, byte(kindIdentity)), 0, v.Identity)
				r.buf = appendJSON(appendString(append(b, byte(v.Reason)), v.Text), v.Quota)
			}
			return v
		}
	}
	if traffic := rc.Traffic; traffic != nil {
		rc.Traffic = func() router.Traffic {
			now := traffic()
			if r.on {
				r.buf = appendJSON(append(r.buf, byte(kindTraffic)), now)
			}
			return now
		}
	}
	rc.Witness = witness{r}
	r.keep(rc)
	methods := map[string]func() router.Exchange{}
	for name, start := range rc.AuthMethods {
		methods[name] = func() router.Exchange { return &exchange{start(), r} }
	}
	rc.AuthMethods = methods
}

// appendJSON adds plain fields as a string of JSON.
func appendJSON(b []byte, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("record: " + err.Error())
	}
	return appendString(b, string(text))
}

func appendIdentity(b []byte, flags byte, id *router.Identity) []byte {
	if id == nil {
		return appendString(append(b, flags), "")
	}
	return appendString(append(b, flags|flagKnown|flag(id.Access != nil, flagGuarded)), id.User)
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
		b := appendIdentity(t.begin(kindVerdict), flag(atOnce, flagAtOnce), v.Identity)
		b = appendString(append(b, byte(v.Reason)), v.Text)
		if v.Quota == (router.Quota{}) {
			b = appendString(b, "")
		} else {
			b = appendJSON(b, v.Quota)
		}
		r.buf = binary.AppendVarint(b, v.Lifetime)
	}
}

// watched is id with denials written down.
func (r *Recorder) watched(id *router.Identity) *router.Identity {
	if id == nil || id.Access == nil || !r.on {
		return id
	}
	return &router.Identity{User: id.User, Access: &access{Access: id.Access, r: r}}
}

// access notes denials by the number of the question, counted over everybody.
type access struct {
	router.Access
	r     *Recorder
	saved bool // what it is kept as is written down
}

func (a *access) note(ruling router.Ruling) router.Ruling {
	a.r.rulings++
	if ruling.Denied && a.r.on {
		a.r.buf = binary.AppendUvarint(append(a.r.buf, byte(kindDenied)), a.r.rulings)
	}
	return ruling
}

// MayPublish implements router.Access.
func (a *access) MayPublish(topic []byte) router.Ruling { return a.note(a.Access.MayPublish(topic)) }

// MaySubscribe implements router.Access.
func (a *access) MaySubscribe(filter []byte) router.Ruling {
	return a.note(a.Access.MaySubscribe(filter))
}

// MayReceive implements router.Access.
func (a *access) MayReceive(topic []byte) router.Ruling { return a.note(a.Access.MayReceive(topic)) }

// exchange notes the steps of an enhanced authentication.
type exchange struct {
	router.Exchange
	r *Recorder
}

// Step implements router.Exchange.
func (x *exchange) Step(data []byte) (answer []byte, done bool, err error) {
	answer, done, err = x.Exchange.Step(data)
	if x.r.on {
		identity := ""
		if done {
			identity = x.Identity()
		}
		b := append(x.r.buf, byte(kindStep), flag(err != nil, flagFailed)|flag(done, flagDone)|flag(answer != nil, flagKnown))
		x.r.buf = appendString(appendString(b, string(answer)), identity)
	}
	return answer, done, err
}

// witness hears what the loop answers.
type witness struct{ r *Recorder }

// Refused implements router.Witness.
func (w witness) Refused(conn, sent uint64) { w.note(kindRefused, conn, sent) }

// Queued implements router.Witness.
func (w witness) Queued(conn uint64, n int) { w.note(kindQueued, conn, uint64(n)) }

func (w witness) note(k kind, conn, n uint64) {
	if r := w.r; r.on {
		b := binary.AppendUvarint(append(r.buf, byte(k)), r.numbers[conn])
		r.buf = binary.AppendUvarint(b, n)
	}
}
