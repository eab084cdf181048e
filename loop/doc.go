// Package loop moves bytes between sockets and handlers on one goroutine. It knows nothing of MQTT.
//
// Owner: the goroutine that runs Engine.Run, called the loop. Handlers, hooks and Conn methods run on it and nowhere
// else; Engine.Post, Complete and Stop are for all other goroutines.
// Imports: internal/buf, internal/invariant, golang.org/x/sys, github.com/tidwall/evio.
// Start with: Engine (epoll on Linux, evio elsewhere), Hooks (what the owner is asked and told), Handler and Conn (the
// two ends of a connection). The order of a pass is the design; it is written over the epoll engine's pass function.
// Caveats: a []byte called a view dies when Data returns, unless it was given to SendView. Nothing here may block.
package loop
