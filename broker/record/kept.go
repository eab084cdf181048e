package record

import (
	"errors"
	"time"

	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/router"
)

// keeping stands between a router and its store. What is put there follows from what happens; what comes back is written
// down.
type keeping struct {
	store router.Store
	r     *Recorder
	asked [questions]uint64
	said  [questions]outcome
	reads uint64
	key   uint64 // the last one loaded
}

// question is one that a store answers at once. It is asked often and mostly answered as before, so changes are written
// down, with the number of the question from which on they hold.
type question byte

const (
	askRoom question = iota // of any size
	askErr
	askSeal   // whether it took the batch
	askRead   // whether it took the read
	askDelete // whether something is left to be written
	questions
)

// outcome is how something ended.
type outcome byte

const (
	good outcome = iota
	full         // of a store; no, where that is the question
	lost         // a record
	failed
)

func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return good
	case errors.Is(err, router.ErrStoreFull):
		return full
	case errors.Is(err, router.ErrLost):
		return lost
	}
	return failed
}

func yes(ok bool) outcome {
	if ok {
		return good
	}
	return full
}

// keep has the answers of the store written down.
func (r *Recorder) keep(rc *router.Config) {
	if rc.Store == nil {
		return
	}
	rc.Store = &keeping{store: rc.Store, r: r}
	wall := rc.Wall
	rc.Wall = func() int64 {
		now := wall()
		if r.on {
			r.put(kindWall, signed(now-r.wall))
			r.wall = now
		}
		return now
	}
	if written := rc.Written; written != nil {
		rc.Written = func() uint64 {
			n := written()
			if r.on {
				r.put(kindWritten, n)
			}
			return n
		}
	}
	if save := rc.SaveIdentity; save != nil {
		rc.SaveIdentity = func(id *router.Identity) []byte { return r.save(save, id) }
	}
	if load := rc.LoadIdentity; load != nil {
		rc.LoadIdentity = func(saved []byte, clientID string) *router.Identity {
			id := r.watched(load(saved, clientID))
			if r.on {
				r.put(kindLoaded)
				r.identity(0, id)
			}
			return id
		}
	}
}

// save asks for the bytes of an Identity, which stay what they are: they are written down once.
func (r *Recorder) save(save func(*router.Identity) []byte, id *router.Identity) []byte {
	if id == nil {
		return save(nil)
	}
	a, watched := id.Access.(*access)
	if watched {
		id = &router.Identity{User: id.User, Access: a.of}
	}
	saved := save(id)
	known := watched && a.saved
	if !watched {
		_, known = r.saved[id.User]
	}
	if known || !r.on {
		return saved
	}
	if watched {
		a.saved = true
	} else {
		r.saved.add(id.User, "")
	}
	r.put(kindSaved)
	r.bytes(saved)
	return saved
}

// savedUsers are users without an Access, and as what a replay keeps them. Names are the clients' choice, so there is an
// end to them: then it begins anew, in the recording and in the replay alike.
type savedUsers map[string]string

const (
	savedMost    = 4096 // users
	savedNameMax = 256  // bytes; longer ones are written down each time
)

func (u savedUsers) add(name, as string) {
	if len(name) > savedNameMax {
		return
	}
	if len(u) == savedMost {
		clear(u)
	}
	u[name] = as
}

// note writes down what a question is answered with, if that is not what it was.
func (k *keeping) note(q question, said outcome, err error) {
	k.asked[q]++
	if said == k.said[q] || !k.r.on {
		return
	}
	k.said[q] = said
	k.r.put(kindSays, uint64(q), k.asked[q])
	k.r.outcome(said, err)
}

func (r *Recorder) outcome(said outcome, err error) {
	r.number(uint64(said))
	text := ""
	if err != nil {
		text = err.Error()
	}
	r.text(text)
}

// Put implements router.Store.
func (k *keeping) Put(key uint64, head, body []byte) { k.store.Put(key, head, body) }

// PutShared implements router.Store.
func (k *keeping) PutShared(key uint64, head []byte, body *buf.Ref) {
	k.store.PutShared(key, head, body)
}

// Delete implements router.Store.
func (k *keeping) Delete(key uint64) bool {
	left := k.store.Delete(key)
	k.note(askDelete, yes(left), nil)
	return left
}

// DeleteRange implements router.Store.
func (k *keeping) DeleteRange(first, last uint64) { k.store.DeleteRange(first, last) }

// Memory implements router.Store.
func (k *keeping) Memory() int64 { return k.store.Memory() }

// Room implements router.Store.
func (k *keeping) Room(n int) bool {
	ok := k.store.Room(n)
	k.note(askRoom, yes(ok), nil)
	return ok
}

// Err implements router.Store.
func (k *keeping) Err() error {
	err := k.store.Err()
	k.note(askErr, outcomeOf(err), err)
	return err
}

// Seal implements router.Store.
func (k *keeping) Seal(done func(error)) bool {
	ok := k.store.Seal(func(err error) {
		done(err)
		if k.r.on {
			k.r.put(kindCommit)
			k.r.outcome(outcomeOf(err), err)
		}
	})
	k.note(askSeal, yes(ok), nil)
	return ok
}

// Read implements router.Store.
func (k *keeping) Read(keys []uint64, done func([]router.StoreValue)) bool {
	asked := append([]uint64(nil), keys...)
	n := k.reads + 1
	ok := k.store.Read(keys, func(values []router.StoreValue) {
		r := k.r
		if !r.on {
			done(values)
			return
		}
		before := r.buf
		r.buf = nil
		r.put(kindRead, n)
		r.values(asked, values)
		event := r.buf
		r.buf = before
		if done(values); r.on { // they belong to the router now
			r.buf = append(r.buf, event...)
			r.flushLong()
		}
	})
	if ok {
		k.reads = n
	}
	k.note(askRead, yes(ok), nil)
	return ok
}

// Fetch implements router.Store.
func (k *keeping) Fetch(keys []uint64) []router.StoreValue {
	values := k.store.Fetch(keys)
	if k.r.on {
		k.r.put(kindFetched)
		k.r.values(keys, values)
		k.r.await()
	}
	return values
}

// Load implements router.Store.
func (k *keeping) Load(each func(key uint64, value []byte) error) error {
	return k.store.Load(func(key uint64, value []byte) error {
		if k.r.on {
			k.r.put(kindRecord, key-k.key, flag(value != nil, flagKnown))
			k.r.value(key, value)
			k.key = key
			k.r.await()
		}
		return each(key, value)
	})
}

func (r *Recorder) values(keys []uint64, values []router.StoreValue) {
	r.number(uint64(len(values)))
	for i := range values {
		v := &values[i]
		r.outcome(outcomeOf(v.Err), v.Err)
		r.value(keys[i], v.Data)
	}
}

// value adds that of a record, redacted.
func (r *Recorder) value(key uint64, value []byte) {
	r.bytes(value)
	if r.opts.Redact == Payloads {
		cross(router.PayloadOfRecord(key, r.buf[len(r.buf)-len(value):]))
	}
}

// Restored is to be called after Router.Restore, with the same instant.
func (r *Recorder) Restored(now int64) {
	if r.on {
		r.put(kindRestored, uint64(now))
	}
}

// await hands over what is there, and waits for the writer where it has much to do. Nobody is served yet.
func (r *Recorder) await() {
	r.flushLong()
	for r.on && r.waiting.Load() > waitingMax/2 {
		time.Sleep(lookEvery)
	}
}

// flushLong hands over what is there, if it is much.
func (r *Recorder) flushLong() {
	if len(r.buf) >= chunkBytes {
		r.flush()
	}
}
