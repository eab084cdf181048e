package record

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/loopmq/loopmq/router"
)

// kept is a store of a replay: it forgets what it is given, and answers what was answered then.
type kept struct {
	p       *player
	asked   [questions]uint64
	said    [questions]told
	later   [questions][]told // what is said from a question on
	commit  func(error)       // the one in flight
	reads   map[uint64]func([]router.StoreValue)
	read    uint64 // taken so far
	records []keptRecord
	fetched [][]router.StoreValue
	wall    int64
	walls   []int64
	loaded  []*router.Identity
	saved   [][]byte
	users   map[string][]byte // saved, of those without an Access
}

// told is an answer.
type told struct {
	from uint64 // number of the question
	err  error
}

type keptRecord struct {
	key   uint64
	value []byte
}

// event has something happen to the store.
func (s *kept) event(k kind) error {
	p := s.p
	switch k {
	case kindWall:
		d, err := binary.ReadVarint(p.in)
		s.wall += d
		s.walls = append(s.walls, s.wall)
		return whole(err)
	case kindSaved:
		b, err := p.bytes()
		s.saved = append(s.saved, b)
		return err
	case kindLoaded:
		flags, err := p.in.ReadByte()
		if err != nil {
			return err
		}
		user, err := p.text()
		s.loaded = append(s.loaded, p.who(flags, user))
		return err
	case kindSays:
		q, err := p.in.ReadByte()
		if err != nil {
			return err
		}
		n, err := p.number()
		if err != nil {
			return err
		}
		if question(q) >= questions {
			return fmt.Errorf("the recording is damaged: question %d", q)
		}
		said, err := p.outcome()
		s.later[q] = append(s.later[q], told{n, said})
		return err
	case kindCommit:
		said, err := p.outcome()
		done := s.commit
		if err != nil || done == nil {
			p.differs("a commit that was not asked for")
			return err
		}
		s.commit = nil
		done(said)
	case kindRead:
		n, err := p.number()
		if err != nil {
			return err
		}
		values, err := p.values()
		done := s.reads[n]
		if err != nil || done == nil {
			p.differs("a read that was not asked for")
			return err
		}
		delete(s.reads, n)
		done(values)
	case kindFetched:
		values, err := p.values()
		s.fetched = append(s.fetched, values)
		return err
	case kindRecord:
		return s.record()
	}
	return nil
}

// record takes one of those that a start has found.
func (s *kept) record() error {
	d, err := s.p.number()
	if err != nil {
		return err
	}
	there, err := s.p.in.ReadByte()
	if err != nil {
		return err
	}
	value, err := s.p.bytes()
	if there == 0 {
		value = nil
	}
	if n := len(s.records); n > 0 {
		d += s.records[n-1].key
	}
	s.records = append(s.records, keptRecord{d, value})
	return err
}

// restored has the router begin with what there was.
func (p *player) restored() error {
	now, err := p.number()
	if err != nil {
		return err
	}
	if _, err := p.r.Restore(int64(now)); err != nil {
		p.differs("%v", err)
	}
	p.kept.records = nil
	return nil
}

// outcome reads one as the error that it was.
func (p *player) outcome() (said, err error) {
	k, err := p.in.ReadByte()
	if err != nil {
		return nil, err
	}
	text, err := p.text()
	switch outcome(k) {
	case good:
		return nil, err
	case full:
		return fmt.Errorf("%w: %s", router.ErrStoreFull, text), err
	case lost:
		return fmt.Errorf("%w: %s", router.ErrLost, text), err
	}
	return errors.New(text), err
}

func (p *player) values() (values []router.StoreValue, err error) {
	n, err := p.number()
	for ; n > 0 && err == nil; n-- {
		var v router.StoreValue
		if v.Err, err = p.outcome(); err == nil {
			v.Data, err = p.bytes()
		}
		values = append(values, v)
	}
	return values, err
}

// ask is the answer to a question.
func (s *kept) ask(q question) error {
	s.asked[q]++
	for len(s.later[q]) > 0 && s.later[q][0].from <= s.asked[q] {
		s.said[q], s.later[q] = s.later[q][0], s.later[q][1:]
	}
	return s.said[q].err
}

// Room implements router.Store.
func (s *kept) Room(int) bool { return s.ask(askRoom) == nil }

// Err implements router.Store.
func (s *kept) Err() error { return s.ask(askErr) }

// Seal implements router.Store.
func (s *kept) Seal(done func(error)) bool {
	ok := s.ask(askSeal) == nil
	if ok {
		s.commit = done
	}
	return ok
}

// Read implements router.Store.
func (s *kept) Read(_ []uint64, done func([]router.StoreValue)) bool {
	ok := s.ask(askRead) == nil
	if ok {
		s.read++
		s.reads[s.read] = done
	}
	return ok
}

// Fetch implements router.Store.
func (s *kept) Fetch(keys []uint64) []router.StoreValue {
	values := next(s.p, &s.fetched, "records")
	for len(values) < len(keys) {
		values = append(values, router.StoreValue{Err: router.ErrLost})
	}
	return values
}

// Load implements router.Store.
func (s *kept) Load(each func(key uint64, value []byte) error) error {
	for _, r := range s.records {
		if err := each(r.key, r.value); err != nil {
			return err
		}
	}
	return nil
}

// Put implements router.Store.
func (s *kept) Put(uint64, []byte, []byte) {}

// Delete implements router.Store.
func (s *kept) Delete(uint64) {}

// DeleteRange implements router.Store.
func (s *kept) DeleteRange(uint64, uint64) {}

// Memory implements router.Store.
func (s *kept) Memory() int64 { return 0 }

// save returns the bytes of an Identity, which were written down when it was asked for them first.
func (s *kept) save(id *router.Identity) []byte {
	if id == nil {
		return nil
	}
	if g, ok := id.Access.(*guard); ok {
		if !g.known {
			g.known, g.saved = true, next(s.p, &s.saved, "an identity")
		}
		return g.saved
	}
	b, known := s.users[id.User]
	if !known {
		b = next(s.p, &s.saved, "an identity")
		s.users[id.User] = b
	}
	return b
}

func (s *kept) load([]byte, string) *router.Identity { return next(s.p, &s.loaded, "an identity") }
