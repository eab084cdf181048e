package router

import "github.com/loopmq/loopmq/codec"

// A SUBSCRIBE or UNSUBSCRIBE may name hundreds of thousands of filters. A short
// one is handled at once; a long one is kept and handled in pieces, between
// which all others have their turns, while its client is not read from.

// filingBytes is the length from which a packet is handled in pieces: less has
// few hundred filters.
const filingBytes = 2 << 10

// filters is what there is to do, one filter at a time.
type filters interface {
	decode(c *Client, k *codec.Packet) error
	check(c *Client) (more bool, err error) // of all filters before the first is entered
	begin(c *Client)
	enter(c *Client) (more bool, err error)
	finish(c *Client) error
}

// filing is a long packet under way.
type filing struct {
	filters
	c       *Client
	raw     []byte // from the pool
	checked bool
}

// file handles a packet of filters, or begins to.
func (c *Client) file(k *codec.Packet, f filters) error {
	r := c.r
	if len(k.Raw) < filingBytes {
		own := *k // what an interface gets is allocated, and k is made for every packet
		if err := f.decode(c, &own); err != nil {
			return err
		}
		g := &filing{filters: f, c: c}
		for {
			if more, err := g.step(); !more {
				return err
			}
		}
	}
	raw := append(r.pool.Get(len(k.Raw)), k.Raw...)
	own, _, err := codec.Next(raw, len(raw))
	if err == nil {
		err = f.decode(c, &own)
	}
	if err != nil {
		r.pool.Put(raw)
		return err
	}
	r.filings = append(r.filings, &filing{filters: f, c: c, raw: raw})
	c.paused |= pausedByWork
	c.conn.Pause()
	return nil
}

// step does the next piece; false: it was the last one.
func (f *filing) step() (more bool, err error) {
	c := f.c
	if !f.checked {
		if more, err := f.check(c); more || err != nil {
			return err == nil, err
		}
		f.checked = true
		f.begin(c)
	}
	c.r.toil += toilOfFilter
	if more, err := f.enter(c); more || err != nil {
		return more && err == nil, err
	}
	return false, f.finish(c)
}

// fileOn goes on with the packets under way, each a piece, for one piece's time.
// It reports whether something is left.
func (r *Router) fileOn() (more bool) {
	if len(r.filings) == 0 {
		return false
	}
	var later []*filing
	i := 0
	for begun := r.toil; i < len(r.filings) && r.toil-begun < toilPiece; i++ {
		if f := r.filings[i]; f.work() {
			later = append(later, f)
		}
	}
	r.filings = append(r.filings[i:len(r.filings):len(r.filings)], later...) // who had no turn comes first
	return len(r.filings) > 0
}

// work does as much of a packet as one turn may. False: there is nothing left
// to do.
func (f *filing) work() (more bool) {
	c := f.c
	for begun := c.r.toil; !c.closing; {
		more, err := f.step()
		if err != nil {
			c.conn.Close(c.fail(err))
			break
		}
		if !more {
			c.paused &^= pausedByWork
			c.seenAt = c.r.now // its silence was ours
			if c.paused == 0 {
				c.conn.Resume()
			}
			break
		}
		if c.r.toil-begun >= toilPiece {
			return true
		}
	}
	c.r.pool.Put(f.raw)
	return false
}
