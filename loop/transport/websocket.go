package transport

import (
	"errors"
	"io"

	"github.com/gobwas/ws"

	"github.com/loopmq/loopmq/internal/invariant"
	"github.com/loopmq/loopmq/loop"
)

// How input goes through: payload is unmasked where it lies and handed on as it comes, without waiting for the end of
// its frame, see kept.

// WebSocket is one connection of a Door. It is the engine's handler; the handler inside sees it as a loop.Conn.
//
// While a packet is incomplete, the engine must keep it together with the headers of its frames: for packets up to n
// bytes in frames of any size Limits.InputBytesMax should be n + n/8 + 64 KiB.
type WebSocket struct {
	door   *Door
	outer  loop.Conn
	accept func(loop.Conn, *Request) loop.Handler
	failed func(why error)
	inner  loop.Handler // nil until the request was answered

	frames   frameReader
	kept     kept // the beginning of the next view, see above
	searched int  // bytes of the request that have no end in them
	paused   bool
	yielded  bool // the handler inside wants to be called again, after others
	closed   bool
}

// Data implements loop.Handler.
func (w *WebSocket) Data(view []byte) (used int, err error) {
	if w.inner != nil {
		return w.input(view)
	}
	n, err := w.shake(view)
	if err != nil || w.inner == nil {
		return n, err
	}
	used, err = w.input(view[n:])
	return n + used, err
}

// Drained implements loop.Handler.
func (w *WebSocket) Drained() {
	if w.inner != nil {
		w.inner.Drained()
	}
}

// Closed implements loop.Handler. The handler inside hears io.EOF if the peer closed the WebSocket as it should.
func (w *WebSocket) Closed(why error) {
	w.closed = true
	if e, ok := errors.AsType[*CloseError](why); ok && (e.Code == 0 || e.Code == 1000 || e.Code == 1001) {
		why = io.EOF
	}
	switch {
	case w.inner != nil:
		w.inner.Closed(why)
	case w.failed != nil && !errors.Is(why, ErrNotAccepted):
		w.failed(why)
	}
}

// shake answers the request, once it is there.
func (w *WebSocket) shake(view []byte) (used int, err error) {
	d := w.door
	req, response, n, err := d.shake(view, w.searched)
	w.searched = len(view)
	if response == nil {
		return 0, nil
	}
	w.outer.SendControl(response)
	if err != nil {
		d.stats.Refused++
		w.closed = true
		return n, err
	}
	d.stats.Upgraded++
	if w.inner = w.accept((*innerConn)(w), req); w.inner == nil {
		return n, w.fail(ErrNotAccepted, ws.StatusPolicyViolation, "")
	}
	w.accept, w.failed = nil, nil
	return n, nil
}

// input hands on the payload of all frames in view: what lies between two control frames in one piece.
//
// hot: no allocation, no copy but of what joins the payload of frames.
func (w *WebSocket) input(view []byte) (used int, err error) {
	start, end := 0, w.kept.plain
	raw := end + w.kept.gap
	w.frames.barren, w.frames.joined, w.yielded = 0, 0, false
	for told := 0; !w.closed && !w.paused; {
		var h ws.Header
		var n int
		start, end, raw = w.join(view, start, end, raw)
		if w.frames.left == 0 {
			h, n, err = w.frames.next(view[raw:], w.door.limits.FrameBytesMax)
		}
		if end > start && end > told {
			told = end
			n, err := w.inner.Data(view[start:end])
			invariant.Check(n >= 0 && n <= end-start, "Data used %d of %d bytes", n, end-start)
			start += min(max(n, 0), end-start)
			if err != nil {
				return start, w.fail(err, ws.StatusProtocolError, "")
			}
		}
		switch {
		case w.closed || w.paused || w.yielded:
			return w.kept.keep(view, start, end, raw), nil
		case err != nil:
			return start, w.broken(err)
		case w.frames.barren >= barrenMax && len(view)-raw > backlogFramesBytesMax:
			return start, w.broken(errBarrenFrames)
		case w.frames.barren >= barrenMax || w.frames.joined >= joinedMax:
			w.outer.Pause() // the rest comes in the next pass, after everybody else
			w.outer.Resume()
			return w.kept.keep(view, start, end, raw), nil
		case n == 0 || len(view)-raw < n+int(h.Length):
			// The rest of a payload, a header or a control frame is still to come. The last has 125 bytes at most: the
			// engine keeps it as it came.
			return w.kept.keep(view, start, end, raw), nil
		}
		payload := view[raw+n : raw+n+int(h.Length)]
		ws.Cipher(payload, h.Mask, 0)
		raw += n + len(payload)
		w.frames.barren++
		if err := w.control(h.OpCode, payload); err != nil {
			return start, w.broken(err)
		}
	}
	return w.kept.keep(view, start, end, raw), nil
}

// join unmasks payload from raw on, where it lies or behind the plain bytes between start and end, until view ends or
// something else than a data frame comes.
//
// hot: no allocation.
func (w *WebSocket) join(view []byte, start, end, raw int) (int, int, int) {
	f := &w.frames
	for f.barren < barrenMax && f.joined < joinedMax {
		if f.left == 0 {
			n := f.data(view[raw:], w.door.limits.FrameBytesMax)
			if n == 0 {
				break
			}
			if raw += n; f.left == 0 {
				f.barren++
				continue
			}
		}
		n := min(f.left, len(view)-raw)
		if start == end {
			start, end = raw, raw
		}
		f.unmask(view[end:end+n], view[raw:raw+n])
		f.joined++
		end += n
		raw += n
		if f.left > 0 {
			break
		}
	}
	return start, end, raw
}

// control acts on a control frame.
func (w *WebSocket) control(op ws.OpCode, payload []byte) error {
	d := w.door
	switch op {
	case ws.OpPing:
		d.scratch = append(AppendFrameHeader(d.scratch[:0], ws.OpPong, len(payload)), payload...)
		if w.outer.SendControl(d.scratch) {
			d.stats.Pings++
		} else {
			d.stats.PongsRefused++
		}
	case ws.OpClose:
		code, reason, err := parseClose(payload)
		if err != nil {
			return err
		}
		w.sendClose(code, "")
		w.outer.Close(&CloseError{code, reason})
	}
	return nil
}

// broken counts an error of the peer's and says it.
func (w *WebSocket) broken(err error) error {
	code, reason := ws.StatusProtocolError, ""
	if e, ok := errors.AsType[*ProtocolError](err); ok {
		code, reason = ws.StatusCode(e.Code), e.Why
	}
	w.door.stats.ProtocolErrors++
	if code == ws.StatusMessageTooBig {
		w.door.stats.FramesTooLong++
	}
	w.sendClose(uint16(code), reason)
	return err
}

// fail says that the handler inside ended the connection, and returns its error for the engine.
func (w *WebSocket) fail(err error, fallback ws.StatusCode, reason string) error {
	w.sendClose(w.codeFor(err, fallback), reason)
	return err
}

// codeFor chooses the close code.
func (w *WebSocket) codeFor(why error, fallback ws.StatusCode) uint16 {
	if why == nil {
		return uint16(ws.StatusNormalClosure)
	}
	if code := w.door.closeCode(why); code != 0 {
		return code
	}
	switch {
	case errors.Is(why, loop.ErrStopped):
		return uint16(ws.StatusGoingAway)
	case errors.Is(why, io.EOF):
		return uint16(ws.StatusNormalClosure)
	}
	return uint16(fallback)
}

// sendClose sends our close frame, once, and nothing after it. The peer's answer is not waited for: the engine flushes
// ours and closes.
func (w *WebSocket) sendClose(code uint16, reason string) {
	if w.closed {
		return
	}
	w.closed = true
	w.door.scratch = appendClose(w.door.scratch[:0], code, reason)
	w.outer.SendControl(w.door.scratch)
}
