package client_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/loopmq/loopmq/client"
	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/internal/testkit"
)

// web gives a client a peer behind a WebSocket server that others wrote: what
// the peer writes goes out in messages of chunk bytes.
func web(t *testing.T, o client.Options, chunk int) (*client.Client, *peer, *websocket.Conn) {
	t.Helper()
	inner, theirs := net.Pipe()
	sockets := make(chan *websocket.Conn, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"mqtt"}})
		if err != nil {
			return
		}
		ws.SetReadLimit(1 << 20)
		sockets <- ws
		stream := websocket.NetConn(context.Background(), ws, websocket.MessageBinary)
		go func() {
			_, _ = io.Copy(inner, stream)
			inner.Close()
		}()
		buf := make([]byte, chunk)
		for {
			n, err := inner.Read(buf)
			if err != nil {
				return
			}
			if _, err := stream.Write(buf[:n]); err != nil {
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { inner.Close(); theirs.Close() })
	_ = theirs.SetDeadline(time.Now().Add(patience))
	p := &peer{t, theirs}
	o.URL = "ws://" + server.Listener.Addr().String()
	got := make(chan error, 1)
	go func() { got <- errors.Join(p.want(connect3), p.say(connack3)) }()
	c, err := client.Dial(context.Background(), o)
	if err := errors.Join(err, <-got); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Abort)
	return c, p, <-sockets
}

// TestWebSocket: packets come through whatever the messages' borders.
func TestWebSocket(t *testing.T) {
	for _, chunk := range []int{1, 3, 100, 1 << 16} {
		o := options(codec.V311)
		got := make(chan string, 10)
		o.OnMessage = func(m *client.Message) bool {
			got <- fmt.Sprintf("%s=%d", m.Topic, len(m.Payload))
			return true
		}
		c, p, ws := web(t, o, chunk)
		large := bytes.Repeat([]byte("x"), 200)
		p.send("30 04 0001 't' '0' 30 cb 01 0001 'u' '" + string(large) + "' 32 05 0001 'v' 0007").expect("40 02 0007")
		for _, want := range []string{"t=1", "u=200", "v=0"} {
			if m := <-got; m != want {
				t.Errorf("chunk %d: got %s, want %s", chunk, m, want)
			}
		}
		if err := ws.Ping(t.Context()); err != nil {
			t.Errorf("ping: %v", err)
		}
		if err := c.Publish(t.Context(), &client.Message{Topic: "big", Payload: make([]byte, 150_000)}); err != nil {
			t.Fatal(err)
		}
		whole := make([]byte, 4+5+150_000)
		if _, err := io.ReadFull(p, whole); err != nil || string(whole[6:9]) != "big" {
			t.Errorf("a packet over several messages: % x, %v", whole[:10], err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		p.expect("e0 00").expectEnd()
	}
}

// TestWebSocketClosed: the server's close code is the reason, and is answered.
func TestWebSocketClosed(t *testing.T) {
	c, _, ws := web(t, options(codec.V311), 100)
	if err := ws.Close(1008, "go\naway"); err != nil {
		t.Errorf("the close handshake: %v", err)
	}
	<-c.Done()
	e, ok := errors.AsType[*client.CloseError](c.Err())
	if !ok || e.Code != 1008 || e.Error() != `server closed the WebSocket with 1008 (policy violation) ("go")` {
		t.Errorf("got %v", c.Err())
	}
}

// upgraded plays the WebSocket server by hand: it answers the request, reads
// CONNECT, and says the rest; the result is what Dial said.
func upgraded(t *testing.T, o client.Options, say string) (*peer, *client.Client, error) {
	t.Helper()
	p, o := listen(t, o)
	o.URL = "ws://scripted/mqtt?a=b"
	played := make(chan error, 1)
	go func() {
		r, err := http.ReadRequest(bufio.NewReader(p))
		if err != nil {
			played <- err
			return
		}
		if r.RequestURI != "/mqtt?a=b" || r.Host != "scripted" || r.Header.Get("Sec-WebSocket-Protocol") != "mqtt" ||
			r.Header.Get("Sec-WebSocket-Extensions") != "" || r.Header.Get("Sec-WebSocket-Version") != "13" {
			err = fmt.Errorf("asked for %s of %s with %v", r.RequestURI, r.Host, r.Header)
		}
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		head := "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nconnection: upgrade\r\nSec-WebSocket-Protocol: mqtt\r\n" +
			"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n"
		_, werr := p.Write(append([]byte(head), testkit.Bytes(say)...)) // in one, as some servers do
		op, payload, ferr := p.frame()
		if ferr == nil && (op != 0x82 || !bytes.Equal(payload, testkit.Bytes(connect3))) {
			ferr = fmt.Errorf("frame %#x % x", op, payload)
		}
		played <- errors.Join(err, werr, ferr)
	}()
	c, err := client.Dial(context.Background(), o)
	if perr := <-played; perr != nil {
		t.Fatal(perr)
	}
	if c != nil {
		t.Cleanup(c.Abort)
	}
	return p, c, err
}

// frame reads a frame of the client's and takes off its mask.
func (p *peer) frame() (first byte, payload []byte, err error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(p, head); err != nil {
		return 0, nil, err
	}
	if head[1]&0x80 == 0 {
		return 0, nil, fmt.Errorf("not masked: % x", head)
	}
	length := uint64(head[1] & 0x7f)
	if length >= 126 {
		more := make([]byte, 2+6*(length-126))
		if _, err := io.ReadFull(p, more); err != nil {
			return 0, nil, err
		}
		length = binary.BigEndian.Uint64(append(make([]byte, 8-len(more)), more...))
	}
	payload = make([]byte, 4+length)
	if _, err := io.ReadFull(p, payload); err != nil {
		return 0, nil, err
	}
	mask := payload[:4]
	payload = payload[4:]
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return head[0], payload, nil
}

func (p *peer) expectFrame(first byte, payload string) {
	p.t.Helper()
	f, got, err := p.frame()
	if err != nil || f != first || !bytes.Equal(got, testkit.Bytes(payload)) {
		p.t.Fatalf("client sent %#x % x (%v)\nwant        %#x % x", f, got, err, first, testkit.Bytes(payload))
	}
}

const connackFrame = "82 04" + connack3

// TestFrames: fragments, empty frames and control frames between them.
func TestFrames(t *testing.T) {
	o := options(codec.V311)
	got := make(chan string, 4)
	o.OnMessage = func(m *client.Message) bool { got <- string(m.Payload); return true }
	p, _, err := upgraded(t, o, "89 01 'e' 02 02 2002 89 00 00 00 80 02 0000")
	if err != nil {
		t.Fatal(err)
	}
	p.expectFrame(0x8a, "") // the newest ping is answered, as RFC 6455 allows
	p.send("02 03 300500 89 02 'hi' 8a 03 'who' 00 00 80 04 01 't' 'ok'")
	p.expectFrame(0x8a, "'hi'")
	if m := <-got; m != "ok" {
		t.Errorf("got %q", m)
	}
	p.send("82 7f 0000000000000008 30 06 0001 't' 'yes'")
	if m := <-got; m != "yes" {
		t.Errorf("got %q", m)
	}
}

// TestFramesBroken: what a server may not send ends the connection with a code.
func TestFramesBroken(t *testing.T) {
	for say, want := range map[string]struct{ closes, says string }{
		"81 02 'hi'":                    {"03eb", "text, where MQTT is binary"},
		"82 84 00000000 d0d0":           {"03ea", "must be not masked"},
		"c2 02 d000":                    {"03ea", "rsv"},
		"80 02 d000":                    {"03ea", "continuation"},
		"02 01 d0 82 01 00":             {"03ea", "continuation"},
		"83 00":                         {"03ea", "reserved op code"},
		"89 7e 0080":                    {"03ea", "control frame"},
		"09 00":                         {"03ea", "not final"},
		"82 7f ffffffffffffffff":        {"03ea", "breaks the WebSocket protocol"},
		"82 7f 7fffffffffffffff":        {"03f1", "a frame of 9223372036854775807 bytes, more than"},
		"88 01 03":                      {"03ea", "half a close code"},
		"88 00":                         {"", "server closed the WebSocket"},
		"88 08 03f4 'bye' ff 'x' 8a 00": {"03f4", `server closed the WebSocket with 1012 (service restart) ("byex")`},
		"88 02 03e8":                    {"03e8", "server closed the WebSocket with 1000 (normal)"},
	} {
		p, c, err := upgraded(t, options(codec.V311), connackFrame)
		if err != nil {
			t.Fatal(err)
		}
		p.send(say)
		p.expectFrame(0x88, want.closes)
		p.expectEnd()
		<-c.Done()
		if err := c.Err(); err == nil || !strings.Contains(err.Error(), want.says) {
			t.Errorf("%s: got %v, want %q", say, err, want.says)
		}
	}
}

// TestWebSocketTurnedAway: closed before CONNACK.
func TestWebSocketTurnedAway(t *testing.T) {
	_, _, err := upgraded(t, options(codec.V311), "88 06 03f0 'full'")
	if err == nil || !strings.Contains(err.Error(), `closed the WebSocket with 1008 (policy violation) ("full")`) {
		t.Errorf("got %v", err)
	}
}

// TestPingFlood: a server that pings and never reads makes us hold nothing,
// and the end comes at once.
func TestPingFlood(t *testing.T) {
	p, c, err := upgraded(t, options(codec.V311), connackFrame)
	if err != nil {
		t.Fatal(err)
	}
	pings := bytes.Repeat(append([]byte{0x89, 125}, make([]byte, 125)...), 1000)
	for range 100 { // 12 MB
		if _, err := p.Write(pings); err != nil {
			t.Fatal(err)
		}
	}
	_ = within(t, "Abort", func() error { c.Abort(); return nil })
}

// TestUpgradeRefused: one line with the status, the URL and what to do.
func TestUpgradeRefused(t *testing.T) {
	answers := map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"no such path": {http.NotFound, `answers 404 Not Found to the WebSocket request ("404 page not found"); there is no WebSocket at path /x: check the path`},
		"a page":       {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, "answers 200 OK to the WebSocket request; path /x is an ordinary page"},
		"login": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "who\x1b are you?\nreally", http.StatusUnauthorized)
		}, `answers 401 Unauthorized to the WebSocket request ("who are you?"); it wants a login`},
		"terminal": {func(w http.ResponseWriter, _ *http.Request) {
			if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
				fmt.Fprintf(c, "HTTP/1.1 403 no\x1b]0;title\x07\u009b2J%s\r\n\r\n", strings.Repeat("x", 10_000))
				c.Close()
			}
		}, "answers 403 no]0;title2J" + strings.Repeat("x", 240) + " to the WebSocket request; it does not let us in"},
		"bad gateway": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, "502 Bad Gateway to the WebSocket request; what stands in front"},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://u:secret@else/where", http.StatusFound)
		}, `302 Found to the WebSocket request; it sends us on to "wss://u:xxxxx@else/where"`},
		"other subprotocol": {func(w http.ResponseWriter, r *http.Request) {
			if ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"chat"}}); err == nil {
				defer ws.CloseNow()
				_, _, _ = ws.Read(r.Context()) // until the client has left
			}
		}, "does not confirm subprotocol mqtt"},
		"no key": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "websocket")
			w.WriteHeader(101)
		}, "the answer to the WebSocket request is no good"},
		"nothing": {func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, "may not speak HTTP there, or TLS only (wss://)"},
		"headers without end": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Big", strings.Repeat("x", 100_000))
			w.WriteHeader(101)
		}, "the answer to the WebSocket request is no good"},
	}
	for name, row := range answers {
		server := httptest.NewServer(row.answer)
		address := server.Listener.Addr().String()
		_, err := client.Dial(t.Context(), client.Options{URL: "ws://u:secret@" + address + "/x?token=secret"})
		if err == nil || !strings.Contains(err.Error(), row.want) || !strings.HasPrefix(err.Error(), "connect to ws://"+address+"/x: ") ||
			strings.ContainsAny(err.Error(), "\n\x1b") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got  %v\nwant %s", name, err, row.want)
		}
		server.Close()
	}
}

// TestHeader: headers of the caller's reach the server; login does not, it is
// MQTT's.
func TestHeader(t *testing.T) {
	got := make(chan *http.Request, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r
		w.WriteHeader(403)
	}))
	defer server.Close()
	o := client.Options{URL: "ws://u:p@" + server.Listener.Addr().String(), Header: http.Header{"Origin": {"https://a"}, "X-Two": {"1", "2"}, "Host": {"b.example"}}}
	_, err := client.Dial(t.Context(), o)
	if e, ok := errors.AsType[*client.UpgradeError](err); !ok || e.Status != 403 {
		t.Errorf("got %v", err)
	}
	r := <-got
	if r.Header.Get("Origin") != "https://a" || len(r.Header["X-Two"]) != 2 || r.Host != "b.example" || r.Header.Get("Authorization") != "" || r.URL.Path != "/mqtt" {
		t.Errorf("%s of %s with %v", r.URL, r.Host, r.Header)
	}
}
