package acl

import "hash/maphash"

// Bounds of the cache of verdicts: 1.3 MB, taken when the first one is asked for.
const (
	cacheEntries  = 8 << 10
	cacheTopicMax = 128 // bytes; longer topics are judged each time
)

// entry is what a list says of a topic. It names the list and does not hold it: its
// client may be gone.
type entry struct {
	list    uint64 // its salt; 0: none
	verdict Verdict
	bytes   uint8
	topic   [cacheTopicMax]byte
}

func (e *entry) is(l *list, topic []byte) bool {
	return e.list == l.salt && string(e.topic[:e.bytes]) == string(topic)
}

// cache remembers verdicts, whoever of the clients with the same list asked.
// A hash of the topic and the list says which two entries it may stand in; the
// newer one is the first that is looked at.
type cache struct {
	seed    maphash.Seed
	entries []entry
}

// verdict is what the list says of the topic, and remembers where it was found.
//
// hot: no allocation but the table itself, once.
func (c *cache) verdict(l *list, last **entry, topic []byte) Verdict {
	if e := *last; e != nil && e.is(l, topic) {
		return e.verdict
	}
	if len(l.entries) == 0 || len(topic) > cacheTopicMax {
		return l.decide(topic)
	}
	if c.entries == nil {
		c.seed, c.entries = maphash.MakeSeed(), make([]entry, cacheEntries)
	}
	pair := (maphash.Bytes(c.seed, topic) ^ l.salt) % cacheEntries &^ 1
	e, older := &c.entries[pair], &c.entries[pair+1]
	switch {
	case e.is(l, topic):
	case older.is(l, topic):
		e = older
	default:
		*older = *e
		e.list, e.verdict = l.salt, l.decide(topic)
		e.bytes = uint8(copy(e.topic[:], topic))
	}
	*last = e
	return e.verdict
}
