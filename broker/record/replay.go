package record

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/netip"
	"time"

	"github.com/loopmq/loopmq/codec"
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

// differencesMax is how many are told.
const differencesMax = 20

// maxString bounds a string of a file that somebody may have made.
const maxString = 300 << 20

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
	answers
}

// Replay reads a recording and has it happen to a fresh router. An error means that the file cannot be read or is none.
func Replay(in io.Reader, o ReplayOptions) (*Report, error) {
	p := &player{
		in: bufio.NewReader(in), o: o, rep: &Report{}, digest: sha256.New(), listeners: map[uint64]*router.Listener{},
		conns: map[uint64]*fake{}, answers: answers{denied: map[uint64]bool{}},
	}
	if err := p.header(); err != nil {
		return nil, err
	}
	for {
		k, err := p.in.ReadByte()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = p.event(kind(k))
		}
		if errors.Is(err, errOver) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			break // the process may have ended in the middle of a write
		}
		if err != nil {
			return nil, err
		}
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
		return errors.New("not a recording of loopmq serve --record, or one of another version")
	}
	line, err := p.in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("header of the recording: %w", err)
	}
	h := &p.rep.Header
	if err := json.Unmarshal(line, h); err != nil {
		return fmt.Errorf("header of the recording: %w", err)
	}
	if err := h.Settings.Limits.Validate(); err != nil {
		return fmt.Errorf("header of the recording: limit %w", err)
	}
	cfg := h.Settings.config()
	cfg.Limits.MemoryBytesMax = 0 // what the loop held then is not known
	cfg.Rand, cfg.Traffic = p.random, p.traffic
	if h.Identifies {
		cfg.Identify = func(string, string, router.Peer) router.Verdict { return p.identity() }
	}
	if h.Keeps {
		s := &kept{p: p, reads: map[uint64]func([]router.StoreValue){}, users: map[string][]byte{}}
		cfg.Store, cfg.Wall, p.kept = s, func() int64 { return next(p, &s.walls, "the time") }, s
		if h.Saves {
			cfg.SaveIdentity = s.save
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
	p.r = router.New(cfg)
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
func (p *player) event(k kind) error {
	switch k {
	case kindPass:
		d, err := p.number()
		if err != nil {
			return err
		}
		if p.now += int64(d); p.first == 0 {
			p.first = p.now
		}
		p.rep.Passes++
		p.r.BeginPass(p.now)
	case kindEnd:
		p.r.EndPass()
		if p.o.Check {
			if err := p.r.CheckInvariants(); err != nil {
				p.differs("invariant broken: %v", err)
			}
		}
	case kindListener:
		return p.listener()
	case kindAttach:
		return p.attach()
	case kindThrough, kindData, kindDrained, kindClosed, kindRefused, kindQueued, kindVerdict:
		n, err := p.number()
		if err != nil {
			return err
		}
		c := p.conns[n]
		if c == nil {
			return fmt.Errorf("event %q of connection %d, which is not open", k, n)
		}
		return p.happens(k, c)
	case kindWall, kindSaved, kindLoaded, kindSays, kindCommit, kindRead, kindFetched, kindRecord, kindRestored:
		switch {
		case p.kept == nil:
			return fmt.Errorf("event %q where nothing is kept", k)
		case k == kindRestored:
			return p.restored()
		}
		return p.kept.event(k)
	case kindSums:
		return p.sums()
	case kindStopping:
		p.r.Stopping()
	case kindReload:
		text, err := p.text()
		if err != nil {
			return err
		}
		var s Settings
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			return fmt.Errorf("settings of a reload: %w", err)
		}
		p.differs("the settings were reloaded here; access lists may be others from now on")
		s.Limits.MemoryBytesMax = 0
		p.r.Change(s.config())
	case kindOver:
		why, err := p.text()
		if err != nil {
			return err
		}
		p.rep.Ended = why
		return errOver
	default:
		return p.answer(k)
	}
	return nil
}

// happens has something happen to a connection.
func (p *player) happens(k kind, c *fake) (err error) {
	switch k {
	case kindThrough:
		peer, err := p.peer()
		if err != nil {
			return err
		}
		peer.Listener = c.peer.Listener
		c.peer = peer
		c.client.Through(c, peer)
	case kindData:
		flags, err := p.in.ReadByte()
		if err != nil {
			return err
		}
		b, err := p.bytes()
		if err != nil {
			return err
		}
		p.data(c, b, flags&flagFailed != 0)
	case kindDrained:
		c.client.Drained()
	case kindClosed:
		return p.closed(c)
	case kindRefused:
		n, err := p.number()
		c.refused[n]++
		return err
	case kindQueued:
		n, err := p.number()
		c.queued = append(c.queued, int(n))
		return err
	case kindVerdict:
		v, err := p.verdict()
		if err != nil {
			return err
		}
		c.decide(v)
	}
	return nil
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
func (p *player) closed(c *fake) error {
	why, err := p.text()
	if err != nil {
		return err
	}
	var reason error
	if why != "" {
		reason = errors.New(why)
	}
	c.client.Closed(reason)
	if len(c.refused) > 0 {
		p.differs("connection %d: what it refused then was not sent to it", c.n)
	}
	return nil
}

// listener reads what is known of a way in.
func (p *player) listener() error {
	n, err := p.number()
	if err != nil {
		return err
	}
	name, err := p.text()
	if err != nil {
		return err
	}
	versions, err := p.bytes()
	if err != nil {
		return err
	}
	limits, err := p.text()
	if err != nil {
		return err
	}
	authenticates, err := p.in.ReadByte()
	if err != nil {
		return err
	}
	l := p.listeners[n]
	if l == nil {
		l = &router.Listener{}
		p.listeners[n] = l
	}
	l.Name, l.Versions = name, versions
	if len(versions) == 0 {
		l.Versions = nil
	}
	if authenticates != 0 {
		l.Authenticator = p
	}
	l.Limits = nil
	if err := json.Unmarshal([]byte(limits), &l.Limits); err != nil {
		return fmt.Errorf("limits of a listener: %w", err)
	}
	return nil
}

// attach opens a connection.
func (p *player) attach() error {
	n, err := p.number()
	if err != nil {
		return err
	}
	l, err := p.number()
	if err != nil {
		return err
	}
	peer, err := p.peer()
	if err != nil {
		return err
	}
	if p.conns[n] != nil {
		return fmt.Errorf("connection %d is opened twice", n)
	}
	peer.Listener = p.listeners[l]
	c := &fake{p: p, n: n, peer: peer, refused: map[uint64]int{}}
	p.conns[n] = c
	p.rep.Conns++
	c.client = p.r.Attach(c, peer)
	return nil
}

func (p *player) peer() (peer router.Peer, err error) {
	addr, err := p.text()
	if err != nil {
		return peer, err
	}
	known, err := p.in.ReadByte()
	if err != nil {
		return peer, err
	}
	user, err := p.text()
	if addr != "" && err == nil {
		peer.Remote, err = netip.ParseAddrPort(addr)
	}
	if known != 0 {
		peer.Identity = &router.Identity{User: user}
	}
	return peer, err
}

func (p *player) verdict() (v verdict, err error) {
	if v.flags, err = p.in.ReadByte(); err != nil {
		return v, err
	}
	user, err := p.text()
	if err != nil {
		return v, err
	}
	reason, err := p.in.ReadByte()
	if err != nil {
		return v, err
	}
	v.Reason, v.Identity = codec.Reason(reason), p.who(v.flags, user)
	if v.Text, err = p.text(); err != nil {
		return v, err
	}
	quota, err := p.bytes()
	if err != nil {
		return v, err
	}
	if len(quota) > 0 {
		if err := json.Unmarshal(quota, &v.Quota); err != nil {
			return v, fmt.Errorf("quota of a client: %w", err)
		}
	}
	v.Lifetime, err = binary.ReadVarint(p.in)
	return v, whole(err)
}

func (p *player) number() (uint64, error) {
	n, err := binary.ReadUvarint(p.in)
	return n, whole(err)
}

// whole makes an end in the middle of an event one.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (p *player) text() (string, error) {
	b, err := p.bytes()
	return string(b), err
}

func (p *player) bytes() ([]byte, error) {
	n, err := p.number()
	if err != nil {
		return nil, err
	}
	if n > maxString {
		return nil, fmt.Errorf("the recording is damaged: a string of %d bytes", n)
	}
	b := make([]byte, 0, min(n, 1<<20)) // not more than has come, whatever is announced
	for uint64(len(b)) < n {
		k := min(n-uint64(len(b)), 1<<20)
		b = append(b, make([]byte, k)...)
		if _, err := io.ReadFull(p.in, b[uint64(len(b))-k:]); err != nil {
			return nil, whole(err)
		}
	}
	return b, nil
}
