// Package leak tells what tests leave behind: goroutines that still run, descriptors that are still open.
//
// Owner: none, it has no state. Imports: nothing of ours. Start with: Main, in a TestMain.
// Caveats: descriptors are counted where there is /proc; the Go runtime does not tell of timers, but one that was
// forgotten shows as the goroutine or the descriptor that it was to end.
package leak
