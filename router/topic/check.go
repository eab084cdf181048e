package topic

import (
	"errors"
	"fmt"
)

// CheckInvariants walks everything and returns what does not fit, nil when all is well. It is for tests and for
// builds with checks: its cost grows with the number of subscriptions.
func (x *Index[S]) CheckInvariants() error {
	t := &x.names
	if t.chunks == nil {
		return nil
	}
	errs := []error{t.check()}
	children := make([]uint32, t.top+1)
	listed := make(map[uint32]bool)
	subscriptions, wild := 0, 0
	for i := uint32(1); i <= t.top; i++ {
		n := t.at(i)
		if n.free() {
			continue
		}
		if literal, err := x.checkParent(i, n); err != nil {
			errs = append(errs, err)
		} else if literal {
			children[n.parent]++
		} else {
			wild++
		}
		number := n.links[linkList]
		if number != 0 {
			errs = append(errs, x.checkList(i, n, listed[number]))
			listed[number] = true
		}
		members := x.subscribers(i)
		subscriptions += len(members)
		if len(members) == 0 && n.count() == 0 && n.links == [3]uint32{} {
			errs = append(errs, fmt.Errorf("index: node %d %q has neither subscribers nor children", i, t.appendName(nil, i)))
		}
	}
	for i, count := range children {
		if n := t.at(uint32(i)); !n.free() && n.count() != count {
			errs = append(errs, fmt.Errorf("index: node %d counts %d literal children, has %d", i, n.count(), count))
		}
	}
	if wild != x.wild {
		errs = append(errs, fmt.Errorf("index: %d nodes of wildcards, counted %d", wild, x.wild))
	}
	if subscriptions != x.len {
		errs = append(errs, fmt.Errorf("index: Len is %d, the nodes hold %d subscriptions", x.len, subscriptions))
	}
	return errors.Join(append(errs, x.lists.check(len(listed)))...)
}

// checkParent checks that the parent leads to node i, and how.
func (x *Index[S]) checkParent(i uint32, n *node[S]) (literal bool, err error) {
	t := &x.names
	if t.at(n.parent).free() {
		return false, fmt.Errorf("index: node %d is below node %d, which is free", i, n.parent)
	}
	found, literal := uint32(0), true
	if link, ok := wildcardLink(t.levelText(i)); ok {
		found, literal = t.at(n.parent).links[link], false
	} else {
		found = t.child(n.parent, t.levelText(i))
	}
	if found != i {
		return false, fmt.Errorf("index: node %d %q is not found from its parent %d, which leads to %d", i, t.levelText(i), n.parent, found)
	}
	return literal, nil
}

func (x *Index[S]) checkList(i uint32, n *node[S], again bool) error {
	number := n.links[linkList]
	if int(number) >= len(x.lists.all) || again || n.isSet() {
		return fmt.Errorf("index: node %d has list %d, which another node has, or does not exist, or a subscriber beside it", i, number)
	}
	l := x.lists.all[number]
	if len(l.members) < 2 || (l.at == nil) && len(l.members) > scanMax || l.at != nil && len(l.at) != len(l.members) {
		return fmt.Errorf("index: list %d has %d members and %d mapped positions", number, len(l.members), len(l.at))
	}
	for at, s := range l.members {
		if found, _ := l.find(s); found != at {
			return fmt.Errorf("index: list %d has the member at %d also at %d", number, at, found)
		}
	}
	return nil
}

func (l *lists[S]) check(used int) error {
	free := 0
	for i := l.free; i != 0 && free <= len(l.all); i = l.all[i].next {
		free++
	}
	if l.used != used || used+free != max(len(l.all), 1)-1 {
		return fmt.Errorf("index: %d lists in use, %d counted, %d free, %d made", used, l.used, free, len(l.all))
	}
	return nil
}

// CheckInvariants walks everything and returns what does not fit, nil when all is well. It is for tests and for
// builds with checks: its cost grows with the number of topics.
func (t *Retained[M]) CheckInvariants() error {
	if t.names.chunks == nil {
		return nil
	}
	errs := []error{t.names.check()}
	stand, walking := make(map[uint32]uint32), 0
	for k, c := range t.cursors {
		stand[c.at]++
		walking += len(c.levels)
		if c.slot != k || c.t != t || (k < t.waiting) != (c.at == root) || t.names.at(c.at).free() {
			errs = append(errs, fmt.Errorf("retained: cursor %d has slot %d and stands on node %d", k, c.slot, c.at))
		}
	}
	if walking != t.walking {
		errs = append(errs, fmt.Errorf("retained: the cursors have %d levels, %d are counted", walking, t.walking))
	}
	messages, chained := 0, 0
	for i := uint32(0); i <= t.names.top; i++ {
		n := t.names.at(i)
		if n.free() {
			continue
		}
		if n.isSet() {
			messages++
		}
		if n.count() != stand[i] {
			errs = append(errs, fmt.Errorf("retained: node %d counts %d cursors, has %d", i, n.count(), stand[i]))
		}
		if i != root && !n.isSet() && n.links[linkFirst] == 0 {
			errs = append(errs, fmt.Errorf("retained: node %d %q has neither message nor children", i, t.names.appendName(nil, i)))
		}
		count, err := t.checkChain(i)
		chained += count
		errs = append(errs, err)
	}
	if messages != t.len || chained != t.names.used || t.names.children.used != t.names.used {
		errs = append(errs, fmt.Errorf("retained: Len is %d, the nodes hold %d messages; %d nodes in use, %d chained, %d in the table",
			t.len, messages, t.names.used, chained, t.names.children.used))
	}
	return errors.Join(errs...)
}

// checkChain checks the children of node i and returns their number.
func (t *Retained[M]) checkChain(i uint32) (count int, err error) {
	prev := uint32(0)
	for c := t.names.at(i).links[linkFirst]; c != 0; c = t.names.at(c).links[linkNext] {
		n := t.names.at(c)
		if count++; count > t.names.used {
			return count, fmt.Errorf("retained: the children of node %d form a ring", i)
		}
		if n.free() || n.parent != i || n.links[linkPrev] != prev || t.names.child(i, t.names.levelText(c)) != c {
			return count, fmt.Errorf("retained: node %d is no proper child of node %d", c, i)
		}
		prev = c
	}
	return count, nil
}

// check verifies the arena and the table.
func (t *names[P]) check() error {
	free := 0
	for i := t.free; i != 0; i = t.at(i).parent {
		if free++; !t.at(i).free() || free > int(t.top) {
			return fmt.Errorf("names: node %d on the free list is in use, or the list is a ring", i)
		}
	}
	if t.used+free != int(t.top) {
		return fmt.Errorf("names: %d nodes in use and %d free of %d", t.used, free, t.top)
	}
	long, longBytes := 0, 0
	for i := uint32(1); i <= t.top; i++ {
		if n := t.at(i); n.meta&metaLength == textLong {
			long++
			longBytes += len(t.longText(n))
		}
	}
	if long+len(t.longFree) != len(t.long) || longBytes != t.longBytes {
		return fmt.Errorf("names: %d long levels in use and %d free of %d; they have %d bytes, %d are counted",
			long, len(t.longFree), len(t.long), longBytes, t.longBytes)
	}
	return t.children.check(func(hash, i uint32) bool {
		n := t.at(i)
		return !n.free() && hash == t.childHash(n.parent, t.levelHash(t.levelText(i)))
	})
}

// check verifies the directory, the segments, and each entry by fits.
func (t *table) check(fits func(hash, node uint32) bool) error {
	used, deepest := 0, 0
	for i := 0; i < len(t.directory); {
		s := t.directory[i]
		if s.depth > t.depth {
			return fmt.Errorf("table: segment at %d has depth %d, the table %d", i, s.depth, t.depth)
		}
		for end := i + 1<<(t.depth-s.depth); i < end; i++ {
			if t.directory[i] != s {
				return fmt.Errorf("table: entry %d does not lead to the segment that covers it", i)
			}
		}
		if s.depth == t.depth {
			deepest++
		}
		used += s.used
		if err := t.checkSegment(s, fits); err != nil {
			return err
		}
	}
	if used != t.used || deepest != t.deepest {
		return fmt.Errorf("table: %d entries, %d counted; %d segments of full depth, %d counted", used, t.used, deepest, t.deepest)
	}
	return nil
}

func (t *table) checkSegment(s *segment, fits func(hash, node uint32) bool) error {
	used, mask := 0, uint32(len(s.slots)-1)
	for i, e := range s.slots {
		if e == 0 {
			continue
		}
		used++
		hash, node := uint32(e>>32), uint32(e)
		if t.segment(hash) != s || !fits(hash, node) {
			return fmt.Errorf("table: entry of node %d is in the wrong segment or names another level", node)
		}
		for k := hash & mask; k != uint32(i); k = (k + 1) & mask {
			if s.slots[k] == 0 {
				return fmt.Errorf("table: entry of node %d is behind a gap", node)
			}
		}
	}
	if used != s.used || used == len(s.slots) {
		return fmt.Errorf("table: segment with %d entries counts %d", used, s.used)
	}
	return nil
}
