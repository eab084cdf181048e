package topic

const (
	// scanMax is the length up to which a list is searched by looking at each subscriber; beyond it a map knows
	// the positions. 32 pointers are four cache lines.
	scanMax = 32
	// spareMax is the capacity up to which the storage of a list that is given up waits for the next one.
	spareMax = 8
)

// subscribers are those of a node that has at least two.
type subscribers[S comparable] struct {
	members []S // insertion order, but a removal moves the last member into the gap
	at      map[S]uint32
	peak    int    // len(at) since it was made: a map does not shrink by itself
	next    uint32 // of a free list: the next one
}

func (l *subscribers[S]) find(s S) (int, bool) {
	if l.at != nil {
		i, ok := l.at[s]
		return int(i), ok
	}
	for i := range l.members {
		if l.members[i] == s {
			return i, true
		}
	}
	return 0, false
}

// add appends s, which must not be a member.
func (l *subscribers[S]) add(s S) {
	l.members = append(l.members, s)
	switch {
	case l.at != nil:
		l.at[s] = uint32(len(l.members) - 1)
		l.peak = max(l.peak, len(l.at))
	case len(l.members) > scanMax:
		l.mapPositions()
	}
}

// remove takes the member at i out.
func (l *subscribers[S]) remove(i int) {
	last := len(l.members) - 1
	gone, moved := l.members[i], l.members[last]
	l.members[i] = moved
	clear(l.members[last:])
	l.members = l.members[:last]
	if cap(l.members) > scanMax && last < cap(l.members)/4 {
		l.members = append(make([]S, 0, cap(l.members)/2), l.members...)
	}
	if l.at == nil {
		return
	}
	l.at[moved] = uint32(i)
	delete(l.at, gone) // after the line above: gone may be moved
	switch {
	case last <= scanMax/2:
		l.at, l.peak = nil, 0
	case last < l.peak/4:
		l.mapPositions()
	}
}

func (l *subscribers[S]) mapPositions() {
	l.at = make(map[S]uint32, len(l.members))
	for i, s := range l.members {
		l.at[s] = uint32(i)
	}
	l.peak = len(l.at)
}

// lists hands out subscribers by number; 0 is none. The zero value is empty.
type lists[S comparable] struct {
	all  []*subscribers[S]
	free uint32
	used int
}

func (l *lists[S]) take() uint32 {
	l.used++
	if i := l.free; i != 0 {
		l.free = l.all[i].next
		return i
	}
	if len(l.all) == 0 {
		l.all = append(l.all, nil)
	}
	l.all = append(l.all, new(subscribers[S]))
	return uint32(len(l.all) - 1)
}

func (l *lists[S]) release(i uint32) {
	l.used--
	if l.used == 0 {
		*l = lists[S]{}
		return
	}
	kept := l.all[i].members[:0]
	if cap(kept) > spareMax {
		kept = nil
	}
	clear(kept[:cap(kept)])
	*l.all[i] = subscribers[S]{members: kept, next: l.free}
	l.free = i
}
