// Package clients tests the broker with clients that people use, in every
// version of MQTT that each speaks: mosquitto_pub, mosquitto_sub and
// mosquitto_rr, Eclipse Paho for Go and for Python, and MQTT.js.
//
// Owner: each test starts its own broker, once on each engine (TestX/epoll,
// TestX/evio). The clients in other languages are child processes that run a
// script of testdata.
//
// Imports: broker and Eclipse Paho, in the tests.
//
// Start with: each (a broker per engine), testkit.Run (a child process whose
// lines are expected one after the other).
//
// Caveats: nothing sleeps. A mosquitto_sub prints nothing when it is
// subscribed, so each is given a retained message that it must print first.
// Brokers are stopped when all tests are over: evio closes its listeners'
// descriptors twice, by then perhaps those of another test.
package clients
