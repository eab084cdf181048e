// Package doors tests the broker's doors (TLS, WebSocket, PROXY protocol, unix
// sockets) with the programs that people put in front of them: OpenSSL, curl,
// Debian's Mosquitto clients, MQTT.js in Node.js and in Chromium, haproxy and
// nginx; and our own client against the WebSocket door of another broker. Peers
// that mean harm are here too, as far as they attack a door.
//
// Owner: each test starts its own broker, once on each engine (TestX/epoll,
// TestX/evio). Programs are child processes, stopped by their number.
//
// Imports: broker and client, in the tests.
//
// Start with: each and serve (a broker), newAuthority (certificates),
// testkit.Run (a child process whose lines are expected one after the other).
//
// Caveats: nothing sleeps. Brokers are stopped when all tests are over: evio
// closes its listeners' descriptors twice, by then perhaps those of another
// test. The tests of Mochi build it in a module of its own, from the module
// proxy.
package doors
