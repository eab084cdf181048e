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
		frames.BeginPass()
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
		frames.BeginPass()
		p.c.SendView(packet)
		c.sends, c.sent = c.sends[:0], c.sent[:0]
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
