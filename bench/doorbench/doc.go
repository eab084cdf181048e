//go:build linux

// Command doorbench measures what each door of a broker costs: the same
// messages through TCP, WebSocket, TLS, both, and a unix socket, as processor
// time of the broker for a delivery; what an idle connection of each kind
// holds; and, as the ceiling of TLS, what crypto/tls does on the same core in
// memory.
//
// Owner: main; each connection has a goroutine, which only counts.
//
// Imports: bench (starting brokers), golang.org/x/sys/unix.
//
// Start with: main. The frames of a publisher are encoded once, WebSocket with
// one packet to a frame, as clients send them; it writes many at a time.
//
// Caveats: unlike loopbench's generator this one is the bottleneck with TLS,
// which it calculates as well: compare the broker's processor time, not the
// rates. Needs two cores.
package main
