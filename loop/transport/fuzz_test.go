package transport_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/gobwas/ws"

	"github.com/loopmq/loopmq/loop/transport"
)

// plainly decodes frames as a whole, with the reader of the library that the product does without: the payload up to
// the first fault, close or incomplete header, and the close code that has to be sent, 0 if none.
func plainly(in []byte, frameMax int64) (payload []byte, code uint16) {
	state := ws.StateServerSide
	for {
		r := bytes.NewReader(in)
		h, err := ws.ReadHeader(r)
		if err == ws.ErrHeaderLengthMSB || err == ws.ErrHeaderLengthUnexpected {
			return payload, 1002
		}
		if err != nil {
			return payload, 0
		}
		size := len(in) - r.Len()
		switch {
		case size != ws.HeaderSize(h), ws.CheckHeader(h, state) != nil:
			return payload, 1002
		case h.OpCode == ws.OpText:
			return payload, 1003
		case h.Length > frameMax:
			return payload, 1009
		}
		body := bytes.Clone(in[size:min(int64(len(in)), int64(size)+h.Length)])
		whole := int64(len(body)) == h.Length
		ws.Cipher(body, h.Mask, 0)
		switch {
		case h.OpCode.IsData():
			payload = append(payload, body...)
			state = state.Clear(ws.StateFragmented)
			if !h.Fin {
				state = state.Set(ws.StateFragmented)
			}
		case whole && h.OpCode == ws.OpClose:
			return payload, closeAnswer(body)
		}
		if !whole {
			return payload, 0
		}
		in = in[size+len(body):]
	}
}

// closeAnswer is the code with which a close frame is answered; 1 stands for an answer without one.
func closeAnswer(body []byte) uint16 {
	switch {
	case len(body) == 0:
		return 1
	case len(body) == 1:
		return 1002
	}
	code := ws.StatusCode(binary.BigEndian.Uint16(body))
	switch err := ws.CheckCloseFrameData(code, string(body[2:])); {
	case err == ws.ErrProtocolInvalidUTF8 && code < 5000:
		return 1007
	case err != nil || code >= 5000:
		return 1002
	}
	return uint16(code)
}

// wholePackets are the packets in payload.
func wholePackets(payload []byte) (all []string) {
	p := packets{}
	_, _ = p.Data(payload)
	return p.got
}

// sentClose checks the frames that were sent and returns the code of the close frame at their end, as plainly has it.
func sentClose(t *testing.T, out []byte) (code uint16) {
	for len(out) > 0 {
		r := bytes.NewReader(out)
		h, err := ws.ReadHeader(r)
		if err != nil || ws.CheckHeader(h, ws.StateClientSide) != nil || h.Length > int64(r.Len()) || code != 0 {
			t.Fatalf("sent %x: %+v, %v", out, h, err)
		}
		payload := out[len(out)-r.Len():][:h.Length]
		out = out[len(out)-r.Len()+len(payload):]
		if h.OpCode == ws.OpClose {
			if code = 1; len(payload) > 0 {
				code = binary.BigEndian.Uint16(payload)
			}
		}
	}
	return code
}

// FuzzWebSocket feeds frames whole and in pieces, to handlers that take everything at once, one packet at a time, or
// pause all the time: the packets that arrive and what is sent must be what a plain decoder finds.
func FuzzWebSocket(f *testing.F) {
	for _, row := range conversations {
		if len(row.in) < 1000 {
			f.Add(row.in, []byte{1, 3, 0, 200}, byte(len(row.in)))
		}
	}
	var tiny []byte
	for _, b := range packet("a packet in tiny frames") {
		tiny = append(tiny, masked(binaryFrame, []byte{b})...)
	}
	f.Add(tiny, []byte{5}, byte(2))
	f.Fuzz(func(t *testing.T, in, cuts []byte, mode byte) {
		const frameMax = 10_000
		payload, code := plainly(in, frameMax)
		want := wholePackets(payload)
		c, p := opened(t, transport.Options{Limits: transport.Limits{FrameBytesMax: frameMax}})
		if mode&1 != 0 {
			p.perCall, p.pauses = 1, true
		}
		rest := in
		for i := 0; len(rest) > 0; i++ {
			n := len(rest)
			if len(cuts) > 0 {
				n = min(n, 1+int(cuts[i%len(cuts)]))
			}
			c.feed(rest[:n])
			rest = rest[n:]
			if mode&2 != 0 {
				p.c.Resume()
				c.turn()
			}
		}
		for range len(in) + 2 { // whoever pauses goes on in the end
			p.c.Resume()
			c.turn()
		}
		if !slices.Equal(p.got, want) {
			t.Fatalf("packets %q, want %q", p.got, want)
		}
		if got := sentClose(t, c.sent); got != code || c.closed != (code != 0) {
			t.Fatalf("close code %d, want %d; closed=%v: %v", got, code, c.closed, c.why)
		}
	})
}

// FuzzHandshake sends requests whole and in pieces: the answer is the same, and a WebSocket is opened only for what
// asks for the right thing.
func FuzzHandshake(f *testing.F) {
	for _, r := range []string{
		request, with("Upgrade:"), with("GET / HTTP/1.0"), with("Origin: null"), with("Sec-WebSocket-Protocol: x,mqttv3.1"),
		"\x10\x0c\x00\x04MQTT", "GET http://a/mqtt?b HTTP/1.1\r\nHost: a\r\n\r\n", "GET /mqtt HTTP/1.1\n\n",
	} {
		f.Add([]byte(r), byte(7))
	}
	f.Fuzz(func(t *testing.T, in []byte, chunk byte) {
		d := newDoor(t, transport.Options{Limits: transport.Limits{RequestBytesMax: 1000}, Origins: []string{"example.com"}})
		whole, a := knocked(d)
		whole.feed(in)
		pieces, b := knocked(d)
		for piece := range slices.Chunk(in, 1+int(chunk)) {
			pieces.feed(piece)
		}
		if (a.req == nil) != (b.req == nil) || !bytes.Equal(whole.sent, pieces.sent) || whole.closed != pieces.closed {
			t.Fatalf("whole: %q, in pieces: %q", whole.sent, pieces.sent)
		}
		answered := bytes.Contains(in[:min(len(in), 1000)], []byte("\r\n\r\n")) || len(in) >= 1000
		if answered && len(whole.sent) == 0 {
			t.Fatal("no answer")
		}
		if a.req != nil && (a.req.Path != "/mqtt" || a.req.Subprotocol == "" || !bytes.HasPrefix(whole.sent, []byte("HTTP/1.1 101 "))) {
			t.Fatalf("%+v: %q", a.req, whole.sent)
		}
	})
}
