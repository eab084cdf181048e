// Package transport holds byte filters that sit between a connection of the loop and its handler: the PROXY protocol,
// which tells who is behind a load balancer, TLS, and WebSocket, which is how browsers reach a broker. They go one
// inside the other in this order.
//
// Owner: the loop goroutine. A filter is a state machine that is fed with bytes: it starts nothing, waits for nothing
// and reads no clock. Whoever made the connection must close it when its peer takes too long to get to the point. The
// exception are TLS handshakes, which have goroutines and a timer while they last.
// Imports: loop, internal/buf, internal/invariant, github.com/gobwas/ws.
// Start with: ParseProxy and NewProxy; TLSDoor, of which each listener for TLS has one, and TLS; Door, of which each
// listener for WebSocket has one, and WebSocket.
// Caveats: a filter has the life of its connection; it is the loop.Handler of the outer connection, and calls the
// handler inside with the same rules as the loop does.
package transport
