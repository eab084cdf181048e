// Package conformance tests a broker end to end against MQTT 3.1.1, and the
// CONNECT packet of 3.1: bytes in and bytes out over a real socket.
//
// The same tests run over LoopMQ on each of its engines (TestX/epoll,
// TestX/evio) and, with LOOPMQ_TEST_TARGET=mosquitto in the environment, over
// Debian's mosquitto (TestX/mosquitto): what a second broker passes as well is
// known to be in the standard and not in our heads. Where mosquitto does
// otherwise, mosquittoDiffers says why.
//
// Owner: each test starts its own broker; nothing is shared between tests.
//
// Imports: broker and, as one client among others, Eclipse Paho, in the tests.
// Encoding is done here a second time and not taken from codec: a mistake there
// must not hide itself.
//
// Start with: target (a broker under test), conn (one connection that sends
// and expects bytes), statements.tsv (every normative statement of the
// standard and the test that holds it).
//
// Caveats: nothing sleeps. "Nothing arrives" is shown by a PINGREQ whose
// PINGRESP must be the next thing to come; a test that waits for a timer waits
// for the connection to be closed by it. What can only be looked at, as
// descriptors can, is asked for again and again (until). Brokers over evio are
// stopped when all tests are over, by TestMain: see atEnd.
package conformance
