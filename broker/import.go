package broker

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/loopmq/loopmq/broker/mosquittodb"
	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/router"
)

// Imported counts what came out of another broker's file.
type Imported struct {
	Version       int `json:"version"` // of the file's format
	Sessions      int `json:"sessions"`
	Subscriptions int `json:"subscriptions"`
	Retained      int `json:"retained"`
	Queued        int `json:"queued"`
	Inflight      int `json:"inflight"`
	Received      int `json:"received"` // QoS 2 messages that clients had not released, published now
	Expired       int `json:"expired"`  // sessions and messages whose time was over
	Skipped       int `json:"skipped"`  // what belongs to nothing, or cannot be kept
}

// expiryMax is the last second, since 1970, that nanoseconds can tell; what is said to end later has no end that counts.
const expiryMax = math.MaxInt64 / int64(time.Second)

// importBytes is about how much goes into one batch.
const importBytes = 1 << 20

// ImportMosquitto makes a state directory of what data, a mosquitto.db, has. dir
// must be new, or empty; it has everything or is not touched. An error that wraps
// *mosquittodb.Error is about data.
func ImportMosquitto(dir string, data []byte) (*Imported, error) {
	file, err := mosquittodb.Parse(data)
	if err != nil {
		return nil, err
	}
	var found *Imported
	if err := replaceDir(dir, func(fresh string) (err error) {
		found, err = importInto(fresh, file)
		return err
	}); err != nil {
		return nil, fmt.Errorf("import into %s: %w", dir, err)
	}
	return found, nil
}

// replaceDir has fill make a directory beside dir, which then takes its place.
func replaceDir(dir string, fill func(fresh string) error) error {
	dir = filepath.Clean(dir)
	if _, err := os.Readlink(dir); err == nil {
		return errors.New("it is a symbolic link; name the directory itself")
	}
	switch files, err := os.ReadDir(dir); {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	case len(files) > 0:
		return errors.New("there is something already; give a new directory")
	}
	parent := filepath.Dir(dir)
	fresh, err := os.MkdirTemp(parent, filepath.Base(dir)+".import-") // mode 0700
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh)
	if err := movable(dir, fresh+".was"); err != nil {
		return err
	}
	if err := fill(fresh); err != nil {
		return err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) { // Rename would not replace it
		return err
	}
	if err := os.Rename(fresh, dir); err != nil {
		return err
	}
	return syncDir(parent)
}

// movable finds out, before all the work, whether something else can take the place of dir: of the working directory
// or of a file system it cannot.
func movable(dir, aside string) error {
	err := os.Rename(dir, aside)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		return os.Rename(aside, dir)
	}
	return fmt.Errorf("it cannot be replaced, name a directory that is not there yet: %w", err)
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func importInto(dir string, file *mosquittodb.File) (*Imported, error) {
	i := &importer{file: file, posts: make(chan func(), 1), known: make(map[uint64]*importedMessage)}
	i.found.Version = file.Version
	i.state = newState(dir, StateOptions{}, func(f func()) { i.posts <- f })
	if err := i.state.open(); err != nil {
		return nil, err
	}
	err := i.run()
	if e := i.state.Close(); err == nil && e != nil {
		err = fmt.Errorf("last commit: %w", e)
	}
	return &i.found, err
}

// importer drives a router without connections.
type importer struct {
	file  *mosquittodb.File
	state *state
	busy  bool // a commit is on its way
	posts chan func()
	r     *router.Router
	now   time.Time
	known map[uint64]*importedMessage
	found Imported
}

// importedMessage is a message of the file; adopted once somebody is owed it.
type importedMessage struct {
	publish  codec.Publish
	expireAt int64
	adopted  router.Adopted
	owned    bool
}

// importStore is the state of an importer that knows of commits.
type importStore struct {
	router.Store
	i *importer
}

// Seal notes that there is something to wait for.
func (s importStore) Seal(done func(error)) bool {
	s.i.busy = s.Store.Seal(func(err error) { s.i.busy = false; done(err) })
	return s.i.busy
}

func (i *importer) run() error {
	i.now = time.Now()
	most := router.DefaultLimits()
	most.QueuedMessagesMax, most.QueuedBytesMax, most.QueuedTotalMax = math.MaxInt, math.MaxInt, math.MaxInt
	most.RetainedMessagesMax, most.RetainedBytesMax = math.MaxInt, math.MaxInt
	var none *Broker
	i.r = router.New(router.Config{
		Limits: most, Rand: newRand(), Store: importStore{i.state, i}, SaveIdentity: none.saveIdentity,
		Wall: func() int64 { return i.now.UnixNano() },
	})
	if _, err := i.r.Restore(1); err != nil {
		return err
	}
	i.r.BeginPass(1)
	for _, step := range []func() error{i.sessions, i.subscriptions, i.messages, i.entries, i.retained, i.received} {
		if err := step(); err != nil {
			return err
		}
	}
	for _, m := range i.known {
		if m.owned {
			i.r.Disown(m.adopted)
		}
	}
	if err := i.flush(); err != nil {
		return err
	}
	s := i.r.Stats()
	i.found.Sessions, i.found.Subscriptions, i.found.Retained = s.Sessions, s.Subscriptions, s.Retained
	i.found.Queued, i.found.Inflight = s.Queued, s.Inflight
	return nil
}

// room commits what has gathered once that is enough.
func (i *importer) room() error {
	if i.state.Pending() < importBytes && i.state.Room(0) {
		return nil
	}
	return i.flush()
}

// flush commits what has gathered.
func (i *importer) flush() error {
	for {
		i.r.EndPass()
		i.r.BeginPass(1)
		if err := i.state.Err(); err != nil {
			return err
		}
		if !i.busy {
			return nil
		}
		(<-i.posts)()
	}
}

func (i *importer) sessions() error {
	for _, c := range i.file.Clients {
		left, expiry := i.now.UnixNano(), time.Duration(math.MaxInt64)
		if c.ExpiryInterval != mosquittodb.Forever {
			expiry = time.Duration(c.ExpiryInterval) * time.Second
			if c.ExpiresAt > 0 && c.ExpiresAt <= expiryMax {
				left = (c.ExpiresAt - int64(c.ExpiryInterval)) * int64(time.Second)
			}
			if left+int64(expiry) <= i.now.UnixNano() {
				i.found.Expired++
				continue
			}
		}
		if !i.r.AdoptSession(string(c.ID), string(c.Username), expiry, left) {
			i.found.Skipped++
		}
		if err := i.room(); err != nil {
			return err
		}
	}
	return nil
}

func (i *importer) subscriptions() error {
	for _, s := range i.file.Subscriptions {
		f := codec.Filter{Name: s.Filter, QoS: s.QoS, NoLocal: s.NoLocal, RetainAsPublished: s.RetainAsPublished, RetainHandling: 2}
		if known, err := i.r.AdoptSubscription(string(s.ClientID), &f, s.Identifier); !known || err != nil {
			i.found.Skipped++
		}
		if err := i.room(); err != nil {
			return err
		}
	}
	return nil
}

// messages reads all messages of the file, as if they came in a PUBLISH.
func (i *importer) messages() error {
	for n := range i.file.Messages {
		f := &i.file.Messages[n]
		m := new(importedMessage)
		if f.ExpiresAt > 0 && f.ExpiresAt <= expiryMax {
			m.expireAt = f.ExpiresAt * int64(time.Second)
		}
		if m.expireAt != 0 && m.expireAt <= i.now.UnixNano() {
			i.found.Expired++
			continue
		}
		if m.publish.Props = propsOf(f.Props); len(f.Topic) == 0 || f.Topic[0] == '$' || !asPublish(&m.publish, f) {
			i.found.Skipped++
			continue
		}
		i.known[f.ID] = m
	}
	return nil
}

// propsOf reads a block of properties, in vain if it is broken.
func propsOf(block []byte) codec.Properties {
	var p codec.Publish
	if len(block) > 0 && decodePublish(&p, []byte("t"), block, nil) == nil {
		return p.Props
	}
	return codec.Properties{}
}

// asPublish makes f a PUBLISH; false: it cannot be one.
func asPublish(p *codec.Publish, f *mosquittodb.Message) bool {
	props := p.Props
	if decodePublish(p, f.Topic, []byte{0}, f.Payload) != nil {
		return false
	}
	p.Props, p.QoS, p.Retain = props, f.QoS, f.Retain
	return true
}

// decodePublish has the codec look at the parts of a PUBLISH of MQTT 5.0.
func decodePublish(p *codec.Publish, topic, props, payload []byte) error {
	body := append([]byte{byte(len(topic) >> 8), byte(len(topic))}, topic...)
	body = append(append(body, props...), payload...)
	return p.Decode(&codec.Packet{Type: codec.TypePublish, Body: body}, codec.V5)
}

// adopt is the router's copy of a message; nil: there is none.
func (i *importer) adopt(id uint64) *importedMessage {
	m := i.known[id]
	if m != nil && !m.owned {
		m.adopted, m.owned = i.r.Adopt(&m.publish, m.expireAt), true
	}
	return m
}

// entries gives sessions what they are owed.
func (i *importer) entries() error {
	for _, e := range i.file.Entries {
		if e.FromClient {
			continue
		}
		m, id, client := i.adopt(e.Message), subscriptionID(e.Props), string(e.ClientID)
		if m == nil || e.QoS == 0 {
			i.found.Skipped++
			continue
		}
		released := e.State == mosquittodb.ResendPubrel || e.State == mosquittodb.WaitForPubcomp
		flies := e.State != mosquittodb.Queued && e.PacketID != 0 &&
			i.r.AdoptFlight(client, m.adopted, e.QoS, e.Retain, id, e.PacketID, released)
		if !flies && !i.r.AdoptQueued(client, m.adopted, e.QoS, e.Retain, id) {
			i.found.Skipped++
		}
		if err := i.room(); err != nil {
			return err
		}
	}
	return nil
}

// subscriptionID is the Subscription Identifier that a message goes out with.
func subscriptionID(block []byte) uint32 {
	if p := propsOf(block); len(p.SubscriptionIDs) > 0 {
		return p.SubscriptionIDs[0]
	}
	return 0
}

func (i *importer) retained() error {
	for _, id := range i.file.Retained {
		if m := i.known[id]; m != nil && len(m.publish.Payload) > 0 {
			m.publish.Retain = true
			i.r.AdoptRetained(&m.publish, m.expireAt)
		} else {
			i.found.Skipped++
		}
		if err := i.room(); err != nil {
			return err
		}
	}
	return nil
}

// received publishes what clients have sent with QoS 2 and not released.
func (i *importer) received() error {
	for _, e := range i.file.Entries {
		if !e.FromClient || e.State != mosquittodb.WaitForPubrel {
			continue
		}
		m := i.known[e.Message]
		if m == nil {
			i.found.Skipped++
			continue
		}
		p := m.publish
		p.PacketID, p.QoS = e.PacketID, 2
		if i.r.AdoptReceived(string(e.ClientID), &p, m.expireAt) {
			i.found.Received++
		} else {
			i.found.Skipped++
		}
		if err := i.room(); err != nil {
			return err
		}
	}
	return nil
}

// MosquittoError tells where a mosquitto.db is not as it should be.
type MosquittoError = mosquittodb.Error
