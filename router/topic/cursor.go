package topic

import "strings"

// Cursor is a walk over the messages whose topics match a filter. It can be interrupted: between two calls of
// Next, Set and Delete may do anything. A topic that holds a message during the whole walk is met exactly once,
// any other at most once.
//
// It is a walk in depth whose whole state is the node to visit next. That node counts the cursors that stand on
// it; when it is deleted, they are moved to where they would have gone from it.
type Cursor[M any] struct {
	t      *Retained[M]
	levels []string
	hash   bool // the last level is #
	at     uint32
	depth  int  // levels above and including at
	slot   int  // position in t.cursors; -1 when the walk is over
	moved  bool // moveOn was called since visit looked
}

// Cursor starts a walk with filter, which must have passed ValidateFilter. The caller calls Next until it returns
// true, or Close: until then each deletion of a topic may look at the cursor, if it has begun to walk.
func (t *Retained[M]) Cursor(filter string) *Cursor[M] {
	t.names.prepare()
	c := &Cursor[M]{t: t, levels: strings.Split(filter, "/"), slot: len(t.cursors)}
	c.hash = c.levels[len(c.levels)-1] == "#"
	t.cursors = append(t.cursors, c)
	t.swap(c.slot, t.waiting)
	t.waiting++
	t.walking += len(c.levels)
	t.names.at(root).meta += metaOne
	return c
}

// Next is Walk without the count.
func (c *Cursor[M]) Next(max int, yield func(m M) bool) (done bool) {
	_, done = c.Walk(max, yield)
	return done
}

// Walk goes on with the walk: it visits at most max nodes, which bounds its time, and calls yield for each message
// found; left is how many of max were not needed, done reports that the walk is over. When yield returns false, Next returns and the message counts as not
// delivered: the next call starts with it, or with the one that its topic has by then. yield may change the
// Retained, but must not call methods of c.
func (c *Cursor[M]) Walk(max int, yield func(m M) bool) (left int, done bool) {
	for ; max > 0 && c.slot >= 0; max-- {
		if !c.visit(yield) {
			return max, false
		}
	}
	return max, c.slot < 0
}

// Close ends the walk. It may be called more than once, and after the end.
func (c *Cursor[M]) Close() {
	if c.slot < 0 {
		return
	}
	t := c.t
	t.names.at(c.at).meta -= metaOne
	if c.at == root {
		c.begin()
	}
	last := len(t.cursors) - 1
	t.swap(c.slot, last)
	t.cursors[last] = nil
	t.cursors = t.cursors[:last]
	c.slot = -1
	t.walking -= len(c.levels)
}

// visit yields the message of the current node if it matches and moves to the next node. It returns false, and
// stays, when yield does.
func (c *Cursor[M]) visit(yield func(m M) bool) bool {
	n := c.t.names.at(c.at)
	if c.hidden() {
		c.moveOn()
		return true
	}
	if n.isSet() && c.matches() {
		c.moved = false
		if !yield(n.value[0]) {
			return false
		}
		if c.moved || c.slot < 0 {
			return true // yield deleted the topic, and its node with it
		}
	}
	if child := c.below(); child != 0 {
		c.move(child, c.depth+1)
	} else {
		c.moveOn()
	}
	return true
}

// hidden reports whether the current node is the first level of a topic that a wildcard must not match because
// the topic begins with $ [MQTT-4.7.2-1].
func (c *Cursor[M]) hidden() bool {
	if c.depth != 1 || !c.wild(1) {
		return false
	}
	return c.t.names.isDollar(c.at)
}

// matches reports whether the path to the current node, which has been matched level by level, is the whole filter.
func (c *Cursor[M]) matches() bool {
	if c.hash {
		return c.depth >= len(c.levels)-1 // # matches the parent level too
	}
	return c.depth == len(c.levels)
}

// wild reports whether nodes at depth are matched by a wildcard.
func (c *Cursor[M]) wild(depth int) bool {
	return c.hash && depth >= len(c.levels) || c.levels[depth-1] == "+"
}

// below returns the first child of the current node that can match, 0 if there is none.
func (c *Cursor[M]) below() uint32 {
	switch depth := c.depth + 1; {
	case depth > len(c.levels) && !c.hash:
		return 0
	case c.wild(depth):
		return c.t.names.at(c.at).links[linkFirst]
	default:
		c.t.buf = append(c.t.buf[:0], c.levels[depth-1]...)
		return c.t.names.child(c.at, c.t.buf)
	}
}

// moveOn goes to the next node in the walk that is not below the current one, or ends the walk.
func (c *Cursor[M]) moveOn() {
	c.moved = true
	i := c.at
	for depth := c.depth; depth > 0; depth-- {
		n := c.t.names.at(i)
		if next := n.links[linkNext]; next != 0 && c.wild(depth) {
			c.move(next, depth)
			return
		}
		i = n.parent
	}
	c.Close()
}

// begin puts c among the cursors that have begun to walk.
func (c *Cursor[M]) begin() {
	c.t.waiting--
	c.t.swap(c.slot, c.t.waiting)
}

func (c *Cursor[M]) move(to uint32, depth int) {
	if c.at == root {
		c.begin()
	}
	c.t.names.at(c.at).meta -= metaOne
	c.t.names.at(to).meta += metaOne
	c.at, c.depth = to, depth
}
