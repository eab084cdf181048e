package router

import "fmt"

// onDisk is what a walk over all sessions finds of what waits on disk only.
type onDisk struct {
	n      int
	bytes  int
	held   int
	behind int            // in memory behind it
	entry  map[uint64]int // by number of the message
}

// checkKept holds what a session has against what is written down of it, and
// counts the entries of each message.
func (s *Session) checkKept(found *onDisk) (err error) {
	durable := s.kept != nil
	seen := map[uint64]bool{}
	entry := func(d *delivery) {
		none := d.msg != nil && d.msg.class == DurabilityNone
		if d.key == 0 && durable && none {
			return
		}
		if (d.key != 0) != durable || durable && seen[d.key] {
			err = fmt.Errorf("entry %d: durable session %v, seen before %v", d.key, durable, seen[d.key])
		}
		seen[d.key] = true
		if durable && d.msg != nil && !none {
			found.entry[d.msg.key]++
		}
	}
	last := uint64(0)
	for i := range s.queue.n {
		d := s.queue.at(i)
		entry(d)
		if durable && d.key != 0 {
			if d.key <= last {
				err = fmt.Errorf("entry %d waits behind entry %d", d.key, last)
			}
			last = d.key
		}
	}
	for i := range s.out.open {
		entry(&s.out.at(i).delivery)
	}
	s.subs.each(func(sub *Subscription) {
		if (sub.key != 0) != durable {
			err = fmt.Errorf("filter %q: record %d, durable session %v", sub.filter, sub.key, durable)
		}
	})
	if t := s.onShelf(); t != nil && err == nil {
		if t.ended || t.s != s || t.cold.n+t.fresh.n == 0 && !t.reading && !t.hungry {
			return fmt.Errorf("nothing waits behind the window, or for somebody else")
		}
		if s.queue.n == 0 && !t.reading && !t.hungry && s.takes() {
			return fmt.Errorf("%d messages wait on disk and nothing reads them", t.cold.n)
		}
		err = t.check(last, found)
	}
	return err
}

// takes tells whether s would be sent a message now.
func (s *Session) takes() bool {
	c := s.client
	return c != nil && !c.closing && !c.muted() && s.windowOpen() && (c.rare == nil || c.rare.stuck == nil)
}

// check walks what waits behind entry last.
func (t *shelf) check(last uint64, found *onDisk) (err error) {
	r, n, here, bytes := t.s.r, 0, 0, 0
	t.cold.each(func(b stub) bool {
		if b.stays() {
			here++
			return true
		}
		n, bytes = n+1, bytes+b.size
		found.entry[b.message]++
		if b.entry <= last || b.entry > r.keep.durable {
			err = fmt.Errorf("entry %d is on disk only, behind entry %d; durable are those up to %d", b.entry, last, r.keep.durable)
		}
		last = b.entry
		return true
	})
	found.n, found.bytes, found.held = found.n+n, found.bytes+bytes, found.held+t.cold.held
	found.behind += t.here.bytes
	if t.cold.n > 0 && t.void > 0 && t.cold.peek().stays() {
		err = fmt.Errorf("the oldest place is of nobody")
	}
	for i := range t.here.n {
		if d := t.here.at(i); d.key != 0 || d.msg.class != DurabilityNone {
			err = fmt.Errorf("entry %d of class %v stays in memory", d.key, d.msg.class)
		}
	}
	for i := range t.fresh.n {
		d := t.fresh.at(i)
		found.behind += d.msg.bytes()
		if d.key == 0 {
			continue
		}
		found.entry[d.msg.key]++
		if d.key <= last {
			err = fmt.Errorf("entry %d waits behind entry %d", d.key, last)
		}
		last = d.key
	}
	return firstError(err, differs("messages on disk", t.cold.n-here, n), differs("messages that stay", here, t.here.n+t.void), differs("their bytes", t.cold.bytes, bytes))
}

// checkDisk holds the counters against what was found.
func (r *Router) checkDisk(holders map[*Message]int32, found *onDisk) error {
	k := r.keep
	if k == nil {
		return nil
	}
	for n, entries := range found.entry {
		if k.named.of(n) != entries {
			return fmt.Errorf("message %d: %d entries, %d found", n, k.named.of(n), entries)
		}
	}
	for m := range holders {
		if m.key > k.messages {
			return fmt.Errorf("message on %q: record %d of %d", m.Topic(), m.key, k.messages)
		}
	}
	return firstError(
		differs("messages with entries", k.named.live, len(found.entry)),
		differs("messages on disk only", r.stats.QueuedOnDisk, found.n),
		differs("bytes on disk only", int(r.stats.QueuedDiskBytes), found.bytes),
		differs("memory of stubs", int(k.shelfBytes), found.held),
	)
}

// checkEstates adds what else ended sessions have left.
func (r *Router) checkEstates(n *sums, holders map[*Message]int32, found *onDisk) error {
	if r.keep == nil {
		return nil
	}
	for _, t := range r.keep.estates {
		before := found.behind
		if err := t.check(0, found); err != nil {
			return err
		}
		t.holders(holders)
		q := &t.s.queue
		n.queued += q.n + t.cold.n - t.void + t.fresh.n
		n.queuedBytes += q.bytes + found.behind - before
		for i := range q.n {
			if d := q.at(i); d.key != 0 {
				found.entry[d.msg.key]++
			}
			holders[q.at(i).msg]++
		}
	}
	return nil
}

// holders counts for each message how often t holds it.
func (t *shelf) holders(holders map[*Message]int32) {
	for _, q := range []*queue{&t.here, &t.fresh} {
		for i := range q.n {
			holders[q.at(i).msg]++
		}
	}
}
