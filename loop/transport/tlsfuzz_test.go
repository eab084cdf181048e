package transport_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/loopmq/loopmq/internal/testkit"
	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/loop/transport"
)

// FuzzTLS has a client of the standard library send packets of these lengths, on a way that cuts its bytes anywhere and
// spoils one bit, if told to: all comes through, or what was sent before that.
func FuzzTLS(f *testing.F) {
	id := newIdentity(f)
	f.Add([]byte{5, 0, 200}, []byte{3, 100}, uint16(0))
	f.Add([]byte{255, 255, 255, 255}, []byte{}, uint16(0))
	f.Add([]byte{1, 2, 3, 4}, []byte{0}, uint16(1500))
	f.Add([]byte{9}, []byte{200}, uint16(20))
	f.Fuzz(func(t *testing.T, lengths, cuts []byte, spoil uint16) {
		var want []string
		for i, n := range lengths[:min(len(lengths), 20)] {
			want = append(want, strings.Repeat(string(rune('a'+i)), int(n)*70))
		}
		w := newWay(t, id, want)
		at := 0
		for i := 0; w.next(); i++ {
			for rest := w.bytes; len(rest) > 0 && !w.c.closed; {
				n := len(rest)
				if len(cuts) > 0 {
					n = min(n, 1+int(cuts[i%len(cuts)]))
				}
				if spoilt := int(spoil) - at; spoil > 0 && spoilt >= 0 && spoilt < n {
					rest[spoilt] ^= 1 << (spoil % 8)
				}
				w.c.feed(rest[:n])
				at, rest = at+n, rest[n:]
			}
		}
		w.end()
		if len(w.p.got) > len(want) || !slices.Equal(w.p.got, want[:len(w.p.got)]) || len(w.p.got) < len(want) && (spoil == 0 || int(spoil) >= at) {
			t.Fatalf("%d packets of %d came through, closed=%v: %v", len(w.p.got), len(want), w.c.closed, w.c.why)
		}
	})
}

// way is what lies between a client and the handler inside of a TLSDoor, without an engine.
type way struct {
	t            *testing.T
	c            *fakeConn
	p            *packets
	door         *transport.TLSDoor
	posts        chan func()
	mine, theirs net.Conn
	came, sent   chan []byte
	goroutines   sync.WaitGroup
	bytes        []byte // of the client, as they came
}

func newWay(t *testing.T, id *identity, say []string) *way {
	w := &way{t: t, c: &fakeConn{}, p: &packets{}, posts: make(chan func(), 100), came: make(chan []byte), sent: make(chan []byte, 100)}
	var err error
	w.door, err = transport.NewTLSDoor(transport.TLSOptions{Config: id.server, Complete: func(f func()) { w.posts <- f }})
	if err != nil {
		t.Fatal(err)
	}
	w.c.h = w.door.TLS(w.c, func(inner loop.Conn, _ *tls.ConnectionState) loop.Handler { w.p.c = inner; return w.p }, nil)
	w.mine, w.theirs = net.Pipe()
	w.goroutines.Go(func() {
		client := tls.Client(w.mine, id.client())
		for _, body := range say {
			if _, err := client.Write(packet(body)); err != nil {
				break
			}
		}
		client.Close()
	})
	w.goroutines.Go(func() {
		defer close(w.came)
		for {
			b := make([]byte, 4096)
			n, err := w.theirs.Read(b)
			if err != nil {
				return
			}
			w.came <- b[:n]
		}
	})
	w.goroutines.Go(func() {
		for b := range w.sent {
			_, _ = w.theirs.Write(b) // the client may be gone
		}
	})
	return w
}

// next waits for more of the client, and does meanwhile what a loop does; false: there is no more.
func (w *way) next() (more bool) {
	for !w.c.closed {
		w.c.turn()
		w.door.Flush()
		if b := w.c.take(); len(b) > 0 {
			w.sent <- bytes.Clone(b)
		}
		select {
		case f := <-w.posts:
			f()
		case w.bytes, more = <-w.came:
			return more
		}
	}
	return false
}

// end closes what is open, and waits until nobody is left.
func (w *way) end() {
	w.c.turn()
	if w.c.why == nil {
		w.c.why = io.EOF
	}
	w.c.reap()
	w.theirs.Close()
	for range w.came { // so that its reader can end
	}
	close(w.sent)
	w.goroutines.Wait()
	for w.door.Stats().Running > 0 {
		testkit.Receive(w.t, w.posts, "the end of the handshake")()
	}
}
