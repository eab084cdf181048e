package client

import (
	"bytes"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// feed is a connection whose other end has said all it will ever say.
type feed struct {
	net.Conn
	in  *bytes.Reader
	out bytes.Buffer
}

func (f *feed) Read(p []byte) (int, error)       { return f.in.Read(p) }
func (f *feed) Write(p []byte) (int, error)      { return f.out.Write(p) }
func (f *feed) SetWriteDeadline(time.Time) error { return nil }
func (f *feed) Close() error                     { return nil }

// FuzzFrames: whatever a server sends, reading comes to an end, hands over no
// more than what came, and answers in whole frames of which close is the last.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x82\x04\x20\x02\x00\x00\x89\x02hi\x88\x02\x03\xe8"), 3, byte(100))
	f.Add([]byte("\x02\x01a\x89\x00\x00\x00\x80\x01b"), 1, byte(1))
	f.Add([]byte("\x82\x7e\x00\x01x\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x01y\x81\x00"), 0, byte(7))
	f.Add([]byte("\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x01"), 2, byte(9))
	f.Fuzz(func(t *testing.T, said []byte, early int, size byte) {
		early = min(max(0, early), len(said))
		conn := &feed{in: bytes.NewReader(said[early:])}
		w := newWSConn(conn, said[:early], 1000)
		got, writes := 0, 0
		w.wake = func() { writes++ }
		buf := make([]byte, max(1, size))
		for {
			n, err := w.Read(buf)
			got += n
			if w.owes() {
				if _, err := w.Write(nil); err != nil {
					t.Fatal(err)
				}
			}
			if err != nil {
				if _, again := w.Read(buf); !errors.Is(again, err) {
					t.Fatalf("read again after %v: %v", err, again)
				}
				break
			}
		}
		if got > len(said) {
			t.Fatalf("%d bytes out of %d", got, len(said))
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if n, err := w.Write([]byte("late")); n != 4 || err != nil {
			t.Fatalf("write after close: %d, %v", n, err)
		}
		closes := 0
		for conn.out.Len() > 0 {
			h, err := ws.ReadHeader(&conn.out)
			if err != nil || !h.Masked || closes > 0 || len(conn.out.Next(int(h.Length))) < int(h.Length) {
				t.Fatalf("answered %+v, %v after %d close frames", h, err, closes)
			}
			if h.OpCode == ws.OpClose {
				closes++
			}
		}
		if closes != 1 {
			t.Fatalf("%d close frames", closes)
		}
	})
}
