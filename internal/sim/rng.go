package sim

// rng draws numbers that follow from its seed alone, whatever the Go version
// (SplitMix64).
type rng struct{ state uint64 }

func (r *rng) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// n draws from 0 to n-1.
func (r *rng) n(n int) int { return int(r.next()>>33) % n }

// percent is true p times in a hundred.
func (r *rng) percent(p int) bool { return r.n(100) < p }

// between draws from a to b, both included.
func (r *rng) between(a, b int) int { return a + r.n(b-a+1) }

// of draws one of the numbers.
func (r *rng) of(from ...int) int { return from[r.n(len(from))] }

// digest is a running FNV-1a hash of all that happened.
type digest uint64

const digestStart digest = 14695981039346656037

func (d *digest) number(v uint64) {
	h := uint64(*d)
	for range 8 {
		h = (h ^ v&0xff) * 1099511628211
		v >>= 8
	}
	*d = digest(h)
}

func (d *digest) bytes(b []byte) {
	h := uint64(*d)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	*d = digest(h)
}
