package router

// A batch gathers in lots, a lot a pass. What waits for a lot may go when the
// lot is durable, or when nothing of it needs to be any more: a message that all
// have acknowledged who were to get it is owed to nobody, wherever the batch is.
// Lots are answered in their order.
//
// So where subscribers acknowledge at once, the disk is not what publishers wait
// for, and what is written is what takes longer. See keeper.patient.
type lot struct {
	first  uint64 // number of its first wanted entry; all of the lots before are lower
	wanted int    // entries of QoS 1 that were not acknowledged yet
	firm   bool   // it holds more than those and their messages: only the disk will do
	queued bool   // some of them wait in a queue
	since  int64  // when they had left for their subscribers, ns; 0: they have not
	batchList
}

// batchList is who waits for a lot.
type batchList struct {
	clients  []*Client
	sessions []*Session
	shelves  []*shelf
}

func (l *batchList) reset() {
	clear(l.clients)
	clear(l.sessions)
	clear(l.shelves)
	l.clients, l.sessions, l.shelves = l.clients[:0], l.sessions[:0], l.shelves[:0]
}

// addClient adds c. Who waits no more is gone.
func (l *batchList) addClient(c *Client) {
	l.clients = append(withRoom(l.clients, func(c *Client) bool { return c.waits == nil }), c)
}

// addShelf adds t. One that is empty is gone.
func (l *batchList) addShelf(t *shelf) {
	l.shelves = append(withRoom(l.shelves, func(t *shelf) bool { return t.s.onShelf() != t }), t)
}

const (
	lotsMax   = 64 // what comes then goes into the last one
	lotsSpare = 8

	// ackWait is how long entries that are on their way to subscribers gather at
	// most before they are written, and ackCommits how many times as long as the
	// last commit took: to write them costs something, and so does to wait.
	ackWait    = int64(20e6) // ns
	ackCommits = 4
	// ackShare of them, one in so many, acknowledged makes it worth to have waited.
	ackShare   = 4
	vainMost   = 6 // doublings of the batches that leave at once when it was not
	companyMin = 4 // messages; fewer leave at once
)

// patience is what waiting for acknowledgements has brought.
type patience struct {
	put, acked int    // entries of the open batch, and how many of them are acknowledged
	before     uint64 // number of the last message that came before
	vain       int    // waits in a row that brought little
	atOnce     int    // batches that leave at once for it

	sealedAt, took int64 // ns; of the last commit
}

// begin begins anew with a batch behind message n.
func (p *patience) begin(n uint64) { p.put, p.acked, p.before = 0, 0, n }

// judge learns from a batch that has waited.
func (p *patience) judge() {
	if p.acked*ackShare >= p.put {
		p.vain = 0
		return
	}
	p.atOnce = 1 << p.vain
	p.vain = min(p.vain+1, vainMost)
}

// lot is the one that gathers, and lotOf another that is not done.
func (k *keeper) lot() *lot           { return k.lots[len(k.lots)-1] }
func (k *keeper) lotOf(n uint64) *lot { return k.lots[n-k.done-1] }

// want notes an entry that is needed until it is acknowledged.
func (k *keeper) want(entry uint64, waits bool) {
	l := k.lot()
	if l.first == 0 {
		l.first = entry
	}
	l.wanted++
	k.patience.put++
	l.queued = l.queued || waits
}

// acknowledged notes that d, of QoS 1, has arrived.
func (k *keeper) acknowledged(d *delivery) {
	if d.key == 0 || d.msg.class != DurabilitySync {
		return
	}
	i := len(k.lots) - 1
	if l := k.lots[i]; l.first == 0 || d.key < l.first {
		low, high := 0, i
		for low < high { // the first lot that begins behind d
			if m := (low + high) / 2; k.lots[m].first <= d.key {
				low = m + 1
			} else {
				high = m
			}
		}
		if i = low - 1; i < 0 {
			return // it is durable
		}
	}
	k.lots[i].wanted--
	if k.done+1+uint64(i) > k.sealedLot {
		k.patience.acked++
	}
}

// lotIsEmpty tells whether nobody waits for the lot that gathers, and it holds
// nothing that somebody may wait for.
func (k *keeper) lotIsEmpty() bool {
	l := k.lot()
	return k.lastNeed != k.open && l.first == 0 && !l.firm && len(l.clients)+len(l.sessions)+len(l.shelves) == 0
}

// closeLot begins another lot.
func (k *keeper) closeLot() {
	if l := k.lot(); l.first == 0 {
		l.first = k.entries + 1
	}
	var l *lot
	if n := len(k.spareLots); n > 0 {
		l, k.spareLots = k.spareLots[n-1], k.spareLots[:n-1]
	} else {
		l = new(lot)
	}
	k.lots = append(k.lots, l)
	k.open++
}

// endLot ends the lot of a pass, and lets go what nobody needs any more.
func (k *keeper) endLot() {
	if n := len(k.lots); n > 1 && k.lots[n-2].since == 0 {
		k.lots[n-2].since = k.r.now // what a pass sends leaves at its end
	}
	if k.lastNeed == k.open && len(k.lots) < lotsMax {
		k.closeLot()
	}
	if k.err != nil {
		return
	}
	n := k.done
	for _, l := range k.lots[:len(k.lots)-1] {
		if l.firm || l.wanted > 0 {
			break
		}
		n++
	}
	k.release(n)
	if len(k.lots) == 1 && k.lot().wanted == 0 {
		k.patience.begin(k.messages)
	}
}

// patient tells whether the open batch should wait for acknowledgements, and
// until when. A lone message does not, nor does what waits for the disk anyway.
func (k *keeper) patient() (until int64, wait bool) {
	p := &k.patience
	switch {
	case k.messages-p.before < companyMin, k.crowded(): // publishers are held back until it has left
		return 0, false
	case p.atOnce > 0:
		p.atOnce--
		return 0, false
	}
	var oldest *lot
	for n := max(k.sealedLot, k.done) + 1; n <= k.open; n++ {
		l := k.lotOf(n)
		if l.firm || l.queued {
			return 0, false
		}
		if oldest == nil && l.wanted > 0 {
			oldest = l
		}
	}
	most := min(ackWait, ackCommits*p.took)
	switch {
	case oldest == nil || most == 0:
	case oldest.since == 0: // in the pass that follows at once it is known
		return k.r.now, true
	case k.r.now < oldest.since+most:
		return oldest.since + most, true
	}
	p.judge()
	return 0, false
}

// release lets go what waited for the lots up to n.
func (k *keeper) release(n uint64) {
	if n <= k.done {
		return
	}
	count := int(n - k.done)
	list := append(k.released[:0], k.lots[:count]...)
	k.released = nil // who is let go may put records, and end lots
	k.lots = append(k.lots[:0], k.lots[count:]...)
	k.done = n
	for _, l := range list {
		for _, c := range l.clients {
			k.releaseAnswers(c)
		}
		for _, s := range l.sessions {
			if s.kept != nil {
				s.kept.settled = s.kept.sealing
				k.r.pump(s)
			}
		}
		for _, t := range l.shelves {
			t.settle()
		}
		l.reset()
		*l = lot{batchList: l.batchList}
		if len(k.spareLots) < lotsSpare {
			k.spareLots = append(k.spareLots, l)
		}
	}
	clear(list)
	k.released = list[:0]
}
