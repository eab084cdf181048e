//go:build linux

// Command nats is nats-server with its MQTT listener as a program, to be
// measured beside LoopMQ.
//
// Owner: the library's goroutines.
//
// Imports: github.com/nats-io/nats-server/v2.
//
// Start with: serve. MQTT there needs JetStream, which keeps its files in the
// folder given; what has a default keeps it.
//
// Caveats: nats-server publishes MQTT's QoS 1 and 2 through its streams on
// disk, where the other brokers measured keep everything in memory.
package main
