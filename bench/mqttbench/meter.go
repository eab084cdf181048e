package mqttbench

import (
	"context"
	"net"
	"sync/atomic"
)

// Meter counts what happens while something runs. The zero Meter is ready.
type Meter struct {
	Connected atomic.Int64 // clients, over all the time
	Done      atomic.Int64 // messages whose handshake is complete
	Failed    atomic.Int64 // messages given up
	Delivered atomic.Int64 // messages that subscribers received
	BytesIn   atomic.Int64 // from the broker, as TCP carries them, TLS included
	BytesOut  atomic.Int64 // to the broker
}

// dial opens a connection whose bytes are counted.
func (m *Meter) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &meteredConn{Conn: conn, meter: m}, nil
}

type meteredConn struct {
	net.Conn
	meter *Meter
}

// Read reads and counts.
func (c *meteredConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.meter.BytesIn.Add(int64(n))
	return n, err
}

// Write writes and counts.
func (c *meteredConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.meter.BytesOut.Add(int64(n))
	return n, err
}
