// Package testkit is what tests of several packages need alike: packets written in hex, certificates, processes that
// write lines, Mosquitto's broker, brokers in the test's own process, and waiting with an end.
//
// Owner: the test that asked; what it started ends with it. Imports: internal/leak, so that nearly every test may import it.
// Start with: Bytes, Sign, Run, Mosquitto, Serve, Until.
// Caveats: only tests import it; what fewer than three packages share stays with them.
package testkit
