//go:build linux

// Command loopbench measures brokers side by side: in each round every
// scenario runs once against every broker, each time a fresh process pinned to
// one core while the generator has another.
//
// Owner: the main goroutine.
//
// Imports: bench, golang.org/x/sys/unix.
//
// Start with: main. What is measured and how is told by package bench.
//
// Caveats: needs Linux and two cores; with one it says so and measures both on
// the same.
package main
