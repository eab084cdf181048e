// Package transport holds byte filters that sit between a connection of the loop and its handler: the PROXY protocol,
// which tells who is behind a load balancer, and WebSocket, which is how browsers reach a broker.
//
// Owner: the loop goroutine. A filter is a state machine that is fed with bytes: it starts nothing, waits for nothing
// and reads no clock. Whoever made the connection must close it when its peer takes too long to get to the point.
// Imports: loop, internal/buf, internal/invariant, github.com/gobwas/ws.
// Start with: ParseProxy and NewProxy; Door, of which each listener for WebSocket has one, and WebSocket.
// Caveats: a filter has the life of its connection; it is the loop.Handler of the outer connection, and calls the
// handler inside with the same rules as the loop does.
package transport
