// Package soak lets clients of all kinds use a broker for a long time, and looks whether it holds more and more.
//
// `make soak` runs it for SOAK (20m): clients that come and go, take their sessions up again or forget them, publish and
// subscribe with every QoS in every version, and read slowly or nothing. Memory, heap, descriptors, goroutines and the
// latency of a client among them are sampled, printed, and drawn into OUT/soak.svg. Then it does so for as long with a
// broker that keeps a state directory and is ended by SIGTERM at three tenths of the time and by kill -9 at half of it
// (OUT/soak-state.svg): every message of QoS 1 that was acknowledged must come. The ordinary run lasts a few seconds.
//
// It fails unless a client that read nothing was closed and messages for slow ones were dropped, and if one that reads
// slowly was closed. Reason 0x97 does not reach who reads nothing: it stands behind what he has not read. The broker's
// counter of it is looked at instead.
//
// Owner: the broker is a process of its own, see package child. Imports: client, codec, conformance/child; broker in
// the tests. Start with: TestSoak, TestSoakState, crowd (who is there), keeper (who is owed),
// flat (what is asserted).
// Caveats: nothing fails because of a time; the bounds of memory and descriptors are generous.
package soak
