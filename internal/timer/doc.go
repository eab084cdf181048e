// Package timer is a queue of deadlines for one goroutine: arm, move and stop in O(log n), run what is due.
//
// Owner: one goroutine, in LoopMQ the loop. No clock is read here: now is an argument.
// Imports: nothing of ours.
// Start with: Timer (embedded in what it times), Job (what happens), Queue (the heap).
// Caveats: a Timer must not be copied or freed while it is armed, and belongs to one Queue until it has stopped.
package timer
