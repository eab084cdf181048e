package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Mem is a store in memory with the semantics of Store and no goroutine: what
// the disk would do in its own time, a test does by calling Complete and
// Answer. It keeps the records in the encoding of the log, so limits and sizes
// are the same.
type Mem struct {
	// BatchBytes and LiveMax are what Room holds against; 0 is no limit.
	BatchBytes int
	LiveMax    int64

	durable map[Key][]byte
	live    int64
	open    openBatch
	carried []byte // of commits that found no room
	flight  sealed
	done    func(error)
	busy    bool
	err     error
	reads   []readJob
	stats   Stats
}

// NewMem is an empty store.
func NewMem() *Mem { return &Mem{durable: map[Key][]byte{}} }

// Load is Store.Load.
func (m *Mem) Load(each func(k Key, size int, value []byte) error) error {
	for _, k := range sortedKeys(m.durable) {
		v := m.durable[k]
		size := len(v)
		if k.Table() >= Cold {
			size, v = int(units(encodedBytes(size)))*unitBytes-recordHeadBytes, nil
		}
		if err := each(k, size, v); err != nil {
			return fmt.Errorf("load store: %w", err)
		}
	}
	return nil
}

// Put is Store.Put.
func (m *Mem) Put(k Key, head, body []byte) { m.open.put(k, head, body) }

// PutShared is Store.PutShared.
func (m *Mem) PutShared(k Key, head []byte, body Shared) { m.open.putShared(k, head, body) }

// Delete is Store.Delete.
func (m *Mem) Delete(k Key) bool { return m.open.delete(k) }

// DeleteRange is Store.DeleteRange.
func (m *Mem) DeleteRange(first, last Key) { m.open.deleteRange(first, last) }

// Room is Store.Room.
func (m *Mem) Room(n int) bool {
	switch {
	case m.err != nil:
		return false
	case m.BatchBytes > 0 && m.open.bytes > 0 && m.open.bytes+n > m.BatchBytes:
		return false
	}
	return m.LiveMax == 0 || m.live+int64(m.open.bytes+n) <= m.LiveMax
}

// Err is Store.Err.
func (m *Mem) Err() error {
	if m.err == nil && m.LiveMax > 0 && m.live > m.LiveMax {
		return ErrFull
	}
	return m.err
}

// Pending is Store.Pending.
func (m *Mem) Pending() int { return m.open.bytes }

// Seal is Store.Seal; Complete does the rest.
func (m *Mem) Seal(done func(error)) bool {
	if m.busy {
		return false
	}
	m.flight = m.open.take(sealed{})
	m.done, m.busy = done, true
	return true
}

// Read is Store.Read; Answer does the rest.
func (m *Mem) Read(keys []Key, done func([]Value)) bool {
	if len(m.reads) >= readsMax {
		return false
	}
	m.reads = append(m.reads, readJob{slices.Clone(keys), done})
	return true
}

// Stats is Store.Stats, as far as there is something to count.
func (m *Mem) Stats() Stats {
	s := m.stats
	s.LiveRecords, s.LiveBytes, s.Err = int64(len(m.durable)), m.live, m.err
	return s
}

// Close commits what is open, as Store.Close does.
func (m *Mem) Close() error {
	m.Complete(nil)
	m.Seal(nil)
	m.Complete(nil)
	return m.err
}

// Committing tells whether a commit is in flight.
func (m *Mem) Committing() bool { return m.busy }

// Complete ends the commit in flight, and calls its done before it returns. nil
// makes it durable; an error that wraps ErrFull keeps it for the next; any other
// stands for a failed disk, and so does it from then on. It returns false when
// there is no commit.
func (m *Mem) Complete(err error) bool {
	if !m.busy {
		return false
	}
	if m.err != nil && !errors.Is(m.err, ErrFull) {
		err = m.err
	}
	switch {
	case err == nil:
		m.apply(m.carried)
		m.apply(m.flight.flat(nil))
		m.carried = nil
		m.stats.Commits++
	case errors.Is(err, ErrFull):
		m.carried = m.flight.flat(m.carried)
	case !errors.Is(err, ErrFailed):
		err = fmt.Errorf("%w: %w", ErrFailed, err)
	}
	done := m.done
	m.busy, m.err, m.done = false, err, nil
	m.flight.release()
	m.flight = sealed{}
	if done != nil {
		done(err)
	}
	return true
}

// Answer answers the oldest Read; false: there is none.
func (m *Mem) Answer() bool {
	if len(m.reads) == 0 {
		return false
	}
	j := m.reads[0]
	m.reads = m.reads[1:]
	values := make([]Value, len(j.keys))
	for i, k := range j.keys {
		values[i] = Value{Key: k, Err: ErrNotFound}
		if v, ok := m.durable[k]; ok {
			values[i] = Value{Key: k, Data: slices.Clone(v)}
		}
	}
	m.stats.Reads += uint64(len(values))
	j.done(values)
	return true
}

// Crash is what a start finds after the power went: all that was acknowledged,
// and the commit in flight if flight says that it had just reached the disk.
func (m *Mem) Crash(flight Flight) *Mem {
	after := NewMem()
	after.BatchBytes, after.LiveMax = m.BatchBytes, m.LiveMax
	after.durable, after.live = maps.Clone(m.durable), m.live
	if m.busy && flight == FlightKept {
		after.apply(m.carried)
		after.apply(m.flight.flat(nil))
	}
	for k := range after.durable { // in any order: it is the highest that counts
		after.open.know(k)
	}
	return after
}

// Flight says what became of the commit in flight when the power went.
type Flight uint8

// Both happen.
const (
	FlightLost Flight = iota
	FlightKept
)

func (m *Mem) apply(records []byte) {
	for len(records) > 0 {
		r, n := nextRecord(records)
		switch r.op {
		case opPut:
			m.remove(r.key)
			m.durable[r.key] = slices.Clone(r.value)
			m.live += int64(units(n)) * unitBytes
		case opDelete:
			m.remove(r.key)
		case opDeleteRange:
			for k := range m.durable { // in any order: what is left is the same
				if r.key <= k && k <= r.last() {
					m.remove(k)
				}
			}
		}
		m.stats.Records++
		records = records[n:]
	}
}

func (m *Mem) remove(k Key) {
	if old, ok := m.durable[k]; ok {
		m.live -= int64(units(encodedBytes(len(old)))) * unitBytes
		delete(m.durable, k)
	}
}
