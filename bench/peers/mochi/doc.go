//go:build linux

// Command mochi is Mochi MQTT as a program, to be measured beside LoopMQ.
//
// Owner: the library's goroutines.
//
// Imports: github.com/mochi-mqtt/server/v2.
//
// Start with: serve. Everything is the library's default, but everyone may
// connect and the log says errors only, as with the other brokers.
package main
