package record

import (
	"errors"
	"fmt"

	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/router"
)

// kept is a store of a replay: it forgets what it is given, and answers what was answered then.
type kept struct {
	p      *player
	asked  [questions]uint64
	said   [questions]told
	commit func(error)                 // the one in flight
	reads  []func([]router.StoreValue) // that were taken; nil: has ended
	key    uint64                      // of the last one
	wall   int64
	users  savedUsers
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
func (s *kept) event(k kind) {
	p := s.p
	switch k {
	case kindWall:
		s.wall += p.signed()
		p.tell(k, uint64(s.wall))
	case kindWritten:
		p.tell(k, p.number())
	case kindSaved:
		p.tell(k, p.text())
	case kindLoaded:
		flags := p.number()
		p.tell(k, p.who(flags, p.text()))
	case kindSays:
		q, n, said := p.number(), p.number(), p.outcome()
		if q >= uint64(questions) {
			p.damaged("a question that nobody asks")
			return
		}
		p.tell(kind(q), told{n, said})
	case kindCommit:
		said, done := p.outcome(), s.commit
		if s.commit = nil; s.there(done != nil) {
			done(said)
		}
	case kindRead:
		n, values := p.number()-1, p.values()
		if s.there(n < uint64(len(s.reads)) && s.reads[n] != nil) {
			done := s.reads[n]
			s.reads[n] = nil
			done(values)
		}
	case kindFetched:
		p.tell(k, p.values())
	case kindRecord:
		s.key += p.number()
		there, value := p.number(), p.bytes()
		if there == 0 {
			value = nil
		}
		p.tell(k, keptRecord{s.key, value})
	case kindRestored:
		now := p.number()
		if p.err != nil {
			return
		}
		if _, err := p.r.Restore(int64(now)); err != nil {
			p.differs("%v", err)
		}
		p.told[kindRecord] = nil
	}
}

// there tells whether what ends now was begun.
func (s *kept) there(begun bool) bool {
	if s.p.err == nil && !begun {
		s.p.differs("the store has done then what it was not asked for now")
	}
	return s.p.err == nil && begun
}

// outcome reads one as the error that it was.
func (p *player) outcome() error {
	k, text := outcome(p.number()), p.text()
	err := errors.New(text)
	switch k {
	case good:
		return nil
	case full:
		err = fmt.Errorf("%w: %s", router.ErrStoreFull, text)
	case lost:
		err = fmt.Errorf("%w: %s", router.ErrLost, text)
	}
	return err
}

func (p *player) values() (values []router.StoreValue) {
	for n := p.number(); n > 0 && p.err == nil; n-- {
		err := p.outcome()
		values = append(values, router.StoreValue{Data: p.bytes(), Err: err})
	}
	return values
}

// ask is the answer to a question.
func (s *kept) ask(q question) error {
	s.asked[q]++
	later := &s.p.told[q] // what is said from a question on
	for len(*later) > 0 && (*later)[0].(told).from <= s.asked[q] {
		s.said[q], *later = (*later)[0].(told), (*later)[1:]
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
func (s *kept) Read(keys []uint64, done func([]router.StoreValue)) bool {
	ok := s.ask(askRead) == nil
	if n := len(keys); ok { // keys is used again
		s.reads = append(s.reads, func(values []router.StoreValue) { done(s.fit(values, n)) })
	}
	return ok
}

// Fetch implements router.Store.
func (s *kept) Fetch(keys []uint64) []router.StoreValue {
	values, _ := s.p.next(kindFetched).([]router.StoreValue)
	return s.fit(values, len(keys))
}

// fit returns as many values as were asked for: the router counts on that.
func (s *kept) fit(values []router.StoreValue, n int) []router.StoreValue {
	if len(values) != n {
		s.p.differs("the store is asked for %d records, which were %d then", n, len(values))
	}
	for len(values) < n {
		values = append(values, router.StoreValue{Err: router.ErrLost})
	}
	return values[:n]
}

// Load implements router.Store.
func (s *kept) Load(each func(key uint64, value []byte) error) error {
	for _, told := range s.p.told[kindRecord] {
		r := told.(keptRecord)
		if err := each(r.key, r.value); err != nil {
			return err
		}
	}
	return nil
}

// Put implements router.Store.
func (s *kept) Put(uint64, []byte, []byte) {}

// PutShared implements router.Store.
func (s *kept) PutShared(_ uint64, _ []byte, body *buf.Ref) { body.Release() }

// Delete implements router.Store.
func (s *kept) Delete(uint64) bool { return s.ask(askDelete) == nil }

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
			g.saved, g.known = s.p.next(kindSaved).(string)
		}
		return []byte(g.saved)
	}
	text, known := s.users[id.User]
	if !known {
		text, _ = s.p.next(kindSaved).(string)
		s.users.add(id.User, text)
	}
	return []byte(text)
}

func (s *kept) load([]byte, string) *router.Identity {
	id, _ := s.p.next(kindLoaded).(*router.Identity)
	return id
}

func (s *kept) now() int64 { return int64(s.p.nextNumber(kindWall)) }
