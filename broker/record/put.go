package record

import (
	"encoding/binary"
	"encoding/json"

	"github.com/loopmq/loopmq/router"
)

// An event is a row of numbers, as varints, and of strings, which have their length before them. The first number is the
// kind.

// put begins one.
func (r *Recorder) put(k kind, numbers ...uint64) {
	r.number(uint64(k))
	for _, n := range numbers {
		r.number(n)
	}
}

// number adds one. It is not to be copied to where it is called: that would be 10 kB of program.
//
//go:noinline
func (r *Recorder) number(n uint64) { r.buf = binary.AppendUvarint(r.buf, n) }

//go:noinline
func (r *Recorder) text(s string) {
	r.number(uint64(len(s)))
	r.buf = append(r.buf, s...)
}

func (r *Recorder) bytes(b []byte) { r.text(string(b)) }

// json adds plain fields.
func (r *Recorder) json(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic("record: " + err.Error())
	}
	r.bytes(b)
}

// identity adds one, with flags before it.
func (r *Recorder) identity(flags uint64, id *router.Identity) {
	user := ""
	if id != nil {
		flags |= flagKnown | flag(id.Access != nil, flagGuarded)
		user = id.User
	}
	r.number(flags)
	r.text(user)
}

func flag(set bool, bit uint64) uint64 {
	if set {
		return bit
	}
	return 0
}

// signed is a number that may be negative as one that is not: small ones stay small.
func signed(n int64) uint64 { return uint64(n)<<1 ^ uint64(n>>63) }
