// Package router decides what every MQTT command does: sessions,
// subscriptions, retained messages, wills, delivery and acknowledgement.
//
// Owner: the loop goroutine. Nothing here starts a goroutine, takes a lock,
// reads a clock or draws a random number; the time is the argument of
// BeginPass and randomness comes from Config.Rand, so the same calls give the
// same bytes.
//
// Imports: codec, router/topic, internal/buf, internal/timer,
// internal/invariant. What it needs from outside is declared in seam.go.
//
// Start with: Router (all state), Client (one connection), Session (what
// outlives a connection), Message (one PUBLISH kept beyond its pass).
//
// Caveats: a []byte called a view dies when the function that got it returns;
// what is kept is copied by a function named clone. The result of
// topic.Index.Match dies with the next call of the index.
//
// No compatibility promise before v1.
package router
