//go:build linux

package bench

import (
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestGuest: where the broker serves others too, no message and no session
// stays behind, and what others have retained is not counted.
func TestGuest(t *testing.T) {
	addr := startBroker(t)
	other, err := dial(addr, "other", true)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(other)
	if err := writeAll(other, publishFrame(firstPublish|1, "other", 0, []byte("of somebody else"))); err != nil {
		t.Fatal(err)
	}
	if err := ask(other, []byte(pingFrame), 2, pongFrame[0], 1, "PINGREQ"); err != nil {
		t.Fatal(err)
	}
	for _, s := range []Scenario{
		{Name: "retained", Kind: Retained, Count: 500, PayloadBytes: 64},
		{Name: "drain", Kind: Drain, Count: 500, PayloadBytes: 64},
	} {
		var got, in, out atomic.Int64
		res, err := Run(s, Options{Addr: addr, Guest: true, Core: -1, Live: &Live{&got, &in, &out}})
		if err != nil || res.Share() != 1 || got.Load() != 500 || in.Load() < 500*64 {
			t.Errorf("%s: %v, share %v, %d told", s.Name, err, res.Share(), got.Load())
		}
	}
	// All that is retained now is the message of somebody else.
	if err := ask(other, subscribeFrame(0, "#"), 5, firstSuback, 0x80, "SUBSCRIBE"); err != nil {
		t.Fatal(err)
	}
	frame := publishFrame(firstPublish|1, "other", 0, []byte("of somebody else"))
	answer := make([]byte, len(frame)+2)
	if err := writeAll(other, []byte(pingFrame)); err != nil {
		t.Fatal(err)
	}
	if err := readFull(other, answer); err != nil || string(answer) != string(frame)+pongFrame {
		t.Errorf("%q, %v", answer, err)
	}
	// CONNACK says in its third byte whether there is a session.
	fd, err := open(addr, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	connack := make([]byte, 4)
	if err := writeAll(fd, connectFrame("bench-absent", false)); err != nil {
		t.Fatal(err)
	}
	if err := readFull(fd, connack); err != nil || connack[2] != 0 {
		t.Errorf("CONNACK % x, %v", connack, err)
	}
}

// TestLive: who looks sees the deliveries that the result tells.
func TestLive(t *testing.T) {
	addr := startBroker(t)
	for _, kind := range []Kind{Stream, Latency} {
		var got, in, out atomic.Int64
		s := Scenario{Name: "live", Kind: kind, Publishers: 1, Subscribers: 1, PayloadBytes: 64, AheadBytes: 64 << 10, Rate: 1000}
		res, err := Run(s, Options{Addr: addr, Measure: 50 * time.Millisecond, Core: -1, Live: &Live{&got, &in, &out}})
		if err != nil || res.Received == 0 || got.Load() != res.Received || in.Load() != out.Load() || in.Load() < 64*res.Received {
			t.Errorf("%d received, told %d, %d bytes in, %d out: %v", res.Received, got.Load(), in.Load(), out.Load(), err)
		}
		if (kind == Latency) != (len(res.Times) > 1) || kind == Latency && res.Times[len(res.Times)-1].Share != 1 {
			t.Errorf("times %v", res.Times)
		}
	}
}
