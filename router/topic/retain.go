package topic

// Retained holds one message for each topic, and finds those that match a filter through a Cursor. M is a pointer
// as a rule. The zero value is empty and ready. Topics must have passed ValidateTopic.
//
// Siblings are chained from the newest to the oldest, which is the order in which a cursor meets them: what is
// added in front of a cursor's position is never met by it, so that a walk ends however fast topics appear.
type Retained[M any] struct {
	names   names[M]
	len     int
	cursors []*Cursor[M] // those that have not begun to walk first: they stand on the root, which is never deleted
	waiting int          // of those
	walking int          // levels of the filters of cursors
	looks   int          // cursors that the last Delete looked at
	buf     []byte
}

// Len returns the number of topics that hold a message.
func (t *Retained[M]) Len() int { return t.len }

// Memory is about what topics and cursors take, in bytes, the messages apart.
func (t *Retained[M]) Memory() int64 {
	const cursorBytes, levelBytes = 112, 16
	return t.names.memory() + int64(len(t.cursors))*cursorBytes + int64(t.walking)*levelBytes
}

// HasRoom tells whether topic may be given a message: a Retained holds 33 million levels, and Set panics beyond.
func (t *Retained[M]) HasRoom(topic []byte) bool { return t.names.room(topic) }

// Get returns the message of topic.
func (t *Retained[M]) Get(topic []byte) (m M, ok bool) {
	i := t.find(topic)
	if i == root || !t.names.at(i).isSet() {
		return m, false
	}
	return t.names.at(i).value[0], true
}

// Set gives topic the message m and returns the one that it had. The topic is copied.
func (t *Retained[M]) Set(topic []byte, m M) (old M, had bool) {
	t.names.prepare()
	i := uint32(root)
	for rest, more := topic, true; more; {
		var level []byte
		level, rest, more = cutLevel(rest)
		c := t.names.child(i, level)
		if c == 0 {
			c = t.names.add(i, level, "")
			t.chain(c, i)
		}
		i = c
	}
	n := t.names.at(i)
	old, had = n.value[0], n.isSet()
	n.set(m)
	if !had {
		t.len++
	}
	return old, had
}

// Delete removes the message of topic and returns it.
func (t *Retained[M]) Delete(topic []byte) (old M, had bool) {
	t.looks = 0
	i := t.find(topic)
	if i == root || !t.names.at(i).isSet() {
		return old, false
	}
	n := t.names.at(i)
	old = n.value[0]
	n.unset()
	t.len--
	for i != root {
		n := t.names.at(i)
		if n.isSet() || n.links[linkFirst] != 0 {
			break
		}
		parent := n.parent
		t.unchain(i)
		t.names.drop(i)
		i = parent
	}
	return old, true
}

// Looks returns how many cursors the last Delete looked at: those that have begun to walk, if one stood on what was
// deleted.
func (t *Retained[M]) Looks() int { return t.looks }

// Walk calls f for each topic until it returns false. The order is the same for the same history of calls, and
// otherwise of no meaning. f must not call methods of t that change it.
func (t *Retained[M]) Walk(f func(topic string, m M) bool) {
	for i := uint32(1); i <= t.names.top; i++ {
		if n := t.names.at(i); n.isSet() && !f(string(t.names.appendName(nil, i)), n.value[0]) {
			return
		}
	}
}

// find returns the node of topic, root if there is none.
func (t *Retained[M]) find(topic []byte) uint32 {
	if t.len == 0 {
		return root
	}
	i := uint32(root)
	for more := true; more; {
		var level []byte
		level, topic, more = cutLevel(topic)
		if i = t.names.child(i, level); i == root {
			break
		}
	}
	return i
}

// chain puts node i before its siblings.
func (t *Retained[M]) chain(i, parent uint32) {
	p := t.names.at(parent)
	next := p.links[linkFirst]
	t.names.at(i).links[linkNext] = next
	if next != 0 {
		t.names.at(next).links[linkPrev] = i
	}
	p.links[linkFirst] = i
}

// swap exchanges the places of two cursors.
func (t *Retained[M]) swap(i, j int) {
	a, b := t.cursors[i], t.cursors[j]
	t.cursors[i], t.cursors[j] = b, a
	a.slot, b.slot = j, i
}

// unchain takes node i, which has no children, from its siblings, and moves the cursors that stand on it.
func (t *Retained[M]) unchain(i uint32) {
	n := t.names.at(i)
	for k := len(t.cursors) - 1; n.count() > 0; k-- { // downwards: a cursor that ends is replaced by the last one
		t.looks++
		if c := t.cursors[k]; c.at == i {
			c.moveOn()
		}
	}
	next, prev := n.links[linkNext], n.links[linkPrev]
	if next != 0 {
		t.names.at(next).links[linkPrev] = prev
	}
	if prev != 0 {
		t.names.at(prev).links[linkNext] = next
	} else {
		t.names.at(n.parent).links[linkFirst] = next
	}
}
