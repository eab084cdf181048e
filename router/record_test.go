package router

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/loopmq/loopmq/internal/buf"
)

// anyRecord is what all records can do.
type anyRecord interface {
	append(b []byte) []byte
	decode(b []byte) error
}

// records are one of each kind, with the bytes that stand for it for ever.
func records() []struct {
	name  string
	rec   anyRecord
	empty anyRecord
	hex   string
} {
	body := bodyRecord{expireAt: 1, writer: []byte("w"), props: []byte{}, topic: []byte("a/b"), payload: []byte{}}
	return []struct {
		name  string
		rec   anyRecord
		empty anyRecord
		hex   string
	}{
		{
			"session", &sessionRecord{id: "id", identity: []byte("u"), expiry: 2, away: 3}, new(sessionRecord),
			"01 026964 0175 0200000000000000 0300000000000000",
		},
		{
			"will", &willRecord{due: 1, delay: 2, expiry: -1, qos: 1, retain: true, body: body}, new(willRecord),
			"01 0100000000000000 0200000000000000 ffffffffffffffff 05 0100000000000000 0177 00 03612f62",
		},
		{
			"subscription", &subscriptionRecord{session: 300, filter: []byte("a/#"), qos: 2, noLocal: true, rap: true, ids: []uint32{7, 300}}, new(subscriptionRecord),
			"01 ac02 03612f23 1a 02 07 ac02",
		},
		{
			"retained", &retainedRecord{qos: 1, body: body}, new(retainedRecord),
			"01 01 0100000000000000 0177 00 03612f62",
		},
		{
			"retained, of a user with a quota", &retainedRecord{qos: 1, owner: "u", body: body}, new(retainedRecord),
			"02 01 0175 0100000000000000 0177 00 03612f62",
		},
		{
			"entry", &entryRecord{session: 1, message: 2, flight: 3, qos: 2, retain: true, group: []byte("$share/g/a"), ids: []uint32{1}, size: 300}, new(entryRecord),
			"02 01 02 03 06 0a2473686172652f672f61 01 01 ac02",
		},
	}
}

func TestRecordFormat(t *testing.T) {
	for _, row := range records() {
		want, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(row.hex), []byte(" "), nil)))
		if err != nil {
			t.Fatal(err)
		}
		if got := row.rec.append(nil); !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %x\nwant %x", row.name, got, want)
		}
		if err := row.empty.decode(want); err != nil || !reflect.DeepEqual(row.empty, row.rec) {
			t.Errorf("%s: got %+v, %v; want %+v", row.name, row.empty, err, row.rec)
		}
		for n := range want {
			if err := row.empty.decode(want[:n]); err == nil {
				t.Errorf("%s: the first %d bytes are taken for whole", row.name, n)
			}
		}
		want[0] = entryVersion + 1
		if err := row.empty.decode(want); !errors.Is(err, errRecordNewer) {
			t.Errorf("%s of a newer version: %v", row.name, err)
		}
	}
}

// mapStore holds records as they are given.
type mapStore struct {
	keys   []uint64
	values [][]byte
	reads  []func()
}

func (m *mapStore) Put(uint64, []byte, []byte)                  {}
func (m *mapStore) Delete(uint64) bool                          { return true }
func (m *mapStore) DeleteRange(uint64, uint64)                  {}
func (m *mapStore) PutShared(_ uint64, _ []byte, body *buf.Ref) { body.Release() }
func (m *mapStore) Room(int) bool                               { return true }
func (m *mapStore) Err() error                                  { return nil }
func (m *mapStore) Seal(func(error)) bool                       { return true }
func (m *mapStore) Read(keys []uint64, done func([]StoreValue)) bool {
	m.reads = append(m.reads, func() { done(m.Fetch(keys)) })
	return true
}

func (m *mapStore) Memory() int64 { return 0 }

func (m *mapStore) Fetch(keys []uint64) []StoreValue {
	answer := make([]StoreValue, len(keys))
	for i, k := range keys {
		answer[i].Err = ErrLost
		if at := slices.Index(m.keys, k); at >= 0 {
			answer[i] = StoreValue{Data: m.values[at]}
		}
	}
	return answer
}

func (m *mapStore) add(key uint64, value []byte) {
	m.keys, m.values = append(m.keys, key), append(m.values, value)
}

func (m *mapStore) Load(each func(uint64, []byte) error) error {
	for i, k := range m.keys {
		value := m.values[i]
		if k>>tableShift >= 0x80 {
			value = nil
		}
		if err := each(k, value); err != nil {
			return err
		}
	}
	return nil
}

// FuzzRestore starts from records of any bytes: table, number and length in
// front of each. Either the start says which one is wrong, or all is in order.
func FuzzRestore(f *testing.F) {
	var seed []byte
	tables := []byte{tableSessions, tableWills, tableSubscriptions, tableRetained, tableRetained, tableEntries}
	for i, row := range records() {
		rec := row.rec
		if e, ok := rec.(*entryRecord); ok {
			e.session, e.message = 1, 1
		}
		if s, ok := rec.(*subscriptionRecord); ok {
			s.session = 1
		}
		b := rec.append(nil)
		seed = append(append(seed, tables[i], byte(1+i/4), byte(len(b))), b...)
	}
	m := bodyRecord{topic: []byte("t")}
	b := m.append([]byte{recordVersion})
	seed = append(append(seed, tableMessages, 1, byte(len(b))), b...)
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		m := &mapStore{}
		for len(data) >= 3 {
			n := min(int(data[2]), len(data)-3)
			if k := recordKey(data[0], uint64(data[1])); !slices.Contains(m.keys, k) {
				m.add(k, data[3:3+n])
			}
			data = data[3+n:]
		}
		r := New(Config{Rand: func() uint64 { return 1 }, Store: m, Wall: func() int64 { return 1 << 60 }})
		if _, err := r.Restore(1); err != nil {
			return
		}
		for range 100 {
			if err := r.CheckInvariants(); err != nil {
				t.Fatal(err)
			}
			r.BeginPass(r.now + 1e9)
			for _, answer := range m.reads {
				answer()
			}
			m.reads = nil
			r.EndPass()
		}
	})
}

// TestRestoreOfANewerRecord: what this version knows nothing of is not taken for
// something else.
func TestRestoreOfANewerRecord(t *testing.T) {
	for _, key := range []uint64{recordKey(tableMeta, metaWear+1), recordKey(tableEntries+1, 1)} {
		m := &mapStore{}
		m.add(key, appendTime([]byte{recordVersion}, 1))
		r := New(Config{Rand: func() uint64 { return 1 }, Store: m, Wall: func() int64 { return 1 << 60 }})
		if _, err := r.Restore(1); !errors.Is(err, errRecordNewer) {
			t.Errorf("record %x: %v", key, err)
		}
	}
}

// A payload is found in records of all kinds that have one.
func TestPayloadOfRecord(t *testing.T) {
	body := bodyRecord{expireAt: 7, writer: []byte("me"), props: []byte{1, 0}, topic: []byte("t")}
	will, retained := willRecord{due: 1, delay: 2, expiry: 3, qos: 1, body: body}, retainedRecord{qos: 1, body: body}
	owned := retainedRecord{qos: 1, owner: "u", body: body}
	session := sessionRecord{id: "a"}
	for _, c := range []struct {
		table        byte
		record, want string
	}{
		{tableWills, string(will.append(nil)), "secret"},
		{tableRetained, string(retained.append(nil)), "secret"},
		{tableRetained, string(owned.append(nil)), "secret"},
		{tableMessages, string(body.append([]byte{recordVersion})), "secret"},
		{tableSessions, string(session.append(nil)), ""},
		{tableRetained, "\x01", "\x01secret"}, // who knows what it is
	} {
		if got := PayloadOfRecord(recordKey(c.table, 5), []byte(c.record+"secret")); string(got) != c.want {
			t.Errorf("table %d: %q, want %q", c.table, got, c.want)
		}
	}
}
