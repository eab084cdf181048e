// Package mqttbench publishes as the tool mqtt-benchmark of krylovsk does, and
// reports what that reports: the same options, the same lines of text, the same
// fields of JSON, so that scripts and graphs that know them go on working.
//
// Every client is a connection of its own. It sends one message, waits until
// its handshake is complete, and sends the next. So the figures are round trips,
// not what a broker could carry: package bench measures that. A message of QoS
// 0 is done when it is queued for the connection, of which 256 kB may wait; the
// time of a run ends when the broker has read all of them. It is asked for that
// with an UNSUBSCRIBE; without its answer all of the client count as failures.
//
// What is different from the tool, on purpose: a client that cannot connect
// counts its messages as failures instead of waiting for ever; TLS needs no
// client certificate; runs are in the order of their ids; where nothing was
// measured there is 0, not NaN.
//
// RunCase measures one of the three cases that brokers have long been compared
// with: the broker alone, two clients, one hundred. Half of the clients receive
// there, and each message has a number, so that what is lost is seen.
//
// FindProcess and Watch look at the broker's process, if it is on this machine.
//
// Owner: Run and RunCase end what they start before they return. A Meter may be
// read from any goroutine meanwhile.
//
// Imports: client, codec.
//
// Start with: Config, Run, Results; Load, Cases, RunCase; Meter and Watch for
// what happens meanwhile.
//
// Caveats: the clients run in this process and take processor time of the same
// machine as a local broker.
//
// No compatibility promise before v1.
package mqttbench
