package topic

// Nodes returns the nodes in use and those that exist.
func (x *Index[S]) Nodes() (used, made int) { return x.names.used, int(x.names.top) }

// Nodes returns the nodes in use and those that exist.
func (t *Retained[M]) Nodes() (used, made int) { return t.names.used, int(t.names.top) }

// TableSlots returns the size of the child table.
func (x *Index[S]) TableSlots() (slots int) {
	for i := 0; i < len(x.names.children.directory); {
		s := x.names.children.directory[i]
		slots += len(s.slots)
		i += 1 << (x.names.children.depth - s.depth)
	}
	return slots
}

// Lists returns the subscriber lists that exist.
func (x *Index[S]) Lists() int { return len(x.lists.all) }

// MatchWithoutCache is Match as it would be if there were no cache.
func (x *Index[S]) MatchWithoutCache(topic []byte) [][]S {
	clear(x.out)
	x.out = x.out[:0]
	x.route(topic, x.names.levelHash(topic))
	x.collect(x.found)
	return x.out
}

// Cached reports whether the next Match of topic is answered by the cache.
func (x *Index[S]) Cached(topic string) bool {
	name := []byte(topic)
	return x.cache.again(name) != nil || x.cache.lookup(x.names.levelHash(name), name) != nil
}

// WrapShape sets the number of the filters' generation before its last value.
func (x *Index[S]) WrapShape() { x.cache.shape = 1<<32 - 1 }

// CollideCache makes the cached topic from look as if it had the hash of the topic to.
func (x *Index[S]) CollideCache(from, to string) {
	hash := x.names.levelHash([]byte(to))
	e := x.cache.lookup(x.names.levelHash([]byte(from)), []byte(from))
	forged := &x.cache.entries[hash%cacheEntries]
	*forged = *e
	forged.hash = hash
}

// LimitNodes sets how many nodes there may be.
func (x *Index[S]) LimitNodes(n int) { x.names.most = n }

// LimitNodes sets how many nodes there may be.
func (t *Retained[M]) LimitNodes(n int) { t.names.most = n }
