package buf

// Ref is a body shared by several holders, for instance the output queues of a wide fan-out. It is owned by the
// loop goroutine: its count is not atomic. The bytes must not be changed while there is more than one holder.
type Ref struct {
	pool *Pool
	body []byte
	n    int32
}

// NewRef copies body and returns it with a count of one.
//
// hot: no allocation once the free lists are warm.
func (p *Pool) NewRef(body []byte) *Ref {
	r := p.newRef()
	r.body = append(p.Get(len(body)), body...)
	return r
}

func (p *Pool) newRef() *Ref {
	if n := len(p.refs); n > 0 {
		r := p.refs[n-1]
		p.refs[n-1] = nil
		p.refs = p.refs[:n-1]
		r.n = 1
		return r
	}
	return &Ref{pool: p, n: 1}
}

// Bytes returns the body: a view that lives as long as the caller holds a count.
func (r *Ref) Bytes() []byte { return r.body }

// Retain adds a holder and returns r.
func (r *Ref) Retain() *Ref {
	if r.n <= 0 {
		panic("buf: Retain of a body that was given back")
	}
	r.n++
	return r
}

// Release takes a holder away; the last one gives the memory back to the pool. Releasing more often than retaining
// is a bug and panics.
func (r *Ref) Release() {
	r.n--
	if r.n > 0 {
		return
	}
	if r.n < 0 {
		panic("buf: Release of a body that was given back")
	}
	r.pool.Put(r.body)
	r.body = nil
	if len(r.pool.refs) < refsIdleMax {
		r.pool.refs = append(r.pool.refs, r)
	}
}
