package guard

// sampled is how many entries are looked at to find one to give up.
const sampled = 8

// entry is what is known of one address or user.
type entry[K comparable] struct {
	key          K
	paidAt       int64 // when the last failure will be forgotten; in known pairs: until when
	blockedUntil int64
	checking     int32 // logins being checked: the entry may not go
}

// table holds a bounded number of entries. The one to make room is the least
// worth keeping of a few, so that a flood of new keys does not wash out those
// with many failures.
type table[K comparable] struct {
	max     int
	where   map[K]int
	entries []entry[K]
	hand    int
}

func newTable[K comparable](max int) table[K] {
	return table[K]{max: max, where: map[K]int{}}
}

// get finds an entry; nil: there is none.
func (t *table[K]) get(k K) *entry[K] {
	if i, has := t.where[k]; has {
		return &t.entries[i]
	}
	return nil
}

// add finds or makes an entry; nil: all are in use.
func (t *table[K]) add(k K) *entry[K] {
	if e := t.get(k); e != nil {
		return e
	}
	if len(t.entries) < t.max {
		t.where[k] = len(t.entries)
		t.entries = append(t.entries, entry[K]{key: k})
		return &t.entries[len(t.entries)-1]
	}
	least := -1
	for range min(sampled, len(t.entries)) {
		t.hand = (t.hand + 1) % len(t.entries)
		if e := &t.entries[t.hand]; e.checking == 0 && (least < 0 || e.paidAt < t.entries[least].paidAt) {
			least = t.hand
		}
	}
	if least < 0 {
		return nil
	}
	delete(t.where, t.entries[least].key)
	t.where[k] = least
	t.entries[least] = entry[K]{key: k}
	return &t.entries[least]
}
