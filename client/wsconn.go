package client

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// frameBytesLeast is what a frame may always hold: a server may put many
// packets in one. A frame is read as it comes, so this bounds no memory.
const frameBytesLeast = 1 << 20

// frameBytesMax is the payload of one frame of ours. A packet may go over
// several messages [MQTT-6.0.0-2], so one buffer of this size is enough.
const frameBytesMax = 64 << 10

// byeTimeout is what a close frame may take when the connection ends.
const byeTimeout = 200 * time.Millisecond

// CloseError is a WebSocket that the server closed.
type CloseError struct {
	Code int    // of RFC 6455; 0: none was given
	Text string // reason of the server; mostly empty
}

func (e *CloseError) Error() string {
	code := ""
	if e.Code != 0 {
		code = fmt.Sprintf(" with %d", e.Code)
	}
	if meaning := closeCodes[e.Code]; meaning != "" {
		code += " (" + meaning + ")"
	}
	return "server closed the WebSocket" + code + quoted(e.Text)
}

// closeCodes are what the codes of close frames mean.
//
// table: section 7.4.1 of RFC 6455 and the registry that it opens.
var closeCodes = map[int]string{
	1000: "normal", 1001: "going away", 1002: "protocol error", 1003: "unsupported data", 1007: "invalid data",
	1008: "policy violation", 1009: "message too big", 1010: "extension missing", 1011: "internal error",
	1012: "service restart", 1013: "try again later", 1014: "bad gateway",
}

// wsConn is a stream of bytes in WebSocket messages. One goroutine reads, one
// writes; what reading has to answer is left to the one that writes.
type wsConn struct {
	net.Conn
	wake func() // asks the writing goroutine for Write, with nothing perhaps

	// The reading goroutine's.
	in         *bufio.Reader
	header     [ws.MaxHeaderSize]byte
	left       int64 // of the payload of the present frame
	fragmented bool  // more frames of the message follow
	lengthMax  int64
	bad        error // what reading came to its end with

	writing sync.Mutex
	out     []byte // the frame that is being sent

	mu     sync.Mutex
	answer []byte // control frame to send: a pong, or the last: close
	closed bool   // a close frame was sent or is in answer
}

// newWSConn reads what came early before what comes. lengthMax is the longest
// frame taken.
func newWSConn(conn net.Conn, early []byte, lengthMax int) *wsConn {
	var from io.Reader = conn
	if len(early) > 0 {
		from = io.MultiReader(bytes.NewReader(early), conn)
	}
	return &wsConn{Conn: conn, wake: func() {}, in: bufio.NewReaderSize(from, readBytes/2), lengthMax: int64(lengthMax)}
}

// Read returns payload of data frames.
func (w *wsConn) Read(p []byte) (int, error) {
	for w.bad == nil && w.left == 0 && len(p) > 0 {
		w.bad = w.next()
	}
	if w.bad != nil {
		return 0, w.bad
	}
	n, err := w.in.Read(p[:min(int64(len(p)), w.left)])
	w.left -= int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // in a frame
	}
	w.bad = err
	return n, err
}

// next reads a frame's header; of a control frame all of it.
func (w *wsConn) next() error {
	h, err := ws.ReadHeaderBuffer(w.in, w.header[:])
	if errors.Is(err, ws.ErrHeaderLengthMSB) || errors.Is(err, ws.ErrHeaderLengthUnexpected) {
		return w.violated(ws.StatusProtocolError, err)
	}
	if err != nil {
		return err
	}
	state := ws.StateClientSide
	if w.fragmented {
		state = state.Set(ws.StateFragmented)
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return w.violated(ws.StatusProtocolError, err)
	}
	switch {
	case h.OpCode.IsControl():
		return w.control(h)
	case h.OpCode == ws.OpText:
		return w.violated(ws.StatusUnsupportedData, errors.New("text, where MQTT is binary")) // [MQTT-6.0.0-1]
	case h.Length > w.lengthMax:
		return w.violated(ws.StatusMessageTooBig, fmt.Errorf("a frame of %d bytes, more than %d", h.Length, w.lengthMax))
	}
	w.left, w.fragmented = h.Length, !h.Fin
	return nil
}

// violated closes for a mistake of the server's.
func (w *wsConn) violated(code ws.StatusCode, err error) error {
	w.reply(ws.OpClose, ws.NewCloseFrameBody(code, ""))
	return fmt.Errorf("the server breaks the WebSocket protocol: %w", err)
}

// control reads and answers a control frame.
func (w *wsConn) control(h ws.Header) error {
	payload := make([]byte, h.Length) // at most 125
	if _, err := io.ReadFull(w.in, payload); err != nil {
		return err
	}
	switch h.OpCode {
	case ws.OpPing:
		w.reply(ws.OpPong, payload)
	case ws.OpClose:
		if len(payload) == 1 {
			return w.violated(ws.StatusProtocolError, errors.New("half a close code"))
		}
		e := &CloseError{}
		if len(payload) >= 2 {
			e.Code, e.Text = int(binary.BigEndian.Uint16(payload)), firstLine(payload[2:])
			payload = payload[:2]
		}
		w.reply(ws.OpClose, payload)
		return e
	}
	return nil // a pong that nobody asked for
}

// reply leaves a control frame to the writing goroutine. A ping that is not
// answered yet is answered with the next one, which RFC 6455 allows.
func (w *wsConn) reply(op ws.OpCode, payload []byte) {
	w.mu.Lock()
	if !w.closed {
		w.answer = appendFrame(w.answer[:0], op, payload)
		w.closed = op == ws.OpClose
	}
	w.mu.Unlock()
	w.wake()
}

// owes reports whether Write has something to send even without bytes.
func (w *wsConn) owes() bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.answer) > 0
}

// Write sends p in binary frames, and before it what reading has to answer.
func (w *wsConn) Write(p []byte) (int, error) {
	w.writing.Lock()
	defer w.writing.Unlock()
	sent := 0
	for {
		w.mu.Lock()
		w.out = append(w.out[:0], w.answer...)
		w.answer = w.answer[:0]
		closed := w.closed
		w.mu.Unlock()
		n := min(len(p)-sent, frameBytesMax)
		if n > 0 && !closed {
			w.out = appendFrame(w.out, ws.OpBinary, p[sent:sent+n])
		}
		if len(w.out) > 0 {
			if _, err := w.Conn.Write(w.out); err != nil {
				return sent, err
			}
		}
		sent += n
		switch {
		case closed: // nothing may follow a close frame; the one that reads says why it came
			return len(p), nil
		case sent == len(p):
			return sent, nil
		}
	}
}

// Close says goodbye if that is possible soon.
func (w *wsConn) Close() error {
	_ = w.SetWriteDeadline(time.Now().Add(byeTimeout)) // also for a write that goes on
	w.reply(ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
	_, _ = w.Write(nil)
	return w.Conn.Close()
}

// appendFrame appends a whole message or control frame, masked.
func appendFrame(dst []byte, op ws.OpCode, payload []byte) []byte {
	const final, masked = 0x80, 0x80
	dst = append(dst, final|byte(op))
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, masked|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, masked|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, masked|127), uint64(n))
	}
	var mask [4]byte
	_, _ = rand.Read(mask[:]) // never fails
	dst = append(dst, mask[:]...)
	begin := len(dst)
	dst = append(dst, payload...)
	ws.Cipher(dst[begin:], mask, 0)
	return dst
}
