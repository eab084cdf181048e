package transport_test

import (
	"fmt"

	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/loop/transport"
)

// A listener behind a proxy that says who the clients are, and that browsers of one site may use.
func Example() {
	door, err := transport.NewDoor(transport.Options{Path: "/mqtt", Origins: []string{"*.example.org"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	failed := func(why error) { fmt.Println("nobody came:", why) }
	accept := func(c loop.Conn, _ loop.Peer) loop.Handler { // loop.Hooks.Accept
		return transport.NewProxy(func(h transport.ProxyHeader) loop.Handler {
			return door.WebSocket(c, func(inside loop.Conn, r *transport.Request) loop.Handler {
				fmt.Println(h.Source, "opened", r.Path, "for", r.Subprotocol)
				return &packets{c: inside, echo: true}
			}, failed)
		}, failed)
	}

	c := &fakeConn{}
	c.h = accept(c, loop.Peer{})
	c.feed([]byte("PROXY TCP4 192.0.2.1 198.51.100.7 56324 1883\r\nGET /mqtt HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n" +
		"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
		"Sec-WebSocket-Protocol: mqtt\r\n\r\n"))
	// Output: 192.0.2.1:56324 opened /mqtt for mqtt
}
