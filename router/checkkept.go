package router

import "fmt"

// checkKept holds what a session has against what is written down of it, and
// counts the entries of each message.
func (s *Session) checkKept(written map[*Message]int32) (err error) {
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
			written[d.msg]++
		}
	}
	for i := range s.queue.n {
		entry(&s.queue.ring[(s.queue.head+i)&(len(s.queue.ring)-1)])
	}
	for i := range s.out.open {
		entry(&s.out.at(i).delivery)
	}
	s.subs.each(func(sub *Subscription) {
		if (sub.key != 0) != durable {
			err = fmt.Errorf("filter %q: record %d, durable session %v", sub.filter, sub.key, durable)
		}
	})
	return err
}

// checkWritten holds messages against the entries that name them.
func checkWritten(holders, written map[*Message]int32) error {
	for m := range holders {
		if m.entries != written[m] || (m.key != 0) != (m.entries > 0) {
			return fmt.Errorf("message on %q: record %d, %d entries, %d found", m.Topic(), m.key, m.entries, written[m])
		}
	}
	return nil
}
