package router

import "github.com/loopmq/loopmq/internal/buf"

// pacedConn is a connection that takes no more in a second than its quota says.
// What it refuses is told of later, as for an output that is full.
type pacedConn struct {
	Conn
	pace *pace
}

// Send implements Conn.
func (c *pacedConn) Send(frame []byte) bool {
	return c.pace.admits() && c.Conn.Send(frame) && c.pace.countOut(len(frame))
}

// SendView implements Conn.
func (c *pacedConn) SendView(frame []byte) bool {
	return c.pace.admits() && c.Conn.SendView(frame) && c.pace.countOut(len(frame))
}

// SendShared implements Conn.
func (c *pacedConn) SendShared(head []byte, body *buf.Ref) bool {
	n := len(head) + len(body.Bytes())
	return c.pace.admits() && c.Conn.SendShared(head, body) && c.pace.countOut(n)
}
