package client_test

import (
	"context"
	"errors"
	"testing"

	"github.com/loopmq/loopmq/client"
	"github.com/loopmq/loopmq/codec"
)

// TestWhyIsKept: who comes after the end of the connection is told why it ended, with every QoS and with SUBSCRIBE.
func TestWhyIsKept(t *testing.T) {
	c, p := meet(t, options(codec.V5), connect5, connack5)
	p.send("e0 01 95")
	<-c.Done()
	ctx := context.Background()
	for range 20 { // there is room in the window and the connection is over: either may be seen first
		for qos := range byte(3) {
			err := c.PublishAsync(ctx, &client.Message{Topic: "t", QoS: qos}, nil)
			if e, ok := errors.AsType[*client.ReasonError](err); !ok || e.Reason != codec.PacketTooLarge {
				t.Fatalf("QoS %d: got %v", qos, err)
			}
		}
		_, err := c.Subscribe(ctx, codec.Filter{Name: []byte("a")})
		if e, ok := errors.AsType[*client.ReasonError](err); !ok || e.Reason != codec.PacketTooLarge {
			t.Fatalf("SUBSCRIBE: got %v", err)
		}
	}
}
