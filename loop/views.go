//go:build linux

package loop

import "github.com/loopmq/loopmq/internal/invariant"

// How long views live.
//
// A view lives until the output that it is part of is written, copied or dropped. Nobody counts them: connections are
// written in the order in which they became dirty, so when the first one that waits became dirty in this age, all views
// of earlier ages have ended. Then a new age begins, and the memory of the age before is free one age later. As long
// as every pass writes all its output, every pass is an age, or two: nothing is left over.
//
// Memory of ended ages that is still held is bounded by Limits.ViewBytesMax; beyond it all output is flushed.

// held is input memory that views point into.
type held struct {
	arenas  [][]byte // full ones
	retired [][]byte // of single connections; from the pool
}

// newArena makes room in the arena, which is full: by a flush in mid-pass or, where that leaves something over, by taking
// another one, or by flushing everything if no more may be held.
func (l *epoll) newArena() {
	l.stats.MidFlushes++
	l.flush()
	if l.pos > 0 && l.heldBytes+len(l.arena) > l.lim.ViewBytesMax {
		l.stats.WholeFlushes++
		l.flushAll()
	}
	if l.pos == 0 {
		return
	}
	l.views.arenas = append(l.views.arenas, l.arena)
	l.heldBytes += len(l.arena)
	l.pos = 0
	if n := len(l.spareArenas); n > 0 {
		l.arena = l.spareArenas[n-1]
		l.spareArenas[n-1] = nil
		l.spareArenas = l.spareArenas[:n-1]
		return
	}
	l.arena = make([]byte, l.lim.ArenaBytes)
}

// dropSpares lets go what only wide fan-out needs.
func (l *epoll) dropSpares() {
	l.spareArenas = nil
	if len(l.spareSegs) > spareSegsIdle {
		l.spareSegs = append([][]segment(nil), l.spareSegs[:spareSegsIdle]...)
	}
}

// retire keeps input memory of a single connection until its views have ended.
func (l *epoll) retire(b []byte) {
	l.views.retired = append(l.views.retired, b)
	l.heldBytes += cap(b)
}

// ageViews begins a new age if the views of the one before have ended, and ends all views if nothing waits.
func (l *epoll) ageViews() {
	first := l.late.head // a flush leaves nobody in dirty
	switch {
	case first == nil:
		if invariant.On {
			invariant.Mangle(l.arena[:l.pos])
		}
		l.pos = 0
		l.nextAge()
		l.nextAge()
	case first.age == l.age:
		l.nextAge()
	case l.heldBytes > l.lim.ViewBytesMax:
		l.stats.WholeFlushes++
		l.flushAll()
	}
}

// nextAge frees what views of the age before the one that ends have pointed into.
func (l *epoll) nextAge() {
	l.age++
	l.swollen, l.gathered = false, 0
	l.olderViews, l.views = l.views, l.olderViews
	free := &l.views
	for i, a := range free.arenas {
		if invariant.On {
			invariant.Mangle(a)
		}
		l.heldBytes -= len(a)
		l.spareArenas = append(l.spareArenas, a)
		free.arenas[i] = nil
	}
	for i, b := range free.retired {
		l.heldBytes -= cap(b)
		l.pool.Put(b)
		free.retired[i] = nil
	}
	free.arenas, free.retired = free.arenas[:0], free.retired[:0]
	l.hooks.ViewsAge()
}
