package topic

// Bounds of the cache of an Index: 512 KiB in all, taken when the first topic is seen twice.
const (
	cacheEntries  = 2048
	cacheTopicMax = 144 // bytes; longer topics are walked each time
	cacheNodesMax = 24  // matching filters; the walk is small beside the delivery when there are more
)

// entry is a topic and the nodes that it led to.
type entry struct {
	hash  uint64
	shape uint32 // the entry holds while this is the cache's
	bytes uint8
	count uint8
	topic [cacheTopicMax]byte
	nodes [cacheNodesMax]uint32
}

// cache remembers where hot topics led. It holds node numbers, not subscribers: a subscriber who joins or leaves
// others at a filter changes nothing here, only a filter that appears or disappears does.
//
// It is direct-mapped by a hash of the topic, and takes a topic in when it is seen twice in a row among those of
// the same slot, so that topics that never come again cost a look and a word written.
type cache struct {
	shape   uint32   // at least 1 when there is a filter; an entry never filled has 0
	seen    []uint32 // upper half of the last hash that missed in a slot
	entries []entry
	last    *entry // found last: publishers send many to one topic in a row
}

// again returns what is known of topic if it is the one that was found last.
//
// hot: no allocation.
func (c *cache) again(topic []byte) *entry {
	if e := c.last; e != nil && e.shape == c.shape && string(e.topic[:e.bytes]) == string(topic) {
		return e
	}
	return nil
}

// lookup returns what is known of topic, or nil.
//
// hot: no allocation.
func (c *cache) lookup(hash uint64, topic []byte) *entry {
	if c.entries == nil {
		return nil
	}
	e := &c.entries[hash%cacheEntries]
	if e.hash != hash || e.shape != c.shape || string(e.topic[:e.bytes]) != string(topic) {
		return nil
	}
	c.last = e
	return e
}

// offer tells where a topic that lookup did not know has led.
//
// hot: no allocation after the first call and the first admission.
func (c *cache) offer(hash uint64, topic []byte, nodes []uint32) {
	if len(topic) > cacheTopicMax || len(nodes) > cacheNodesMax {
		return
	}
	if c.seen == nil {
		c.seen = make([]uint32, cacheEntries)
	}
	slot, tag := hash%cacheEntries, uint32(hash>>32)
	if c.seen[slot] != tag {
		c.seen[slot] = tag
		return
	}
	if c.entries == nil {
		c.entries = make([]entry, cacheEntries)
	}
	e := &c.entries[slot]
	e.hash, e.shape = hash, c.shape
	e.bytes = uint8(copy(e.topic[:], topic))
	e.count = uint8(copy(e.nodes[:], nodes))
}

// invalidate makes all entries void. Numbers are not used again for 4 billion changes; then the entries go.
func (c *cache) invalidate() {
	c.shape++
	if c.shape == 0 {
		c.entries, c.last, c.shape = nil, nil, 1
	}
}
