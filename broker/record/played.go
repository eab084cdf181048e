package record

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/router"
)

// errDenied is what a step of an authentication ended with; its words are not written down.
var errDenied = errors.New("failed, as it did then")

// answers are what the router was told when it asked, in the order of its questions.
type answers struct {
	randoms    []uint64
	identities []router.Verdict
	traffics   []router.Traffic
	steps      []step
	asked      uint64 // questions to an Access
	denied     map[uint64]bool
}

type step struct {
	flags    uint64
	answer   []byte
	identity string
}

// answer reads one of them.
func (p *player) answer(k kind) {
	switch k {
	case kindRandom:
		p.randoms = append(p.randoms, p.number())
	case kindDenied:
		p.denied[p.number()] = true
	case kindIdentity:
		p.identities = append(p.identities, p.verdict().Verdict)
	case kindTraffic:
		var t router.Traffic
		p.json(&t)
		p.traffics = append(p.traffics, t)
	case kindStep:
		s := step{flags: p.number(), answer: p.bytes(), identity: p.text()}
		if s.flags&flagKnown == 0 {
			s.answer = nil
		}
		p.steps = append(p.steps, s)
	default:
		p.fail(fmt.Errorf("the recording is damaged, or of another version: event %q", k))
	}
}

// next takes the first of list.
func next[T any](p *player, list *[]T, what string) (v T) {
	if len(*list) == 0 {
		p.differs("the router asks for %s, which it did not then", what)
		return v
	}
	v = (*list)[0]
	*list = (*list)[1:]
	return v
}

func (p *player) random() uint64 { return next(p, &p.randoms, "a random number") }

func (p *player) identity() router.Verdict {
	return next(p, &p.identities, "somebody's identity")
}

func (p *player) traffic() router.Traffic { return next(p, &p.traffics, "the traffic") }

// who is the Identity that flags and user stand for.
func (p *player) who(flags uint64, user string) *router.Identity {
	if flags&flagKnown == 0 {
		return nil
	}
	id := &router.Identity{User: user}
	if flags&flagGuarded != 0 {
		id.Access = &guard{p: p}
	}
	return id
}

// guard denies somebody what was denied then.
type guard struct {
	p     *player
	known bool   // what follows is
	saved []byte // as which he is kept
}

func (g *guard) ruling() router.Ruling {
	g.p.asked++
	return router.Ruling{Denied: g.p.denied[g.p.asked]}
}

// MayPublish implements router.Access.
func (g *guard) MayPublish([]byte) router.Ruling { return g.ruling() }

// MaySubscribe implements router.Access.
func (g *guard) MaySubscribe([]byte) router.Ruling { return g.ruling() }

// MayReceive implements router.Access.
func (g *guard) MayReceive([]byte) router.Ruling { return g.ruling() }

// Authenticate implements router.Authenticator: with the verdict that was given at once, or with one that comes later.
func (p *player) Authenticate(_ *router.Credentials, done func(router.Verdict)) {
	c := p.current
	if c == nil {
		p.differs("an authentication outside of Data")
		return
	}
	if len(c.verdicts) > 0 {
		v := c.verdicts[0]
		c.verdicts = c.verdicts[1:]
		done(v.Verdict)
		return
	}
	c.waiting = done
}

// playedExchange answers with the steps that were written down.
type playedExchange struct {
	p        *player
	identity string
}

// Step implements router.Exchange.
func (x *playedExchange) Step([]byte) (answer []byte, done bool, err error) {
	s := next(x.p, &x.p.steps, "a step of an authentication")
	x.identity = s.identity
	if s.flags&flagFailed != 0 {
		err = errDenied
	}
	return s.answer, s.flags&flagDone != 0, err
}

// Identity implements router.Exchange.
func (x *playedExchange) Identity() string { return x.identity }

// verdict is an Authenticator's answer and how it came.
type verdict struct {
	router.Verdict
	flags uint64
}

// fake is a connection of a replay: it takes what was taken then.
type fake struct {
	p      *player
	n      uint64
	client *router.Client
	peer   router.Peer

	refused  map[uint64]int // how often, by the number of packets sent before
	queued   []int          // what Queued said
	verdicts []verdict      // given at once
	waiting  func(router.Verdict)
}

// decide gives a verdict, now or when it is asked for.
func (c *fake) decide(v verdict) {
	if v.flags&flagAtOnce != 0 {
		c.verdicts = append(c.verdicts, v)
		return
	}
	if c.waiting == nil {
		c.p.differs("connection %d: a verdict that nobody waits for", c.n)
		return
	}
	done := c.waiting
	c.waiting = nil
	done(v.Verdict)
}

func (c *fake) put(frame []byte) bool {
	p := c.p
	if n := c.refused[p.rep.Packets]; n > 0 {
		if c.refused[p.rep.Packets] = n - 1; n == 1 {
			delete(c.refused, p.rep.Packets)
		}
		return false
	}
	p.rep.Packets++
	p.rep.Bytes += uint64(len(frame))
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], c.n)
	p.digest.Write(n[:])
	p.digest.Write(frame)
	if p.o.Sent != nil {
		p.o.Sent(p.at(), c.n, frame)
	}
	return true
}

// ID implements router.Conn.
func (c *fake) ID() uint64 { return c.n }

// Send implements router.Conn.
func (c *fake) Send(frame []byte) bool { return c.put(frame) }

// SendView implements router.Conn.
func (c *fake) SendView(frame []byte) bool { return c.put(frame) }

// SendControl implements router.Conn.
func (c *fake) SendControl(frame []byte) bool { return c.put(frame) }

// SendShared implements router.Conn.
func (c *fake) SendShared(head []byte, body *buf.Ref) bool {
	return c.put(append(append([]byte(nil), head...), body.Bytes()...))
}

// Queued implements router.Conn.
func (c *fake) Queued() int { return next(c.p, &c.queued, "the length of a queue") }

// Pause implements router.Conn; what the router takes in a pass is known.
func (c *fake) Pause() {}

// Resume implements router.Conn.
func (c *fake) Resume() {}

// Close implements router.Conn; when that came to pass is known.
func (c *fake) Close(error) {}
