// Package record writes down all that happens to a router, and has it happen to another one again: an incident becomes
// a test.
//
// A recording holds what came in: connections, the packets received, when passes began and timers were looked at, the
// verdicts of authenticators, denials of access lists, random numbers, which sends the loop refused, and what a store
// answered: the state at the start, what was read, how commits ended. What the router sent follows from that; of it only
// sums are kept, which Replay compares.
//
// Owner: the loop goroutine; the file is written by a goroutine of its own, for which the loop never waits. Imports:
// router, codec, internal/buf. Start with: Recorder, Tap (one connection), keeping (the store), Replay.
// Caveats: a recording begins with the broker and ends at its bound, since a router cannot be entered in mid-life. What
// is asked through Broker.Do is not in it, nor the content of access lists; a reload that changes these is noted, and
// what follows may differ. Passwords are left out unless that is switched off; payloads on request, also of what is kept.
// The memory limit is not replayed, since what the loop held is not known; what $SYS told of it is.
package record
