//go:build linux

package main

import (
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/loop"
)

// relay knows who wants which topic.
type relay struct {
	subscribers map[string][]*client
}

// client is one connection.
type client struct {
	relay *relay
	conn  loop.Conn
	in    codec.Publish
	ack   []byte // scratch
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: relay HOST:PORT")
		os.Exit(2)
	}
	if err := serve(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "relay:", err)
		os.Exit(1)
	}
}

func serve(address string) error {
	r := &relay{subscribers: map[string][]*client{}}
	engine, err := loop.New("", loop.Options{
		Listeners: []loop.Listener{{Name: "relay", Network: "tcp", Address: address}},
		Log:       slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stop
		os.Exit(0) // forgetting a million topics first would serve nobody
	}()
	return engine.Run(loop.Hooks{
		Accept: func(c loop.Conn, _ loop.Peer) loop.Handler { return &client{relay: r, conn: c} },
	})
}

// Data frames and handles what arrived.
//
// hot: no allocation.
func (c *client) Data(view []byte) (used int, err error) {
	for {
		k, n, err := codec.Next(view[used:], codec.MaxPacketBytes)
		if err != nil || n == 0 {
			return used, err
		}
		if err := c.packet(&k); err != nil {
			return used, err
		}
		used += n
	}
}

func (c *client) packet(k *codec.Packet) error {
	switch k.Type {
	case codec.TypePublish:
		return c.publish(k)
	case codec.TypeConnect:
		c.conn.Send([]byte{byte(codec.TypeConnack) << 4, 2, 0, 0})
	case codec.TypeSubscribe:
		return c.subscribe(k)
	}
	return nil
}

// publish copies the frame to all subscribers as it came.
//
// hot: no allocation.
func (c *client) publish(k *codec.Packet) error {
	if err := c.in.Decode(k, codec.V311); err != nil {
		return err
	}
	if c.in.QoS > 0 {
		c.ack = codec.AppendAckID(c.ack[:0], codec.TypePuback, c.in.PacketID)
		c.conn.Send(c.ack)
	}
	for _, s := range c.relay.subscribers[string(c.in.Topic)] {
		s.conn.SendView(k.Raw)
	}
	return nil
}

func (c *client) subscribe(k *codec.Packet) error {
	var s codec.Subscribe
	if err := s.Decode(k, codec.V311); err != nil {
		return err
	}
	answer := codec.Suback{PacketID: s.PacketID}
	for f, ok := s.Next(); ok; f, ok = s.Next() {
		topic := string(f.Name)
		c.relay.subscribers[topic] = append(c.relay.subscribers[topic], c)
		answer.Codes = append(answer.Codes, f.QoS)
	}
	c.conn.Send(codec.AppendSuback(nil, codec.V311, &answer))
	return nil
}

// Drained is of no interest: what does not fit is lost.
func (c *client) Drained() {}

// Closed forgets the client.
func (c *client) Closed(error) {
	for topic, all := range c.relay.subscribers {
		c.relay.subscribers[topic] = slices.DeleteFunc(all, func(s *client) bool { return s == c })
	}
}
