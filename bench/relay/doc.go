//go:build linux

// Command relay is the ceiling that LoopMQ is measured against: the same loop
// engine, and above it nothing but framing, one map look-up by topic, and
// copying. It knows no sessions, wildcards, retained messages or limits.
//
// Owner: the loop goroutine.
//
// Imports: codec, loop.
//
// Start with: relay, all its state; client.Data, all its work.
//
// Caveats: a QoS 1 PUBLISH is acknowledged at once and passed on under the
// publisher's packet identifier; acknowledgements of subscribers are ignored.
// Only good for bench.
package main
