package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/router"
	"github.com/loopmq/loopmq/store"
)

// ErrState is what Run's error wraps when Config.StateDir cannot be used: it is
// damaged, in use by another process, or of a newer version.
var ErrState = errors.New("state")

// state is the router's Store: package store, in its words.
//
// Owner: the loop, but for post. Before the loop runs, whoever calls open and
// Load.
type state struct {
	dir      string
	options  StateOptions
	complete func(func()) // brings commits back to the loop
	*store.Store
	loading atomic.Bool
	arrived chan func() // what the store posts while there is no loop
}

func newState(dir string, o StateOptions, complete func(func())) *state {
	if dir == "" {
		return nil
	}
	return &state{dir: dir, options: o, complete: complete, arrived: make(chan func(), 1)}
}

// open opens the store.
func (s *state) open() (err error) {
	s.Store, err = store.Open(s.dir, store.Options{Post: s.post, SegmentBytes: s.options.SegmentBytes, BytesMax: s.options.BytesMax})
	return err
}

func (s *state) post(f func()) {
	if s.loading.Load() {
		s.arrived <- f
		return
	}
	s.complete(f)
}

// Put implements router.Store.
func (s *state) Put(key uint64, head, body []byte) { s.Store.Put(store.Key(key), head, body) }

// PutShared implements router.Store.
func (s *state) PutShared(key uint64, head []byte, body *buf.Ref) {
	s.Store.PutShared(store.Key(key), head, body)
}

// Delete implements router.Store.
func (s *state) Delete(key uint64) bool { return s.Store.Delete(store.Key(key)) }

// DeleteRange implements router.Store.
func (s *state) DeleteRange(first, last uint64) {
	s.Store.DeleteRange(store.Key(first), store.Key(last))
}

// Err implements router.Store.
func (s *state) Err() error { return inRouterWords(s.Store.Err()) }

// Seal implements router.Store.
func (s *state) Seal(done func(error)) bool {
	return s.Store.Seal(func(err error) { done(inRouterWords(err)) })
}

// written is how many bytes went to the disk since the start.
func (s *state) written() uint64 { return s.Store.Written() }

// traffic is what the store has done, for $SYS; nil: there is none.
func (s *state) traffic() *router.StateTraffic {
	if s == nil || s.Store == nil {
		return nil
	}
	st := s.Stats()
	return &router.StateTraffic{
		Put: st.BytesPut, Written: st.BytesWritten, Copied: st.BytesCopied, Commits: st.Commits, Flushes: st.Syncs,
		Records: st.Records, Elided: st.Elided, Live: uint64(st.LiveBytes), Disk: uint64(st.DiskBytes),
	}
}

func inRouterWords(err error) error {
	if errors.Is(err, store.ErrFull) {
		return fmt.Errorf("%w: %w", router.ErrStoreFull, err)
	}
	return err
}

// Load implements router.Store.
func (s *state) Load(each func(key uint64, value []byte) error) error {
	return s.Store.Load(func(k store.Key, _ int, value []byte) error { return each(uint64(k), value) })
}

// Read implements router.Store.
func (s *state) Read(keys []uint64, done func([]router.StoreValue)) bool {
	list := make([]store.Key, len(keys))
	for i, k := range keys {
		list[i] = store.Key(k)
	}
	return s.Store.Read(list, func(values []store.Value) {
		answer := make([]router.StoreValue, len(values))
		for i, v := range values {
			answer[i] = router.StoreValue{Data: v.Data, Err: lostInRouterWords(v.Err)}
		}
		done(answer)
	})
}

func lostInRouterWords(err error) error {
	var damage *store.DamageError
	if errors.As(err, &damage) || errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w: %w", router.ErrLost, err)
	}
	return err
}

// Fetch implements router.Store: what the store posts comes here as long as
// there is no loop.
func (s *state) Fetch(keys []uint64) (answer []router.StoreValue) {
	s.loading.Store(true)
	defer s.loading.Store(false)
	s.Read(keys, func(values []router.StoreValue) { answer = values })
	(<-s.arrived)()
	return answer
}

// Memory implements router.Store.
func (s *state) Memory() int64 {
	st := s.Store.Stats()
	return st.IndexBytes + st.CarriedBytes
}

// restore opens the store and brings back what it holds, before anybody can
// connect.
func (b *Broker) restore() error {
	if b.state == nil {
		return nil
	}
	start := time.Now()
	if err := b.state.open(); err != nil {
		return fmt.Errorf("%w directory %s: %w", ErrState, b.state.dir, err)
	}
	now := b.monotonic()
	found, err := b.router.Restore(now)
	if b.recording != nil {
		b.recording.Restored(now)
	}
	if err != nil {
		b.state.Close()
		return fmt.Errorf("%w directory %s: %w", ErrState, b.state.dir, err)
	}
	b.logger().Info("state restored", append(append([]any{"dir", b.state.dir}, pairs("sessions subscriptions retained queued inflight expired",
		int64(found.Sessions), int64(found.Subscriptions), int64(found.Retained), int64(found.Queued), int64(found.Inflight), int64(found.Expired))...),
		"took", time.Since(start).Round(10*time.Microsecond).String())...)
	if found.Left > 0 {
		b.logger().Info("messages of sessions that have ended are cleared away", "messages", found.Left)
	}
	if info, err := os.Stat(b.state.dir); err == nil && info.Mode()&0o077 != 0 {
		b.logger().Warn("other users may look into the state directory, which has messages in it: chmod 700", "dir", b.state.dir, "mode", info.Mode().Perm().String())
	}
	if found.Lost > 0 {
		b.logger().Warn("records belonged to nothing any more and are cleared away", "records", found.Lost)
	}
	return nil
}

// closeState commits what is open. The loop has ended.
func (b *Broker) closeState() {
	if b.state == nil {
		return
	}
	if err := b.state.Close(); err != nil {
		b.logger().Error("last commit", "dir", b.state.dir, "error", err)
	}
}

// savedIdentity is an Identity as it is kept with sessions and messages.
type savedIdentity struct {
	User      string     `json:"user,omitempty"`
	Listener  string     `json:"listener,omitempty"` // whose rules hold
	At        string     `json:"at,omitempty"`       // its address: others may have its name, now or one day
	Named     bool       `json:"named,omitempty"`
	ClientID  string     `json:"client,omitempty"`
	Addr      netip.Addr `json:"addr,omitzero"`
	Rules     string     `json:"rules,omitempty"`  // the name of what the rules came with
	Publish   []string   `json:"publish,omitzero"` // empty is not absent: nothing is allowed then
	Subscribe []string   `json:"subscribe,omitzero"`
}

// saveIdentity makes bytes of an Identity. It is called with every message that
// somebody with rules publishes and that is kept, so the bytes are remembered.
func (b *Broker) saveIdentity(id *router.Identity) []byte {
	if id == nil {
		return nil
	}
	a, ok := id.Access.(*access)
	if !ok {
		return encodeIdentity(&savedIdentity{User: id.User, Named: true})
	}
	if a.saved == nil {
		s := savedIdentity{User: a.who.User, Named: a.who.HasUser, ClientID: a.who.ClientID, Addr: a.who.Addr}
		s.Listener, s.At = b.placeOf(a.book)
		if a.own != nil {
			s.Rules, s.Publish, s.Subscribe = a.own.name, a.own.publish, a.own.subscribe
		}
		a.saved = encodeIdentity(&s)
	}
	return a.saved
}

func encodeIdentity(s *savedIdentity) []byte {
	text, err := json.Marshal(s)
	if err != nil {
		panic("an identity cannot be written down: " + err.Error()) // all fields can
	}
	return text
}

// loadIdentity makes the Identity again, by the rules of today.
func (b *Broker) loadIdentity(saved []byte, clientID string) *router.Identity {
	s := savedIdentity{ClientID: clientID}
	if len(saved) > 0 {
		if err := json.Unmarshal(saved, &s); err != nil {
			s = savedIdentity{ClientID: clientID} // nobody: the rules for those hold
		}
	}
	var own *listed
	if s.Rules != "" || s.Publish != nil || s.Subscribe != nil {
		own = &listed{name: s.Rules, publish: s.Publish, subscribe: s.Subscribe}
	}
	return b.bookNamed(s.Listener, s.At).identity(s.User, s.Named, s.ClientID, s.Addr, own)
}

// placeOf is the name and the address of a listener that has this book of rules,
// "" for none. Several may have the name: it is "mqtt" for all that were given none.
func (b *Broker) placeOf(book *ruleBook) (name, at string) {
	for _, d := range b.doors {
		if book != b.rules && b.bookOf(d.rules) == book {
			return d.loop.Name, d.loop.Address
		}
	}
	return "", ""
}

// bookNamed is the book of rules of the listener with this name, of several the one
// at this address or else the first; or that of all.
func (b *Broker) bookNamed(name, at string) *ruleBook {
	book := b.rules
	for _, d := range slices.Backward(b.doors) {
		if name == "" || d.loop.Name != name {
			continue
		}
		if book = b.bookOf(d.rules); d.loop.Address == at {
			break
		}
	}
	return book
}
