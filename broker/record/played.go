package record

import (
	"encoding/binary"
	"errors"

	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/router"
)

// errDenied is what a step of an authentication ended with; its words are not written down.
var errDenied = errors.New("failed, as it did then")

// answers are what the router was told when it asked.
type answers struct {
	told   ['z' + 1][]any // in the order of its questions, by kind
	asked  uint64         // questions to an Access
	denied []uint64       // their numbers
	used   int64          // of the last kindMemory
}

// tell keeps an answer until it is asked for.
//
//go:noinline
func (a *answers) tell(k kind, answer any) { a.told[k] = append(a.told[k], answer) }

// next takes the oldest answer of a kind.
func (p *player) next(k kind) (answer any) {
	list := p.told[k]
	if len(list) == 0 {
		p.differs("the router asks what it did not ask then: %q", k)
		return nil
	}
	answer, p.told[k] = list[0], list[1:]
	return answer
}

func (p *player) nextNumber(k kind) uint64 {
	n, _ := p.next(k).(uint64)
	return n
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
		p.tell(k, p.number())
	case kindDenied:
		p.denied = append(p.denied, p.number())
	case kindMemory:
		p.used += p.signed()
		p.tell(k, p.used)
	case kindIdentity:
		p.tell(k, p.verdict())
	case kindTraffic:
		t := new(router.Traffic)
		p.json(t)
		p.tell(k, t)
	case kindStep:
		s := &step{flags: p.number(), answer: p.bytes(), identity: p.text()}
		if s.flags&flagKnown == 0 {
			s.answer = nil
		}
		p.tell(k, s)
	default:
		p.damaged("an event of no known kind")
	}
}

func (p *player) random() uint64 { return p.nextNumber(kindRandom) }

func (p *player) identity() router.Verdict {
	if v, ok := p.next(kindIdentity).(*verdict); ok {
		return v.Verdict
	}
	return router.Verdict{}
}

func (p *player) traffic() router.Traffic {
	if t, ok := p.next(kindTraffic).(*router.Traffic); ok {
		return *t
	}
	return router.Traffic{}
}

// Refused implements router.Witness.
func (p *player) Refused(uint64, uint64) {}

// Queued implements router.Witness.
func (p *player) Queued(uint64, int, uint64) {}

// Memory implements router.Witness: what the loop and the store held is known only together with all else.
func (p *player) Memory(used, limit int64) int64 {
	if len(p.told[kindMemory]) > 0 {
		return p.next(kindMemory).(int64)
	}
	return min(used, limit/100*memoryPart-1)
}

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
	saved string // as which he is kept
}

func (g *guard) ruling() router.Ruling {
	p := g.p
	p.asked++
	denied := len(p.denied) > 0 && p.denied[0] == p.asked
	if denied {
		p.denied = p.denied[1:]
	}
	return router.Ruling{Denied: denied}
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
	s, ok := x.p.next(kindStep).(*step)
	if !ok {
		return nil, false, errDenied
	}
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

	refused  []uint64   // how many packets were sent before each
	queued   []output   // what Queued and Taken said
	taken    uint64     // of the last of them
	verdicts []*verdict // given at once
	waiting  func(router.Verdict)
}

// decide gives a verdict, now or when it is asked for.
func (c *fake) decide(v *verdict) {
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
	if len(c.refused) > 0 && c.refused[0] == p.rep.Packets {
		c.refused = c.refused[1:]
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

// output is an answer to both of Queued and Taken, which are asked in turn.
type output struct {
	queued int
	taken  uint64
}

// Queued implements router.Conn.
func (c *fake) Queued() (n int) {
	if len(c.queued) == 0 {
		c.p.differs("connection %d: the router asks for the length of its queue, which it did not then", c.n)
		return 0
	}
	n, c.taken = c.queued[0].queued, c.queued[0].taken
	c.queued = c.queued[1:]
	return n
}

// Taken implements router.Conn.
func (c *fake) Taken() uint64 { return c.taken }

// Pause implements router.Conn; what the router takes in a pass is known.
func (c *fake) Pause() {}

// Resume implements router.Conn.
func (c *fake) Resume() {}

// Close implements router.Conn; when that came to pass is known.
func (c *fake) Close(error) {}
