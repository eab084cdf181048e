package broker

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/loopmq/loopmq/auth/guard"
	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/router"
)

// Reload puts cfg in force instead of what the broker was made with: all of it,
// or, with an error that says what is wrong, nothing. Listeners that stay keep
// their connections, new ones are opened before anything changes. Engine,
// StateDir, the sizes in State, LoopLimits, Log and AuthMethods cannot change while the broker runs.
//
// Clients follow the new access rules, quotas and limits from their next message
// on. Who could no longer log in, because his name is gone, anonymous clients are
// no longer let in or he is banned, is disconnected; nobody else notices.
//
// Before Run, and while the broker starts, Reload waits: there is nothing to change
// before. After Run it returns ErrNotRunning.
func (b *Broker) Reload(cfg Config) error {
	select {
	case <-b.ready:
	case <-b.done:
		return ErrNotRunning
	}
	b.reloading.Lock() // one at a time; the loop does not wait here
	defer b.reloading.Unlock()
	if cfg.Engine != b.cfg.Engine {
		return fmt.Errorf("engine %q instead of %q: restart the broker for that", cfg.Engine, b.cfg.Engine)
	}
	if cfg.StateDir != b.cfg.StateDir {
		return fmt.Errorf("state directory %q instead of %q: restart the broker for that", cfg.StateDir, b.cfg.StateDir)
	}
	if a, b := cfg.State, b.cfg.State; a.SegmentBytes != b.SegmentBytes || a.BytesMax != b.BytesMax {
		return fmt.Errorf("state segments of %d bytes, at most %d in all, instead of %d and %d: restart the broker for that", a.SegmentBytes, a.BytesMax, b.SegmentBytes, b.BytesMax)
	}
	next, err := b.prepare(cfg)
	if err != nil {
		return err
	}
	sockets, err := b.bindNew(next)
	if err != nil {
		return err
	}
	before := b.doors
	err = b.Do(context.Background(), func(r *router.Router, _ *loop.Stats) { b.swap(next, sockets, r) })
	if err != nil { // it does not run any more
		closeAll(sockets)
		return err
	}
	b.watch(next.doors, before)
	b.warn(next.warnings)
	return nil
}

func closeAll(sockets []*loop.Socket) {
	for _, s := range sockets {
		if s != nil {
			s.Close()
		}
	}
}

// settings are what a Config comes to: read, checked, and not yet in force.
type settings struct {
	cfg    Config
	rules  *ruleBook // where no listener has its own
	prefix string
	doors  []*door
	bans   *guard.Bans

	warnings []string
}

// prepare reads and checks cfg and all that it names.
func (b *Broker) prepare(cfg Config) (*settings, error) {
	if err := cfg.Limits.Validate(); err != nil {
		return nil, fmt.Errorf("limit %w", err)
	}
	if cfg.ShutdownTimeout == 0 {
		cfg.ShutdownTimeout = defaultShutdownTimeout
	}
	if len(cfg.Listeners) == 0 {
		cfg.Listeners = LoopbackListeners(DefaultPort)
	}
	for i := range cfg.Durability {
		if err := cfg.Durability[i].Validate(); err != nil {
			return nil, err
		}
	}
	s := &settings{cfg: cfg, bans: new(guard.Bans)}
	var err error
	if s.prefix, err = cfg.responsePrefix(); err != nil {
		return nil, err
	}
	from := newSources(&s.cfg)
	if s.rules, err = from.ruleBook(cfg.ACLFile); err != nil {
		return nil, err
	}
	if err := s.readBans(); err != nil {
		return nil, err
	}
	for i := range cfg.Listeners {
		d, err := b.newDoor(from, &cfg.Listeners[i])
		if err != nil {
			return nil, err
		}
		s.doors = append(s.doors, d)
	}
	if err := s.checkQuotas(); err != nil {
		return nil, err
	}
	s.warnings = append(from.warnings, s.cfg.insecure()...)
	return s, nil
}

// bindNew opens the listeners that there are not yet. Those that stay have nil
// in their place; s knows their sockets then.
func (b *Broker) bindNew(s *settings) (sockets []*loop.Socket, err error) {
	old := slices.Clone(b.doors)
	for _, d := range s.doors {
		i := slices.IndexFunc(old, func(o *door) bool { return o != nil && o.sameSocket(d) })
		if i >= 0 {
			d.socket, old[i] = old[i].socket, nil
			sockets = append(sockets, nil)
			continue
		}
		socket, err := b.engine.Bind(d.loop)
		if err != nil {
			closeAll(sockets)
			return nil, err
		}
		d.socket = socket
		sockets = append(sockets, socket)
	}
	return sockets, nil
}

// swap puts s in force. On the loop.
func (b *Broker) swap(s *settings, sockets []*loop.Socket, r *router.Router) {
	b.engine.Take(s.cfg.inputBytesMost())
	needed := false // somebody has no rules, and there are some now
	for _, old := range b.doors {
		i := slices.IndexFunc(s.doors, func(d *door) bool { return d.socket == old.socket })
		if i < 0 {
			b.engine.Withdraw(old.socket)
			b.gone = append(b.gone, old.login.leave())
			if old.secure != nil {
				b.leaving = append(b.leaving, old)
			}
			continue
		}
		if s.doors[i].secure != nil && old.secure != nil {
			old.secure.follow(s.doors[i].secure) // its connections go on
		}
		d := s.doors[i]
		if old.login.rules.follow(d.login.rules) {
			needed = true
		}
		d.login.rules = old.login.rules
		*old.rules = *d.rules // those who came this way before are held by them as well
		d.rules = old.rules
	}
	needed = b.rules.follow(s.rules) || needed
	b.gone = slices.DeleteFunc(b.gone, leftover.ended)
	for _, l := range b.gone {
		needed = l.follow(s) || needed
	}
	for i, d := range s.doors {
		if sockets[i] == nil {
			d.socket.Change(d.loop)
		} else if err := b.engine.Serve(sockets[i]); err != nil {
			b.logger().Error("listener cannot be served", "listener", d.loop.Name, "error", err)
		}
	}
	before := booksOf(b.doors)
	b.generation++
	b.logins.forget()
	if needed {
		regrant(r, b.bookOf)
	}
	if !reflect.DeepEqual(b.cfg.Guard, s.cfg.Guard) { // what it has seen is forgotten only for a reason
		b.guard = guard.New(s.cfg.Guard)
	}
	b.bans = s.bans
	b.following.Lock()
	b.cfg, b.doors = &s.cfg, s.doors
	b.following.Unlock()
	b.patience.Store(int64(s.cfg.ShutdownTimeout))
	b.encrypt(s.doors)
	rc := s.routerConfig()
	r.Change(rc)
	if b.recording != nil {
		b.recording.Reload(&rc)
	}
	r.Requota(func(from *router.Peer, clientID string) Quota {
		l, ok := from.Listener.Authenticator.(*login)
		if !ok {
			return Quota{}
		}
		return l.quota(from.User(), clientID, from.Listener)
	})
	b.closeStrangers(before, booksOf(s.doors), r)
}

// closeStrangers ends the connections of those who would not be let in again.
func (b *Broker) closeStrangers(before, now map[*router.Listener]*userBook, r *router.Router) {
	r.CloseWhere(func(from *router.Peer, clientID string) bool {
		if b.banOf(from, clientID, from.User()) != nil {
			return true
		}
		if user := from.User(); user != "" {
			return had(before, from.Listener, user) && !had(now, from.Listener, user)
		}
		l, ok := from.Listener.Authenticator.(*login)
		return ok && !l.admits(from)
	})
}

// booksOf are the users of the listeners.
func booksOf(doors []*door) map[*router.Listener]*userBook {
	books := make(map[*router.Listener]*userBook, len(doors))
	for _, d := range doors {
		books[d.rules] = d.login.users
	}
	return books
}

// had tells whether a user is in a password file of the listener; where that is gone,
// whether he is in one of any.
func had(books map[*router.Listener]*userBook, l *router.Listener, user string) bool {
	if book := books[l]; book != nil {
		return book.knows(user)
	}
	for _, book := range books {
		if book.knows(user) {
			return true
		}
	}
	return false
}
