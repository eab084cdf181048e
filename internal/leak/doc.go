// Package leak tells what tests leave behind: goroutines that still run, descriptors that are still open, timers
// that are still set. Goroutines are told at the end of each test that asks for it, as those that serve a broker do; all
// of it at the end of a package's tests, which run side by side.
//
// Owner: none, it has no state. Imports: internal/invariant. Start with: Main, in a TestMain; Test.
// Caveats: descriptors are counted where there is /proc. The Go runtime does not tell of timers: those of
// invariant.AfterFunc are counted in builds with invariants; one with a channel keeps nothing but the goroutine that
// waits for it, and one that nobody waits for is garbage.
package leak
