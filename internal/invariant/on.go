//go:build invariant || race

package invariant

import "fmt"

// On tells whether the checks are compiled in.
const On = true

// Check panics with the formatted message if cond is false: a broken invariant is a bug of ours, never a peer's.
func Check(cond bool, format string, args ...any) {
	if !cond {
		panic("invariant broken: " + fmt.Sprintf(format, args...))
	}
}

// Mangle fills b with 0xCC, so that whoever still reads memory that was given back reads rubbish at once.
func Mangle(b []byte) {
	for i := range b {
		b[i] = 0xCC
	}
}
