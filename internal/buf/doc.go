// Package buf lends memory to both sides of the loop/router seam: chunks for output and kept input, and message
// bodies that several holders share.
//
// Owner: the loop goroutine; a Pool and everything from it is used by one goroutine, counts are not atomic.
// Imports: internal/invariant. Start with: Pool (free lists and the byte account), Ref (a shared body).
// Caveats: memory given back by Put or Release is reused at once; with -tags invariant it is filled with 0xCC.
package buf
