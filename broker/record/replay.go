package record

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/loopmq/loopmq/router"
)

// ReplayOptions say what to do while a recording is played.
type ReplayOptions struct {
	// Sent is called for each packet that the router sends, Received for the packets of one Data; both may be nil. at is
	// the time since the beginning. The bytes are views.
	Sent, Received func(at time.Duration, conn uint64, b []byte)
	// Event is called for each event of the router; may be nil.
	Event func(at time.Duration, e *router.Event)
	// Check has the router's invariants checked after each pass.
	Check bool
}

// Report is what became of a replay.
type Report struct {
	Header  Header
	Conns   int
	Passes  int
	Span    time.Duration // from the first pass to the last
	Packets uint64        // sent
	Bytes   uint64        // sent
	Digest  string        // of all that was sent: SHA-256 over connection and bytes, in hex
	Ended   string        // why the recording ends; "" where it breaks off
	Differs []string      // where the router did not do what it did then; empty: nowhere that is known
	Stats   router.Stats
}

// errOver ends the reading of events.
var errOver = errors.New("over")

var errNoRecording = errors.New("not a recording of loopmq serve --record, or one of another version")

// differencesMax is how many are told.
const differencesMax = 20

// player has a recording happen to a router.
type player struct {
	in     *bufio.Reader
	o      ReplayOptions
	r      *router.Router
	rep    *Report
	digest hash.Hash
	now    int64
	first  int64

	listeners map[uint64]*router.Listener
	conns     map[uint64]*fake
	current   *fake // whose Data is running
	sum       sums
	kept      *kept // nil: there was no store
	astray    bool  // they are not what they were
	err       error // why reading has ended
	answers
}

// Replay reads a recording and has it happen to a fresh router. An error means that the file cannot be read or is none.
func Replay(in io.Reader, o ReplayOptions) (*Report, error) {
	p := &player{
		in: bufio.NewReader(in), o: o, rep: &Report{}, digest: sha256.New(), listeners: map[uint64]*router.Listener{},
		conns: map[uint64]*fake{},
	}
	if err := p.header(); err != nil {
		return nil, err
	}
	for p.err == nil {
		k, err := p.in.ReadByte()
		if err != nil {
			p.fail(err)
			break
		}
		p.event(kind(k))
	}
	if !errors.Is(p.err, errOver) && !errors.Is(p.err, io.EOF) { // the process may have ended in the middle of a write
		return nil, p.err
	}
	p.rep.Span = time.Duration(p.now - p.first)
	p.rep.Digest = hex.EncodeToString(p.digest.Sum(nil))
	p.rep.Stats = *p.r.Stats()
	return p.rep, nil
}

// header reads the beginning and makes the router.
func (p *player) header() error {
	begin := make([]byte, len(magic))
	if _, err := io.ReadFull(p.in, begin); err != nil || string(begin) != magic {
		return errNoRecording
	}
	line, err := p.in.ReadBytes('\n')
	if err != nil {
		return errNoRecording
	}
	h := &p.rep.Header
	if err = json.Unmarshal(line, h); err == nil {
		err = h.Settings.Limits.Validate()
	}
	if err != nil {
		return fmt.Errorf("header of the recording: %w", err)
	}
	cfg := h.Settings.config()
	cfg.Rand, cfg.Traffic, cfg.Witness = p.random, p.traffic, p
	if h.Identifies {
		cfg.Identify = func(string, string, router.Peer) router.Verdict { return p.identity() }
	}
	if h.Keeps {
		s := &kept{p: p, users: savedUsers{}}
		cfg.Store, cfg.Wall, p.kept = s, s.now, s
		if h.Saves {
			cfg.SaveIdentity = s.save
		}
		if h.Writes {
			cfg.Written = func() uint64 { return p.nextNumber(kindWritten) }
		}
		if h.Loads {
			cfg.LoadIdentity = s.load
		}
	}
	cfg.AuthMethods = map[string]func() router.Exchange{}
	for _, name := range h.AuthMethods {
		cfg.AuthMethods[name] = func() router.Exchange { return &playedExchange{p: p} }
	}
	cfg.Events = func(e *router.Event) {
		if p.o.Event != nil {
			p.o.Event(p.at(), e)
		}
	}
	p.r = router.New(*cfg)
	return nil
}

// at is the time since the first pass.
func (p *player) at() time.Duration { return time.Duration(p.now - p.first) }

// differs notes that the router did something else than then.
func (p *player) differs(format string, args ...any) {
	switch n := len(p.rep.Differs); {
	case n < differencesMax:
		p.rep.Differs = append(p.rep.Differs, fmt.Sprintf("%v: ", p.at())+fmt.Sprintf(format, args...))
	case n == differencesMax:
		p.rep.Differs = append(p.rep.Differs, "and more")
	}
}

// event has one event happen.
func (p *player) event(k kind) {
	switch k {
	case kindPass:
		p.begin(p.number())
	case kindEnd:
		p.r.EndPass()
		p.r.ViewsAge() // what was sent is not needed any more
		if p.o.Check {
			if err := p.r.CheckInvariants(); err != nil {
				p.differs("invariant broken: %v", err)
			}
		}
	case kindListener:
		p.listener()
	case kindAttach:
		p.attach()
	case kindThrough, kindData, kindDrained, kindClosed, kindRefused, kindQueued, kindVerdict:
		n := p.number()
		c := p.conns[n]
		if c == nil {
			p.damaged("an event of a connection that is not open")
			return
		}
		p.happens(k, c)
	case kindSums:
		p.sums()
	case kindStopping:
		p.r.Stopping()
	case kindReload:
		var s Settings
		p.json(&s)
		p.differs("the settings were reloaded here; access lists may be others from now on")
		p.r.Change(*s.config())
	case kindOver:
		p.rep.Ended = p.text()
		p.fail(errOver)
	case kindWall, kindSaved, kindLoaded, kindSays, kindCommit, kindRead, kindFetched, kindRecord, kindRestored, kindWritten:
		if p.kept == nil {
			p.damaged("an event of a store where there is none")
			return
		}
		p.kept.event(k)
	default:
		p.answer(k)
	}
}

func (p *player) begin(after uint64) {
	if p.err != nil {
		return
	}
	if p.now += int64(after); p.first == 0 {
		p.first = p.now
	}
	p.rep.Passes++
	p.r.BeginPass(p.now)
}

// happens has something happen to a connection.
func (p *player) happens(k kind, c *fake) {
	switch k {
	case kindThrough:
		peer := p.peer()
		peer.Listener = c.peer.Listener
		c.peer = peer
		c.client.Through(c, peer)
	case kindData:
		flags := p.number()
		if b := p.bytes(); p.err == nil {
			p.data(c, b, flags&flagFailed != 0)
		}
	case kindDrained:
		c.client.Drained()
	case kindClosed:
		p.closed(c)
	case kindRefused:
		c.refused = append(c.refused, p.number())
	case kindQueued:
		c.queued = append(c.queued, output{int(p.number()), p.number()})
	case kindVerdict:
		if v := p.verdict(); p.err == nil {
			c.decide(v)
		}
	}
}

// data hands over what was taken then.
func (p *player) data(c *fake, b []byte, failed bool) {
	if p.o.Received != nil {
		p.o.Received(p.at(), c.n, b)
	}
	p.current = c
	used, err := c.client.Data(b)
	p.current = nil
	switch {
	case failed && err == nil:
		p.differs("connection %d: what was an error then is none", c.n)
	case !failed && err != nil:
		p.differs("connection %d: %v", c.n, err)
	case !failed && used != len(b):
		p.differs("connection %d: %d of %d bytes were taken", c.n, used, len(b))
	}
}

// closed ends a connection.
func (p *player) closed(c *fake) {
	why := p.text()
	if p.err != nil {
		return
	}
	var reason error
	if why != "" {
		reason = errors.New(why)
	}
	c.client.Closed(reason)
	if len(c.refused) > 0 {
		p.differs("connection %d: what it refused then was not sent to it", c.n)
	}
}

// listener reads what is known of a way in.
func (p *player) listener() {
	n, flags := p.number(), p.number()
	l := p.listeners[n]
	if l == nil {
		l = &router.Listener{}
		p.listeners[n] = l
	}
	l.Name, l.Versions, l.Limits = p.text(), p.bytes(), nil
	if len(l.Versions) == 0 {
		l.Versions = nil
	}
	if flags&flagKnown != 0 {
		l.Authenticator = p
	}
	p.json(&l.Limits)
}

// attach opens a connection.
func (p *player) attach() {
	n, l, peer := p.number(), p.number(), p.peer()
	if p.conns[n] != nil {
		p.damaged("a connection is opened twice")
	}
	if p.err != nil {
		return
	}
	peer.Listener = p.listeners[l]
	c := &fake{p: p, n: n, peer: peer}
	p.conns[n] = c
	p.rep.Conns++
	c.client = p.r.Attach(c, peer)
}
