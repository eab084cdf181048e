// Package soak lets clients of all kinds use a broker for a long time, and looks whether it holds more and more.
//
// `make soak` runs it for SOAK (20m): clients that come and go, take their sessions up again or forget them, publish and
// subscribe with every QoS in every version, and read slowly. Memory, heap, descriptors, goroutines and the latency of
// a client among them are sampled, printed, and drawn into OUT/soak.svg. The ordinary run lasts a few seconds.
//
// Owner: the broker is a process of its own, see package child. Imports: client, codec, conformance/child; broker in
// the tests. Start with: TestSoak, crowd (who is there), flat (what is asserted).
// Caveats: nothing fails because of a time; the bounds of memory and descriptors are generous.
package soak
