// Package bench measures a broker from outside: messages delivered a second,
// the share delivered, the processor time that the broker spends on a million
// deliveries, its memory, and by kind of scenario the latency of a steady rate
// and what a client, filter or stored message costs.
//
// The generator must never be the bottleneck. It encodes every frame once,
// writes cyclic batches of frames, reads in bulk, and does all of it in one
// epoll loop on one thread, pinned to a core of its own; the broker is pinned
// to another. Result.GeneratorBusy tells whether that held: near 1 the figure
// is the generator's, not the broker's.
//
// To lose nothing, a publisher is never more than Scenario.AheadBytes ahead of
// the slowest subscriber of its topic, and never more than
// Scenario.WindowMessages ahead of its acknowledgements. So a broker that
// queues that much for each subscriber can deliver everything, and a broker
// that drops is seen in Result.Share. The frames are MQTT 3.1.1 and encoded
// here, on purpose not by package codec, so that a fault there cannot hide.
//
// Owner: Run keeps everything on the goroutine that calls it. Nothing here may
// be shared between goroutines.
//
// Imports: golang.org/x/sys/unix, hdrhistogram-go. Linux only.
//
// Start with: Scenario (what is sent), Run (one measurement; one file for each
// kind: measure, latency, clients, filters, keep, daemon), Target (a broker
// process), Report (the table).
//
// Caveats: deliveries are counted by length, since all frames of a scenario
// are equally long; one whole frame of each read is compared byte by byte, and
// a stream that differs ends the run with an error. Ratios of one run hold;
// rates of different machines or days do not compare.
//
// No compatibility promise before v1.
package bench
