package transport_test

import (
	"crypto/tls"
	"fmt"

	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/loop/transport"
)

// A listener for TLS whose certificates may be exchanged while it serves.
func ExampleTLSDoor() {
	engine, err := loop.New("", loop.Options{Listeners: []loop.Listener{{Name: "mqtts", Network: "tcp", Address: ":8883"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	current := func() *tls.Config { return &tls.Config{} } // for instance certs.Store.Config
	door, err := transport.NewTLSDoor(transport.TLSOptions{Config: current, Complete: engine.Complete})
	if err != nil {
		fmt.Println(err)
		return
	}
	hooks := loop.Hooks{
		Accept: func(c loop.Conn, from loop.Peer) loop.Handler {
			return door.TLS(c, func(inside loop.Conn, state *tls.ConnectionState) loop.Handler {
				fmt.Println(from.Remote, "speaks", tls.VersionName(state.Version))
				return &packets{c: inside, echo: true}
			}, func(why error) { fmt.Println("nobody came:", why) })
		},
		EndPass: func() (wake int64) {
			door.Flush() // behind everything that sends
			return 0
		},
	}
	_ = hooks // engine.Run(hooks)
}
