package router

// counts knows how many entries name each message that is written down, whether
// it is in memory or not: a byte a message, in pages of neighbours.
type counts struct {
	pages map[uint64]*countPage
	many  map[uint64]int // of those that a byte does not hold
	last  *countPage     // the page that was asked for last
	page  uint64         // its number
	live  int            // messages
}

const (
	countPageBits  = 6
	countMany      = 255 // see many
	countPageBytes = 1<<countPageBits + 48
)

type countPage struct {
	n    [1 << countPageBits]uint8
	live int // of n that are not 0
}

func newCounts() counts {
	return counts{pages: make(map[uint64]*countPage), many: make(map[uint64]int)}
}

// find returns the page of message n; nil: there is none.
func (c *counts) find(n uint64) *countPage {
	page := n >> countPageBits
	if c.last == nil || c.page != page {
		p := c.pages[page]
		if p == nil {
			return nil
		}
		c.last, c.page = p, page
	}
	return c.last
}

// of returns how many entries name message n.
func (c *counts) of(n uint64) int {
	p := c.find(n)
	if p == nil {
		return 0
	}
	if few := p.n[n%(1<<countPageBits)]; few != countMany {
		return int(few)
	}
	return c.many[n]
}

// add counts by more entries for message n, or fewer, and returns how many there
// are now.
func (c *counts) add(n uint64, by int) int {
	p := c.find(n)
	if p == nil {
		p = new(countPage)
		c.last, c.page = p, n>>countPageBits
		c.pages[c.page] = p
	}
	at := &p.n[n%(1<<countPageBits)]
	before := c.of(n)
	now := before + by
	switch {
	case before == 0 && now > 0:
		p.live++
		c.live++
	case before > 0 && now == 0:
		p.live--
		c.live--
	}
	if now >= countMany {
		*at = countMany
		c.many[n] = now
	} else {
		if *at == countMany {
			delete(c.many, n)
		}
		*at = uint8(now)
	}
	if p.live == 0 {
		delete(c.pages, n>>countPageBits)
		c.last = nil
	}
	return now
}

// bytes is about what it takes in memory.
func (c *counts) bytes() int64 { return int64(len(c.pages))*countPageBytes + int64(len(c.many))*48 }
