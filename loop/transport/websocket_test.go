package transport_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/internal/buf"
	"github.com/loopmq/loopmq/internal/testkit"
	"github.com/loopmq/loopmq/loop"
	"github.com/loopmq/loopmq/loop/transport"
)

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// conversations are what a client sends behind the handshake, what its packets are, and what it gets.
var conversations = []struct {
	name    string
	in      []byte
	want    []string
	out     string // hex
	why     string // of the close, "" if the connection stays open
	closing error  // what the handler inside hears
}{
	{name: "one packet, one frame", in: masked(binaryFrame, packet("abc")), want: []string{"abc"}},
	{
		name: "literal bytes", in: []byte("\x82\x85\x37\xfa\x21\x3d" + "\x37\xf9\x40\x5f\x54"), want: []string{"abc"},
	},
	{name: "two packets in a frame", in: masked(binaryFrame, join(packet("abc"), packet(""))), want: []string{"abc", ""}},
	{
		name: "a packet over three frames",
		in:   join(masked(binaryFrame, []byte{0}), masked(binaryFrame, []byte("\x03a")), masked(binaryFrame, []byte("bc"))),
		want: []string{"abc"},
	},
	{
		name: "a fragmented message with a ping and a pong inside",
		in: join(masked(binaryPart, []byte("\x00\x03a")), masked(pingFrame, []byte("hi")), masked(morePart, nil),
			masked(pongFrame, []byte("ho")), masked(morePart, []byte("b")), masked(lastPart, []byte("c\x00\x01d"))),
		want: []string{"abc", "d"},
		out:  "8a 02 6869",
	},
	{name: "empty frame", in: join(masked(binaryFrame, nil), masked(binaryFrame, packet("x"))), want: []string{"x"}},
	{name: "16-bit length", in: masked(binaryFrame, packet(strings.Repeat("x", 60_000))), want: []string{strings.Repeat("x", 60_000)}},
	{
		name: "64-bit length", in: masked(binaryFrame, join(packet(strings.Repeat("x", 65_535)), packet("y"))),
		want: []string{strings.Repeat("x", 65_535), "y"},
	},
	{name: "longest ping", in: masked(pingFrame, bytes.Repeat([]byte("p"), 125)), out: "8a 7d" + strings.Repeat("70", 125)},
	{name: "empty ping", in: masked(pingFrame, nil), out: "8a 00"},

	{name: "close", in: masked(closeFrame, nil), out: "88 00", why: "closed by the peer with code 0", closing: io.EOF},
	{
		name: "close with code and reason, echoed without the reason", in: masked(closeFrame, []byte("\x03\xe8bye")),
		out: "88 02 03e8", why: `code 1000 "bye"`, closing: io.EOF,
	},
	{
		name: "close going away, and nothing behind it", in: join(masked(closeFrame, []byte("\x03\xe9")), masked(pingFrame, nil)),
		out: "88 02 03e9", why: "code 1001", closing: io.EOF,
	},
	{name: "close because of us", in: masked(closeFrame, []byte("\x03\xea")), out: "88 02 03ea", why: "code 1002"},
	{name: "close by the application", in: masked(closeFrame, []byte("\x13\x87")), out: "88 02 1387", why: "code 4999"},
	{
		name: "packets before the close", in: join(masked(binaryFrame, packet("last")), masked(closeFrame, []byte("\x03\xe8"))),
		want: []string{"last"}, out: "88 02 03e8", why: "code 1000", closing: io.EOF,
	},
	{
		name: "not masked", in: []byte("\x82\x03\x00\x01x"),
		out: closing(1002, "frames from client to server must be masked"), why: "must be masked (1002)",
	},
	{
		name: "not masked, no payload", in: []byte("\x82\x00"),
		out: closing(1002, "frames from client to server must be masked"), why: "must be masked (1002)",
	},
	{
		name: "text", in: masked(0x81, []byte("hello")),
		out: closing(1003, "text frame; MQTT is binary"), why: "MQTT is binary (1003)",
	},
	{
		name: "reserved bit, as with compression", in: masked(0xC2, packet("x")),
		out: closing(1002, "non-zero rsv bits with no extension negotiated"), why: "rsv bits",
	},
	{name: "reserved opcode", in: masked(0x83, nil), out: closing(1002, "use of reserved op code"), why: "reserved op code"},
	{name: "reserved control opcode", in: masked(0x8b, nil), out: closing(1002, "use of reserved op code"), why: "reserved op code"},
	{name: "fragmented ping", in: masked(0x09, nil), out: closing(1002, "control frame is not final"), why: "not final"},
	{
		name: "long ping", in: masked(pingFrame, make([]byte, 126)),
		out: closing(1002, "control frame payload limit exceeded"), why: "limit exceeded",
	},
	{
		name: "continuation of nothing", in: masked(lastPart, packet("x")),
		out: closing(1002, "unexpected continuation data frame"), why: "unexpected continuation",
	},
	{
		name: "new message inside another", in: join(masked(binaryPart, packet("x")), masked(binaryFrame, packet("y"))),
		want: []string{"x"}, out: closing(1002, "unexpected non-continuation data frame"), why: "unexpected non-continuation",
	},
	{
		name: "frame too long", in: []byte("\x82\xff\x00\x00\x00\x00\x00\x01\x86\xa1abcd"),
		out: closing(1009, "frame of 100001 bytes, at most 100000 are taken"), why: "(1009)",
	},
	{
		name: "length with the highest bit", in: []byte("\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00abcd"),
		out: closing(1002, "length with its highest bit set"), why: "highest bit",
	},
	{
		name: "16-bit length that needs none", in: []byte("\x82\xfe\x00\x7dmaskd"),
		out: closing(1002, "length not in the shortest form"), why: "shortest form",
	},
	{
		name: "64-bit length that needs 16", in: []byte("\x82\xff\x00\x00\x00\x00\x00\x00\xff\xffabcd"),
		out: closing(1002, "length not in the shortest form"), why: "shortest form",
	},
	{
		name: "close with half a code", in: masked(closeFrame, []byte{3}),
		out: closing(1002, "close frame with half a code"), why: "half a code",
	},
	{name: "close with 1005", in: masked(closeFrame, []byte("\x03\xed")), out: closing(1002, "close frame with code 1005"), why: "1005"},
	{name: "close with 1004", in: masked(closeFrame, []byte("\x03\xec")), out: closing(1002, "close frame with code 1004"), why: "1004"},
	{name: "close with 1012", in: masked(closeFrame, []byte("\x03\xf4")), out: closing(1002, "close frame with code 1012"), why: "1012"},
	{name: "close with 999", in: masked(closeFrame, []byte("\x03\xe7")), out: closing(1002, "close frame with code 999"), why: "999"},
	{name: "close with 5000", in: masked(closeFrame, []byte("\x13\x88")), out: closing(1002, "close frame with code 5000"), why: "5000"},
	{
		name: "close with bad UTF-8", in: masked(closeFrame, []byte("\x03\xe8\xff")),
		out: closing(1007, "close frame whose reason is not UTF-8"), why: "UTF-8 (1007)",
	},
}

// closing is a close frame, in hex.
func closing(code uint16, reason string) string {
	b := append([]byte{0x88, byte(2 + len(reason)), byte(code >> 8), byte(code)}, reason...)
	var s strings.Builder
	for _, c := range b {
		const digits = "0123456789abcdef"
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}

func TestConversations(t *testing.T) {
	for _, row := range conversations {
		t.Run(row.name, func(t *testing.T) {
			for _, chunk := range []int{len(row.in), 1, 2, 3, 7, 100} {
				if chunk < 100 && len(row.in) > 10_000 && chunk != len(row.in) {
					continue
				}
				c, p := opened(t, transport.Options{Limits: transport.Limits{FrameBytesMax: 100_000}})
				for b := range slices.Chunk(row.in, chunk) {
					c.feed(b)
				}
				if !slices.Equal(p.got, row.want) {
					t.Fatalf("chunks of %d: packets %.80q, want %.80q", chunk, p.got, row.want)
				}
				if got, want := c.take(), testkit.Bytes(row.out); !bytes.Equal(got, want) {
					t.Fatalf("chunks of %d: sent\n%x, want\n%x", chunk, got, want)
				}
				if c.closed != (row.why != "") || c.closed && !strings.Contains(c.why.Error(), row.why) {
					t.Fatalf("chunks of %d: closed=%v: %v, want %q", chunk, c.closed, c.why, row.why)
				}
				if !c.closed {
					if len(c.tail) != 0 {
						t.Fatalf("chunks of %d: %d bytes left", chunk, len(c.tail))
					}
					continue
				}
				c.reap()
				if want := row.closing; len(p.closed) != 1 || want != nil && p.closed[0] != want || want == nil && p.closed[0] != c.why {
					t.Fatalf("chunks of %d: Closed heard %v", chunk, p.closed)
				}
			}
		})
	}
}

func TestPacketsBehindTheRequestAreNotLost(t *testing.T) {
	all := join([]byte(request), masked(binaryFrame, packet("early")), masked(pingFrame, []byte("x")))
	for cut := range all {
		c, p := knocked(newDoor(t, transport.Options{}))
		c.feed(all[:cut])
		c.feed(all[cut:])
		if want := response + "\x8a\x01x"; string(c.sent) != want || !slices.Equal(p.got, []string{"early"}) {
			t.Fatalf("cut at %d: packets %q, sent %q", cut, p.got, c.sent)
		}
	}
}

func TestDribble(t *testing.T) {
	c, p := knocked(newDoor(t, transport.Options{}))
	var want []string
	all := []byte(request)
	for n := range 300 {
		body := strings.Repeat("x", n)
		want = append(want, body)
		all = append(all, masked(binaryFrame, packet(body))...)
	}
	for i := range all {
		c.feed(all[i : i+1])
	}
	if !slices.Equal(p.got, want) {
		t.Fatalf("%d packets arrived of %d", len(p.got), len(want))
	}
	if string(c.sent) != response {
		t.Fatalf("sent %q", c.sent)
	}
}

// A packet in tiny frames comes with far more header than payload; what has to be kept must stay near its own length.
func TestHeadersOfTinyFramesAreNotKept(t *testing.T) {
	c, p := opened(t, transport.Options{})
	body := strings.Repeat("tiny", 15_000)
	var all []byte
	for _, b := range packet(body) {
		all = append(all, masked(binaryFrame, []byte{b})...)
	}
	for b := range slices.Chunk(all, 1000) {
		c.feed(b)
	}
	if len(p.got) != 1 || p.got[0] != body {
		t.Fatalf("%d packets", len(p.got))
	}
	if limit := len(body) + len(body)/8 + 64<<10; c.maxTail > limit {
		t.Errorf("%d bytes were kept for a packet of %d", c.maxTail, len(body))
	}
}

func TestPauseAndResumeReachTheBytesInside(t *testing.T) {
	c, p := opened(t, transport.Options{})
	p.perCall, p.pauses = 1, true
	c.feed(join(
		masked(binaryPart, join(packet("a"), packet("b"), []byte("\x00"))),
		masked(pingFrame, []byte("1")), masked(lastPart, []byte("\x01c")), masked(binaryFrame, packet("d")),
	))
	for _, want := range []string{"a", "ab", "abc", "abcd"} { // nothing more is fed
		if got := strings.Join(p.got, ""); got != want || !c.paused {
			t.Fatalf("took %q, want %q; paused: %v", got, want, c.paused)
		}
		p.c.Resume()
		c.turn()
	}
	if got := c.take(); string(got) != "\x8a\x011" {
		t.Fatalf("sent %q", got)
	}
	c.feed(masked(binaryFrame, packet("e")))
	if got := strings.Join(p.got, ""); got != "abcde" {
		t.Fatalf("took %q", got)
	}
}

func TestEverySendIsOneFrame(t *testing.T) {
	pool := buf.NewPool(0)
	c, p := opened(t, transport.Options{Pool: pool})
	for _, row := range []struct {
		n    int
		head string
	}{
		{0, "8200"},
		{1, "8201"},
		{125, "827d"},
		{126, "827e007e"},
		{512, "827e0200"},
		{513, "827e0201"},
		{65_535, "827effff"},
		{65_536, "827f0000000000010000"},
	} {
		frame := bytes.Repeat([]byte("f"), row.n)
		want := append(testkit.Bytes(row.head), frame...)
		half := row.n / 2
		body := pool.NewRef(frame[half:])
		for name, send := range map[string]func() bool{
			"Send":        func() bool { return p.c.Send(frame) },
			"SendView":    func() bool { return p.c.SendView(frame) },
			"SendControl": func() bool { return p.c.SendControl(frame) },
			"SendShared":  func() bool { return p.c.SendShared(frame[:half], body) },
		} {
			if ok := send(); !ok || len(c.sends) != 1 {
				t.Fatalf("%s of %d bytes: %v in %d sends", name, row.n, ok, len(c.sends))
			}
			if got := c.take(); !bytes.Equal(got, want) {
				t.Fatalf("%s of %d bytes: got %.20x… (%d), want %.20x… (%d)", name, row.n, got, len(got), want, len(want))
			}
		}
		body.Release()
	}
	c.full = true
	if p.c.Send(nil) || p.c.SendControl(nil) || p.c.SendView(make([]byte, 1000)) {
		t.Error("a refused send says it was taken")
	}
	if n := pool.InUse(); n != 0 {
		t.Errorf("%d bytes of the pool not given back", n)
	}
	if p.c.ID() != 42 || p.c.Queued() != c.Queued() {
		t.Error("ID or Queued differ from the connection's own")
	}
	c.h.Drained()
	if p.drained != 1 {
		t.Error("Drained was not passed on")
	}
}

func TestCloseSaysWhy(t *testing.T) {
	errFull := errors.New("server full")
	codes := func(why error) uint16 {
		if errors.Is(why, errFull) {
			return 1013
		}
		return 0
	}
	for _, row := range []struct {
		name string
		why  error
		out  string
	}{
		{"normally", nil, "880203e8"},
		{"stopping", loop.ErrStopped, "880203e9"},
		{"any other reason", errors.New("keep alive"), "880203f0"},
		{"the owner's choice", errFull, "880203f5"},
	} {
		c, p := opened(t, transport.Options{CloseCode: codes})
		p.c.Close(row.why)
		p.c.Close(errors.New("again"))
		if got := c.take(); !bytes.Equal(got, testkit.Bytes(row.out)) || !c.closed || c.why != row.why {
			t.Errorf("%s: sent %x, closed=%v: %v", row.name, got, c.closed, c.why)
		}
		c.closed = false // even if the connection would take it
		if p.c.Send([]byte("x")) || p.c.SendControl([]byte("x")) || p.c.SendShared(nil, buf.NewPool(0).NewRef(nil)) {
			t.Errorf("%s: something was sent behind the close frame", row.name)
		}
		c.reap()
		if len(p.closed) != 1 || p.closed[0] != row.why {
			t.Errorf("%s: Closed heard %v", row.name, p.closed)
		}
	}
}

func TestErrorOfTheHandlerClosesWithProtocolError(t *testing.T) {
	c, p := opened(t, transport.Options{})
	p.err = errors.New("malformed packet")
	p.echo = true // last words come first
	c.feed(join(masked(binaryFrame, packet("x")), masked(binaryFrame, packet("y")), masked(pingFrame, nil)))
	if got, want := c.take(), testkit.Bytes("8203 000178 8802 03ea"); !bytes.Equal(got, want) || c.why != p.err {
		t.Fatalf("sent %x, want %x; closed because of %v", got, want, c.why)
	}
	if !slices.Equal(p.got, []string{"x"}) {
		t.Fatalf("packets %q", p.got)
	}
}

func TestPingsThatNobodyReadsAreCounted(t *testing.T) {
	d := newDoor(t, transport.Options{})
	c, _ := knocked(d)
	c.feed([]byte(request))
	c.feed(masked(pingFrame, nil))
	c.full = true
	c.feed(masked(pingFrame, nil))
	if s := *d.Stats(); s.Pings != 1 || s.PongsRefused != 1 || s.Upgraded != 1 || c.closed {
		t.Fatalf("%+v, closed=%v", s, c.closed)
	}
}

func TestNothingIsAllocatedForPackets(t *testing.T) {
	c, p := opened(t, transport.Options{Pool: buf.NewPool(0)})
	h := c.h
	in := masked(binaryFrame, packet("0123456789"))
	view := make([]byte, len(in))
	small, large := make([]byte, 100), make([]byte, 5000)
	p.got = make([]string, 0, 10_000)
	c.sent = make([]byte, 0, 64<<20)
	c.sends = make([]int, 0, 100_000)
	quiet := &quietHandler{}
	w := newDoor(t, transport.Options{}).WebSocket(c, func(loop.Conn, *transport.Request) loop.Handler { return quiet }, nil)
	if _, err := w.Data([]byte(request)); err != nil {
		t.Fatal(err)
	}
	_ = h
	if n := testing.AllocsPerRun(1000, func() {
		copy(view, in)
		if used, err := w.Data(view); used != len(view) || err != nil {
			t.Fatal(used, err)
		}
		p.c.Send(small)
		p.c.Send(large)
		p.c.SendControl(small)
	}); n != 0 {
		t.Errorf("%v allocations for a packet", n)
	}
	if quiet.bytes == 0 {
		t.Error("nothing arrived")
	}
}

type quietHandler struct{ bytes int }

func (q *quietHandler) Data(view []byte) (int, error) { q.bytes += len(view); return len(view), nil }
func (q *quietHandler) Drained()                      {}
func (q *quietHandler) Closed(error)                  {}
