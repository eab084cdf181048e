package broker_test

import (
	"context"
	"fmt"
	"io"
	"net"

	"github.com/loopmq/loopmq/broker"
)

// A program that carries its own broker.
func Example() {
	b, err := broker.New(broker.Config{Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error)
	go func() { done <- b.Run(ctx) }()

	conn, err := net.Dial("tcp", b.Addrs()[0].String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	fmt.Fprint(conn, "\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a")
	connack := make([]byte, 4)
	_, err = io.ReadFull(conn, connack)
	fmt.Printf("% x %v\n", connack, err)

	stop()
	fmt.Println(<-done)
	// Output:
	// 20 02 00 00 <nil>
	// <nil>
}
