// Package client is a small MQTT client: 3.1, 3.1.1 and 5.0, QoS 0, 1 and 2.
// It is behind loopmq pub, sub, rr and check. A URL says how to get there: TCP,
// TLS, WebSocket, WebSocket in TLS or a unix socket (url.go, open.go).
//
// Owner: a Client may be used from any goroutine. It has two of its own, one
// that reads and calls OnMessage, one that writes.
//
// Imports: codec, github.com/gobwas/ws.
//
// Start with: Options, Dial, Client. Errors of Dial are one line for people;
// ConnectError, UpgradeError and the errors of crypto/x509 are in them.
//
// Caveats: a Client is one connection. It does not reconnect by itself: what
// to do about messages and subscriptions then is its user's decision.
//
// No compatibility promise before v1.
package client
