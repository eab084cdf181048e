package router

// One goroutine serves everybody, so nobody may have it for long. What a client
// can make the router do is counted in toil: a packet is one, and what takes
// longer is worth so many packets. A turn ends when its toil is done; what is
// left is done in the next pass, after all others had their turns.
//
// Fan-out is counted apart, in visits to subscriptions: one PUBLISH is matched
// and sent as a whole. That turns are short does not make writes small: output
// gathers with the engine until it is written.
const (
	toilTurn  = 1 << 10 // most in one call of Data
	toilPass  = 1 << 16 // all clients together in a pass, before turns become short
	toilLeft  = 1 << 8  // a short turn
	toilPiece = 1 << 10 // of packets that are done in pieces, in a pass

	visitsTurn = 1 << 16 // some 1.5 ms
	visitsPass = 1 << 21
	visitsLeft = 1 << 15

	toilOfFilter  = 32 // to enter or take out a filter
	bytesOfToil   = 64 // of a filter that is looked at, for one more
	toilOfMessage = 2  // to let a message of a session go
	toilOfLook    = 4  // at a topic that has a retained message
	stepsOfToil   = 4  // steps on the ways through the filters, for one more
	setsOfToil    = 2  // filters that one message matches, for one more
	flightsOfToil = 16 // messages in flight that are moved or looked at for an acknowledgement, for one more
	looksOfToil   = 8  // walks over retained messages that are looked at when one is taken away, for one more
)

// toilToCheck is what it takes to look at a filter.
func toilToCheck(filter []byte) uint64 { return 1 + uint64(len(filter)/bytesOfToil) }

// turns is what was done, since ever and at the beginning of the pass.
type turns struct {
	toil, visited         uint64
	toilThen, visitedThen uint64
}

func (t *turns) beginPass() { t.toilThen, t.visitedThen = t.toil, t.visited }

// next returns where the turn ends that begins now.
//
// hot: a few comparisons for each read of a connection.
func (t *turns) next() (toil, visited uint64) {
	toil = min(t.toil+toilTurn, max(t.toil+toilLeft, t.toilThen+toilPass))
	return toil, min(t.visited+visitsTurn, max(t.visited+visitsLeft, t.visitedThen+visitsPass))
}

// over tells whether a turn of timers that began at toil and visited should end.
func (t *turns) over(toil, visited uint64) bool {
	return t.toil-toil >= toilTurn || t.visited-visited >= visitsLeft
}

// runTimers runs what is due, as long as its turn lasts: sessions that end
// have subscriptions and messages to let go, and a will has its subscribers. It
// reports whether there may be more.
func (r *Router) runTimers() (more bool) {
	toil, visited := r.toil, r.visited
	for range passTimersMax {
		if r.over(toil, visited) {
			return true
		}
		if r.timers.Run(r.now, 1) == 0 {
			return false
		}
	}
	return true
}
