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

// nibbler takes a byte at a time, once it may begin.
type nibbler struct {
	c     Conn
	takes func() bool
	got   []byte
}

func (n *nibbler) Data(view []byte) (int, error) {
	n.c.Pause()
	if !n.takes() {
		return 0, nil
	}
	n.c.Resume()
	n.got = append(n.got, view[0])
	return 1, nil
}
func (n *nibbler) Drained()     {}
func (n *nibbler) Closed(error) {}

// What is left over of reads takes turns, as do posts: one of each is done in a pass whose shares are over at once.
func TestEvioSharesItsPasses(t *testing.T) {
	e, err := New("evio", Options{Listeners: []Listener{{Name: "mqtt", Network: "tcp", Address: "127.0.0.1:0"}}})
	if err != nil {
		t.Fatal(err)
	}
	const peers, each = 4, 10
	l := e.(*evioLoop)
	l.share = 0
	ready, end, worst := make(chan net.Addr, 1), make(chan error, 1), make(chan [2]int, 1)
	var all []*nibbler
	var here, taken, took, ran, nibbles, runs int
	takes := func() bool {
		if here < peers {
			here++
			if here == peers {
				for _, n := range all {
					n.c.Resume()
					e.Post(func() { ran++ })
				}
			}
			return false
		}
		took++
		if taken++; taken == peers*each {
			worst <- [2]int{nibbles, runs}
		}
		return true
	}
	go func() {
		end <- e.Run(Hooks{
			Serving: func(s []*Socket) { ready <- s[0].Addr() },
			Accept: func(c Conn, _ Peer) Handler {
				n := &nibbler{c: c, takes: takes}
				all = append(all, n)
				return n
			},
			BeginPass: func(int64) { took, ran = 0, 0 },
			EndPass: func() int64 {
				nibbles, runs = max(nibbles, took), max(runs, ran)
				return 0
			},
		})
	}()
	addr := (<-ready).String()
	for range peers {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("0123456789")); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case w := <-worst:
		if w != [2]int{1, 1} {
			t.Errorf("in a pass %d leftovers were handed over and %d posts run", w[0], w[1])
		}
	case <-time.After(20 * time.Second):
		t.Fatal("not all came")
	}
	e.Stop(time.Second)
	if err := <-end; err != nil {
		t.Fatal(err)
	}
	for _, n := range all {
		if string(n.got) != "0123456789" {
			t.Errorf("got %q", n.got)
		}
	}
}
