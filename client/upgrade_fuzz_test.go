package client

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"
)

// answerer is a server that answers the request for a WebSocket with a text in which ACCEPT stands for the digest of
// the request's key.
type answerer struct {
	feed
	says []byte
}

func (a *answerer) Read(p []byte) (int, error) {
	if a.in == nil {
		r, err := http.ReadRequest(bufio.NewReader(&a.out))
		if err != nil {
			return 0, err
		}
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		a.says = bytes.ReplaceAll(a.says, []byte("ACCEPT"), []byte(base64.StdEncoding.EncodeToString(sum[:])))
		a.in = bytes.NewReader(a.says)
	}
	return a.in.Read(p)
}

func (a *answerer) SetReadDeadline(time.Time) error { return nil }
func (a *answerer) SetDeadline(time.Time) error     { return nil }

// FuzzUpgrade: whatever a server answers, what is no WebSocket is told in one line, and what is one has said so in the
// eyes of net/http, too, and loses no byte of what follows.
func FuzzUpgrade(f *testing.F) {
	const head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n"
	for _, text := range []string{
		head + "Sec-WebSocket-Protocol: mqtt\r\n\r\n\x82\x04\x20\x02\x00\x00",
		head + "\r\n", head + "Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
		"HTTP/1.1 401 Unauthorized\r\nContent-Length: 12\r\n\r\nlogin\nfirst\n", "HTTP/1.0 404 \x1b[31m\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: https://me:secret@there.example/mqtt\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>",
		"\x20\x02\x00\x00", "HTTP/1.1 101\r\n\r\n", "",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, says []byte) {
		a := &answerer{says: says}
		s := Server{Network: "tcp", Address: "a:80", Host: "a", WebSocket: true, Path: "/mqtt"}
		w, err := new(Options).upgrade(context.Background(), &s, a)
		if err != nil {
			if text := err.Error(); text == "" || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Fatalf("%q is told as %q", says, text)
			}
			return
		}
		in := bufio.NewReader(bytes.NewReader(a.says))
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			return // net/http wants more of a header than we do
		}
		if r.StatusCode != http.StatusSwitchingProtocols || r.Header.Get("Sec-WebSocket-Protocol") != subprotocol {
			t.Fatalf("%q is taken for a WebSocket", says)
		}
		want, _ := io.ReadAll(in)
		if got, err := io.ReadAll(w.in); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("behind the answer came %q, %v, want %q", got, err, want)
		}
	})
}

// FuzzURL: whatever stands in a URL, an error is one line that does not hold the password, and what is taken is told so
// that it leads to the same place.
func FuzzURL(f *testing.F) {
	for _, row := range [][2]string{
		{"mqtt://me", "localhost:1883/a%2Fb"},
		{"wss://me", "[::1]/mqtt?token=x#y"},
		{"unix://", "/run/x.sock"},
		{"unix://a", "b"},
		{"ws://a/b", "host/%zz"},
		{"tcp", "h:0"},
		{"mqtts://a?b", "h:99999"},
		{"ssl://", "h%20x"},
		{"ws://h:1/", "%"},
	} {
		f.Add(row[0], row[1])
	}
	f.Fuzz(func(t *testing.T, before, behind string) {
		const password = "Pa55-w0rd"
		for _, raw := range []string{before + ":" + password + "@" + behind, before + behind} {
			s, err := ParseURL(raw)
			if err != nil {
				odd := strings.Contains(before, "@") // of two of them the first one is taken for the end of the password
				if text := err.Error(); strings.Contains(text, password) && !odd || strings.ContainsAny(text, "\r\n") {
					t.Fatalf("%q is told as %q", raw, text)
				}
				continue
			}
			told := s.URL()
			if s.Network != "unix" && !s.WebSocket && strings.Contains(told, password) {
				t.Fatalf("%q is told as %q", raw, told)
			}
			again, err := ParseURL(told)
			if err != nil || again.Network != s.Network || again.Address != s.Address || again.TLS != s.TLS || again.WebSocket != s.WebSocket {
				t.Fatalf("%q is told as %q, which is %+v, %v, and not %+v", raw, told, again, err, s)
			}
		}
	})
}
