//go:build linux

package bench

import (
	"errors"
	"fmt"
	"time"
)

// filtersPerPacket is how many filters one SUBSCRIBE of a load has.
const filtersPerPacket = 200

// loadFilters shares the filters out among the subscribers and notes how long
// the broker takes, and what each filter costs it beyond its text.
func (r *run) loadFilters() error {
	before, err := r.memory()
	if err != nil {
		return err
	}
	g := &r.sets[0]
	text := 0
	for j := range g.subs {
		var filters []string
		for n := j; n < r.Filters; n += len(g.subs) {
			filters = append(filters, filterName(n))
			text += len(filters[0])
		}
		if err := r.subscribeAll(g.subs[j].fd, filters); err != nil {
			return err
		}
		if err := r.watch(g.subs[j].fd, 0, j); err != nil {
			return err
		}
	}
	return r.weigh(before, r.Filters, text)
}

// subscribeAll subscribes packet by packet; the time that the broker takes
// counts, not ours to encode them.
func (r *run) subscribeAll(fd int, filters []string) error {
	for len(filters) > 0 {
		if err := r.late(); err != nil {
			return fmt.Errorf("%w: %d filters are missing", err, len(filters))
		}
		some := filters[:min(filtersPerPacket, len(filters))]
		filters = filters[len(some):]
		request := subscribeFrame(r.QoS, some...)
		size := 4 + len(some)
		if len(some)+2 > 127 {
			size++
		}
		start := time.Now()
		if err := ask(fd, request, size, firstSuback, 0x80, "SUBSCRIBE"); err != nil {
			return fmt.Errorf("%w; does the broker allow %d filters for each client?", err, r.Filters/r.Subscribers)
		}
		r.load += time.Since(start)
	}
	return nil
}

// memory is the broker's, 0 where its process is not known.
func (r *run) memory() (int64, error) {
	if r.PID == 0 {
		return 0, nil
	}
	return processMemory(r.PID)
}

// weigh notes what each of n things costs that hold this many bytes of text
// together.
func (r *run) weigh(before int64, n, text int) error {
	after, err := r.memory()
	if err != nil {
		return err
	}
	if n == 0 {
		return errors.New("nothing to weigh")
	}
	r.each = (after - before - int64(text)) / int64(n)
	return nil
}
