package router

import "github.com/loopmq/loopmq/internal/timer"

// A disk may fail to read for a while. What waits keeps its place meanwhile:
// nothing of its session passes a message that could not be read, and the read
// is tried again for as long as somebody wants it. Only what is damaged is
// passed over.

// rereadWait is the time between attempts, in ns.
const rereadWait = int64(1e9)

// rereads are those for whom the disk failed to read. They are hungry, but not
// on the list of those who are fed.
type rereads struct {
	k       *keeper
	timer   timer.Timer
	shelves []*shelf
	told    int // how often that began, for any session
}

// readLater has t read again in a while. It is said once until a read succeeds.
func (t *shelf) readLater(err error) {
	k := t.s.r.keep
	g := &k.again
	t.hungry = true
	g.shelves = append(g.shelves, t)
	if !g.timer.Armed() {
		k.r.timers.Set(&g.timer, g, k.r.after(rereadWait))
	}
	if t.ails {
		return
	}
	t.ails = true
	g.told++
	k.r.tellUnread(EventReadAgain, t.s, "", err, g.told)
}

// Due lets them be fed, in this pass.
func (g *rereads) Due(int64) {
	g.k.hungry = append(g.k.hungry, g.shelves...)
	g.shelves = nil
}
