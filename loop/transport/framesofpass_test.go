package transport_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/loop/transport"
)

// Frames of one pass: whatever is sent in whatever order to whomever, each gets its own; beyond the memory for them,
// too, and after any number of passes.
func TestFramesOfAPass(t *testing.T) {
	frames := &transport.Frames{}
	a, pa := opened(t, transport.Options{Frames: frames})
	b, pb := opened(t, transport.Options{Frames: frames})
	b.id = 1
	view := make([]byte, 300) // is written to again, as the memory of reads may be
	for pass := range 3 {
		frames.ViewsAge()
		for i := range 2000 {
			body := view[:1+i%len(view)]
			for k := range body {
				body[k] = byte(i + pass)
			}
			want := append([]byte("\x82"), byte(len(body)))
			if len(body) > 125 {
				want = append([]byte("\x82\x7e"), byte(len(body)>>8), byte(len(body)))
			}
			want = append(want, body...)
			for range 2 {
				if !pa.c.SendView(body) || !bytes.Equal(a.take(), want) {
					t.Fatalf("pass %d, packet %d: the frame differs", pass, i)
				}
			}
			if !pb.c.SendView(body) || !bytes.Equal(b.take(), want) {
				t.Fatalf("pass %d, packet %d: the frame for the second reader differs", pass, i)
			}
		}
	}
}

func TestFramesOfAPassAreRefusedWhole(t *testing.T) {
	c, p := opened(t, transport.Options{Frames: &transport.Frames{}})
	c.full = true
	if p.c.SendView([]byte("abc")) || len(c.take()) > 0 {
		t.Error("a refused send says it was taken")
	}
	c.full = false
	if !p.c.SendView([]byte("abc")) || string(c.take()) != "\x82\x03abc" {
		t.Error("the frame differs after a refusal")
	}
	if !p.c.SendView(nil) || string(c.take()) != "\x82\x00" {
		t.Error("the empty frame differs")
	}
	large := strings.Repeat("x", 70_000)
	if !p.c.SendView([]byte(large)) || string(c.take()) != "\x82\x7f\x00\x00\x00\x00\x00\x01\x11\x70"+large {
		t.Error("the large frame differs")
	}
}

func TestFramesAllocateNothing(t *testing.T) {
	frames := &transport.Frames{}
	c, p := opened(t, transport.Options{Frames: frames})
	packet := []byte("a packet")
	if n := testing.AllocsPerRun(100, func() {
		frames.ViewsAge()
		p.c.SendView(packet)
		c.sends, c.sent = c.sends[:0], c.sent[:0]
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// A flood of pings or of empty frames has its share of each pass, and what follows it comes.
func TestFloodsOfFramesTakeManyPasses(t *testing.T) {
	for _, frame := range []byte{pingFrame, binaryFrame} {
		c, p := opened(t, transport.Options{})
		const frames = 1000
		c.feed(join(bytes.Repeat(masked(frame, nil), frames), masked(binaryFrame, packet("x"))))
		passes := 1
		for ; len(p.got) == 0 && passes < frames; passes++ {
			if n := len(c.sends); n > 64 {
				t.Fatalf("frame %#x: %d pongs in a pass", frame, n)
			}
			c.sends = nil
			tail := c.tail
			if c.retry = false; c.paused || len(tail) == 0 {
				t.Fatalf("frame %#x: paused=%v with %d bytes left after pass %d", frame, c.paused, len(tail), passes)
			}
			c.tail = nil
			c.feed(tail)
		}
		if passes < frames/64 || c.closed {
			t.Errorf("frame %#x: %d passes, closed=%v", frame, passes, c.closed)
		}
		if want := strings.Repeat("\x8a\x00", frames); frame == pingFrame && string(c.sent) != want {
			t.Errorf("%d bytes of pongs, want %d", len(c.sent), len(want))
		}
		c, _ = opened(t, transport.Options{})
		c.feed(bytes.Repeat(masked(frame, nil), 1<<18))
		if !c.closed || !strings.Contains(c.why.Error(), "too many frames with nothing in them (1008)") {
			t.Errorf("frame %#x: %d frames at a time: %v", frame, 1<<18, c.why)
		}
	}
}
