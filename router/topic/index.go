package topic

import "bytes"

// Index finds the subscribers whose filters match a topic. S names a subscriber, a pointer as a rule.
//
// A filter without wildcards is one node below the root, found by the whole topic in one step: with a million of them
// each step is a cache miss or two. A filter with wildcards is a path of nodes, one for each level. A node holds its
// only subscriber itself, several in a list. The cost of Match grows with the matching filters and, where there are
// filters with wildcards, with the topic's levels, not with the filters that are there.
type Index[S comparable] struct {
	names      names[S]
	lists      lists[S]
	len        int
	wild       int // nodes of + and #
	generation uint32
	cache      cache

	// Scratch, kept so that Match and Insert allocate nothing.
	filter []byte
	topic  []byte  // the topic that Match walks
	levels []level // its levels, as far as the walk has needed them
	rest   int     // where in topic the next level starts; beyond len(topic)+1 never
	found  []uint32
	steps  int    // nodes that Match looked at
	exact  uint32 // the node of the topic itself, 0 = none
	out    [][]S
}

// level is one level of the topic being matched.
type level struct {
	from, to int
	hash     uint64
}

// NewIndex returns an empty index.
func NewIndex[S comparable]() *Index[S] {
	x := new(Index[S])
	x.names.prepare()
	return x
}

// Len returns the number of subscriptions: pairs of filter and subscriber.
func (x *Index[S]) Len() int { return x.len }

// Memory is about what the filters take, in bytes, subscribers and strings of the caller apart.
func (x *Index[S]) Memory() int64 { return x.names.memory() }

// HasRoom tells whether filter may be inserted: an Index holds 33 million levels, and Insert panics beyond.
func (x *Index[S]) HasRoom(filter []byte) bool { return x.names.room(filter) }

// Generation changes with each successful Insert and Remove. It wraps around.
func (x *Index[S]) Generation() uint32 { return x.generation }

// Insert subscribes s to filter and reports whether it was not subscribed before. A filter that ValidateFilter
// refuses is not inserted.
func (x *Index[S]) Insert(filter string, s S) (added bool) {
	x.filter = append(x.filter[:0], filter...)
	if ValidateFilter(x.filter) != nil {
		return false
	}
	x.names.prepare()
	i := uint32(root)
	if isLiteral(x.filter) {
		i = x.childOrNew(root, x.filter, filter)
	} else {
		for rest, more := x.filter, true; more; {
			var name []byte
			name, rest, more = cutLevel(rest)
			i = x.childOrNew(i, name, "")
		}
	}
	if !x.addSubscriber(i, s) {
		return false
	}
	x.len++
	x.generation++
	return true
}

// Remove ends the subscription of s to filter and reports whether there was one.
func (x *Index[S]) Remove(filter string, s S) (removed bool) {
	x.filter = append(x.filter[:0], filter...)
	i, ok := x.find(x.filter)
	if !ok || !x.removeSubscriber(i, s) {
		return false
	}
	x.prune(i)
	x.len--
	x.generation++
	clear(x.out) // views of the last Match; they may be all that keeps s alive
	x.out = x.out[:0]
	return true
}

// Match returns the subscribers of each filter that matches topic, one slice a filter. The order is the same for
// the same history of calls. Slices and elements are views: they die with the next call of any method, and must
// not be written to. A subscriber that has several matching filters is in several slices.
//
// topic must have passed ValidateTopic.
//
// hot: no allocation once the scratch has grown to what the deepest topic and the widest result need.
func (x *Index[S]) Match(topic []byte) [][]S {
	clear(x.out)
	x.out = x.out[:0]
	x.steps = 0
	if x.len == 0 {
		return x.out
	}
	if e := x.cache.again(topic); e != nil {
		x.collect(e.nodes[:e.count])
		return x.out
	}
	hash := x.names.levelHash(topic)
	if e := x.cache.lookup(hash, topic); e != nil {
		x.collect(e.nodes[:e.count])
		return x.out
	}
	x.route(topic, hash)
	x.cache.offer(hash, topic, x.found)
	x.collect(x.found)
	return x.out
}

// Steps returns how many nodes the last Match had to look at: few if it remembered the topic, and as many as there are
// ways through the filters' wildcards else, whether a filter matched in the end or not.
func (x *Index[S]) Steps() int { return x.steps }

// Walk calls f for each subscription until it returns false. The order is the same for the same history of
// calls, and otherwise of no meaning. f must not call methods of x.
func (x *Index[S]) Walk(f func(filter string, s S) bool) {
	for i := uint32(1); i <= x.names.top; i++ {
		if x.names.at(i).free() {
			continue
		}
		members := x.subscribers(i)
		if len(members) == 0 {
			continue
		}
		filter := string(x.names.appendName(nil, i))
		for _, s := range members {
			if !f(filter, s) {
				return
			}
		}
	}
}

// route fills found with the nodes whose filters match topic.
//
// hot: no allocation once the scratch has grown.
func (x *Index[S]) route(topic []byte, hash uint64) {
	x.found = x.found[:0]
	x.exact = x.names.childHashed(root, topic, hash)
	if x.wild > 0 {
		x.topic, x.rest = topic, 0
		x.levels = x.levels[:0]
		x.walk(root, 0)
		x.topic = nil
	}
	if x.exact != 0 {
		x.take(x.exact)
	}
}

// take adds node i to found if it has subscribers.
func (x *Index[S]) take(i uint32) {
	if n := x.names.at(i); n.isSet() || n.links[linkList] != 0 {
		x.found = append(x.found, i)
	}
}

// walk gathers the nodes with subscribers that match below node i, which has matched the levels before depth.
func (x *Index[S]) walk(i uint32, depth int) {
	x.steps++
	n := x.names.at(i)
	wild := depth > 0 || len(x.topic) == 0 || x.topic[0] != '$' // [MQTT-4.7.2-1]
	if c := n.links[linkHash]; c != 0 && wild {
		x.found = append(x.found, c) // at the end of the topic too: # matches the parent level
	}
	if x.ends(depth) {
		if i != x.exact { // that of a topic of one level is on both ways
			x.take(i)
		}
		return
	}
	if n.count() > 0 {
		l := x.level(depth)
		if c := x.names.childHashed(i, x.topic[l.from:l.to], l.hash); c != 0 {
			x.walk(c, depth+1)
		}
	}
	if c := n.links[linkPlus]; c != 0 && wild {
		x.level(depth)
		x.walk(c, depth+1)
	}
}

// ends reports whether the topic has no level at depth. The levels before depth have been read.
func (x *Index[S]) ends(depth int) bool {
	return depth == len(x.levels) && x.rest > len(x.topic)
}

// level returns the topic's level at depth, and reads it on first need: a walk that ends early hashes little.
func (x *Index[S]) level(depth int) level {
	if depth < len(x.levels) {
		return x.levels[depth]
	}
	name, _, _ := cutLevel(x.topic[x.rest:])
	l := level{from: x.rest, to: x.rest + len(name), hash: x.names.levelHash(name)}
	x.rest = l.to + 1
	x.levels = append(x.levels, l)
	return l
}

// collect turns node numbers into the subscribers of those nodes.
//
// hot: no allocation once out has grown.
func (x *Index[S]) collect(nodes []uint32) {
	for _, i := range nodes {
		x.out = append(x.out, x.subscribers(i))
	}
}

// subscribers returns a view of those of node i.
func (x *Index[S]) subscribers(i uint32) []S {
	n := x.names.at(i)
	if list := n.links[linkList]; list != 0 {
		return x.lists.all[list].members
	}
	if n.isSet() {
		return n.value[:]
	}
	return nil
}

func (x *Index[S]) addSubscriber(i uint32, s S) bool {
	n := x.names.at(i)
	if number := n.links[linkList]; number != 0 {
		list := x.lists.all[number]
		if _, is := list.find(s); is {
			return false
		}
		list.add(s)
		return true
	}
	if !n.isSet() {
		n.set(s)
		x.cache.invalidate()
		return true
	}
	if n.value[0] == s {
		return false
	}
	n.links[linkList] = x.lists.take()
	list := x.lists.all[n.links[linkList]]
	list.add(n.value[0])
	list.add(s)
	n.unset()
	return true
}

func (x *Index[S]) removeSubscriber(i uint32, s S) bool {
	n := x.names.at(i)
	number := n.links[linkList]
	if number == 0 {
		if !n.isSet() || n.value[0] != s {
			return false
		}
		n.unset()
		x.cache.invalidate()
		return true
	}
	list := x.lists.all[number]
	at, is := list.find(s)
	if !is {
		return false
	}
	list.remove(at)
	if len(list.members) == 1 {
		n.set(list.members[0])
		n.links[linkList] = 0
		x.lists.release(number)
	}
	return true
}

// find returns the node of a filter. An invalid filter has none.
func (x *Index[S]) find(filter []byte) (uint32, bool) {
	if x.len == 0 {
		return 0, false
	}
	if isLiteral(filter) {
		i := x.names.child(root, filter)
		return i, i != 0
	}
	i := uint32(root)
	for more := true; more; {
		var name []byte
		name, filter, more = cutLevel(filter)
		if link, ok := wildcardLink(name); ok {
			i = x.names.at(i).links[link]
		} else {
			i = x.names.child(i, name)
		}
		if i == 0 {
			return 0, false
		}
	}
	return i, true
}

// childOrNew returns the child of this name, and makes it if need be; kept is as for names.add.
func (x *Index[S]) childOrNew(parent uint32, name []byte, kept string) uint32 {
	if link, ok := wildcardLink(name); ok {
		if c := x.names.at(parent).links[link]; c != 0 {
			return c
		}
		c := x.names.take(parent, name, "")
		x.names.at(parent).links[link] = c
		x.wild++
		return c
	}
	if c := x.names.child(parent, name); c != 0 {
		return c
	}
	c := x.names.add(parent, name, kept)
	x.names.at(parent).meta += metaOne
	return c
}

// prune frees node i and those above it that have neither subscribers nor children any more.
func (x *Index[S]) prune(i uint32) {
	for i != root {
		n := x.names.at(i)
		if n.isSet() || n.count() > 0 || n.links != [3]uint32{} {
			return
		}
		parent := n.parent
		p := x.names.at(parent)
		switch i {
		case p.links[linkPlus]:
			p.links[linkPlus] = 0
			x.wild--
			x.names.release(i)
		case p.links[linkHash]:
			p.links[linkHash] = 0
			x.wild--
			x.names.release(i)
		default:
			p.meta -= metaOne
			x.names.drop(i)
		}
		i = parent
	}
}

// isLiteral reports whether a valid filter has no wildcards.
func isLiteral(filter []byte) bool {
	return bytes.IndexByte(filter, '+') < 0 && bytes.IndexByte(filter, '#') < 0
}

func wildcardLink(level []byte) (link int, ok bool) {
	if len(level) == 1 {
		switch level[0] {
		case '+':
			return linkPlus, true
		case '#':
			return linkHash, true
		}
	}
	return 0, false
}
