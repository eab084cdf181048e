package router

import "github.com/loopmq/loopmq/internal/timer"

// lifetime ends a connection when what its client has shown is no longer valid.
type lifetime struct {
	c     *Client
	timer timer.Timer
}

// Due closes the connection.
func (l *lifetime) Due(int64) { l.c.close(errLoginExpired) }
