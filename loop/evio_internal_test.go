//go:build linux || darwin || freebsd

package loop

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/tidwall/evio"
)

// A closed peer that does not read cannot hold its connection for ever.
func TestEvioCutsOffWhoDoesNotTakeItsLastWords(t *testing.T) {
	e, err := New("evio", Options{
		Listeners: []Listener{{Name: "mqtt", Network: "tcp", Address: "127.0.0.1:0"}},
		Limits:    Limits{OutputBytesMax: 64 << 20},
	})
	if err != nil {
		t.Fatal(err)
	}
	l := e.(*evioLoop)
	l.linger = int64(50 * time.Millisecond)
	ready, end, gone := make(chan net.Addr, 1), make(chan error, 1), make(chan struct{}, 1)
	s := &scripted{}
	go func() {
		end <- e.Run(Hooks{
			Serving: func(s []*Socket) { ready <- s[0].Addr() },
			Accept: func(c Conn, _ Peer) Handler {
				c.Send(make([]byte, 32<<20))
				c.Close(errors.New("not wanted"))
				return s
			},
			EndPass: func() int64 {
				if len(s.closed) == 1 && l.open == 0 && len(gone) == 0 {
					gone <- struct{}{}
				}
				return 0
			},
		})
	}()
	c, err := net.Dial("tcp", (<-ready).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	select {
	case <-gone:
	case <-time.After(20 * time.Second):
		t.Fatal("the connection is still open")
	}
	e.Stop(time.Second)
	if err := <-end; err != nil {
		t.Fatal(err)
	}
}

// strangeConn is what another version of evio might have.
type strangeConn struct{ evio.Conn }

func TestEvioFieldsAreRequired(t *testing.T) {
	if _, _, err := outOf(&strangeConn{}); err == nil {
		t.Fatal("a connection without the field out was accepted")
	}
	if _, _, err := outOf(nil); err == nil {
		t.Fatal("no connection was accepted")
	}
}
