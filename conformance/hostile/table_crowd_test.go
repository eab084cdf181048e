package hostile

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// crowdRows are about more clients at once than a broker sees in a quiet year: after a power cut all devices come back
// in the same second. All of them must be served.
func crowdRows() []attack {
	return []attack{
		{name: "crowd: 10 000 clients at once", door: "tcp", slow: true, crowd: func(r *row, d int) error { return r.atOnce(d, 10_000) }},
		{name: "crowd: 2000 clients at once", door: "tls wss", slow: true, crowd: func(r *row, d int) error { return r.atOnce(d, 2000) }},
		{name: "storm: 10 000 clients are cut off and come again, twice", door: "tcp", slow: true, crowd: func(r *row, d int) error {
			for range 3 {
				if err := r.atOnce(d, 10_000); err != nil {
					return err
				}
			}
			return nil
		}},
	}
}

// spareDescriptors are left to all else that this process and the broker, which has the same limit, have open.
const spareDescriptors = 500

// fitting is how many of n clients at a time the limit of descriptors allows.
func (r *row) fitting(n int) int {
	limit := descriptors()
	fit := max(1, min(n, limit-spareDescriptors))
	r.s.t.Logf("%s: %d of %d clients, the limit of descriptors is %d", r.name, fit, n, limit)
	return fit
}

// triesMax is how often a client comes again: where clients and broker share two cores, connect-timeout may pass.
const triesMax = 20

// atOnce has n clients come at the same moment, waits until all are in, and has each of them answered once more. They
// are gone without a word then, so that the next ones of the same identifiers meet them still in the broker.
func (r *row) atOnce(d, n int) error {
	n = r.fitting(n)
	var all, inside sync.WaitGroup
	var tries atomic.Int64
	failed := make(chan error, n)
	together := make(chan struct{})
	inside.Add(n)
	begun := time.Now()
	for i := range n {
		all.Go(func() {
			p, err := r.persist(d, i, &tries)
			inside.Done()
			if err != nil {
				failed <- err
				return
			}
			defer p.reset()
			<-together
			if _, ok := p.alive(); !ok {
				failed <- fmt.Errorf("client %d of %d was let in and then lost", i, n)
			}
		})
	}
	inside.Wait()
	in := time.Since(begun)
	close(together)
	all.Wait()
	if *each {
		fmt.Printf("%s, %s: all in after %v, %d tries\n", r.name, doors[d].name, in.Round(time.Millisecond), tries.Load())
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// persist comes until it is let in.
func (r *row) persist(d, i int, tries *atomic.Int64) (p *peer, err error) {
	for range triesMax {
		tries.Add(1)
		p, err = (&row{attack: &attack{at: in4}, s: r.s, id: fmt.Sprint(r.id, "-", i)}).come(d)
		if err == nil {
			return p, nil
		}
	}
	return nil, fmt.Errorf("client %d was not let in: %w", i, err)
}
