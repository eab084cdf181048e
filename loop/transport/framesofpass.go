package transport

import (
	"bytes"

	"github.com/gobwas/ws"

	"github.com/loopmq/loopmq/internal/invariant"
)

// framesBytes is the memory of a Frames, of which it has two where output waits: what a pass may well send to one
// reader, in bytes.
const framesBytes = 256 << 10

// Frames holds the frames of small packets that a pass of the loop sends, for all WebSockets of an engine. A packet
// that goes to many is framed once, and what goes to one lies side by side, so that the connections queue views of it
// instead of copies. It belongs to the loop goroutine.
type Frames struct {
	memory      []byte // nil until there is a frame
	older       []byte // of before the last ViewsAge
	begin, body int    // of the last frame and its payload; the frame ends where memory does
	first       uint64 // ID of the connection that it was made for
}

// ViewsAge gives the memory free again of frames made before the last call. To be called as loop.Hooks.ViewsAge.
func (f *Frames) ViewsAge() {
	invariant.Mangle(f.older)
	f.memory, f.older, f.begin, f.body = f.older[:0], f.memory, 0, 0
}

// of returns a frame with this payload, which is not empty, for the connection id, as a view that holds until ViewsAge was
// called twice. nil: the memory is used up. Whoever comes with the same packet again gets another frame, since that stands
// beside its last one.
//
// hot: no allocation but the first time.
func (f *Frames) of(id uint64, payload []byte) []byte {
	if f.body > f.begin && f.first != id && bytes.Equal(f.memory[f.body:], payload) {
		return f.memory[f.begin:]
	}
	if cap(f.memory) == 0 {
		f.memory = make([]byte, 0, framesBytes)
	}
	if cap(f.memory)-len(f.memory) < len(payload)+ws.MaxHeaderSize {
		return nil
	}
	f.begin, f.first = len(f.memory), id
	f.memory = AppendFrameHeader(f.memory, ws.OpBinary, len(payload))
	f.body = len(f.memory)
	f.memory = append(f.memory, payload...)
	return f.memory[f.begin:]
}
